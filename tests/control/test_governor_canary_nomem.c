/* Documents of ours that replication carries, end to end in the governor: two regions that answer as CouchDB does, and a
 * replication under the test's hand. */
#include "davenport/core/seen.h"

#include "support/desk.h"
#include "support/nomem.h"

/* A turn lasts some milliseconds, as what is asked does: the test's time must not run ahead. */
#define STEP_MS 10
/* More than it takes: it went in circles. */
#define ALLOCATIONS_MAX 2000

struct model {
    unsigned number;
    unsigned held[2]; /* of each region's document the generation that is here; 0: none */
    uint16_t refuses; /* a status for PUT; 0: none */
    bool silent;      /* says nothing of what it has */
    unsigned puts, looked, diffs;
    char body[2000];
};

static struct model models[2];

static unsigned source_of(const char *head)
{
    const char *id = strstr(head, "ours-from-");
    assert_non_null(id);
    return (unsigned)(id[10] - 'a');
}

static uint16_t put(struct model *m, const char *head)
{
    const unsigned from = source_of(head);
    const char *rev = strstr(head, "\"_rev\":\"");
    const unsigned had = rev ? (unsigned)strtoul(rev + 8, NULL, 10) : 0;
    m->puts++;
    assert_int_equal(from, m->number); /* nobody writes another region's */
    if (m->refuses)
        return m->refuses;
    if (had != m->held[from])
        return 409;
    (void)snprintf(m->body, sizeof(m->body), "{\"ok\":true,\"rev\":\"%u-x\"}", ++m->held[from]);
    return 201;
}

static void diff(struct model *m, const char *head)
{
    const unsigned from = source_of(head);
    const char *p = strchr(strstr(head, "\r\n\r\n"), '[');
    size_t n = (size_t)snprintf(m->body, sizeof(m->body), "{\"ours-from-%c\":{\"missing\":[",
                                'a' + (char)from);
    bool any = false;
    m->diffs++;
    for (; *p != ']'; p++) {
        const unsigned generation = (unsigned)strtoul(p + 2, NULL, 10);
        if (generation > m->held[from]) {
            n += (size_t)snprintf(m->body + n, sizeof(m->body) - n, "%s\"%u-x\"", any ? "," : "",
                                  generation);
            any = true;
        }
        p = strchr(p + 2, '"');
    }
    (void)snprintf(m->body + n, sizeof(m->body) - n, "]}}");
    if (!any)
        (void)snprintf(m->body, sizeof(m->body), "{}");
}

static uint16_t answer_of(struct model *m, const char *head)
{
    (void)snprintf(m->body, sizeof(m->body), "{\"error\":\"not_found\",\"reason\":\"missing\"}");
    if (strncmp(head, "GET /_up", 8) == 0) {
        (void)snprintf(m->body, sizeof(m->body), "{\"status\":\"ok\"}");
    } else if (strstr(head, " /_")) { /* of its replications */
        return 404;
    } else if (strncmp(head, "PUT /canaries/", 14) == 0) {
        return put(m, head);
    } else if (strncmp(head, "GET /canaries/ours", 18) == 0) {
        m->looked++;
        if (m->held[m->number] == 0)
            return 404;
        (void)snprintf(m->body, sizeof(m->body), "{\"_rev\":\"%u-x\"}", m->held[m->number]);
    } else if (strncmp(head, "POST /canaries/_revs_diff", 25) == 0) {
        diff(m, head);
        return m->silent ? 500 : 200;
    } else if (strstr(head, "/_changes")) {
        (void)snprintf(m->body, sizeof(m->body), "{\"results\":[],\"last_seq\":\"1-x\"}");
    } else {
        (void)snprintf(m->body, sizeof(m->body), "{\"update_seq\":\"1-x\"}");
    }
    return 200;
}

static void answer(void *ctx, struct script_server *s)
{
    struct model *m = ctx;
    const uint16_t status = answer_of(m, s->head);
    script_server_says(s, SCRIPT_ANSWER, status, m->body);
}

static void replicate(unsigned from, unsigned to)
{
    models[to].held[from] = models[from].held[from];
}

