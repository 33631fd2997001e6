/* The governor owns health: it probes, samples the workers' counters, decides through core/,
 * publishes views and writes the journal. All on the control thread unless said otherwise. */
#ifndef DAVENPORT_CONTROL_GOVERNOR_H
#define DAVENPORT_CONTROL_GOVERNOR_H

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/client/fetch.h"
#include "davenport/core/traffic.h"
#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;

enum dp_failback { DP_FAILBACK_MANUAL, DP_FAILBACK_HOLD_DOWN };

struct dp_region_config {
    const char *name;
    const char *url;  /* scheme://host[:port][/prefix] without credentials: for probes and people */
    const char *host; /* Host header */
    struct dp_addrs addrs; /* none: not known yet */
    const char *lookup;    /* name to look up again and again; NULL: addrs is all there is */
    uint16_t port;         /* of addresses that are looked up */
    const struct dp_fetch_tls *tls;  /* for probes of an https url, until dp_governor_retrust; NULL:
                                       defaults */
    const char *username, *password; /* for probes; NULL: none. The password is a secret. */
};

/* Immutable while the governor lives; strings included. */
struct dp_control_config {
    uint16_t n_regions;
    struct dp_region_config regions[DP_MAX_REGIONS]; /* the order is the preference */
    /* probes */
    const char *probe_path;     /* "/_up" */
    uint32_t probe_interval_ms; /* while all is well */
    uint32_t probe_fast_ms;     /* on suspicion, and while a region is down */
    uint32_t probe_timeout_ms;
    uint32_t probe_jitter_percent; /* of the interval, either way */
    uint32_t fall, rise; /* failures in a row to leave, successes in a row to trust again */
    /* traffic evidence */
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
    uint32_t dns_refresh_ms;   /* between two lookups of a region's name */
    uint32_t race_delay_ms;    /* of probes, see dp_fetch_request */
    /* clients */
    uint32_t retry_after_s;
    const char *journal_path; /* NULL: memory only */
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

struct dp_region_status {
    const char *name, *url;
    struct dp_addrs addrs; /* where it is dialed; none: not known */
    unsigned addrs_used;   /* bits of addrs: where the workers' new connections go */
    struct dp_lookup_status lookup;
    enum dp_region_health health;
    bool active, held_down;
    bool slow;             /* far slower than it was, and than others are */
    uint32_t late_ms;      /* a first byte later than this counts as none; 0: none does */
    uint64_t late;         /* requests that were late, over all workers */
    bool draining;         /* alive, and asks for no requests (maintenance) */
    int64_t since_wall_ms; /* of this state */
    char why[DP_WHY_TEXT]; /* what brought it into this state, for people */
    uint32_t probe_failures_in_row, probe_successes_in_row;
    int64_t last_probe_wall_ms;    /* 0: none yet */
    uint16_t last_probe_status;    /* HTTP status; 0: no answer */
    const char *last_probe_result; /* its word ("ok", "dark", "tls_fault" …); NULL: none yet */
    bool tls_fault; /* the last probe found the region, but no TLS with it that can be trusted */
    char last_probe[DP_WHY_TEXT];
    double probe_ms;   /* last probe's total time; <0: none */
    double latency_ms; /* EWMA of real first-byte times; <0: none yet */
    uint64_t probes_ok, probes_failed;
    uint64_t outcomes[DP_OUTCOME_COUNT]; /* over all workers */
    uint64_t in_flight;
};

struct dp_status {
    uint64_t epoch;
    uint16_t n_regions;
    uint16_t active; /* DP_NO_REGION: none */
    bool pinned;     /* an operator chose it: no failback undoes that */
    int64_t active_since_wall_ms;
    char why[DP_WHY_TEXT]; /* why traffic is where it is */
    enum dp_failback failback;
    int64_t failback_at_wall_ms;   /* when hold-down lets traffic return; 0: nothing is waiting */
    uint64_t failovers, failbacks; /* since the start */
    struct dp_region_status regions[DP_MAX_REGIONS];
};

struct dp_governor;

struct dp_governor_options {
    uv_loop_t *loop;
    const struct dp_clock *clock; /* NULL: the system's */
    const struct dp_control_config *config;
    /* Called whenever there is a new view; the callee takes the references it needs. Also once from
     * start. */
    void (*publish)(void *ctx, struct dp_view *view);
    void *publish_ctx;
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

/* An operator moves the traffic. DP_EINVAL: no such region; DP_ENOREGION: it is down (unless
 * force). *why for people. actor and reason go to the journal. A switch to a less preferred region
 * stays until the next switch or until that region goes down, also in hold-down mode. */
DP_MUST_USE enum dp_err dp_governor_switch(struct dp_governor *g, const char *region, bool force,
                                           const char *actor, const char *reason, const char **why);

/* A reload brought new TLS files for probes: tls[i] is region i's (NULL: defaults), and outlives the governor or the
 * next such call. changed[i]: idle connections that trusted the old ones are not used again; publishes a view. */
void dp_governor_retrust(struct dp_governor *g, const struct dp_fetch_tls *const *tls,
                         const bool *changed);
/* Put into journal and log that a reload was carried out, or refused because of `detail`. */
void dp_governor_note_reload(struct dp_governor *g, bool done, const char *detail);

/* The last journal lines, oldest first, each without its newline: at most `max` spans, valid until
 * the loop turns. */
size_t dp_governor_events(const struct dp_governor *g, struct dp_span *lines, size_t max);

#endif
