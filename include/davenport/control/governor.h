/* The governor owns health: it probes, samples the workers' counters, decides through core/, obeys operators,
 * publishes views and writes the journal. All on the control thread unless said otherwise. */
#ifndef DAVENPORT_CONTROL_GOVERNOR_H
#define DAVENPORT_CONTROL_GOVERNOR_H

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/client/fetch.h"
#include "davenport/control/keys.h"
#include "davenport/control/replication.h"
#include "davenport/core/fault.h"
#include "davenport/core/gate.h"
#include "davenport/core/orders.h"
#include "davenport/core/rules.h"
#include "davenport/core/traffic.h"
#include "davenport/core/view.h"
#include "davenport/core/window.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;

/* How long a probe cannot clear what traffic saw. Less than the default of hold.ms by far more than a sample takes, or
 * requests that wait for a dead region's return give up just before it. */
#define DP_TRAFFIC_HOLD_MS 4000

/* How traffic returns to a more preferred region; the words of failback.mode. */
#define DP_FAILBACK_TABLE(X)                                                                       \
    X(MANUAL, "manual")                                                                            \
    X(HOLD_DOWN, "hold_down")                                                                      \
    X(GATED, "gated")                                                                              \
    X(WINDOW, "window")

enum dp_failback {
#define X(name, label) DP_FAILBACK_##name,
    DP_FAILBACK_TABLE(X)
#undef X
};
const char *dp_failback_name(enum dp_failback f);

/* Why traffic moved, in one word, for counting. */
#define DP_MOVE_REASON_TABLE(X)                                                                    \
    X(DOWN, "down") /* of the region that it left */                                               \
    X(DRAINING, "draining")                                                                        \
    X(CREDENTIALS, "credentials") /* ours there are refused, or over */                            \
    X(SLOW, "slow")                                                                                \
    X(DRAINED, "drained")                                                                          \
    X(HOLD_DOWN, "hold_down") /* what let it return */                                             \
    X(GATED, "gated")                                                                              \
    X(WINDOW, "window")                                                                            \
    X(OPERATOR, "operator")                                                                        \
    X(RELOAD, "reload")                                                                            \
    X(RETURNED, "returned") /* a region did, and there was none that served */

enum dp_move_reason {
#define X(name, label) DP_MOVE_REASON_##name,
    DP_MOVE_REASON_TABLE(X)
#undef X
        DP_MOVE_REASON_COUNT
};
const char *dp_move_reason_name(enum dp_move_reason r);

struct dp_region_config {
    const char *name;
    uint16_t first, n_endpoints;    /* its endpoints: n_endpoints from `first` on, at least one */
    uint32_t max_in_flight;         /* requests at once, over all workers; 0: no such cap */
    const struct dp_fetch_tls *tls; /* for probes of https urls, until dp_governor_retrust; NULL:
                                       defaults */
    struct dp_key_config key;       /* who we are there */
    const char *const *aliases;     /* other URLs by which replications call it: n_aliases */
    uint16_t n_aliases;
};

/* url NULL: vacant. */
struct dp_endpoint_config {
    uint16_t region;
    const char *url;  /* scheme://host[:port][/prefix] without credentials: for probes and people */
    const char *host; /* Host header; tells it from the region's other endpoints */
    struct dp_addrs addrs; /* none: not known yet */
    const char *lookup;    /* name to look up again and again; NULL: addrs is all there is */
    uint16_t port;         /* of addresses that are looked up */
};

/* Immutable while the governor lives; strings included. */
/* A bit each in a word. */
#define DP_MAX_PROBE_DATABASES 16

