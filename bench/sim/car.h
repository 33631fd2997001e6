/* One sidecar's day: an application's requests, the proxy's probes and decisions, event by event on a
 * virtual clock. Sidecars share nothing but the trace, so they run one after the other, and what they do
 * to the regions together is added up in the tally.
 *
 * What the proxy decides comes from a subject: Davenport's own core, or a model of another proxy. This part
 * is the same for all of them: who asks when, what the world answers, and what is counted.
 *
 * Stretches in which nothing can happen are leapt over. That is when every region is either well, and
 * trusted, or dark, and known to be, and nothing of an earlier trouble is left: then more of the same
 * changes no decision. A leap ends before the next thing that may: an edge of a fault, a decision by time, or
 * noise, whose next moment is drawn from the distribution that asking one by one would give. --exact leaps
 * over nothing. */
#ifndef SIM_CAR_H
#define SIM_CAR_H

#include "tally.h"
#include "world.h"

#define SIM_NOWHERE SIM_REGIONS
#define SIM_PROBES  32 /* of one region, under way */

struct sim_car;

enum sim_class { SIM_GET, SIM_PUT, SIM_POST, SIM_QUERY };

/* How an attempt ended without an answer that a client could use. */
enum sim_end {
    SIM_END_REFUSED,
    SIM_END_NO_CONNECTION,
    SIM_END_RESET,
    SIM_END_TIMEOUT,
    SIM_END_503,
    SIM_END_CUT,
    SIM_END_LEFT
};

struct sim_request {
    bool live, late, fresh;
    bool waits;      /* between two attempts */
    bool maybe_done; /* a region may have acted on it */
    enum sim_class class;
    unsigned region, attempts, failed_mask;
    uint32_t turn; /* events of earlier attempts, and of earlier requests in this place, are void */
    uint64_t arrived, begun;
    struct sim_fate fate;
};

struct sim_probe {
    bool live, fresh;
    uint32_t turn;
    uint64_t started, ends;
    struct sim_fate fate;
};

struct sim_subject {
    const char *name;
    uint64_t connect_timeout, answer_timeout; /* of an attempt */
    uint64_t tick;                            /* how often `tick` is called; 0: never */
    size_t state_bytes;
    void (*begin)(struct sim_car *);
    void (*tick_due)(struct sim_car *);
    void (*probe_due)(struct sim_car *, unsigned region);
    void (*probe_ended)(struct sim_car *, unsigned region, const struct sim_probe *);
    unsigned (*route)(struct sim_car *, const struct sim_request *); /* or SIM_NOWHERE */
    void (*answered)(struct sim_car *, const struct sim_request *, uint64_t after);
    void (*failed)(struct sim_car *, const struct sim_request *, enum sim_end);
    /* After how long it may be sent again; SIM_NEVER: it may not. */
    uint64_t (*again)(struct sim_car *, const struct sim_request *, enum sim_end);
    void (*late)(struct sim_car *, const struct sim_request *); /* with late_after */
    uint64_t (*late_after)(struct sim_car *, unsigned region);  /* SIM_NEVER: none is */
    /* More of what the region does now changes nothing. `dark`: it is dark, else well. */
    bool (*settled)(struct sim_car *, unsigned region, bool dark);
    uint64_t (*interval)(struct sim_car *, unsigned region); /* of probes, while settled */
    uint64_t (*timed)(struct sim_car *); /* the next decision by time alone; or SIM_NEVER */
    void (*leapt)(struct sim_car *, uint64_t from); /* it is now later */
};

/* What goes wrong in a healthy world. */
struct sim_noise {
    double probe_lost;      /* share of probes without an answer */
    double request_reset;   /* share of requests whose connection is reset */
    double request_503;     /* share of requests that fail by their own doing */
    double stalls_a_day;    /* of our own process, or its host */
    uint64_t stall_longest; /* uniform up to this */
};

struct sim_setting {
    struct sim_profile profile;
    struct sim_noise noise;
    double requests_a_second;
    bool exact;
    uint64_t seed;
};

struct sim_event {
    uint64_t at;
    uint32_t order, turn;
    uint16_t kind, region;
    uint32_t id;
};

struct sim_car {
    const struct sim_subject *subject;
    const struct sim_setting *setting;
    const struct sim_trace *trace;
    struct sim_tally *tally;
    uint32_t id;
    uint64_t now;
    struct sim_random world_random, own_random;
    struct sim_condition condition[SIM_REGIONS];
    unsigned active; /* where new requests go */

    struct sim_event *events; /* a heap */
    size_t n_events, cap_events;
    uint32_t order;
    size_t next_start; /* index of the next fault of the trace to begin */
    uint64_t edge;     /* the next start or end of a fault */

    struct sim_probe probes[SIM_REGIONS][SIM_PROBES];
    uint64_t probe_at[SIM_REGIONS]; /* when the next is due */
    uint32_t probe_turn[SIM_REGIONS];
    bool lose_next[SIM_REGIONS]; /* noise that a leap drew */
    bool reset_next;
    uint64_t asked[SIM_REGIONS]; /* probes, ever: odd ones are fresh */

    struct sim_request *requests;
    size_t cap_requests;
    unsigned idle[SIM_REGIONS]; /* connections that wait in the pool */
    uint64_t stalled_until, next_stall;

    /* for the tally */
    uint64_t
        disturbed; /* since when the present condition may explain a move; 0: nothing explains one */
    uint64_t calm_since[SIM_REGIONS];
    uint64_t arrived_at[SIM_REGIONS]; /* of the traffic; SIM_NEVER: never */
    struct sim_watch *watch;          /* a fault's, by its index */

    void *state;
};

void sim_car_run(struct sim_car *c);

/* For subjects. */

/* Ask a region how it is; probe_ended follows, at the latest after `timeout`. */
void sim_ask_probe(struct sim_car *c, unsigned region, bool fresh, uint64_t timeout);
unsigned sim_probes_under_way(const struct sim_car *c, unsigned region);
/* probe_due at `at`; replaces what was set. */
void sim_probe_at(struct sim_car *c, unsigned region, uint64_t at);
/* Attempts under way at a region. */
unsigned sim_under_way(const struct sim_car *c, unsigned region);
/* New requests go there from now on. `by_choice`: a return, not a flight. */
void sim_move(struct sim_car *c, unsigned to, bool by_choice);
/* End the attempts under way at a region; each is asked about with SIM_END_LEFT. only_safe: where `again` allows. */
void sim_leave(struct sim_car *c, unsigned region, bool only_again);
static inline bool sim_unsafe(const struct sim_request *q)
{
    return q->class == SIM_POST && q->maybe_done;
}

#endif
