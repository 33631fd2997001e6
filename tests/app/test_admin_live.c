/* The live feed without its sockets: what its events look like, when they come, and what a reader that comes back gets. */
#include "app/admin_live.h"
#include "app/json_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RUN "1700000000000"

static const struct dp_control_config config = {.n_regions = 1};

static void report(void *ctx, struct dp_report *out)
{
    (void)ctx;
    *out = (struct dp_report){.version = "v", .started_wall_ms = INT64_C(1700000000000)};
    out->status.n_regions = 1;
    out->status.regions[0].name = "left";
    out->status.regions[0].url = "http://h";
    out->status.heir = out->status.failback_to = DP_NO_REGION;
    out->status.config = &config;
}

/* As the journal's memory: the newest lines only, oldest first. */
struct memory {
    char lines[4][32];
    size_t n;
};

static size_t events(void *ctx, struct dp_span *lines, size_t max)
{
    const struct memory *m = ctx;
    size_t n = m->n < max ? m->n : max;
    for (size_t i = 0; i < n; i++)
        lines[i] = dp_span_str(m->lines[i]);
    return n;
}

static uint64_t mono_ns(void *ctx)
{
    return *(const uint64_t *)ctx;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return 0;
}

static uint64_t now_ns;
static const struct dp_clock clock_of_test = {mono_ns, wall_ms, &now_ns};

static struct memory remembered(size_t from, size_t n)
{
    struct memory m = {.n = n};
    for (size_t i = 0; i < n; i++)
        assert_true(snprintf(m.lines[i], sizeof m.lines[i], "{\"line\":%zu}", from + i) > 0);
    return m;
}

static void test_framing(void **state)
{
    static const struct {
        const char *id, *data, *framed;
    } rows[] = {
        {NULL, "{}", "event: x\ndata: {}\n\n"},
        {"7", "{}\n", "id: 7\nevent: x\ndata: {}\n\n"},
        {NULL, "{\n  1\n}", "event: x\ndata: {\ndata:   1\ndata: }\n\n"},
        {NULL, "a\n\nb", "event: x\ndata: a\ndata: \ndata: b\n\n"},
        {NULL, "", "event: x\n\n"}, /* no data: readers drop it */
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_text out = {0};
        dp_sse_add(&out, "x", rows[i].id, dp_span_str(rows[i].data));
        assert_string_equal(dp_text_str(&out), rows[i].framed);
        dp_text_fini(&out);
    }
}

/* The body's beginning for who had `last` (NULL: nothing), without the state that ends it. */
static void begin(struct dp_live *live, struct memory *m, const char *last, struct dp_text *out)
{
    struct dp_header header = {.name = DP_SPAN("Last-Event-ID"), .value = dp_span_str(last)};
    const struct dp_head head = {.method = DP_METHOD_GET,
                                 .target = DP_SPAN("/live"),
                                 .authority = DP_SPAN("localhost"),
                                 .minor = 1,
                                 .headers = &header,
                                 .n_headers = last ? 1 : 0};
    const struct dp_admin_request request = {.head = &head, .tcp = true, .peer = "loopback"};
    const struct dp_admin_source source = {
        .ctx = m, .report = report, .events = events, .live = live};
    struct dp_admin_answer answer = {0};
    dp_admin_answer(&source, &request, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.follow, DP_FOLLOW_LIVE);
    const char *body = dp_text_str(&answer.body);
    const char *at = strstr(body, "event: state\n");
    assert_non_null(at);
    assert_non_null(strstr(at, "\"explain\":{"));
    dp_text_clear(out);
    dp_text_add(out, (struct dp_span){body, (size_t)(at - body)});
    dp_text_fini(&answer.body);
}

#define LINE(n, number) "id: " RUN "-" #n "\nevent: journal\ndata: {\"line\":" #number "}\n\n"

static void test_who_comes_back_gets_what_was_missed(void **state)
{
    struct memory m = remembered(10, 2); /* of before the start */
    const struct dp_admin_source source = {.ctx = &m, .report = report, .events = events};
    struct dp_live live;
    struct dp_text out = {0};
    (void)state;
    assert_true(dp_live_init(&live, &clock_of_test, &source));
    begin(&live, &m, NULL, &out);
    assert_string_equal(dp_text_str(&out), LINE(1, 10) LINE(2, 11));
    /* Two more come: one watched, one not. */
    dp_text_clear(&out);
    dp_live_line(&live, DP_SPAN("{\"line\":12}"), &out);
    dp_live_line(&live, DP_SPAN("{\"line\":13}"), NULL);
    assert_string_equal(dp_text_str(&out), LINE(3, 12));
    m = remembered(11, 3); /* the oldest is forgotten */
    begin(&live, &m, RUN "-2", &out);
    assert_string_equal(dp_text_str(&out), LINE(3, 12) LINE(4, 13));
    begin(&live, &m, RUN "-4", &out);
    assert_string_equal(dp_text_str(&out), "");
    /* Of another process, or no id at all: everything. */
    static const char *const others[] = {"1699999999999-4", "4", "-4", RUN "-", "", RUN "-x"};
    for (size_t i = 0; i < DP_ARRAY_LEN(others); i++) {
        begin(&live, &m, others[i], &out);
        assert_string_equal(dp_text_str(&out), LINE(2, 11) LINE(3, 12) LINE(4, 13));
    }
    dp_live_fini(&live);
    dp_text_fini(&out);
}

static size_t count(const struct dp_text *out, const char *what)
{
    size_t n = 0;
    for (const char *at = strstr(dp_text_str(out), what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

static void test_a_state_each_second_a_point_each_step(void **state)
{
    struct memory m = remembered(0, 0);
    const struct dp_admin_source source = {.ctx = &m, .report = report, .events = events};
    struct dp_live live;
    struct dp_text out = {0};
    (void)state;
    assert_true(dp_live_init(&live, &clock_of_test, &source));
    for (unsigned second = 1; second <= 11; second++) {
        now_ns = second * DP_NS_PER_S;
        dp_live_tick(&live, &source, &out);
        if (second == 5) /* soon after a line, between two of the clock's */
            dp_live_tick(&live, &source, &out);
    }
    assert_int_equal(count(&out, "event: state\n"), 12);
    assert_int_equal(count(&out, "event: history\n"), 3); /* at 1 (nothing yet), 6 and 11 s */
    assert_int_equal(count(&out, "\"age_s\":[0.0]"), 2);
    /* Unwatched, points are taken all the same. */
    for (unsigned second = 12; second <= 21; second++) {
        now_ns = second * DP_NS_PER_S;
        dp_live_tick(&live, &source, NULL);
    }
    dp_text_clear(&out);
    dp_history_json(live.history, DP_HISTORY_POINTS, 22000, &out);
    assert_non_null(strstr(dp_text_str(&out), "\"age_s\":[16.0,11.0,6.0,1.0]"));
    dp_live_fini(&live);
    dp_text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_who_comes_back_gets_what_was_missed),
        cmocka_unit_test(test_a_state_each_second_a_point_each_step),
    };
    dp_json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