struct dp_control_config {
    enum dp_mode mode; /* of databases without a rule of their own; for people */
    bool writes_failover;
    bool nearest;                /* some requests ask which region is the nearest */
    bool hedging;                /* workers are told what is usual */
    bool failback_unseen_manual; /* where replication can't be seen an approval is wanted */
    bool drills_allowed;         /* dp_governor_fault is obeyed */
    uint16_t n_rules;            /* patterns of databases with a rule of their own */
    uint16_t n_regions, n_endpoints;
    struct dp_region_config regions[DP_MAX_REGIONS];       /* the order is the preference */
    struct dp_endpoint_config endpoints[DP_MAX_ENDPOINTS]; /* region by region, as the view's */
    uint32_t up_percent; /* of a region's endpoints that must serve; 0: one is enough */
    /* probes */
    const char *probe_path;     /* "/_up" */
    uint32_t probe_interval_ms; /* while all is well */
    uint32_t probe_fast_ms;     /* on suspicion, and while a region is down */
    uint32_t probe_timeout_ms;
    uint32_t probe_jitter_percent; /* of the interval, either way */
    uint32_t
        silent; /* probes in a row without a word that mean down, see core/silence.h; 0: they count as others do */
    const char *const *probe_databases; /* GET /{db} of each */
    uint16_t n_probe_databases;         /* at most DP_MAX_PROBE_DATABASES */
    const char *canary_database; /* where a document of our own is written and read; NULL: none */
    const char *
        canary_id; /* how its id begins, and those of replication_canary: unlike any other proxy's */
    uint32_t deep_interval_ms, deep_timeout_ms; /* of these two */
    uint32_t fall, rise; /* failures in a row to leave, successes in a row to trust again */
    /* traffic evidence */
    uint32_t trial_requests;   /* after a fall that no probe saw: requests that must be answered; 0:
                                probes are enough */
    uint32_t traffic_failures; /* bad outcomes in a row (no good one between) that count as
                                  suspicion's end: down */
    uint32_t
        late_ms; /* no first byte for so long, or 4 times what is usual: unanswered; 0: never */
    uint32_t slow_ms; /* a median below it is not slow; 0: nothing is */
    uint32_t failure_window_ms, failure_requests, failure_percent; /* of the last window's requests;
                                                                      0 requests: no such rule */
    uint32_t sample_ms; /* how often the workers' counters are read */
    /* coming back */
    enum dp_failback failback;
    uint32_t failback_hold_ms; /* the preferred region must have been well for so long */
    uint32_t failback_hold_max_ms, failback_forget_ms, failback_ramp_ms; /* as in core/failover.h */
    unsigned failback_conditions;       /* mode gated: DP_GATE_BITs besides health */
    uint32_t failback_error_percent;    /* of its requests, at most, for the condition "errors" */
    struct dp_windows failback_windows; /* mode window, and the condition */
    uint32_t failback_pause_ms; /* writes wait for so long at most before a failback; 0: not */
    /* the watch over replication */
    uint32_t replication_interval_ms;  /* 0: there is none */
    const char *replication_off;       /* then: why not, for people; or NULL */
    const char *replication_databases; /* watched from the start, with commas between; or NULL */
    bool share_sequences;              /* marks are kept in the regions too */
    uint32_t replication_samples, replication_max_missing;
    const char
        *replication_canary; /* where documents of our own are sent through replication; or NULL */
    uint32_t replication_canary_interval_ms, replication_canary_max_ms;
    enum dp_no_region no_region;
    uint32_t dns_refresh_ms; /* between two lookups of a region's name */
    uint32_t race_delay_ms;  /* of probes, see dp_fetch_request */
    /* clients */
    uint32_t retry_after_s;
    uint32_t key_retry_ms;    /* until a key that a region refused is tried again */
    const char *journal_path; /* NULL: memory only */
    uint64_t journal_max_bytes;
    uint32_t journal_keep;
    /* what orders must keep */
    uint16_t min_regions;   /* 0: no such rule */
    uint32_t dwell_ms;      /* between a move and the next voluntary one */
    uint32_t drills_max_ms; /* no fault is for longer */
};

/* What happened, newest last; for the journal and for people. */
#define DP_WHY_TEXT 192

enum dp_region_health { DP_REGION_UNKNOWN, DP_REGION_UP, DP_REGION_SUSPECT, DP_REGION_DOWN };
const char *dp_region_health_name(enum dp_region_health h); /* "unknown", "up", "suspect", "down" */

/* Of a region's name. Wall times in ms, 0: never. */
struct dp_lookup_status {
    const char *host;      /* NULL: its address is in the configuration, nothing is looked up */
    uint64_t ok, failed;   /* lookups */
    int64_t last_wall_ms;  /* the last one ended */
    int64_t good_wall_ms;  /* the last one that gave addresses */
    char why[DP_WHY_TEXT]; /* why the last one failed; "": it did not */
};

