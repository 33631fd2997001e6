/* What the governor's files share. The flow is one way:
 *
 *     probe results, counter samples, time, operators
 *        --> core/health step      (one endpoint)
 *        --> governor_settle       core/failover step, new view if routing changed, publish
 *        --> governor_record_*     journal and log, after the publish: a slow disk must not delay a
 * failover
 *
 * Health is an endpoint's; core/region makes a region's of it. Who means "this region" says so: an endpoint's index is
 * a region's only where every region has one. */
#ifndef DAVENPORT_CONTROL_GOVERNOR_STATE_H
#define DAVENPORT_CONTROL_GOVERNOR_STATE_H

#include "davenport/base/random.h"
#include "davenport/control/governor.h"
#include "davenport/core/doubt.h"
#include "davenport/core/failover.h"
#include "davenport/core/fault.h"
#include "davenport/core/handover.h"
#include "davenport/core/health.h"
#include "davenport/core/pace.h"
#include "davenport/core/region.h"

#include "control/journal.h"
#include "control/keys.h"
#include "control/lag.h"
#include "control/prober.h"
#include "control/replication.h"
#include "control/resolver.h"

#include <uv.h>

/* How long a region that was slow is not believed to be quick again, at first and at most. */
#define DP_SLOW_HOLD_MS     30000
#define DP_SLOW_HOLD_MAX_MS 300000
/* How long a region that was never up may be starting. */
#define DP_START_MS 30000
/* Bad outcomes further apart than this are no row. Of one stalled node among several, or with little to do, a request every
 * timeouts.try_ms is all there is to see. */
#define DP_ROW_PAUSE_MS 30000
/* How far the kept bound of epochs runs ahead. */
#define DP_EPOCHS_AHEAD 16
/* So many a process that is replaced keeps for itself: while it drains it decides on, and no epoch shall mean two things. */
#define DP_EPOCHS_APART 1000
/* How often the workers may try an endpoint on trial anew, each time with as many requests as are wanted. */
#define DP_TRIAL_AGAIN_MS 5000
/* A handover that came to nothing is tried again so much later, each time longer, and at most. */
#define DP_HANDOVER_AGAIN_MS     15000
#define DP_HANDOVER_AGAIN_MAX_MS 240000
/* A loop later than this was asleep; for as long afterwards, traffic's bad news may be of our
 * making. */
#define DP_STALL_LIMIT_NS DP_NS_PER_S
#define DP_STALL_GRACE_NS DP_NS_PER_S
/* Requests that began while our own network was in doubt may be late, or time out, so long after it. */
#define DP_DOUBT_GRACE_NS (3 * DP_NS_PER_S)

/* Cumulative counters of one endpoint, summed over the workers. */
struct governor_totals {
    uint64_t outcomes[DP_OUTCOME_COUNT];
    uint64_t answers, first_byte_ns;
    uint64_t point_first_byte[DP_PACE_BUCKETS], late;
    uint64_t in_flight;
};

/* Of an endpoint's name; as dp_lookup_status. */
struct governor_lookup {
    uint64_t ok, failed;
    int64_t last_wall_ms, good_wall_ms;
    int64_t failing_since_ms; /* 0: the last one did not fail */
    char why[DP_WHY_TEXT];
};

struct governor_endpoint {
    struct dp_health_state health;
    struct dp_pace_state pace;
    uint32_t late_ms;      /* as published */
    uint32_t usual_ms;     /* likewise */
    struct dp_addrs addrs; /* none: its name was never resolved */
    struct governor_lookup lookup;
    bool down_before;  /* as a process before us left it; until we have started */
    bool fell_unheard; /* down, and a question to it was open when it fell: it may be our network */
    uint64_t followed; /* dp_addr_tag of the address that is probed first; 0: as addrs stand */
    uint32_t pool_epoch;
    struct governor_totals totals; /* as last sampled */
    double latency_ms;             /* EWMA; <0: none yet */
    uint64_t latency_at_ns;
    struct dp_probe_result last_probe;
    int64_t last_probe_wall_ms; /* 0: none yet */
    double distance_us;         /* EWMA of probes; <=0: none yet */
    bool distance_sure;         /* of probes on kept connections */
    struct dp_layer_status layers[DP_STATUS_LAYERS];
    uint32_t missing;       /* databases, as in dp_endpoint_status */
    uint32_t trial;         /* its number; 0: none yet */
    uint64_t trial_next_ns; /* while on trial: when the workers get another number */
    uint64_t probes_ok, probes_failed;
    bool answered;         /* a probe, however badly, since the start */
    int64_t since_wall_ms; /* of the health or draining state */
    char why[DP_WHY_TEXT];
};

