/* Operators' orders end to end in the governor: views, the journal, the state file, restarts. */
#include "support/desk.h"

#include <fcntl.h>

static void begin(struct desk *d)
{
    desk_start_well(d);
}

static void restart(struct desk *d)
{
    desk_stop(d);
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d);
}

static void let_pass(struct desk *d, uint64_t s)
{
    for (uint64_t i = 0; i < s * 4; i++)
        desk_turn(d, 250);
}

/* The journal has a file, and the state one of this name. */
static void keep_files(struct desk *d, char state[128])
{
    d->config.journal_path = d->path;
    (void)snprintf(state, 128, "%s.state", d->path);
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_drain_moves_bars_and_survives_a_restart(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    begin(d);
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "a", "kernel update"), DP_REFUSAL_NONE);
    assert_int_equal(d->result.move, DP_MOVE_DRAIN);
    assert_int_equal(d->result.before.active, 0);
    assert_int_equal(d->result.after.active, 1);
    assert_true(d->result.ticket > 0);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->epoch, 2);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_BARRED);
    const struct dp_status *s = desk_status(d);
    assert_string_equal(s->why, "a was drained by ann: kernel update");
    assert_string_equal(s->regions[0].drained.reason, "kernel update");
    assert_int_equal(s->serving, 1);
    assert_int_equal(s->failovers, 0); /* nothing had failed */
    json_t *line = desk_line(d, "drain", "a");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "before"), "a");
    assert_string_equal(desk_text(line, "after"), "b");
    assert_string_equal(desk_text(line, "actor"), "ann");
    assert_string_equal(desk_text(line, "reason"), "kernel update");
    assert_int_equal(json_integer_value(json_object_get(line, "epoch")), 2);
    assert_int_equal(json_integer_value(json_object_get(line, "serving_after")), 1);
    json_decref(line);

    restart(d);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(d->view->epoch, 3);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_BARRED);
    s = desk_status(d);
    assert_true(s->regions[0].drained.on);
    assert_string_equal(s->regions[0].drained.actor, "ann");
    script_server_kill(&d->servers[1]);
    desk_await(d, "lost:b", 1); /* and is no last resort */
    assert_int_equal(d->view->active, DP_NO_REGION);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_BARRED);
    assert_int_equal(desk_order(d, DP_ORDER_RESUME, "a", NULL), DP_REFUSAL_NONE);
    assert_int_equal(d->view->active, 0);
    restart(d);
    assert_false(desk_status(d)->regions[0].drained.on);
}

static void what_has_a_time_ends_by_itself(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    begin(d);
    d->request.ttl_s = 600;
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "b", NULL), DP_REFUSAL_NONE);
    assert_int_equal(desk_status(d)->regions[1].drained.until_wall_ms, desk_wall_ms(d) + 600000);
    let_pass(d, 590);
    assert_true(desk_status(d)->regions[1].drained.on);
    uint64_t epoch = d->view->epoch;
    desk_await_long(d, "resume:b", 1);
    assert_false(desk_status(d)->regions[1].drained.on);
    assert_true(d->view->epoch > epoch);
    json_t *line = desk_line(d, "resume", "b");
    assert_string_equal(desk_text(line, "actor"), "ttl");
    assert_non_null(strstr(desk_text(line, "reason"), "the time that ann gave it is over"));
    json_decref(line);

    /* While we were away, too. */
    d->request.ttl_s = 60;
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "b", NULL), DP_REFUSAL_NONE);
    d->request.ttl_s = 600;
    assert_int_equal(desk_order(d, DP_ORDER_FREEZE, NULL, NULL), DP_REFUSAL_NONE);
    desk_stop(d);
    d->now_ns += 120 * DP_NS_PER_S;
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d);
    assert_true(desk_status(d)->frozen.on);
    desk_await(d, "resume:b", 2);
    assert_true(desk_status(d)->frozen.on);
    desk_await_long(d, "unfreeze:a", 1);
    assert_false(desk_status(d)->frozen.on);
}

