/* What is told when. */
#include "app/supervisor.h"

#include "davenport/base/clock.h"
#include "davenport/base/crash.h"
#include "davenport/base/log.h"
#include "davenport/proxy/worker.h"

#include "app/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS     1000
#define LOOK_MIN_MS 10
/* A manager waits so long past the end of a drain. */
#define STOP_EXTRA_MS 10000

uint64_t dp_supervisor_init(struct dp_supervisor *s)
{
    *s = (struct dp_supervisor){.watchdog_us = dp_notify_watchdog_us()};
    const uint64_t half_ms = s->watchdog_us / 2000;
    if (s->watchdog_us == 0 || half_ms > LOOK_MS) {
        return LOOK_MS;
    }
    return half_ms > LOOK_MIN_MS ? half_ms : LOOK_MIN_MS;
}

/* "Traffic goes to eu-de; 2 of 2 regions serve" */
static void describe(const struct dp_view *view, char *out, size_t cap)
{
    unsigned serve = 0;
    unsigned all = 0;
    for (uint16_t i = 0; i < view->n_regions; i++) {
        serve += view->regions[i].state == DP_ROUTE_OK;
        all++;
    }
    if (view->active == DP_NO_REGION) {
        (void)snprintf(out, cap, "No region takes requests; %u of %u serve", serve, all);
    } else {
        (void)snprintf(out, cap, "Traffic goes to %s; %u of %u regions serve",
                       view->regions[view->active].name, serve, all);
    }
}

void dp_supervisor_ready(struct dp_supervisor *s, const struct dp_view *view)
{
    describe(view, s->status, sizeof s->status);
    dp_notify("READY=1\nMAINPID=%ld\nSTATUS=%s", (long)getpid(), s->status);
}

void dp_supervisor_reloading(void)
{
    dp_notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, dp_clock_mono_ns(&dp_clock_system) / 1000);
}

void dp_supervisor_reloaded(void)
{
    dp_notify("READY=1");
}

void dp_supervisor_replaced(long pid)
{
    dp_notify("MAINPID=%ld\nREADY=1", pid);
    dp_notify_end();
}

void dp_supervisor_stopping(uint64_t drain_ms)
{
    dp_notify("STOPPING=1\nSTATUS=Finishing what is under way\nEXTEND_TIMEOUT_USEC=%" PRIu64,
              (drain_ms + STOP_EXTRA_MS) * 1000);
}

/* True: every one turns. */
static bool look_at_workers(struct dp_supervisor *s, struct dp_worker *const *workers, uint32_t n)
{
    bool alive = true;
    for (uint32_t i = 0; i < n; i++) {
        if (dp_worker_done(workers[i])) {
            continue;
        }
        switch (dp_liveness_look(&s->workers[i], dp_worker_ticks(workers[i]))) {
        case DP_LIVENESS_STALLED:
            dp_crash_blame(dp_worker_tid(workers[i]));
            dp_log(DP_LOG_ERROR, "worker_stalled", DP_KV_INT("worker", i),
                   DP_KV_STR("reason", s->watchdog_us ? "its loop stands still; the watchdog is "
                                                        "not fed until it goes on"
                                                      : "its loop stands still"));
            break;
        case DP_LIVENESS_RECOVERED:
            dp_crash_blame(0);
            dp_log(DP_LOG_WARN, "worker_goes_on", DP_KV_INT("worker", i));
            break;
        case DP_LIVENESS_SAME:
            break;
        }
        alive = alive && !dp_liveness_stalled(&s->workers[i]);
    }
    return alive;
}

void dp_supervisor_look(struct dp_supervisor *s, struct dp_worker *const *workers, uint32_t n,
                        const struct dp_view *view, uint64_t passed_ms)
{
    char status[sizeof s->status];
    const bool alive = look_at_workers(s, workers, n);
    s->now_ms += passed_ms;
    if (!dp_notify_wanted()) {
        return;
    }
    if (s->watchdog_us && alive && s->now_ms - s->fed_ms >= s->watchdog_us / 4000) {
        dp_notify("WATCHDOG=1");
        s->fed_ms = s->now_ms;
    }
    if (view) {
        describe(view, status, sizeof status);
        if (strcmp(status, s->status) != 0) {
            memcpy(s->status, status, sizeof status);
            dp_notify("STATUS=%s", status);
        }
    }
}