/* Who an order came from: printable, bounded. */
#define DP_ACTOR_TEXT 128

/* An order that stands. */
struct dp_standing {
    bool on; /* else nothing below means anything */
    char actor[DP_ACTOR_TEXT];
    char reason[DP_WHY_TEXT]; /* in the operator's words; may be empty */
    int64_t since_wall_ms;
    int64_t until_wall_ms; /* 0: until another order ends it */
};

/* What a layer of probes last said. TCP and TLS are told by the fresh connection of the first. */
#define DP_LAYER_STATUS_TABLE(X)                                                                   \
    X(TCP, "tcp") X(TLS, "tls") X(UP, "up") X(DATABASE, "database") X(CANARY, "canary")

enum dp_status_layer {
#define X(name, label) DP_STATUS_LAYER_##name,
    DP_LAYER_STATUS_TABLE(X)
#undef X
        DP_STATUS_LAYERS
};
const char *dp_status_layer_name(enum dp_status_layer l);

struct dp_layer_status {
    const char *result; /* its word; NULL: not asked yet, or never */
    int64_t last_wall_ms;
    double ms; /* what it took; TCP and TLS: from the start */
    uint64_t passed, failed;
    char detail[DP_WHY_TEXT]; /* for people; "" for TCP and TLS */
};

/* What probes of an endpoint, or a region, found. */
struct dp_probes_status {
    uint64_t ok, failed;
    uint32_t successes_in_row, failures_in_row;
    int64_t last_wall_ms;    /* 0: none yet */
    const char *last_result; /* its word ("ok", "dark", "tls_fault" …); NULL: none yet */
    uint16_t last_status;    /* HTTP status; 0: no answer */
    double last_ms;          /* its total time; <0: none */
    char last[DP_WHY_TEXT];
};

/* One of a region's endpoints. Every time is wall time in ms, 0: never. */
struct dp_endpoint_status {
    uint16_t region;
    const char *url, *host;
    struct dp_addrs addrs; /* where it is dialed; none: not known */
    unsigned addrs_used;   /* bits of addrs: where the workers' new connections go */
    struct dp_lookup_status lookup;
    enum dp_region_health health;
    bool draining, slow;
    bool trial;         /* requests shall prove what probes can't: it takes a trickle of them */
    bool unprovisioned; /* its database is not there */
    uint32_t missing;   /* which of config->probe_databases: a bit each */
    enum dp_route_state route;
    uint32_t usual_ms;     /* what 95 of 100 requests take at most; 0: not known */
    uint32_t slow_from_ms; /* a look that finds half of them here speaks for slow; 0: not known */
    uint32_t slow_windows; /* in a row that looked slow */
    uint32_t trial_good;   /* answered so far */
    uint64_t
        tried_in_ms; /* down by requests alone: until it may be tried, or trusted; 0: now, or another case */
    uint32_t late_ms;
    int64_t since_wall_ms;
    char why[DP_WHY_TEXT];
    struct dp_layer_status layers[DP_STATUS_LAYERS];
    uint64_t late;
    uint32_t unanswered, errors, window_good, window_bad;
    struct dp_probes_status probes;
    double latency_ms; /* <0: none yet */
    uint64_t outcomes[DP_OUTCOME_COUNT];
    uint64_t in_flight;
};

/* Where a region has several endpoints: counts are of all of them; what one probe or lookup said is of the one that
 * speaks for it, the first of those that are as the region is. */
