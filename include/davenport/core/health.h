/* The health of one endpoint, decided from probes and from what real requests met. Pure: time comes
 * in with each event, chance through a seed, and what is to be done comes out as actions.
 *
 *              first good probe
 *   UNKNOWN ────────────────────────► UP ◄─────────────────────────────────┐
 *      │                               │ a first failure                    │ `rise` good probes in a row,
 *      │ a first failure               ▼                                    │ and `traffic_hold` since the
 *      └───────────────────────────► SUSPECT ──────── trusted again ────────┤ last bad outcome
 *                                      │ `fall` failed probes in a row,     │
 *                                      │ `silent` unanswered ones, or       │
 *                                      │ `traffic_failures` requests that   │
 *                                      ▼ got no answer                      │
 *                                     DOWN ─────────────────────────────────┘
 *
 * Any state but DOWN may go to DOWN at once; SUSPECT still takes traffic, but is probed fast.
 * Draining is a word of its own beside the state: the endpoint lives and asks not to be used.
 *
 * So is slow: it serves, far slower than it did and than its peers do (core/pace.h). That is left
 * only for a region that is well, and not believed to be over for `slow_hold`, twice as long each time. Nor is it
 * afterwards, before requests have found it quick: see below.
 *
 * With no other left to go to, nothing is gained by a quick decision: answers that ceased do not shorten what probes may
 * take (core/silence.h), for an overloaded region answers them late, too.
 *
 * Besides rows of bad outcomes there is a window: a region that answers some and fails most is never
 * caught by a row.
 *
 * A fall that requests had a part in is not ended by probes, whether these had seen it too or not: a server that is
 * reachable again need not be one that serves. When they pass again and the traffic's hold is over, the endpoint is on
 * trial:
 *
 *             `rise` good probes, hold over           `trial_requests` real requests answered, most of them quick
 *   DOWN ─────────────────────────────► SUSPECT, trial ────────────────────────────────────► UP
 *     ▲                                        │ one unanswered, or as many failed as must be answered:
 *     └────────────────────────────────────────┘ twice the hold next time
 *
 * On trial it takes a trickle of requests that may be sent again elsewhere (core/trial.h), and else is a last resort.
 * Where it is that, or an operator sent the traffic there, one lost answer means no more than anywhere else: it falls by
 * a row. A fall that probes alone saw (nobody asked it for anything), they clear. So many answers of which at least half
 * were slow (core/pace.h) prove nothing: it is alive, but no place to return to yet, and the count begins anew. Where it is
 * the last resort, that is no matter.
 *
 * Slow likewise: when its hold is over and probes pass, a trickle goes there, and of `trial_requests` answers at least
 * half that are as slow as before make it slow for twice as long; else it is quick again.
 *
 * Probes have layers: /_up, a database, a document written and read (enum dp_probe_layer). The deeper ones
 * have rows of their own, and no shallow one ends them. A database that is not there is no fault of health: the
 * endpoint is `unprovisioned`, not to be used while there is another.
 *
 * Two kinds of bad outcome are told apart. No answer (refused, reset, cut short) condemns by
 * itself. An answer that says 5xx may be the request's own doing (a broken view), and the same request
 * would fail anywhere: it condemns only where the probes fail too. A row of requests that got no
 * answer in time, with none answered in between, is a region that stalls though its probes pass. */
#ifndef DAVENPORT_CORE_HEALTH_H
#define DAVENPORT_CORE_HEALTH_H

#include "davenport/core/outcome.h"
#include "davenport/core/pace.h"
#include "davenport/core/silence.h"

#include <stdbool.h>
#include <stdint.h>

enum dp_health { DP_HEALTH_UNKNOWN, DP_HEALTH_UP, DP_HEALTH_SUSPECT, DP_HEALTH_DOWN };
const char *dp_health_name(enum dp_health h); /* "unknown", "up", "suspect", "down" */

/* What a probe says of its endpoint: ALIVE it serves, FAILED it does not, DRAIN it lives and wants
 * no requests, NOTHING neither. */