struct governor_region {
    struct dp_region_look look;
    uint32_t distance_us;            /* as published; 0: none */
    struct dp_health_state together; /* of requests at all endpoints, where there are several */
    int64_t since_wall_ms;
    char why[DP_WHY_TEXT];
};

/* What was told of a region that waits before its gate. */
struct governor_gate_told {
    unsigned unmet; /* DP_GATE_BITs */
    uint64_t at_ns; /* 0: nothing yet */
};

struct dp_governor {
    struct dp_governor_options opt;
    const struct dp_control_config *config;
    const struct dp_clock *clock;
    struct dp_health_config health_config;
    struct dp_pace_config pace_config;
    struct dp_failover_config failover_config;
    struct dp_doubt_config doubt_config;
    struct dp_doubt_state doubt;
    int64_t doubt_since_wall_ms;
    uint64_t doubts;
    struct dp_failover_state calm; /* the last good view's, when no region was silent */
    bool calm_known;
    struct dp_failover_state failover;
    struct dp_failover_decision decision; /* the last one */
    struct dp_orders_state orders;
    struct dp_standing drained[DP_MAX_REGIONS], approved[DP_MAX_REGIONS], frozen,
        pin;              /* who, why and since when; on: see standing */
    uint64_t epoch_below; /* as kept: every epoch told is below it, in this life and before */
    bool state_unread;    /* the state file was damaged */
    char *kept;           /* the state as last given to the journal */
    struct governor_endpoint endpoints[DP_MAX_ENDPOINTS];
    struct governor_region regions[DP_MAX_REGIONS];
    struct dp_view *view;
    struct dp_view *spare; /* memory for the next one, which must not fail; else NULL */
    struct dp_journal *journal;
    struct dp_prober *prober;
    struct dp_resolver *resolver;
    struct dp_keys *keys;
    struct dp_lag lag;
    uint64_t sampled_ns;          /* the last look that was not asked for; 0: none yet */
    struct dp_traffic_times late; /* how late these were */
    const struct dp_traffic *const *traffic;
    uint32_t n_workers;
    uv_timer_t sample;
    uv_async_t kick, saved;
    unsigned open; /* handles and parts that still close */
    bool started, dead;
    void (*done)(void *ctx);
    void *done_ctx;
    int64_t active_since_wall_ms;
    char why[DP_WHY_TEXT];
    uint32_t generation, numbering; /* as in the view */
    void (*release)(void *ctx);     /* of `config`; NULL: it is the owner's */
    void *release_ctx;
    unsigned retiring; /* parts of earlier configurations that still close */
    uint64_t failovers, failbacks;
    uint64_t epoch_floor; /* no epoch below it is told any more */
    uint64_t epoch_end;   /* from here on another process tells them; 0: no other does */
    uint64_t parted;      /* see core/view.h */
    uint64_t moves[DP_MOVE_COUNT][DP_MOVE_REASON_COUNT];
    struct governor_gate_told gate_told[DP_MAX_REGIONS];
    struct dp_replication *replication;
    struct dp_replication_verdict
        arrived[DP_MAX_REGIONS];         /* of the way to each from the active one */
    uint64_t lost_ns[DP_MAX_REGIONS];    /* when each was last seen lost; 0: never */
    uint64_t settled_ns[DP_MAX_REGIONS]; /* as told to opt.settled */
    /* From, to: since when it is told that a document of ours does not come through; 0: it is not. */
    uint64_t overdue_ns[DP_MAX_REGIONS][DP_MAX_REGIONS];
    uint64_t noted_ns; /* when the workers' notes of databases were read last */
    struct dp_handover_config handover_config;
    struct dp_handover_state handover;
    struct dp_faults faults;
    struct dp_standing faulted[DP_MAX_REGIONS]; /* who gave them */
    struct dp_random fault_chance;              /* of probes; requests have their worker's own */
    struct {
        uint64_t done, gave_up;
        uint64_t last_ns;      /* how long writes stood still the last time that all arrived */
        char why[DP_WHY_TEXT]; /* of the last one that gave up */
    } handovers;
};

/* An order that is being carried out, or one whose time is over (ended). */
struct governor_order {
    struct dp_order order;
    const char *actor, *reason;
    uint32_t ttl_s;
    bool ended;
    struct dp_orders_verdict verdict;
};

/* What a decision followed from: a change of one endpoint's health, an order, or, all zero, time
 * alone. */
