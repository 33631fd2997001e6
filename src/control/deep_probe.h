/* The deeper layers of probing one endpoint: its databases, then a document of our own that is written and read. One
 * request at a time, one after the other; each layer's answer is a result of its own.
 *
 *   database   GET /{db}, of each: one result, as soon as one fails, else when all have answered
 *   canary     GET /{db}/{id}  ->  PUT it, on the revision that it has  ->  GET it, and it is what was written
 *
 * The document's id is this region's own, so replication brings no conflict. Who else writes it (another node's probe, a
 * proxy of the same name) makes a 409, or a later revision than ours: the region lives. It stays there at the end: deleted
 * it would be a tombstone, which is replicated and kept just as long, and every start would add a revision to it.
 * Control thread. */
#ifndef DAVENPORT_CONTROL_DEEP_PROBE_H
#define DAVENPORT_CONTROL_DEEP_PROBE_H

#include "davenport/control/governor.h"

#include "control/prober.h"

struct dp_deep_probe {
    struct dp_fetcher *fetcher;
    const struct dp_clock *clock;
    /* Fills in what all requests have in common. */
    void (*base)(void *ctx, struct dp_fetch_request *req);
    /* False: ask no more, the fetcher is gone. */
    bool (*result)(void *ctx, const struct dp_probe_result *r);
    /* All layers were asked, or one did not pass. */
    void (*done)(void *ctx, bool passed);
    void *ctx;
    char *names[DP_MAX_PROBE_DATABASES]; /* of databases */
    char *database_urls[DP_MAX_PROBE_DATABASES];
    uint16_t n_databases;
    char *canary_url; /* NULL: not asked */
    /* under way */
    uint16_t database;                 /* that is asked */
    uint32_t missing;                  /* that are not there: a bit each */
    enum dp_probe_kind worst;          /* of those that did not fail */
    uint16_t worst_status;             /* its HTTP status */
    char trouble[DP_PROBE_DETAIL / 2]; /* which answered so */
    uint64_t generation;               /* of the revision that was written */
    struct dp_fetch *fetch;
    unsigned step;
    uint64_t layer_started_ns;
    uint64_t number; /* what the canary's document holds this time */
};

/* False: out of memory. `d` is zeroed but for the urls; the rest is set by the caller. */
DP_MUST_USE bool dp_deep_probe_init(struct dp_deep_probe *d, const struct dp_probe_target *t);
void dp_deep_probe_fini(struct dp_deep_probe *d);
/* Is there any deeper layer to ask, and is one being asked? */
bool dp_deep_probe_wanted(const struct dp_deep_probe *d);
bool dp_deep_probe_busy(const struct dp_deep_probe *d);
/* Not while busy. */
void dp_deep_probe_start(struct dp_deep_probe *d);

#endif