#define DP_PROBE_KIND_TABLE(X)                                                                     \
    X(OK, "ok", ALIVE)          /* 2xx */                                                          \
    X(DARK, "dark", FAILED)     /* no answer: refused, timed out, cut short */                     \
    X(TLS, "tls_fault", FAILED) /* it is there, but the handshake or its certificate failed */     \
    X(UNHEALTHY, "unhealthy", FAILED)    /* 5xx, or 412 nodedown */                                \
    X(DRAINING, "draining", DRAIN)       /* 404 with status maintenance_mode, nolb or seeding */   \
    X(THROTTLED, "throttled", NOTHING)   /* 429: never a region's failure */                       \
    X(CREDENTIALS, "credentials", ALIVE) /* 401, 403: our keys are refused, by a living region */  \
    X(QUOTA, "quota", NOTHING)           /* 402: writes are blocked, no more */                    \
    X(UNPROVISIONED, "not_provisioned",                                                            \
      ALIVE)                       /* 404: the database that is asked for is not there */          \
    X(OTHER, "unexpected", FAILED) /* an answer that a healthy CouchDB does not give */

enum dp_probe_kind {
#define X(name, label, meaning) DP_PROBE_##name,
    DP_PROBE_KIND_TABLE(X)
#undef X
        DP_PROBE_KIND_COUNT
};
const char *dp_probe_kind_name(enum dp_probe_kind k);

/* What is asked. Every layer stands on the one before. */
#define DP_PROBE_LAYER_TABLE(X)                                                                    \
    X(UP, "up")             /* GET of probe.path, with what is below: TCP, TLS */                  \
    X(DATABASE, "database") /* GET /{db}, with credentials: touches all of its shards */           \
    X(CANARY, "canary")     /* a document of our own, written and read */

enum dp_probe_layer {
#define X(name, label) DP_LAYER_##name,
    DP_PROBE_LAYER_TABLE(X)
#undef X
        DP_LAYER_COUNT
};
const char *dp_probe_layer_name(enum dp_probe_layer l);
bool dp_probe_kind_alive(enum dp_probe_kind k);

/* Attempts of real requests that ended since the last sample. */
struct dp_health_traffic {
    uint32_t good;
    uint32_t unanswered; /* bad: refused, reset, cut short, not HTTP, late or too late */
    uint32_t errors;     /* bad: 5xx */
};                       /* in an order that nobody knows */
/* Count `n` attempts that ended with `o`. */
void dp_health_traffic_add(struct dp_health_traffic *t, enum dp_outcome o, uint64_t n);

/* ASKED: a probe begins. PROBE: one ended. */
enum dp_health_event_kind {
    DP_HEALTH_ASKED,
    DP_HEALTH_PROBE,
    DP_HEALTH_TRAFFIC,
    DP_HEALTH_PACE,
    DP_HEALTH_REGION, /* what all endpoints of the region met together condemns it */
    DP_HEALTH_TICK
};

struct dp_health_event {
    enum dp_health_event_kind kind;
    enum dp_probe_kind probe;         /* PROBE */
    enum dp_probe_layer layer;        /* PROBE */
    uint64_t probe_started_ns;        /* PROBE */
    bool probe_timed_out;             /* PROBE: FAILED without a word */
    bool silent;                      /* PROBE: nothing there answered, not even by refusing */
    struct dp_health_traffic traffic; /* TRAFFIC */
    bool carries;                     /* TRAFFIC, TICK: on trial or not, the traffic goes there */
    bool alone;                       /* TRAFFIC, TICK: there is no other to go to */
    uint32_t
        quick; /* TRAFFIC, TICK: of point requests, first bytes that were not slow by dp_pace_sort */
    uint32_t tardy;            /* and that were */
    uint32_t answers;          /* TRAFFIC, TICK: first bytes since the last such event */
    uint64_t under_way;        /* TRAFFIC, TICK: requests that wait or are being answered */
    struct dp_pace_look pace;  /* PACE */
    bool rate;                 /* REGION: by the share of a window, else by a row */
    uint32_t count, threshold; /* REGION */
};

