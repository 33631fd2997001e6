/* What the admin server answers when memory runs out: the whole answer, or one that says that it could not be made. Half a
 * document would be believed. */
#include "app/admin_orders.h"
#include "app/json_memory.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* More than any answer takes: it went in circles. */
#define ALLOCATIONS_MAX 5000

static const struct dp_control_config config = {.n_regions = 2};

static void report(void *ctx, struct dp_report *out)
{
    (void)ctx;
    *out = (struct dp_report){.version = "v", .listen = "l", .admin = "a"};
    out->status.n_regions = 2;
    out->status.regions[0].name = "left";
    out->status.regions[0].url = "http://h";
    out->status.regions[1].name = "right";
    out->status.regions[1].url = "http://g";
    out->status.heir = out->status.failback_to = DP_NO_REGION;
    out->status.config = &config;
}

static size_t events(void *ctx, struct dp_span *lines, size_t max)
{
    (void)ctx;
    for (size_t i = 0; i < 2 && i < max; i++)
        lines[i] = DP_SPAN("{\"epoch\":1,\"event\":\"started\"}");
    return 2;
}

static enum dp_err order(void *ctx, const struct dp_order_request *r, struct dp_order_result *out)
{
    (void)ctx;
    *out = (struct dp_order_result){.epoch = 8, .after = {.active = 1}};
    return r->region ? DP_OK : DP_EINVAL;
}

static bool saved(void *ctx, uint64_t ticket)
{
    (void)ctx;
    return ticket == 0;
}

static const struct row {
    enum dp_method method;
    const char *target, *body;
} rows[] = {
    {DP_METHOD_GET, "/status", NULL},
    {DP_METHOD_GET, "/metrics", NULL},
    {DP_METHOD_GET, "/healthz", NULL},
    {DP_METHOD_GET, "/readyz", NULL},
    {DP_METHOD_GET, "/events", NULL},
    {DP_METHOD_GET, "/explain", NULL},
    {DP_METHOD_GET, "/nothing", NULL},
    {DP_METHOD_POST, "/switch", "{\"region\":\"right\",\"reason\":\"because\"}"},
};

static void ask(const struct row *row, struct dp_admin_answer *answer)
{
    struct dp_header headers[] = {
        {.name = DP_SPAN("Davenport-Admin"), .value = DP_SPAN("1")},
        {.name = DP_SPAN("Content-Type"), .value = DP_SPAN("application/json")},
    };
    const struct dp_head head = {.method = row->method,
                                 .target = dp_span_str(row->target),
                                 .authority = DP_SPAN("localhost"),
                                 .minor = 1,
                                 .headers = headers,
                                 .n_headers = DP_ARRAY_LEN(headers)};
    const struct dp_admin_request request = {
        .head = &head, .body = dp_span_str(row->body), .tcp = true, .peer = "loopback"};
    const struct dp_admin_source source = {
        .report = report, .events = events, .order = order, .saved = saved};
    *answer = (struct dp_admin_answer){0};
    dp_admin_answer(&source, &request, answer);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_admin_answer whole, answer;
        unsigned n = 0;
        ask(&rows[i], &whole);
        assert_false(whole.body.failed);
        for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
            nomem_at(++n);
            ask(&rows[i], &answer);
            happened = nomem_happened();
            nomem_at(0);
            bool same = answer.status == whole.status && answer.body.n == whole.body.n &&
                        memcmp(answer.body.p, whole.body.p, whole.body.n) == 0;
            if (!answer.body.failed && answer.status < 500 && !same)
                fail_msg("%s, allocation %u: %u %s", rows[i].target, n, answer.status,
                         dp_text_str(&answer.body));
            dp_text_fini(&answer.body);
        }
        print_message("%s: %u, %u allocations\n", rows[i].target, whole.status, n - 1);
        dp_text_fini(&whole.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    nomem_libraries();
    dp_json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
