/* The governor among workers: threads that count, kick and take views while regions fall and return. What it shows, it
 * shows under the thread sanitizer. */
#include "support/desk.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 2

struct worker {
    pthread_t thread;
    struct dp_governor *governor;
    struct dp_traffic *traffic;
    _Atomic(struct dp_view *) slot; /* latest wins */
    atomic_bool stop;
    uint64_t last_epoch, seen, mixed;
    unsigned index;
};

static void look_at(struct worker *w, struct dp_view *v)
{
    if (v->epoch < w->last_epoch)
        w->mixed++; /* an older truth after a newer one */
    w->last_epoch = v->epoch;
    w->seen++;
    if (v->active != DP_NO_REGION && v->regions[v->active].state != DP_ROUTE_OK)
        w->mixed++;
    dp_view_unref(v);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (uint64_t i = 0; !atomic_load(&w->stop); i++) {
        struct dp_traffic_endpoint *e = &w->traffic->endpoints[i % 2];
        struct dp_view *v = atomic_exchange(&w->slot, NULL);
        if (v)
            look_at(w, v);
        dp_counter_add(&e->outcomes[DP_OUTCOME_ANSWERED], 1);
        dp_counter_add(&e->first_byte[2], 1);
        dp_counter_add(&e->first_byte_ns, 3 * MS);
        if (i % 64 == w->index)
            dp_governor_kick(w->governor);
        if (i % 16 == 0)
            (void)usleep(50);
    }
    return NULL;
}

struct crew {
    struct worker workers[WORKERS];
};

static void publish(void *ctx, struct dp_view *view)
{
    struct crew *c = ctx;
    for (unsigned i = 0; i < WORKERS; i++)
        dp_view_unref(atomic_exchange(&c->workers[i].slot, dp_view_ref(view)));
}

static void views_go_down_and_counters_up(void **state)
{
    struct desk *d = *state;
    static struct crew crew;
    const char *why;
    const struct dp_governor_options opt = {.loop = &d->loop,
                                            .clock = &d->clock,
                                            .config = &d->config,
                                            .publish = publish,
                                            .publish_ctx = &crew,
                                            .seed = 7};
    d->config.failback_hold_ms = 1;
    assert_int_equal(dp_governor_new(&opt, &d->governor, &why), DP_OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        crew.workers[i].governor = d->governor;
        crew.workers[i].traffic = d->workers[i];
        crew.workers[i].index = i;
        assert_int_equal(pthread_create(&crew.workers[i].thread, NULL, work, &crew.workers[i]), 0);
    }
    dp_governor_start(d->governor, d->traffic, WORKERS);
    desk_await(d, "region_up:a", 1);
    desk_await(d, "region_up:b", 1);
    for (unsigned round = 1; round <= 5; round++) {
        script_server_kill(&d->servers[0]);
        desk_await(d, "failover:b", round);
        script_server_revive(&d->servers[0]);
        desk_await(d, "failback:a", round);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        atomic_store(&crew.workers[i].stop, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(crew.workers[i].thread, NULL), 0);
        dp_view_unref(atomic_exchange(&crew.workers[i].slot, NULL));
        assert_int_equal(crew.workers[i].mixed, 0);
        assert_true(crew.workers[i].seen > 0);
    }
    uint64_t sum = 0, shown = 0;
    for (unsigned i = 0; i < 2; i++)
        sum += dp_counter_get(&d->workers[i]->endpoints[0].outcomes[DP_OUTCOME_ANSWERED]);
    while (shown != sum) {
        desk_turn(d, 1);
        shown = desk_status(d)->regions[0].outcomes[DP_OUTCOME_ANSWERED];
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(views_go_down_and_counters_up, desk_setup, desk_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