static void frozen_traffic_stays_with_a_dead_region(void **state)
{
    struct desk *d = *state;
    begin(d);
    assert_int_equal(desk_order(d, DP_ORDER_FREEZE, NULL, "a deploy"), DP_REFUSAL_NONE);
    assert_int_equal(d->result.ticket, 0); /* no file to keep it */
    script_server_kill(&d->servers[0]);
    desk_await(d, "region_down:a", 1);
    assert_int_equal(d->view->active, 0);
    assert_int_equal(desk_count(d, "failover:b"), 0);
    assert_int_equal(desk_order(d, DP_ORDER_UNFREEZE, NULL, NULL), DP_REFUSAL_NONE);
    assert_int_equal(d->view->active, 1);
    assert_int_equal(desk_count(d, "failover:b"), 1); /* told apart from the order */
    assert_int_equal(desk_count(d, "unfreeze:b"), 1);
}

static void a_rehearsal_changes_nothing(void **state)
{
    struct desk *d = *state;
    begin(d);
    struct dp_span lines[256];
    size_t n = dp_governor_events(d->governor, lines, 256);
    unsigned published = d->published;
    d->request.dry_run = true;
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "a", NULL), DP_REFUSAL_NONE);
    assert_int_equal(d->result.after.active, 1);
    assert_true(d->result.after.drained[0] && !d->result.before.drained[0]);
    assert_int_equal(d->result.after.routes[0], DP_ROUTE_BARRED);
    d->config.min_regions = 2;
    d->request.dry_run = true;
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "a", NULL), DP_REFUSAL_MIN_REGIONS);
    assert_string_equal(d->result.why,
                        "1 region would be left that serves, and safety.min_regions is 2");
    assert_int_equal(d->result.after.active, 0);
    assert_int_equal(d->published, published);
    assert_int_equal(dp_governor_events(d->governor, lines, 256), n);
    assert_false(desk_status(d)->regions[0].drained.on);
    assert_int_equal(desk_status(d)->epoch, 1);
}

static void refusals_are_told(void **state)
{
    struct desk *d = *state;
    d->config.min_regions = 1;
    d->config.dwell_ms = 60000;
    begin(d);
    d->request.if_epoch = true;
    d->request.epoch = 9;
    assert_int_equal(desk_order(d, DP_ORDER_FREEZE, NULL, NULL), DP_REFUSAL_EPOCH);
    assert_non_null(strstr(d->result.why, "the epoch is 1, not 9"));
    d->request.if_epoch = true;
    d->request.epoch = 1;
    assert_int_equal(desk_order(d, DP_ORDER_FREEZE, NULL, NULL), DP_REFUSAL_NONE);
    assert_int_equal(d->result.epoch, 2); /* an order of its own, though no route changed */
    assert_int_equal(d->view->epoch, 2);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", NULL), DP_REFUSAL_NONE);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "a", NULL), DP_REFUSAL_DWELL);
    assert_non_null(strstr(d->result.why, "the last move is too young"));
    json_t *line = desk_line(d, "refused", "a");
    assert_non_null(line);
    assert_string_equal(desk_text(line, "rule"), "dwell");
    assert_string_equal(desk_text(line, "order"), "switch");
    assert_string_equal(desk_text(line, "actor"), "ann");
    json_decref(line);
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "a", NULL), DP_REFUSAL_NONE);
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "b", NULL), DP_REFUSAL_MIN_REGIONS);
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "a", NULL), DP_REFUSAL_DRAINED);
    assert_string_equal(d->result.why, "a was drained by ann; resume it first");
    struct dp_order_request r = {.kind = DP_ORDER_DRAIN, .region = "x"};
    assert_int_equal(dp_governor_order(d->governor, &r, &d->result), DP_EINVAL);
    assert_string_equal(d->result.why, "there is no region of this name");
}

/* What a region lacks it lacks after our restart too. */
static void a_restart_is_no_failback(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    d->config.failback = DP_FAILBACK_MANUAL;
    begin(d);
    script_server_kill(&d->servers[0]);
    desk_await(d, "failover:b", 1);
    script_server_revive(&d->servers[0]);
    desk_await(d, "region_up:a", 2);
    restart(d);
    assert_int_equal(d->view->active, 1);
    assert_string_equal(desk_status(d)->why, "it was there before the restart");
    assert_false(desk_status(d)->pin.on);
    desk_await(d, "region_up:a", 3);
    desk_await(d, "region_up:b", 2);
    assert_true(desk_status(d)->regions[0].held_down);
    let_pass(d, 5);
    assert_int_equal(d->view->active, 1);
    desk_stop(d); /* and once more, with nothing new to keep */
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d);
    assert_int_equal(d->view->active, 1);
}