struct dp_region_status {
    const char *name, *url;
    uint16_t n_endpoints, serving, need; /* endpoints: all, those that serve, those that must */
    struct dp_addrs addrs;               /* where it is dialed; none: not known */
    unsigned addrs_used;                 /* bits of addrs: where the workers' new connections go */
    struct dp_lookup_status lookup;
    enum dp_region_health health;
    bool active, held_down;
    bool draining;      /* alive, and asks for no requests (maintenance) */
    bool lost_data;     /* it was away: held until its hold is over, unless it is active */
    bool trial;         /* requests shall prove what probes can't */
    bool unprovisioned; /* its database is not there: an alarm */
    uint32_t missing;   /* which, as of an endpoint */
    bool slow;          /* far slower than it was, and than others are */
    uint32_t late_ms;   /* a first byte later than this counts as none; 0: none does */
    uint32_t usual_ms, slow_from_ms, slow_windows; /* as of an endpoint */
    uint64_t late;                                 /* requests that were late, over all workers */
    struct dp_standing drained;                    /* by an operator */
    struct dp_standing approved;                   /* its return, by an operator */
    struct dp_standing faulted;                    /* a drill's fault, and: */
    struct dp_fault fault;                         /* which */
    enum dp_route_state route;
    uint64_t well_for_ms;             /* unbroken, up and not drained, draining or slow */
    uint32_t unanswered;              /* requests in a row without an answer */
    uint32_t errors;                  /* and with a 5xx, no good one between */
    uint32_t hold_ms;                 /* its hold, doubled as often as it fell again */
    uint32_t falls;                   /* since it was last well for long */
    uint32_t window_good, window_bad; /* of the last failure_window_ms */
    int64_t since_wall_ms;            /* of this state */
    char why[DP_WHY_TEXT];            /* what brought it into this state, for people */
    struct dp_gate gate;              /* what its failback takes */
    uint64_t tried_in_ms;             /* as of an endpoint */
    struct dp_probes_status probes;
    bool tls_fault;    /* the last probe found the region, but no TLS with it that can be trusted */
    double latency_ms; /* EWMA of real first-byte times; <0: none yet */
    uint64_t outcomes[DP_OUTCOME_COUNT]; /* over all workers */
    uint64_t quorum_missed; /* over all workers: writes that fewer nodes took than the quorum */
    int64_t quorum_missed_wall_ms; /* the last one; 0: none */
    uint64_t in_flight;
    uint32_t max_in_flight; /* as configured; 0: no cap */
    uint8_t share;          /* percent of its reads: less than 100 while it returns */
    struct dp_key_status key;
    double distance_ms;    /* by the workers' estimates, where rules ask for it; <0: not known */
    uint32_t near_workers; /* who hold it for one of the nearest */
};

struct dp_status {
    uint64_t epoch;
    uint16_t n_regions;
    uint16_t active; /* DP_NO_REGION: none */
    int64_t active_since_wall_ms;
    char why[DP_WHY_TEXT]; /* why traffic is where it is */
    struct dp_standing frozen;
    struct dp_standing pin; /* an operator chose the active region: no failback undoes that */
    bool forced;            /* pinned against the evidence */
    uint16_t home;          /* where writes stay that do not fail over */
    uint32_t n_workers;
    enum dp_failback failback;
    int64_t
        failback_at_wall_ms; /* when traffic will return; 0: nothing is waiting, or for what no clock tells */
    uint16_t failback_to; /* where to; DP_NO_REGION: nothing is waiting */
    enum dp_no_region no_region;
    bool fail_open;     /* the active region is lost, and used all the same as no_region says */
    uint16_t ramp_from; /* who takes the rest of the active region's share; DP_NO_REGION: no ramp */
    uint16_t share_percent; /* of the active region */
    uint64_t moves[DP_MOVE_COUNT][DP_MOVE_REASON_COUNT];
    uint16_t heir;          /* who takes over if the active region is lost; DP_NO_REGION: nobody */
    uint16_t serving;       /* regions that are known to serve */
    uint64_t dwell_left_ms; /* until the next voluntary move may be made */
    const struct dp_control_config *config; /* the thresholds; borrowed */
    bool doubt; /* every region fell silent at once: more likely our own network than theirs */
    int64_t doubt_since_wall_ms;
    uint64_t doubts; /* since the start */
    struct {
        bool file;     /* there is a journal on disk */
        bool troubled; /* the disk refused the last try */
        uint32_t waiting;
        uint64_t lost; /* lines that the file lacks, ever */
    } journal;
    uint64_t failovers, failbacks;      /* since the start */
    const struct dp_traffic_times *lag; /* how late each look at the counters was; borrowed */
    struct dp_region_status regions[DP_MAX_REGIONS];
    uint16_t n_endpoints;
    struct dp_endpoint_status endpoints[DP_MAX_ENDPOINTS]; /* region by region */
};

struct dp_governor;