static int setup(void **state)
{
    if (desk_setup(state) != 0)
        return -1;
    struct desk *d = *state;
    memset(models, 0, sizeof(models));
    for (unsigned i = 0; i < 2; i++) {
        models[i].number = i;
        d->servers[i].choose = answer;
        d->servers[i].ctx = &models[i];
    }
    d->config.probe_timeout_ms = 600000; /* real time, and the machine may be busy */
    d->config.probe_interval_ms = 200;
    d->config.probe_fast_ms = 20;
    d->config.failback_hold_ms = 200;
    d->config.replication_interval_ms = 100;
    d->config.replication_samples = 2;
    d->config.canary_id = "ours";
    d->config.replication_canary = "canaries";
    d->config.replication_canary_interval_ms = 200;
    d->config.replication_canary_max_ms = 1000;
    dp_seen_note(&d->workers[0]->seen, DP_SPAN("orders"), DP_SEEN_TICK(d->now_ns));
    return 0;
}

/* What `when` carries: from a to b, from b to a. */
struct carries {
    bool there, back;
};

static void turns(struct desk *d, unsigned n, struct carries c)
{
    while (n-- > 0) {
        desk_turn(d, STEP_MS);
        if (c.there)
            replicate(0, 1);
        if (c.back)
            replicate(1, 0);
    }
}

static const struct carries both = {true, true}, neither = {false, false};

static void await(struct desk *d, const char *event, unsigned count, struct carries c)
{
    for (unsigned i = 0; i < 20000 && desk_count(d, event) < count; i++)
        turns(d, 1, c);
    assert_int_equal(desk_count(d, event), count);
}

/* Of the way on which one comes to region `to`. */
static struct dp_way_status way(struct desk *d, unsigned to)
{
    struct dp_way_status w;
    for (unsigned i = 0; dp_governor_way(d->governor, i, &w); i++) {
        if (w.canary && w.to[0] == 'a' + (char)to)
            return w;
        assert_int_equal(w.canary, strcmp(w.database, "canaries") == 0);
    }
    fail_msg("none is sent to %u", to);
    return w;
}

static void begin(struct desk *d)
{
    d->config.n_regions = d->config.n_endpoints = 2;
    desk_start(d);
    await(d, "region_up:a", 1, both);
    await(d, "region_up:b", 1, both);
}

static void they_come(void **state)
{
    struct desk *d = *state;
    begin(d);
    for (unsigned i = 0; i < 20000 && (way(d, 0).canary_took_ms < 0 || models[1].puts < 4); i++)
        turns(d, 1, both);
    assert_true(way(d, 0).canary_took_ms >= 0 && way(d, 1).canary_took_ms >= 0);
    assert_string_equal(way(d, 0).canary_word, "");
    assert_int_equal(desk_count(d, "canary_overdue:a") + desk_count(d, "canary_overdue:b"), 0);
    /* one document a region, written on its last revision */
    assert_int_equal(models[1].held[1], models[1].puts);
    assert_int_equal(models[0].looked + models[1].looked, 0);
}

static void one_way_stands_still(void **state)
{
    static const struct carries there = {true, false};
    struct desk *d = *state;
    begin(d);
    await(d, "canary_overdue:a", 1, there);
    assert_true(way(d, 0).canary_overdue);
    assert_true(way(d, 0).canary_out_ms > 1000);
    assert_false(way(d, 1).canary_overdue);
    turns(d, 100, there); /* told once */
    json_t *line = desk_line(d, "canary_overdue", "a");
    assert_string_equal(desk_text(line, "from"), "b");
    assert_non_null(strstr(desk_text(line, "reason"), "was looked for in vain for"));
    json_decref(line);
    await(d, "canary_over:a", 1, both);
    line = desk_line(d, "canary_over", "a");
    assert_non_null(strstr(desk_text(line, "reason"), "it came after"));
    json_decref(line);
    assert_int_equal(desk_count(d, "canary_overdue:a"), 1);
    assert_int_equal(desk_count(d, "canary_overdue:b"), 0);
}

/* A region that is down is blamed for nothing, nor is one that says nothing of what it has. */
static void no_answer_is_no_lag(void **state)
{
    struct desk *d = *state;
    begin(d);
    models[1].silent = true;
    turns(d, 300, neither);
    assert_int_equal(desk_count(d, "canary_overdue:b"), 0);
    models[1].silent = false;
    await(d, "canary_overdue:b", 1, neither);
    script_server_kill(&d->servers[1]);
    await(d, "region_down:b", 1, neither);
    await(d, "canary_over:b", 1, neither);
    json_t *line = desk_line(d, "canary_over", "b");
    assert_string_equal(desk_text(line, "reason"), "a region of the two is down");
    json_decref(line);
    turns(d, 300, neither);
    assert_true(way(d, 1).canary_out_ms < 1000); /* withdrawn as soon as it is looked for */
    assert_int_equal(desk_count(d, "canary_overdue:b"), 1);
}

