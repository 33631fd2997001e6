/* The watch over replication: for every database in use and every pair of regions, has the one what the other was told?
 * It asks the regions in turn, off the data path, a few requests at a time:
 *
 *   every region    GET _scheduler/docs, or where there is none _replicator: which replications there are, do they run
 *   every database  a round: GET /{db} in each region, then each way from one region to another (core/replica.h):
 *                     GET from/{db}/_changes behind the place up to which all was found  ->  POST to/{db}/_revs_diff
 *
 *   documents of ours, where they are asked for: replication_canary.c
 *
 * The place of a way begins at the checkpoint of its replication, where that can be seen and carries all documents, else
 * at the beginning of the feed. Each proven place is told as a mark (control/replication.h of the public headers).
 *
 *   round:  LOOK region 0 … n-1  ->  way by way: (JOB -> CHECKPOINT, once)  ->  CHANGES <-> DIFF  ->  … end
 *                                                                               DIFF again, a little later, while some lack
 *
 * Control thread. Region numbers are those of the configuration in force. */
#ifndef DAVENPORT_CONTROL_REPLICATION_WATCH_H
#define DAVENPORT_CONTROL_REPLICATION_WATCH_H

#include "davenport/base/clock.h"
#include "davenport/control/governor.h"
#include "davenport/core/replica.h"
#include "davenport/core/seen.h"

#include <uv.h>

#define DP_WATCHED_DATABASES 64

struct dp_replication;

enum dp_reach {
    DP_REACH_OK,
    DP_REACH_DOWN,   /* it is down, or its address is not known */
    DP_REACH_NO_KEYS /* its credentials were refused: not used for now */
};

struct dp_replication_options {
    uv_loop_t *loop;
    const struct dp_clock *clock;
    const struct dp_control_config *config; /* until the next reload */
    uint64_t seed;
    /* Fill in what all requests to a region have in common, and the URL of the endpoint that is asked. */
    enum dp_reach (*reach)(void *ctx, uint16_t region, struct dp_fetch_request *req,
                           const char **base);
    /* Its credentials were refused. */
    void (*refused)(void *ctx, uint16_t region);
    /* Something new is known. */
    void (*looked)(void *ctx);
    void *ctx;
    struct dp_replication_listener listener;
};

/* NULL: out of memory. */
struct dp_replication *dp_replication_new(const struct dp_replication_options *opt);
void dp_replication_start(struct dp_replication *r);
/* Cancels what is under way; handles close on the loop, `done` runs when the memory is gone. */
void dp_replication_destroy(struct dp_replication *r, void (*done)(void *ctx), void *ctx);
/* map[i]: the new number of what was region i < n, or DP_NO_REGION. What is known of regions that stay is kept. */
void dp_replication_reload(struct dp_replication *r, const struct dp_control_config *config,
                           const uint16_t *map, uint16_t n);

/* A database is in use, by its name. One that is not legal in CouchDB, or its own (_users …), is not watched. */
void dp_replication_use(struct dp_replication *r, const char *name, uint64_t used_ns);
/* More are in use than can be watched: true until nobody said so for a minute. */
void dp_replication_overflow(struct dp_replication *r, uint64_t now_ns);

/* Somebody waits for what is found: look often. */
void dp_replication_eager(struct dp_replication *r, bool eager);
/* Writes stand still: nothing but this way counts now, until relax. */
void dp_replication_hurry(struct dp_replication *r, uint16_t from, uint16_t to);
void dp_replication_relax(struct dp_replication *r);
/* Of every database that can be compared: `to` has all that `from` held at `since_ns`. */
bool dp_replication_arrived(const struct dp_replication *r, uint16_t from, uint16_t to,
                            uint64_t since_ns);

/* Of every database in use: all other regions have what `from` held at the time that is returned. 0: not known. */
uint64_t dp_replication_settled(const struct dp_replication *r, uint16_t from);

/* May traffic go from region `from` to `to`, which was back since `since_ns`? */
struct dp_replication_verdict {
    enum dp_replica_verdict verdict;
    uint16_t databases, ready;
    char why[DP_GATE_WHY];
};
void dp_replication_judge(const struct dp_replication *r, uint16_t from, uint16_t to,
                          uint64_t since_ns, struct dp_replication_verdict *out);

/* One by one, for people: NULL from the i-th on. Valid until the loop turns. */
const char *dp_replication_database(const struct dp_replication *r, unsigned i);
const struct dp_replica_way *dp_replication_way(const struct dp_replication *r, unsigned i,
                                                uint16_t from, uint16_t to);
/* A document of ours on the way from one region to another; NULL: none is sent. */
const struct dp_canary *dp_replication_canary(const struct dp_replication *r, uint16_t from,
                                              uint16_t to);
/* NULL: it watches. Else why it does not. */
const char *dp_replication_off(const struct dp_replication *r);
bool dp_replication_overflowed(const struct dp_replication *r);

#endif