struct dp_health_config {
    uint64_t interval_ns;    /* between the starts of two probes while all is well */
    uint64_t fast_ns;        /* the same while there is doubt, and while down */
    uint32_t jitter_percent; /* of either, both ways */
    uint32_t fall, rise;
    uint64_t timeout_ns; /* of a probe */
    uint32_t
        silent; /* probes in a row without a word; see core/silence.h. 0: they count as those of `fall` */
    uint32_t trial_requests;   /* 0: no trials, probes clear everything */
    uint32_t traffic_failures; /* bad outcomes in a row, no good one between; 0: traffic condemns
                                  nobody */
    /* Of the last window_ns, at least window_requests of which window_percent got no answer; 0 requests:
     * no such rule. */
    uint64_t window_ns;
    uint32_t window_requests, window_percent;
    uint64_t slow_hold_ns;     /* how long slow is not believed to be over, at first */
    uint64_t slow_hold_max_ns; /* and at most */
    uint64_t traffic_hold_ns;  /* how long a probe cannot clear what traffic saw */
    uint64_t row_pause_ns; /* a longer pause between bad outcomes ends a row; 0: traffic_hold_ns */
};

/* What tipped the scale. */
#define DP_HEALTH_SIGNAL_TABLE(X)                                                                  \
    X(NONE, "none")                                                                                \
    X(PROBES_FAILED, "probes_failed")            /* in a row */                                    \
    X(SILENT, "probes_unanswered")               /* in a row, not a word */                        \
    X(HUSH, "silence")                           /* the same, and requests' answers ceased */      \
    X(UNANSWERED, "requests_unanswered")         /* in a row */                                    \
    X(ERRORS, "requests_failed_and_probe")       /* in a row, and the last probe failed too */     \
    X(ERRORS_ONLY, "requests_failed")            /* in a row, but probes pass: suspicion only */   \
    X(PROBES_PASSED, "probes_passed")            /* in a row */                                    \
    X(REQUESTS_ANSWERED, "requests_answered")    /* and nothing bad for traffic_hold */            \
    X(FAILURE_RATE, "requests_unanswered_share") /* of the last window's */                        \
    X(SLOW, "slow")                              /* windows in a row above baseline and peers */   \
    X(SLOW_OVER, "slow_over")            /* no trials: the hold is over, and probes pass */        \
    X(SLOW_TRIAL, "slow_trial_begun")    /* likewise, and requests shall prove */                  \
    X(SLOW_PASSED, "slow_trial_passed")  /* most were quick */                                     \
    X(SLOW_FAILED, "slow_trial_failed")  /* at least half were not */                              \
    X(DEEP_FAILED, "deep_probes_failed") /* of one deeper layer, in a row */                       \
    X(TRIAL_BEGUN, "trial_begun")        /* probes passed in a row, requests shall prove */        \
    X(TRIAL_PASSED, "trial_passed")      /* requests answered */                                   \
    X(TRIAL_FAILED, "trial_failed")      /* a request got no answer */                             \
    X(REGION_UNANSWERED, "region_requests_unanswered") /* in a row, over its endpoints */          \
    X(REGION_RATE, "region_requests_unanswered_share") /* likewise */                              \
    X(UNPROVISIONED, "not_provisioned")                /* the database is not there */             \
    X(PROVISIONED, "provisioned")                      /* it is there now */                       \
    X(DRAIN_ASKED, "drain_asked")                      /* the endpoint said so itself */           \
    X(DRAIN_OVER, "drain_over")

enum dp_health_signal {
#define X(name, label) DP_HEALTH_SIGNAL_##name,
    DP_HEALTH_SIGNAL_TABLE(X)
#undef X
        DP_HEALTH_SIGNAL_COUNT
};
const char *dp_health_signal_name(enum dp_health_signal s);

/* The full reason of a change: enough to check the decision by hand. */
struct dp_health_change {
    enum dp_health before, after;
    bool draining_before, draining_after;
    bool slow_before, slow_after;
    bool unprovisioned_before, unprovisioned_after;
    bool trial_before, slow_trial_before, slow_trial_after;
    enum dp_health_signal signal;
    enum dp_probe_kind probe;  /* the last probe's word, of this layer */
    enum dp_probe_layer layer; /* which is the signal's, UP where it names none */
    uint32_t count, threshold;
    uint32_t median_ms, baseline_ms; /* SLOW: now, and before */
};