static const struct dp_gate_condition *gate(struct desk *d)
{
    const struct dp_gate *g = &desk_status(d)->regions[0].gate;
    for (uint16_t i = 0; i < g->n; i++) {
        if (g->conditions[i].kind == DP_GATE_REPLICATION)
            return &g->conditions[i];
    }
    fail_msg("the gate does not ask for it");
    return NULL;
}

static void await_word(struct desk *d, const char *word, struct carries c)
{
    for (unsigned i = 0; i < 20000; i++) {
        if (strstr(gate(d)->why, word))
            return;
        turns(d, 1, c);
    }
    fail_msg("not \"%s\" but \"%s\"", word, gate(d)->why);
}

static void lose_and_return(struct desk *d)
{
    begin(d);
    script_server_kill(&d->servers[0]);
    await(d, "region_down:a", 1, neither);
    script_server_revive(&d->servers[0]);
    await(d, "held_down:a", 1, neither);
}

static void none_returns_before_one_came_both_ways(void **state)
{
    static const struct carries there = {true, false};
    struct desk *d = *state;
    /* of "orders" nobody tells whether a job runs: the hold would decide */
    d->config.failback_unseen_manual = false;
    lose_and_return(d);
    await_word(d, "a canary does not come through for", there);
    assert_int_equal(desk_count(d, "failback:a"), 0);
    await(d, "failback:a", 1, both);
}

static void one_that_may_not_be_written(void **state)
{
    struct desk *d = *state;
    d->config.failback_unseen_manual = true;
    models[0].refuses = 403;
    lose_and_return(d);
    await_word(d, "no canary can be sent: answer 403 in a", both);
    assert_int_equal(gate(d)->state, DP_GATE_UNMET);
}

/* Another proxy of the same name writes it too; and the database is made anew. */
static void others_write_it_too(void **state)
{
    struct desk *d = *state;
    begin(d);
    turns(d, 50, both);
    models[0].held[0] += 5;
    const unsigned before = models[0].held[0];
    for (unsigned i = 0; i < 20000 && models[0].held[0] < before + 2; i++)
        turns(d, 1, both);
    assert_true(models[0].held[0] >= before + 2);
    assert_true(models[0].looked >= 1);
    models[0].held[0] = 0;
    for (unsigned i = 0; i < 20000 && models[0].held[0] < 2; i++)
        turns(d, 1, both);
    assert_true(models[0].held[0] >= 2);
    assert_int_equal(desk_count(d, "canary_overdue:b"), 0);
}

/* The first, second, third … allocation fails while they go to and fro: they do so again afterwards. */
static void every_allocation_may_fail(void **state)
{
    struct desk *d = *state;
    unsigned n = 0;
    d->config.probe_timeout_ms =
        2000; /* a request that has no memory for its socket waits for that */
    begin(d);
    for (bool happened = true; happened; assert_true(n < ALLOCATIONS_MAX)) {
        const unsigned before = models[1].puts;
        nomem_at(++n);
        for (unsigned i = 0; i < 20000 && models[1].puts < before + 2; i++) {
            turns(d, 1, both);
            if (nomem_happened())
                break;
        }
        happened = nomem_happened();
        nomem_at(0);
        const unsigned then = models[0].puts;
        for (unsigned i = 0; i < 20000 && models[0].puts < then + 1; i++)
            turns(d, 1, both);
        if (models[0].puts < then + 1)
            fail_msg("none is written after allocation %u failed", n);
    }
    for (unsigned i = 0; i < 20000 && way(d, 0).canary_took_ms < 0; i++)
        turns(d, 1, both);
    assert_true(way(d, 0).canary_took_ms >= 0);
    assert_true(n > 10);
    print_message("%u allocations\n", n - 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, desk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_come),
        TEST(one_way_stands_still),
        TEST(no_answer_is_no_lag),
        TEST(none_returns_before_one_came_both_ways),
        TEST(one_that_may_not_be_written),
        TEST(others_write_it_too),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
