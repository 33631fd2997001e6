/* The deeper layers of probing one endpoint: its database, then a document of our own that is written and read. One
 * request at a time, one after the other; each layer's answer is a result of its own.
 *
 *   database   GET /{db}
 *   canary     GET /{db}/{id}  ->  PUT it, on the revision that it has  ->  GET it, and it is what was written
 *
 * The document's id is this proxy's own in this region, so no two write the same one, and replication brings no
 * conflict. A 409 all the same means that another of this name wrote it: the region lives. Control thread. */
#ifndef DAVENPORT_CONTROL_DEEP_PROBE_H
#define DAVENPORT_CONTROL_DEEP_PROBE_H

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
    char *database_url, *canary_url; /* NULL: not asked */
    /* under way */
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
