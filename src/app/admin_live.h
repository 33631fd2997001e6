/* What a page that stays open is told: GET /live, server-sent events (HTML Living Standard, 9.2), and GET /history. Pure:
 * the server (admin.c, admin_follow.c) has the sockets and the timer. Main thread.
 *
 *   event: journal  id: RUN-NUMBER  data: a line of the journal    those of memory first, then each as it is written
 *   event: state                    data: {"status":..., "explain":...}   at first, each second, and soon after a line
 *   event: history                  data: as GET /history, of the newest point   each DP_HISTORY_STEP_MS
 *
 * RUN is this process, so who comes back with Last-Event-ID gets the lines that it missed, or all of a new process's. */
#ifndef DAVENPORT_SRC_APP_ADMIN_LIVE_H
#define DAVENPORT_SRC_APP_ADMIN_LIVE_H

#include "davenport/base/clock.h"

#include "app/admin.h"
#include "app/history.h"

#define DP_LIVE_MS 1000

/* The newest lines of the journal that are remembered: as many as /events tells. */
#define DP_ADMIN_EVENTS 256

struct dp_live {
    struct dp_history *history; /* owned */
    const struct dp_clock *clock;
    uint64_t sampled_ms; /* monotonic; 0: not yet */
    uint64_t told; /* the newest line's number; the oldest that is remembered at the start has 1 */
    int64_t run;   /* of this process: when it was started */
};

/* False: no memory. The lines that there are already get their numbers here, so it comes before the first dp_live_line. */
DP_MUST_USE bool dp_live_init(struct dp_live *live, const struct dp_clock *clock,
                              const struct dp_admin_source *source);
void dp_live_fini(struct dp_live *live);

/* Time went on: sample what is due. out NULL: nobody looks; else the events that are due go there. */
void dp_live_tick(struct dp_live *live, const struct dp_admin_source *source, struct dp_text *out);
/* A line was written: its event. Call it for each line, watched or not: out may be NULL. */
void dp_live_line(struct dp_live *live, struct dp_span line, struct dp_text *out);

/* The routes. source->live is set. */
void dp_admin_live(const struct dp_admin_source *source, const struct dp_admin_request *request,
                   struct dp_admin_answer *answer);
void dp_admin_history(const struct dp_admin_source *source, const struct dp_admin_request *request,
                      struct dp_admin_answer *answer);

/* One event. id NULL: it has none. data: any text; each of its lines becomes one of the event's. */
void dp_sse_add(struct dp_text *out, const char *event, const char *id, struct dp_span data);

#endif