struct dp_governor_options {
    uv_loop_t *loop;
    const struct dp_clock *clock; /* NULL: the system's */
    const struct dp_control_config *config;
    void (*release)(
        void *ctx); /* `config` is not used any more; may be NULL. Not called when new fails */
    void *release_ctx;
    /* Called whenever there is a new view; the callee takes the references it needs. Also once from
     * start. */
    void (*publish)(void *ctx, struct dp_view *view);
    void *publish_ctx;
    /* On the loop. Each may be NULL. told: a journal line was written, here without its newline.
     * saved: dp_governor_saved may have changed. */
    void (*told)(void *ctx, struct dp_span line);
    void (*saved)(void *ctx);
    /* all other regions have what this one held at `until_ns`; 0: not known any more */
    void (*settled)(void *ctx, uint16_t region, uint64_t until_ns);
    void *ctx; /* of these */
    /* Who is told of marks; see replication.h. From within it nothing of the governor may be destroyed. */
    struct dp_replication_listener replication;
    uint64_t seed; /* of the jitter */
};

DP_MUST_USE enum dp_err dp_governor_new(const struct dp_governor_options *opt,
                                        struct dp_governor **out, const char **why);
/* The first view, before any probe: everything unknown, the first region active. Borrowed. */
struct dp_view *dp_governor_view(struct dp_governor *g);
/* Begin to probe and to sample. `traffic`: one per worker, outliving the governor. */
void dp_governor_start(struct dp_governor *g, const struct dp_traffic *const *traffic,
                       uint32_t n_workers);
/* Any thread, until destroy is called: look at the counters now. Coalesces. */
void dp_governor_kick(struct dp_governor *g);
/* Stops; handles close on the loop, `done` (may be NULL) runs when the memory is gone. Not from
 * publish. */
void dp_governor_destroy(struct dp_governor *g, void (*done)(void *ctx), void *ctx);

void dp_governor_status(const struct dp_governor *g, struct dp_status *out);

/* One way of one database, as the watch over replication found it (docs/replication.md). */
struct dp_way_status {
    const char *database, *from, *to;
    const char *data; /* the words of core/replica.h */
    const char *run;
    int64_t missing;     /* documents; <0: not known */
    bool more;           /* at least so many */
    uint32_t in_row;     /* looks that found nothing missing */
    int64_t same_for_ms; /* `to` has all that `from` held so long ago; <0: that was never found */
    int64_t failures;    /* documents that its job could not write; <0: not known */
    const char *word, *run_word; /* for people; "": nothing to add */
    /* Documents of our own, where they are sent: */
    bool canary;
    int64_t canary_took_ms; /* the last one that came; <0: none has */
    int64_t canary_out_ms;  /* one is on its way for so long; <0: none is */
    bool canary_overdue;
    const char *canary_word;
};
/* The i-th one; false from the last one on. Valid until the loop turns. */
bool dp_governor_way(const struct dp_governor *g, unsigned i, struct dp_way_status *out);
/* Why replication is not watched; NULL: it is. */
const char *dp_governor_watch_off(const struct dp_governor *g);
/* Handovers before a failback: those that came to an end, and those that gave up; how long writes stood still last. */
void dp_governor_handovers(const struct dp_governor *g, uint64_t *done, uint64_t *gave_up,
                           uint64_t *last_ms);

/* An order as it comes from outside. */
struct dp_order_request {
    enum dp_order_kind kind;
    const char *region; /* where the kind names one, else NULL */
    bool force;
    bool dry_run; /* tell what would happen, change nothing */
    bool if_epoch;
    uint64_t epoch;             /* refuse it in any other */
    uint32_t ttl_s;             /* 0: it stands until another order ends it */
    const char *actor, *reason; /* for the record; either may be NULL. Cut where too long. */
};

/* How things stand, as far as orders go. */
struct dp_order_look {
    uint16_t active; /* DP_NO_REGION: none */
    bool frozen, pinned;
    bool drained[DP_MAX_REGIONS], held[DP_MAX_REGIONS];
    enum dp_route_state routes[DP_MAX_REGIONS];
};