struct governor_cause {
    uint16_t endpoint; /* of `change` */
    const struct dp_health_change *change;
    const struct dp_region_look *region_before; /* with `change`: what its region was */
    const struct governor_order *order;
    const char *removed; /* a reload took the active region of this name out */
};

static inline uint64_t governor_now(const struct dp_governor *g)
{
    return dp_clock_mono_ns(g->clock);
}

/* Requests shall prove that it serves, or that it is quick. */
static inline bool governor_on_trial(const struct dp_health_state *h)
{
    return h->trial || h->slow_trial;
}

/* Its region has others too, so it is told by name. */
static inline bool governor_has_siblings(const struct dp_governor *g, uint16_t endpoint)
{
    return g->config->regions[g->config->endpoints[endpoint].region].n_endpoints > 1;
}

static inline const char *governor_region_name(const struct dp_governor *g, uint16_t region)
{
    return region == DP_NO_REGION ? "none" : g->config->regions[region].name;
}

/* Of the endpoint's region. */
static inline const char *governor_name_at(const struct dp_governor *g, uint16_t endpoint)
{
    return governor_region_name(g, g->config->endpoints[endpoint].region);
}

/* governor_region.c */

/* What is known of the region's endpoints: out[n_endpoints of it]. */
void governor_members(const struct dp_governor *g, uint16_t region,
                      struct dp_region_member out[DP_MAX_ENDPOINTS]);
/* Judge a region anew by its endpoints. */
void governor_judge(struct dp_governor *g, uint16_t region);
/* The state of every endpoint's route by the last decision: out[n_endpoints]. */
void governor_routes(const struct dp_governor *g, enum dp_route_state out[DP_MAX_ENDPOINTS]);
/* All of its endpoints that are not down have been asked and say nothing: for longer than usual, or, where the active
 * region fell unheard, at all. */
bool governor_mute(const struct dp_governor *g, uint16_t region);
/* The endpoint that speaks for its region: the first of those that are as the region is. */
uint16_t governor_speaker(const struct dp_governor *g, uint16_t region);

/* governor_doubt.c */

/* Are we cut off? True: that changed, and what was decided in the silence is as if it had not been. */
bool governor_doubt(struct dp_governor *g, uint64_t now_ns);
/* A request was answered in this region. */
void governor_served(struct dp_governor *g, uint16_t region, uint64_t now_ns);
/* What requests say that ends badly now may come from our own network. */
bool governor_doubted_lately(const struct dp_governor *g, uint64_t now_ns);
/* In doubt nobody is lost by silence. */
void governor_soften(const struct dp_governor *g, struct dp_failover_region *regions);
/* One endpoint's health changed for the worse: ask all others now. */
void governor_ask_around(struct dp_governor *g, uint16_t endpoint, uint64_t now_ns);

/* governor_probe.c */

/* The prober's result. `governor` is a struct dp_governor. */
void governor_probed(void *governor, uint16_t endpoint, const struct dp_probe_result *r);
/* The workers may send so many requests to an endpoint on trial, or so many more. */
void governor_try(struct governor_endpoint *e, uint64_t now_ns);
/* Trials that no request has decided yet: the workers may try again. */
void governor_try_on(struct dp_governor *g, uint64_t now_ns);

/* governor_keys.c */

/* NULL: out of memory. */
struct dp_keys *governor_make_keys(struct dp_governor *g, const struct dp_control_config *c);
/* Requests can't go there now, for they would have no key. */
bool governor_keyless(const struct dp_governor *g, uint16_t region);
/* And that is no matter of a moment: it counts as one that lives and asks for no requests. */
bool governor_locked_out(const struct dp_governor *g, uint16_t region);
/* It is barred for that alone, and a token may come. */
bool governor_awaits_key(const struct dp_governor *g, uint16_t region);
/* Of the decision, but for a region without a key. */
enum dp_route_state governor_route(const struct dp_governor *g, uint16_t region);

/* governor.c */

/* Every entry from the loop passes here first: a stall must be known before anything is judged by time. */
uint64_t governor_wake(struct dp_governor *g);

/* governor_decide.c */

/* The first view and epoch. */
/* False: out of memory. */
bool governor_first_view(struct dp_governor *g);
/* Feed one event to one endpoint's health and follow up what comes of it. */
void governor_step(struct dp_governor *g, uint16_t endpoint, const struct dp_health_event *e,
                   uint64_t now_ns);
