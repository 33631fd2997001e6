/* What the admin server answers when memory runs out: the whole answer, or one that says that it could not be made. Half a
 * document would be believed. */
#include "app/admin_live.h"
#include "app/admin_orders.h"
#include "app/json_memory.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

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
    out->status.regions[0].faulted = (struct dp_standing){.on = true, .until_wall_ms = 1000};
    out->status.regions[0].fault = (struct dp_fault){
        .kind = DP_FAULT_DARK, .share = DP_FAULT_ALL, .databases = "orders*,ledger"};
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

static enum dp_err fault(void *ctx, const struct dp_fault_request *r, struct dp_fault_result *out)
{
    (void)ctx;
    *out = (struct dp_fault_result){.epoch = 8};
    return r->region ? DP_OK : DP_EINVAL;
}

static enum dp_err heal(void *ctx, const char *region, const char *actor, uint32_t *healed)
{
    (void)ctx;
    (void)region;
    (void)actor;
    *healed = 1;
    return DP_OK;
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
    {DP_METHOD_GET, "/", NULL},
    {DP_METHOD_GET, "/live", NULL},
    {DP_METHOD_GET, "/history", NULL},
    {DP_METHOD_GET, "/faults", NULL},
    {DP_METHOD_POST, "/faults",
     "{\"region\":\"left\",\"kind\":\"dark\",\"for_ms\":9,\"databases\":[\"a\"]}"},
    {DP_METHOD_DELETE, "/faults/left", NULL},
    {DP_METHOD_POST, "/switch", "{\"region\":\"right\",\"reason\":\"because\"}"},
};

static struct dp_live live;

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
    const struct dp_admin_source source = {.report = report,
                                           .events = events,
                                           .order = order,
                                           .saved = saved,
                                           .fault = fault,
                                           .heal = heal,
                                           .live = &live};
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

/* Events are left out, never told in part; and the next ones come. */
static void every_event_is_whole(void **state)
{
    const struct dp_admin_source source = {.report = report, .events = events, .live = &live};
    unsigned n = 0;
    (void)state;
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        struct dp_text out = {0};
        live.sampled_ms = 0; /* a point is due too */
        nomem_at(++n);
        dp_live_tick(&live, &source, &out);
        dp_live_line(&live, DP_SPAN("{\"epoch\":1}"), &out);
        happened = nomem_happened();
        nomem_at(0);
        struct dp_span rest = dp_text_span(&out);
        struct dp_text data = {0};
        unsigned whole = 0;
        while (rest.p && !out.failed) {
            struct dp_span line = dp_span_cut(&rest, '\n');
            if (dp_span_starts(line, DP_SPAN("data: "))) {
                dp_text_add(&data, (struct dp_span){line.p + 6, line.n - 6});
            } else if (line.n == 0 && data.n > 0) {
                json_t *json = json_loadb(data.p, data.n, 0, NULL);
                assert_true(json_is_object(json));
                json_decref(json);
                dp_text_clear(&data);
                whole++;
            }
        }
        assert_true(out.failed || (data.n == 0 && whole >= 1 && (happened || whole == 3)));
        dp_text_fini(&data);
        dp_text_fini(&out);
    }
    print_message("%u allocations\n", n - 1);
}

static void no_room_for_a_past(void **state)
{
    const struct dp_admin_source source = {.report = report, .events = events};
    struct dp_live none;
    (void)state;
    nomem_at(1);
    assert_false(dp_live_init(&none, &dp_clock_system, &source));
    nomem_at(0);
    dp_live_fini(&none);
}

int main(void)
{
    const struct dp_admin_source source = {.report = report, .events = events};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_event_is_whole),
        cmocka_unit_test(no_room_for_a_past),
    };
    nomem_libraries();
    dp_json_memory_init();
    if (!dp_live_init(&live, &dp_clock_system, &source))
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dp_live_fini(&live);
    return failed;
}
