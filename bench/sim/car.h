/* One sidecar's day: an application's requests, the proxy's probes and decisions, event by event on a
 * virtual clock. Sidecars share nothing but the trace, so they run one after the other or side by side, and what they
 * do to the regions together is added up in the tally.
 *
 * What the proxy decides comes from a subject: Davenport's own code, or a model of another proxy. This part
 * is the same for all of them: who asks when, what the world answers, and what is counted.
 *
 *   car.c     the loop: arrivals, attempts, probes, lookups, edges of faults, stalls
 *   events.c  what is due when
 *   watch.c   what is counted: moves, and how long faults took to be left
 *   leap.c    quiet time, which is leapt over */
#ifndef SIM_CAR_H
#define SIM_CAR_H

#include "events.h"
#include "tally.h"
#include "world.h"

#define SIM_NOWHERE SIM_REGIONS /* no region */
/* What route may say besides an endpoint: nobody can take it; or the subject keeps it, and will call sim_go_on or
 * sim_give_up. */
#define SIM_NOBODY SIM_ENDPOINTS
#define SIM_KEPT   (SIM_ENDPOINTS + 1)
#define SIM_PROBES 32 /* of one endpoint, under way */

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
    SIM_END_LEFT,   /* its endpoint is to be left */
    SIM_END_OVERDUE /* the subject would rather ask another */
};

struct sim_request {
    bool live, late, fresh;
    bool waits;      /* between two attempts */
    bool maybe_done; /* a region may have acted on it */
    enum sim_class class;
    unsigned endpoint, attempts, failed_mask; /* bit per endpoint */
    unsigned acted_mask; /* bit per region: a PUT that it may have carried out */
    uint32_t turn; /* events of earlier attempts, and of earlier requests in this place, are void */
    uint64_t serial;
    uint64_t arrived, begun;
    struct sim_fate fate;
};

struct sim_probe {
    bool live, fresh;
    uint32_t turn;
    uint64_t started, ends;
    struct sim_fate fate;
};

/* Who decides. What is not needed may be NULL. */
struct sim_subject {
    const char *name;
    uint64_t connect_timeout, answer_timeout; /* of an attempt */
    uint64_t lookup_every;                    /* of names, after one that succeeded */
    uint64_t tick;                            /* how often `tick_due` is called; 0: never */
    size_t state_bytes;
    void (*begin)(struct sim_car *);
    void (*end)(struct sim_car *);
    void (*tick_due)(struct sim_car *);
    void (*probe_due)(struct sim_car *, unsigned endpoint);
    void (*probe_ended)(struct sim_car *, unsigned endpoint, const struct sim_probe *);
    /* A lookup ended; good: c->known is what its name says now. */
    void (*looked_up)(struct sim_car *, unsigned endpoint, bool good);
    void (*woken)(struct sim_car *); /* as asked for by sim_wake_at */
    /* An endpoint, SIM_NOBODY or SIM_KEPT. */
    unsigned (*route)(struct sim_car *, const struct sim_request *);
    void (*begun)(struct sim_car *, const struct sim_request *); /* an attempt, its fate is known */
    void (*ended)(struct sim_car *, const struct sim_request *); /* one ended, however */
    void (*answered)(struct sim_car *, const struct sim_request *, uint64_t after);
    void (*failed)(struct sim_car *, const struct sim_request *, enum sim_end);
    /* After how long it may be sent again; SIM_NEVER: it may not. */
    uint64_t (*again)(struct sim_car *, const struct sim_request *, enum sim_end);
    void (*late)(struct sim_car *, const struct sim_request *);  /* with late_after */
    uint64_t (*late_after)(struct sim_car *, unsigned endpoint); /* SIM_NEVER: none is */
    uint64_t overdue_after; /* 0: never; then END_OVERDUE is asked about */
    /* More of what the endpoint does now changes nothing. `dark`: it is dark, else well. */
    bool (*settled)(struct sim_car *, unsigned endpoint, bool dark);
    bool (*calm)(struct sim_car *);                            /* the same, of all together */
    uint64_t (*interval)(struct sim_car *, unsigned endpoint); /* of probes, while settled */
    uint64_t (*timed)(struct sim_car *); /* the next decision by time alone; or SIM_NEVER */
    void (*leaving)(struct sim_car *);   /* a quiet stretch begins */
    /* It has ended, and is now later by `span`. ticked: it was lived through, else move what is kept as a time. In either
     * case what chance has decided for later is decided anew, from c->own_random, and what is a measure of the world
     * is as it was when the stretch began. */
    void (*leapt)(struct sim_car *, uint64_t span, bool ticked);
};

/* What goes wrong in a healthy world. */
struct sim_noise {
    double probe_lost;      /* share of probes without an answer */
    double request_reset;   /* share of requests whose connection is reset */
    double request_503;     /* share of requests that fail by their own doing */
    double stalls_a_day;    /* of our own process, or its host */
    uint64_t stall_longest; /* uniform up to this */
};