/* A probe begins there: how many ms it may take. */
uint32_t governor_asked(struct dp_governor *g, uint16_t endpoint);
/* Memory for the first view of a configuration. False: there is none. */
bool governor_reserve_view(struct dp_governor *g, const struct dp_control_config *c);
/* Tell the workers what is late by now, and a growing share, where that moved. */
void governor_tune(struct dp_governor *g);
/* The same decision, with what workers are told besides. */
void governor_publish_again(struct dp_governor *g);
/* After a change that is no decision: the workers are told if it concerns them. */
void governor_publish_if_changed(struct dp_governor *g);
/* Let time pass for the failover rules. */
void governor_settle(struct dp_governor *g, uint64_t now_ns);
/* False: the target is lost and force is not set. */
/* What failover thinks of each region now. */
void governor_regions(const struct dp_governor *g, struct dp_failover_region *out);
/* Publish a decision and tell of it. What follows an order has an epoch of its own. */
void governor_carry_out(struct dp_governor *g, const struct dp_failover_decision *d,
                        const struct governor_cause *cause);
/* Above every epoch that was ever told, in this life and in the journal's earlier ones. */
uint64_t governor_next_epoch(const struct dp_governor *g);

/* The decision in force, with what else is known by now. */
void governor_publish_again(struct dp_governor *g);

/* governor_distance.c */

/* What a probe says of its endpoint's distance. */
void governor_measure(struct dp_governor *g, uint16_t endpoint, const struct dp_probe_result *r);
/* True: workers are to be told. */
bool governor_distances_moved(struct dp_governor *g);
/* Requests that one worker may have under way at one endpoint of this region; 0: no cap. */
uint32_t governor_cap(const struct dp_governor *g, uint16_t region,
                      const enum dp_route_state *routes);
bool governor_caps(const struct dp_governor *g); /* does any region have one? */
void governor_distance_status(const struct dp_governor *g, uint16_t region,
                              struct dp_region_status *out);

/* governor.c */

/* What follows from the configuration alone. */
void governor_take_config(struct dp_governor *g, const struct dp_control_config *c);
/* One of which nothing is known. */
void governor_init_endpoint(struct dp_governor *g, uint16_t endpoint);
void governor_init_region(struct dp_governor *g, uint16_t region);
/* All of them, and their regions. */
void governor_init_endpoints(struct dp_governor *g);
/* Of a configuration; NULL: out of memory. */
struct dp_prober *governor_make_prober(struct dp_governor *g, const struct dp_control_config *c,
                                       const struct dp_keys *keys);
struct dp_resolver *governor_make_resolver(struct dp_governor *g,
                                           const struct dp_control_config *c);
void governor_start_probing(struct dp_governor *g);
/* A part of an earlier configuration has closed. */
void governor_part_closed(struct dp_governor *g);

static inline bool governor_vacant(const struct dp_governor *g, uint16_t endpoint)
{
    return g->config->endpoints[endpoint].url == NULL;
}

/* governor_sample.c */

/* What the counters say now is where they begin. */
void governor_begin_counting(struct dp_governor *g, uint16_t endpoint);

/* governor_orders.c */

/* End what has a time that is over. Before any decision by time. */
void governor_expire(struct dp_governor *g, uint64_t now_ns);
void governor_record_order(struct dp_governor *g, const struct governor_order *o,
                           const struct dp_failover_decision *d);

/* As much of `text` (NULL: none) as fits, never half a character of it. */
void governor_copy_text(char *out, size_t cap, const char *text);
/* False: there is no region of this name; NULL is none. */
bool governor_find_region(const struct dp_governor *g, const char *name, uint16_t *out);

/* governor_faults.c */

/* What a probe that begins now meets; NULL: nothing. `governor` is a struct dp_governor. */
const struct dp_fault *governor_fault_met(void *governor, uint16_t endpoint);
/* Put the faults in force into a view that has none yet. */
void governor_view_faults(const struct dp_governor *g, struct dp_view *v);
/* Are they as the last view has them? */
bool governor_faults_told(const struct dp_governor *g);
/* End those whose time is over. */
void governor_faults_expire(struct dp_governor *g, uint64_t now_ns);
/* Before a reload: end those that `next` has no place for. map: its number for each region, or DP_NO_REGION. */
void governor_faults_leave(struct dp_governor *g, const struct dp_control_config *next,
                           const uint16_t map[DP_MAX_REGIONS]);
/* The end. */
void governor_faults_stop(struct dp_governor *g);

/* governor_keep.c: what must outlive us, as the text of the state file. */

