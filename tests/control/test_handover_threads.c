/* The handover among workers: threads that learn of views when they come to it, and say by counters that their writes rest. Nobody may
 * write in the region that traffic returned to while another does not know of it. */
#include "davenport/core/seen.h"

#include "support/watched.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 2

struct crew;

struct worker {
    pthread_t thread;
    struct crew *crew;
    struct dp_traffic *traffic;
    _Atomic(struct dp_view *) slot; /* latest wins */
    _Atomic unsigned active;        /* where its reads go */
    uint32_t tick;
    unsigned index, seen, early;
};

struct crew {
    struct worker workers[WORKERS];
    atomic_bool stop;
};

static void look_at(struct worker *w, struct dp_view *v)
{
    atomic_store(&w->active, v->active);
    /* From now on it writes there. */
    for (unsigned i = 0; i < WORKERS && v->pause == 0 && v->active == 0; i++)
        w->early += atomic_load(&w->crew->workers[i].active) != 0;
    atomic_store_explicit(&w->traffic->rests, v->pause, memory_order_release);
    w->seen++;
    dp_view_unref(v);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; !atomic_load(&w->crew->stop); i++) {
        struct dp_view *v = atomic_exchange(&w->slot, NULL);
        if (v)
            look_at(w, v);
        dp_seen_note(&w->traffic->seen, DP_SPAN("orders"), w->tick);
        (void)usleep(100 + 900 * ((i + w->index) % 3)); /* each is late sometimes */
    }
    return NULL;
}

static void publish(void *ctx, struct dp_view *view)
{
    struct crew *c = ctx;
    for (unsigned i = 0; i < WORKERS; i++)
        dp_view_unref(atomic_exchange(&c->workers[i].slot, dp_view_ref(view)));
}

static void nobody_writes_before_all_know(void **state)
{
    struct watched *w = *state;
    struct desk *d = w->desk;
    struct crew crew = {0};
    const char *why;
    const struct dp_governor_options opt = {.loop = &d->loop,
                                            .clock = &d->clock,
                                            .config = &d->config,
                                            .publish = publish,
                                            .publish_ctx = &crew,
                                            .seed = 7};
    d->config.failback_pause_ms = 600000; /* real time, and the machine may be busy */
    assert_int_equal(dp_governor_new(&opt, &d->governor, &why), DP_OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        crew.workers[i].crew = &crew;
        crew.workers[i].traffic = d->workers[i];
        crew.workers[i].index = i;
        crew.workers[i].tick = DP_SEEN_TICK(d->now_ns);
        assert_int_equal(pthread_create(&crew.workers[i].thread, NULL, work, &crew.workers[i]), 0);
    }
    dp_governor_start(d->governor, d->traffic, WORKERS);
    watched_lose_and_return(w, 1);
    watched_replicate(w, 1, 0);
    watched_await(w, "failback:a", 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        for (unsigned n = 0; n < 20000 && atomic_load(&crew.workers[i].active) != 0; n++)
            watched_turn(w, WATCHED_STEP_MS);
    }
    watched_turns(w, 200, WATCHED_STEP_MS);
    atomic_store(&crew.stop, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(crew.workers[i].thread, NULL), 0);
        dp_view_unref(atomic_exchange(&crew.workers[i].slot, NULL));
        assert_int_equal(crew.workers[i].early, 0);
        assert_true(crew.workers[i].seen > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_writes_before_all_know, watched_setup,
                                        watched_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