#define DP_HEALTH_SLOTS 10

struct dp_health_state {
    enum dp_health health;
    bool draining;
    bool slow;
    uint64_t slow_until_ns;          /* not over before */
    uint64_t slow_hold_ns;           /* the next one's length; 0: the first's */
    bool slow_trial;                 /* slow, and requests shall tell whether still */
    uint32_t slow_quick, slow_tardy; /* of this trial's answers */
    struct dp_pace_look pace;        /* the last one */
    struct {                         /* the window, slot by slot, as a ring */
        uint32_t good, bad;
    } slots[DP_HEALTH_SLOTS];
    uint64_t slot; /* time of the newest, in slots */
    bool unprovisioned;
    bool trial;               /* SUSPECT, and only requests can clear it */
    bool proved;              /* DOWN, and requests had a part in it: only they clear it */
    bool carries;             /* it has the traffic, by the last event that says so */
    uint32_t trial_good;      /* requests answered in this trial, since the count began */
    uint32_t trial_tardy;     /* answers meanwhile that were slow */
    uint64_t trial_hold_ns;   /* after a failed trial; 0: traffic_hold */
    uint64_t silent_since_ns; /* the first of the silent probes in a row began; 0: not so */
    struct {                  /* of the deeper layers; [DP_LAYER_UP] is not used */
        enum dp_probe_kind last;
        bool missing;            /* its database was not there when it last mattered */
        uint32_t failed, passed; /* in a row; one is always 0 */
    } deep[DP_LAYER_COUNT];
    struct { /* a region's verdict, until judged */
        bool given, rate;
        uint32_t count, threshold;
    } region;
    bool doubted_by_traffic; /* traffic took part in the doubt or the fall */
    bool probe_failing;      /* the last probe that said anything failed */
    enum dp_probe_kind last_probe;
    uint32_t probes_failed, probes_passed; /* in a row; one is always 0 */
    uint32_t probes_silent;                /* of probes_failed: timed out */
    struct dp_silence silence;
    uint32_t unanswered, errors; /* bad outcomes with no good one between; not counted while DOWN */
    uint64_t last_bad_ns;        /* of traffic */
    uint64_t since_ns;           /* of `health` */
    uint64_t probe_at_ns;        /* when the next probe is due */
    uint64_t random;             /* of the jitter */
};

struct dp_health_actions {
    bool changed; /* `change` tells what and why */
    struct dp_health_change change;
    uint64_t patience_ns;   /* ASKED: how long this probe may take */
    bool alarm_credentials; /* the first refusal of our keys in a row of them */
};

/* Down, and by requests: not before this do passing probes lead anywhere. 0: another case. */
uint64_t dp_health_tried_at_ns(const struct dp_health_state *s, const struct dp_health_config *c);

/* It has not said a word for longer than usual, and is not down yet. */
bool dp_health_mute(const struct dp_health_state *s, const struct dp_health_config *c,
                    uint64_t now_ns);

/* Somebody wants to know now: the next probe is due at once. */
void dp_health_ask_now(struct dp_health_state *s, uint64_t now_ns);

/* The first probe is due at once; with jitter, within a quarter of the fast interval. */
void dp_health_init(struct dp_health_state *s, const struct dp_health_config *c, uint64_t now_ns,
                    uint64_t seed);
/* After dp_health_init: it was down in an earlier life. Probes clear it as if they alone had seen it fall. */
void dp_health_presume_down(struct dp_health_state *s);
/* At most one change a step. Afterwards s->probe_at_ns holds when the next probe is due; it may
 * have moved nearer (doubt) but an event other than PROBE never moves it farther. */
void dp_health_step(struct dp_health_state *s, const struct dp_health_config *c,
                    const struct dp_health_event *e, uint64_t now_ns,
                    struct dp_health_actions *out);

#endif