/* Take up what an earlier life kept. Before the first view. */
void governor_restore(struct dp_governor *g);
/* Hand the state to the journal if it changed. `last`: no epoch follows in this life. */
void governor_keep(struct dp_governor *g, bool last);

/* governor_record.c, and of health governor_record_health.c. explain: put words into the state, for people. record:
 * lines for the journal and the log, with the epoch of the view at that time. */

#define GOVERNOR_INPUTS_BYTES 3072

/* Text for people, cut where it does not fit. */
DP_PRINTF(3, 4) void governor_say(char *buf, size_t cap, const char *format, ...);
/* The fields as one JSON object. An object that does not fit is {}. */
struct dp_span governor_object(char *buf, size_t cap, const struct dp_kv *kv, size_t n);

void governor_record_plain(struct dp_governor *g, const char *event);
/* The state file was damaged. */
void governor_record_forgotten(struct dp_governor *g);
void governor_record_stall(struct dp_governor *g);
void governor_record_reload(struct dp_governor *g, bool done, const char *actor,
                            const char *detail);
void governor_record_access(struct dp_governor *g, const char *actor, const char *reason);
void governor_record_credentials(struct dp_governor *g, uint16_t endpoint,
                                 enum dp_probe_layer layer);
void governor_record_doubt(struct dp_governor *g, uint16_t active_before);
void governor_record_hold(struct dp_governor *g, uint16_t region);
void governor_explain_health(struct dp_governor *g, const struct governor_cause *cause);
void governor_record_health(struct dp_governor *g, const struct governor_cause *cause);
void governor_explain_move(struct dp_governor *g, const struct dp_failover_decision *d,
                           const struct governor_cause *cause);
void governor_record_move(struct dp_governor *g, const struct dp_failover_decision *d);

/* Every region as a decision saw it, as JSON: [{…},{…}]. */
struct dp_span governor_regions_json(const struct dp_governor *g,
                                     const struct dp_failover_decision *d, char *buf, size_t cap);

/* A returning region takes all of the traffic now, or not its growing share any more. */
void governor_record_ramp_over(struct dp_governor *g);

/* governor_gate.c */

/* What the gate asks, as bits. */
unsigned governor_gate_asked(const struct dp_governor *g);
/* How one region stands before it. */
void governor_gate(const struct dp_governor *g, uint16_t region, struct dp_gate *out);
/* What is not met, besides health, as bits. */
unsigned governor_gate_unmet(const struct dp_governor *g, uint16_t region);
/* For the journal: [{"name":…,"state":…,"reason":…},…]. */
#define GOVERNOR_GATE_BYTES 2048
struct dp_span governor_gate_json(const struct dp_governor *g, uint16_t region,
                                  char buf[GOVERNOR_GATE_BYTES]);
/* Tell of a region whose hold is over and whose gate is shut. */
void governor_watch_gate(struct dp_governor *g, uint64_t now_ns);

/* governor_replication.c */

/* NULL: out of memory. */
struct dp_replication *governor_make_replication(struct dp_governor *g);
/* What is known of databases and replication, as of now. Before any decision by time. */
void governor_look_at_replication(struct dp_governor *g, uint64_t now_ns);
/* What the gate of `region` is told. */
void governor_replication_facts(const struct dp_governor *g, uint16_t region,
                                struct dp_gate_facts *f);
/* A region that was away, and is not known to have what was written meanwhile where that is watched. */
bool governor_lacks(const struct dp_governor *g, uint16_t region);
/* The serial of the pause that workers shall keep; 0: none. */
uint32_t governor_pause(const struct dp_governor *g);
/* Would traffic return to `region`, but for writes that have yet to arrive there? */
bool governor_hands_over(const struct dp_governor *g, uint16_t region);
/* A decision is about to be carried out: what the handover was for may be over. */
void governor_handover_moved(struct dp_governor *g);

/* governor_status.c */

/* The failure window, as far as it is of now. */
void governor_window(const struct dp_governor *g, uint16_t endpoint, uint32_t *good, uint32_t *bad);

/* governor_lookup.c */

/* The resolver's result. `governor` is a struct dp_governor. */
void governor_resolved(void *governor, uint16_t endpoint, const struct dp_addrs *addrs,
                       const char *why);

/* Probe the address that the workers' connections go to, if they found one. */
void governor_follow(struct dp_governor *g, uint16_t endpoint);

/* governor_sample.c */

/* Read the workers' counters and feed the differences to health. */
void governor_sample(struct dp_governor *g, uint64_t now_ns);

#endif