/* Who takes over does not find out by requests what was known before. */
static void what_was_down_is_down_after_a_restart(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    begin(d);
    script_server_kill(&d->servers[1]);
    desk_await(d, "region_down:b", 1);
    assert_int_equal(d->view->active, 0);
    restart(d);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_OK);
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_DOWN);
    assert_string_equal(desk_status(d)->regions[1].why, "no probe has been answered yet");
    assert_string_equal(desk_status(d)->endpoints[1].why, "it was down before the restart");
    script_server_revive(&d->servers[1]);
    desk_await(d, "region_up:b", 2); /* and probes clear it */
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_OK);
    restart(d);
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_OK);
}

/* Then nobody is: it may have been us. */
static void where_all_were_down_nothing_is_presumed(void **state)
{
    struct desk *d = *state;
    char path[128], text[512];
    keep_files(d, path);
    (void)snprintf(text, sizeof(text),
                   "{\"version\":1,\"epoch_below\":5,\"down\":[\"%s\",\"%s\",7]}", d->urls[0],
                   d->urls[1]);
    put_file(path, text);
    desk_start(d);
    assert_int_equal(d->view->regions[0].state, DP_ROUTE_OK);
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_OK);
    desk_await(d, "region_up:a", 1);
}

/* How often `word` is in the file. */
static unsigned in_file(const char *path, const char *word)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    unsigned n = 0;
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        n++;
    return n;
}

static void hand_over(struct dp_governor *g)
{
    dp_governor_hand_over(g);
    while (!dp_governor_handed_over(g))
        (void)usleep(1000);
}

static uint64_t number_in_file(const char *path, const char *key)
{
    char text[4096];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    const char *at = strstr(text, key);
    assert_non_null(at);
    return strtoull(at + strlen(key), NULL, 10);
}

/* A process that was replaced decides on while it drains. Its epochs are its own, however many there are. */
static void two_processes_tell_no_epoch_twice(void **state)
{
    struct desk *d = *state;
    char path[128];
    keep_files(d, path);
    begin(d);
    hand_over(d->governor);
    const uint64_t theirs = number_in_file(path, "\"epoch_below\":");
    assert_true(d->view->epoch + 100 < theirs);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "b", "meanwhile"), DP_REFUSAL_NONE);
        assert_int_equal(desk_order(d, DP_ORDER_RESUME, "b", "meanwhile"), DP_REFUSAL_NONE);
        assert_true(d->view->epoch < theirs);
    }
    assert_int_equal(d->view->epoch, theirs - 1);
    desk_stop(d);
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d); /* the other one */
    assert_true(d->view->epoch >= theirs);
}

/* Journal and state are let go of for another process, which fails: they are ours again, with all of meanwhile. */
static void files_are_handed_over_and_taken_back(void **state)
{
    struct desk *d = *state;
    char path[128];
    keep_files(d, path);
    begin(d);
    hand_over(d->governor);
    const unsigned before = in_file(d->path, "\n");
    assert_int_equal(desk_order(d, DP_ORDER_DRAIN, "b", "meanwhile"), DP_REFUSAL_NONE);
    assert_int_equal(in_file(d->path, "\n"), before); /* in memory only */
    assert_int_equal(in_file(path, "meanwhile"), 0);
    const uint64_t epoch = d->view->epoch;

    assert_int_equal(dp_governor_take_back(d->governor), DP_OK);
    assert_int_equal(dp_governor_take_back(d->governor), DP_OK); /* it has them */
    assert_int_equal(desk_order(d, DP_ORDER_RESUME, "b", "afterwards"), DP_REFUSAL_NONE);
    assert_true(d->view->epoch >= number_in_file(path, "\"epoch_below\":") - 32);
    assert_true(d->view->epoch >
                epoch + 1000 + 16); /* above all that the other one may have told */
    desk_stop(d);
    assert_int_equal(in_file(d->path, "meanwhile"), 1);
    assert_int_equal(in_file(d->path, "afterwards"), 1);
    assert_true(in_file(d->path, "\n") > before + 1);
    dp_view_unref(d->view);
    d->view = NULL;
    desk_start(d);
    assert_int_equal(d->view->regions[1].state, DP_ROUTE_OK);
}