enum sim_pace { SIM_LEAPS, SIM_TICKS };

struct sim_setting {
    struct sim_profile profile;
    struct sim_noise noise;
    unsigned nodes; /* of each region */
    const char *
        config; /* keys of Davenport's configuration, as JSON without its braces; "": the defaults */
    double requests_a_second;
    enum sim_pace pace;
    uint64_t seed;
};

struct sim_car {
    const struct sim_subject *subject;
    const struct sim_setting *setting;
    const struct sim_trace *trace;
    struct sim_tally *tally;
    uint32_t id;
    uint64_t now;
    struct sim_random world_random, own_random;
    struct sim_condition condition[SIM_ENDPOINTS];
    unsigned known[SIM_ENDPOINTS]; /* address */
    unsigned active;               /* the region where new requests go */

    struct sim_events events;
    size_t next_start;  /* index of the next fault of the trace to begin */
    uint64_t edge;      /* the next start or end of a fault */
    uint64_t edge_seen; /* the last one */
    unsigned faults;    /* all endpoints' */

    struct sim_probe probes[SIM_ENDPOINTS][SIM_PROBES];
    uint64_t probe_at[SIM_ENDPOINTS]; /* when the next is due */
    uint32_t probe_turn[SIM_ENDPOINTS];
    uint64_t asked[SIM_ENDPOINTS]; /* probes, ever: odd ones are fresh */

    struct sim_request *requests;
    size_t cap_requests, live; /* live: of them */
    uint64_t serial;
    unsigned idle[SIM_ENDPOINTS]; /* connections that wait in the pool */
    uint64_t stalled_until, next_stall;
    uint32_t wake_turn, lookup_turn;

    /* leap.c */
    struct sim_random leap_random;
    uint64_t lose_at[SIM_ENDPOINTS], reset_at; /* noise that a leap drew; 0: none */
    uint64_t quiet_until;                      /* and there is none before */
    uint64_t landing; /* SIM_TICKS: until when nothing should happen; 0: no such stretch */
    uint64_t left;    /* and since when */
    uint64_t decided; /* moves by then */

    /* watch.c */
    uint64_t arrived_at[SIM_REGIONS];  /* of the traffic; SIM_NEVER: never */
    uint64_t returned_at[SIM_REGIONS]; /* the same, if it came by choice */
    struct sim_watch *watch;           /* a fault's, by its index */
    unsigned watching;                 /* of them: that are not all over */
    uint64_t digest;                   /* of every decision, in order */

    void *state;
};

void sim_car_run(struct sim_car *c);

/* For subjects. */

static inline bool sim_is_there(const struct sim_car *c, unsigned endpoint)
{
    return endpoint % SIM_NODES < c->setting->nodes;
}
/* Ask an endpoint how it is; probe_ended follows, at the latest after `timeout`. */
void sim_ask_probe(struct sim_car *c, unsigned endpoint, bool fresh, uint64_t timeout);
unsigned sim_probes_under_way(const struct sim_car *c, unsigned endpoint);
/* probe_due at `at`; replaces what was set. */
void sim_probe_at(struct sim_car *c, unsigned endpoint, uint64_t at);
/* woken at `at`; replaces what was set. */
void sim_wake_at(struct sim_car *c, uint64_t at);
/* New requests go to that region from now on. `by_choice`: a return, not a flight. */
void sim_move(struct sim_car *c, unsigned region, bool by_choice);
/* No new requests go to that endpoint from now on. */
void sim_left(struct sim_car *c, unsigned endpoint);
/* End the attempts under way there; each is asked about with SIM_END_LEFT. only_again: where `again` allows. */
void sim_leave(struct sim_car *c, unsigned endpoint, bool only_again);
/* Of one that was kept. */
void sim_go_on(struct sim_car *c, uint32_t request);
void sim_give_up(struct sim_car *c, uint32_t request);
static inline uint32_t sim_index(const struct sim_car *c, const struct sim_request *q)
{
    return (uint32_t)(q - c->requests);
}
static inline bool sim_writes(const struct sim_request *q)
{
    return q->class == SIM_PUT || q->class == SIM_POST;
}
static inline bool sim_unsafe(const struct sim_request *q)
{
    return q->class == SIM_POST && q->maybe_done;
}

/* Between the parts. */

void sim_note(struct sim_car *c, uint64_t what);
void sim_forget(struct sim_car *c, struct sim_request *q); /* it is over */
void sim_note_answer(struct sim_car *c, unsigned region);
void sim_found(struct sim_car *c, unsigned endpoint); /* where its name has moved to */
void sim_watch_faults(struct sim_car *c);
void sim_see_world(struct sim_car *c); /* c->condition and c->edge, as they are now */
void sim_arm(struct sim_car *c);       /* all events but those of requests and probes */
void sim_leap_due(struct sim_car *c);
void sim_land(struct sim_car *c);

#endif
