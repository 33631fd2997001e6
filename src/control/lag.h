/* Were we asleep? A loop that was stalled (a stopped process, a starved machine) finds all its
 * deadlines passed at once, and would blame the world for its own absence. This notes how late the
 * loop's heartbeat is, so that what a stall explains is not taken as evidence. Pure; one thread. */
#ifndef DAVENPORT_CONTROL_LAG_H
#define DAVENPORT_CONTROL_LAG_H

#include <stdbool.h>
#include <stdint.h>

struct dp_lag {
    uint64_t beat_ns;   /* between heartbeats, as planned */
    uint64_t limit_ns;  /* lateness past this is a stall */
    uint64_t seen_ns;   /* when the loop was last known to run */
    uint64_t end_ns;    /* of the last stall; 0: none yet */
    uint64_t length_ns; /* of the last stall */
    uint64_t stalls;
};

void dp_lag_init(struct dp_lag *l, uint64_t beat_ns, uint64_t limit_ns, uint64_t now_ns);
/* The loop runs: at every heartbeat, and before anything is judged. True: it had stalled until now.
 */
bool dp_lag_seen(struct dp_lag *l, uint64_t now_ns);
/* Did a stall end during [from, now]? Then a timeout of something that began at `from` proves
 * nothing. */
bool dp_lag_touches(const struct dp_lag *l, uint64_t from_ns);
/* For `grace` after a stall, what others report may still come from it. */
bool dp_lag_recent(const struct dp_lag *l, uint64_t now_ns, uint64_t grace_ns);

#endif