static void a_pin_survives_a_restart(void **state)
{
    struct desk *d = *state;
    d->config.journal_path = d->path;
    begin(d);
    d->request.ttl_s = 1000;
    assert_int_equal(desk_order(d, DP_ORDER_SWITCH, "b", "drill"), DP_REFUSAL_NONE);
    restart(d);
    assert_int_equal(d->view->active, 1);
    assert_true(desk_status(d)->pin.on);
    assert_string_equal(desk_status(d)->why, "ann chose it before the restart");
    desk_await(d, "region_up:b", 2);
    let_pass(d, 900);
    assert_int_equal(d->view->active, 1);
    desk_await_long(d, "unpin:b", 1);
    desk_await_long(d, "failback:a", 1);
    restart(d);
    assert_int_equal(d->view->active, 0);
    assert_false(desk_status(d)->pin.on);
}

/* Killed between a decision and its line: the bound was kept ahead. */
static void no_epoch_is_told_twice(void **state)
{
    struct desk *d = *state;
    char path[128];
    keep_files(d, path);
    put_file(d->path, "{\"epoch\":41,\"event\":\"failover\"}\n{\"ts\":\"20");
    put_file(path, "{\"version\":1,\"epoch_below\":57,\"drained\":{\"gone\":{}}}");
    desk_start(d);
    assert_int_equal(d->view->epoch, 57);
    assert_int_equal(desk_count(d, "failover:"), 1); /* what was before is still there to be seen */
    restart(d);                                      /* and a clean end leaves no gap */
    assert_int_equal(d->view->epoch, 58);
}

static void a_damaged_state_file_is_said_aloud(void **state)
{
    struct desk *d = *state;
    char path[128];
    keep_files(d, path);
    put_file(d->path, "{\"epoch\":41,\"event\":\"failover\"}\n");
    put_file(path, "{\"version\":1,\"epo");
    int log[2];
    assert_int_equal(pipe2(log, O_NONBLOCK | O_CLOEXEC), 0);
    dp_log_set_fd(log[1]);
    desk_start(d);
    dp_log_set_fd(2);
    char text[4096] = "";
    assert_true(read(log[0], text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "\"event\":\"state_not_read\""));
    (void)close(log[0]);
    (void)close(log[1]);
    assert_int_equal(desk_count(d, "orders_forgotten:"), 1);
    assert_true(d->view->epoch > 41);
}

static void told_count(void *ctx, struct dp_span line)
{
    assert_true(line.n > 0);
    (*(unsigned *)ctx)++;
}

static void who_listens_is_told(void **state)
{
    struct desk *d = *state;
    unsigned told = 0;
    const char *why = NULL;
    const struct dp_governor_options opt = {.loop = &d->loop,
                                            .clock = &d->clock,
                                            .config = &d->config,
                                            .told = told_count,
                                            .ctx = &told};
    assert_int_equal(dp_governor_new(&opt, &d->governor, &why), DP_OK);
    dp_governor_start(d->governor, d->traffic, 2);
    desk_await(d, "region_up:a", 1);
    struct dp_span lines[256];
    assert_int_equal(dp_governor_events(d->governor, lines, 256), told);
    desk_stop(d); /* while `told` is still there */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)
    const struct CMUnitTest tests[] = {
        T(a_drain_moves_bars_and_survives_a_restart),
        T(what_has_a_time_ends_by_itself),
        T(frozen_traffic_stays_with_a_dead_region),
        T(a_rehearsal_changes_nothing),
        T(refusals_are_told),
        T(a_restart_is_no_failback),
        T(what_was_down_is_down_after_a_restart),
        T(where_all_were_down_nothing_is_presumed),
        T(files_are_handed_over_and_taken_back),
        T(two_processes_tell_no_epoch_twice),
        T(a_pin_survives_a_restart),
        T(no_epoch_is_told_twice),
        T(a_damaged_state_file_is_said_aloud),
        T(who_listens_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
