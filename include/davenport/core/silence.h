/* When to ask an endpoint next, and whether it has fallen silent. Pure: time comes in.
 *
 * An endpoint that says no (refuses, answers 500) has spoken: a few such answers are enough. One that says nothing may be
 * dark, or a packet was lost. What tells the two apart is asking again, not waiting: so a probe that is not answered as soon
 * as usual is followed by others beside it, `probes` in all, spread so that the last has its time too when the first one's is
 * over. Whichever is answered first ends it: the endpoint lives, and what was asked before counts no more. All unanswered: it
 * is dark. Of probes that are lost with probability 1/5 that happens by chance once in 5^probes; and the decision falls
 * within interval + timeout, however many must agree.
 *
 *   asked at     0                 late                              timeout
 *                |──────────────────|──|──|──|──|──|──|──|──|──|──|──────|
 *                first                 the others, each until the end
 *
 * Requests make it sooner: where answers came steadily and then none does although somebody waits, probes ask at once, and
 * DP_HUSH_PROBES of them without an answer until DP_HUSH_MS after the last answer are enough: for with them are missing all the
 * answers of that time.
 *
 * A slow endpoint must not drown in probes: the extra ones are at most as many as the regular ones, and one row of them at
 * once. Without any left the others follow at the usual beat, and the decision takes longer. */
#ifndef DAVENPORT_CORE_SILENCE_H
#define DAVENPORT_CORE_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#define DP_HUSH_MS     880
#define DP_HUSH_PROBES 4

struct dp_silence_config {
    uint64_t interval_ns, fast_ns; /* between two probes while all is well, and in doubt */
    uint64_t timeout_ns;           /* what an answer may take */
    uint32_t
        probes; /* without an answer in a row: silent; 0: no such rule, nothing is asked beside */
};

struct dp_silence {
    uint64_t asked_ns; /* when the newest probe began */
    uint64_t life_ns;  /* when the newest that was answered began */
    uint64_t since_ns; /* when the first of the row without an answer began; 0: there is none */
    uint32_t asked;    /* in that row */
    uint32_t spent;    /* extra probes that the regular ones have not made up for */
    uint64_t usual_ns; /* what an answer takes: the slowest of late, slowly forgotten */
    double rate;       /* of requests' answers, a second */
    uint64_t heard_ns; /* the last of them; 0: none yet */
    bool hush;         /* answers are missing */
};

/* A probe begins: how long it may take. down: as is known already, so nothing is urgent. */
uint64_t dp_silence_ask(struct dp_silence *s, const struct dp_silence_config *c, bool down,
                        uint64_t now_ns);
/* The probe that began at started_ns ended; timed_out: without a word. False: one that began later was answered, so
 * this one says nothing. */
bool dp_silence_end(struct dp_silence *s, const struct dp_silence_config *c, uint64_t started_ns,
                    bool timed_out, uint64_t now_ns);
/* From asked_ns to the next probe. *exact: not to be varied by chance. */
uint64_t dp_silence_wait(const struct dp_silence *s, const struct dp_silence_config *c, bool down,
                         bool doubt, bool *exact);
/* It is down: what was heard before says nothing of what comes after. */
void dp_silence_forget(struct dp_silence *s);
/* What it was asked has been unanswered for longer than is usual: no sign that it is dark, and none that it is there. */
bool dp_silence_waits(const struct dp_silence *s, const struct dp_silence_config *c,
                      uint64_t now_ns);
/* Requests: answers that began since the last call, and requests that are under way. True: ask now. */
bool dp_silence_hear(struct dp_silence *s, const struct dp_silence_config *c, uint32_t answers,
                     uint64_t under_way, uint64_t now_ns);

#endif
