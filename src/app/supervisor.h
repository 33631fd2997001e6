/* The service as its manager sees it: ready, reloading, stopping, a line of status, and the watchdog, which is fed by the
 * control loop as long as it and every worker's loop turn. Without a manager a worker that stands still is only told in the
 * log. Main thread. */
#ifndef DAVENPORT_SRC_APP_SUPERVISOR_H
#define DAVENPORT_SRC_APP_SUPERVISOR_H

#include "davenport/core/liveness.h"
#include "davenport/core/view.h"

#include "app/sockets.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_worker;

struct dp_supervisor {
    struct dp_liveness workers[DP_WORKERS_MAX];
    uint64_t watchdog_us;    /* 0: none */
    uint64_t fed_ms, now_ms; /* by the looks */
    char status[256];        /* as told last */
};

/* How often dp_supervisor_look wants to be called. */
uint64_t dp_supervisor_init(struct dp_supervisor *s);
void dp_supervisor_ready(struct dp_supervisor *s, const struct dp_view *view);
void dp_supervisor_reloading(void);
void dp_supervisor_reloaded(void);
/* Process `pid` speaks for the service from now on; we do not any more. */
void dp_supervisor_replaced(long pid);
/* drain_ms: it may take so long. */
void dp_supervisor_stopping(uint64_t drain_ms);
/* passed_ms: since the last look, as it was meant to be. view NULL: nothing to tell of it. */
void dp_supervisor_look(struct dp_supervisor *s, struct dp_worker *const *workers, uint32_t n,
                        const struct dp_view *view, uint64_t passed_ms);

#endif