struct dp_order_result {
    enum dp_refusal refusal; /* NONE: done, or would be */
    unsigned overridden;     /* as in struct dp_orders_verdict */
    char why[DP_WHY_TEXT];   /* of the refusal, or what force overrode, for people */
    uint64_t epoch;          /* in force now */
    enum dp_move move;       /* what the traffic did, or would do */
    struct dp_order_look before, after;
    uint64_t ticket; /* for dp_governor_saved; 0: there is no file to keep it */
};

/* Carry an order out, or refuse it. Done, it has an epoch of its own even if no route changed. Standing orders are
 * kept over restarts by the state file beside the journal. DP_EINVAL: no such region; out->why tells. */
DP_MUST_USE enum dp_err dp_governor_order(struct dp_governor *g, const struct dp_order_request *r,
                                          struct dp_order_result *out);
/* A fault for a drill, as it comes from outside. */
struct dp_fault_request {
    const char *region;
    struct dp_fault fault;      /* of a kind; its numbers as core/fault.h has them */
    uint32_t for_ms;            /* it ends by itself, 1 or more */
    const char *actor, *reason; /* for the record; either may be NULL. Cut where too long. */
};

struct dp_fault_result {
    enum dp_fault_refusal refusal; /* NONE: it is in force, in place of the region's last one */
    char why[DP_WHY_TEXT];         /* of the refusal, for people */
    uint64_t epoch;                /* in force now; a fault does not raise it */
};

/* Have a region fare so for a while: requests that are sent there, probes, questions of our own. No restart remembers
 * it. DP_EINVAL: no such region; out->why tells. */
DP_MUST_USE enum dp_err dp_governor_fault(struct dp_governor *g, const struct dp_fault_request *r,
                                          struct dp_fault_result *out);
/* End a region's fault, or with NULL all. *healed: a bit per region that had one. DP_EINVAL: no such region. */
DP_MUST_USE enum dp_err dp_governor_heal(struct dp_governor *g, const char *region,
                                         const char *actor, uint32_t *healed);

/* Is an order with this ticket on the disk? */
bool dp_governor_saved(const struct dp_governor *g, uint64_t ticket);
/* The journal's file was moved away: open its path anew. */
void dp_governor_reopen(struct dp_governor *g);

/* Journal and state file have one writer at a time. Let go of them for another process, which reads them next. Never waits for
 * the disk: when saved() is told all of it may be there, which dp_governor_handed_over says. What is decided from now on is in memory only,
 * with epochs below those of that process. */
void dp_governor_hand_over(struct dp_governor *g);
DP_MUST_USE bool dp_governor_handed_over(const struct dp_governor *g);
/* That process failed, whatever it wrote. Errors: DP_ENOMEM (no file from now on). */
DP_MUST_USE enum dp_err dp_governor_take_back(struct dp_governor *g);
/* A line of the journal about the process itself. */
void dp_governor_record(struct dp_governor *g, const char *event, const char *actor,
                        const char *reason, const char *detail);

/* What a reload brings. */
struct dp_governor_reload {
    /* As in the options. Endpoints that stay keep their numbers, so some in between may be vacant: no url. What was
     * known of a region's name, and of an endpoint's url in it, goes on. */
    const struct dp_control_config *config;
    const bool *
        renew; /* by new number of a region: idle connections to it are not used again, for its TLS changed */
    void (*release)(
        void *
            ctx); /* `config`, with all that it points to, is not used any more; any time after the next
                                   reload, or when the governor is gone */
    void *ctx;
    const char *actor, *detail; /* for the record: who, and key by key what changed */
};
/* Go on by another configuration: health, latency, orders and the epoch are carried over. Publishes a view of the next
 * generation. DP_ENOMEM: nothing changed, and release is not called. */
DP_MUST_USE enum dp_err dp_governor_reload(struct dp_governor *g,
                                           const struct dp_governor_reload *reload);
/* Put into journal and log that a reload was refused. */
void dp_governor_refuse_reload(struct dp_governor *g, const char *actor, const char *detail);
/* Put into journal and log that somebody asked who may not. */
void dp_governor_access_refused(struct dp_governor *g, const char *actor, const char *reason);

/* The last journal lines, oldest first, each without its newline: at most `max` spans, valid until
 * the loop turns. */
size_t dp_governor_events(const struct dp_governor *g, struct dp_span *lines, size_t max);

#endif
