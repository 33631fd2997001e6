/* An open-loop load: requests are due at set times, whatever became of those before, and each one's latency counts
 * from when it was due. So a server that stalls is charged with every request that had to wait meanwhile; a closed
 * loop would just ask less often and miss what its users feel.
 *
 *   stages ──► due ──► free connection? ── yes ──► sent ──whole answer──► ended, connection free
 *                           └── no: waits in line, oldest first, its clock runs; ended `unsent` after timeout_ms
 *
 * Two sorts of load: with `target` every request is the same; with `database` it is what an application of CouchDB
 * does, by `weights`: `documents` chains of revisions are written and read, one writer a document at a time, and
 * every write is told to the ledger. Followers read the database's changes beside it, on connections of their own.
 *
 *   dp_load_start ─► connecting ─► first documents ─► followers begin ─► load ─► last answers ─► done
 *
 * Followers go on behind `done`, so that they can be told what is still on its way, until dp_load_destroy.
 *
 * One thread: that of the loop. Callbacks run on it, never within a call to the load. Times are monotonic ns of
 * dp_clock_system. Bounded: memory by `connections`, `documents`, the seconds of the stages and the ledger's own
 * bound; time by timeout_ms and DP_LOAD_BEGIN_MS. */
#ifndef DAVENPORT_DRILL_LOAD_H
#define DAVENPORT_DRILL_LOAD_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/drill/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

typedef struct uv_loop_s uv_loop_t;
struct dp_ledger;
struct dp_load;

/* What a request is. Their share of the load is their weight over the sum of all. */
#define DP_LOAD_KIND_TABLE(X)                                                                      \
    X(GET, "get")               /* a document */                                                   \
    X(PUT, "put")               /* the next revision of a document */                              \
    X(POST, "post")             /* a document without an _id */                                    \
    X(BULK, "bulk")             /* _bulk_docs of DP_LOAD_BULK_ROWS documents without an _id */     \
    X(FIND, "find")             /* _find of ten documents by an index */                           \
    X(VIEW, "view")             /* ten rows of a view */                                           \
    X(ATTACHMENT, "attachment") /* a new document by an attachment of attachment_bytes */          \
    X(TARGET, "target")         /* the one of `target`; it has no weight */
enum dp_load_kind {
#define DP_LOAD_KIND_ENUM(ID, name) DP_LOAD_##ID,
    DP_LOAD_KIND_TABLE(DP_LOAD_KIND_ENUM)
#undef DP_LOAD_KIND_ENUM
        DP_LOAD_KINDS
};
const char *dp_load_kind_name(enum dp_load_kind kind);
/* Of a kind that has a weight. False: it names none. */
DP_MUST_USE bool dp_load_kind_find(const char *name, enum dp_load_kind *out);

#define DP_LOAD_BULK_ROWS 5
#define DP_LOAD_BUCKETS                                                                            \
    16 /* "bucket" of a document: its tag modulo that; the index's and the view's key */
#define DP_LOAD_STAGES          16
#define DP_LOAD_REGIONS         8 /* told apart by name; those beyond count as "others" */
#define DP_LOAD_REGION_TEXT     64
#define DP_LOAD_MAX_SECONDS     21600.0
#define DP_LOAD_MAX_RATE        1e6
#define DP_LOAD_MAX_CONNECTIONS 20000
#define DP_LOAD_MAX_DOCUMENTS   1000000
#define DP_LOAD_MAX_FOLLOWERS   64
#define DP_LOAD_MAX_BYTES       1048576 /* of a document's or an attachment's body */
#define DP_LOAD_MAX_TIMEOUT_MS  60000
#define DP_LOAD_BEGIN_MS        30000 /* each for first documents and followers; connecting: timeout_ms */
#define DP_LOAD_SLOW_NS         UINT64_C(2000000000) /* an answer that came, but as if it had not */
#define DP_LOAD_WHY             256                  /* room for any text that says why */

/* From one rate to another in so many seconds: a ramp, or constant where they are the same. */
struct dp_load_stage {
    double from, to; /* requests a second */
    double seconds;
};

struct dp_load_config {
    const char
        *url; /* http or https, host, port, a path to put before all others; no credentials */
    const char *unix_path;           /* connect to this socket instead; NULL: to the url's host */
    const char *username, *password; /* Basic; NULL: none */
    const char *ca_file;             /* https: whom to trust; NULL: the system's authorities */
    bool insecure;                   /* https: trust any certificate */
    const struct dp_load_stage *stages;
    size_t n_stages;
    double
        warmup_s; /* at the first stage's first rate, before it; told to nobody and counted nowhere */
    unsigned connections;
    uint32_t timeout_ms; /* from when a request was due */
    uint32_t tick_us;    /* what became due meanwhile is sent this often */
    uint64_t seed;       /* of the order of kinds and documents: the same seed, the same order */
    const char *region_header; /* whose value in an answer names its region; NULL: none */
    /* Either … */
    const char *target; /* path and query; NULL: see database */
    const char *method; /* of target; NULL: GET */
    size_t body_bytes;  /* of each request to target */
    const char *fields; /* more lines of each head, "Name: value\r\n" each; NULL: none */
    /* … or */
    const char *database; /* exists already, with the index and the view where they are asked for */
    uint64_t origin_ns;   /* of the ledger's times; 0: dp_load_start */
    unsigned weights[DP_LOAD_KINDS];
    unsigned documents; /* chains; more than connections */
    size_t document_bytes, attachment_bytes;
    unsigned longpoll, continuous; /* followers of each sort */
};
/* The defaults: 64 connections, 10 s, every 200 us, 500 documents of 256 bytes, attachments of 4 KiB, region_header
 * Davenport-Region. */
void dp_load_config_init(struct dp_load_config *c);

/* Why a request failed. */
#define DP_LOAD_FAILURE_TABLE(X)                                                                   \
    X(NONE, "")                                                                                    \
    X(STATUS, "status")   /* 400 and above, but for 409 to a PUT and 404 to a GET of a document */ \
    X(CLOSED, "closed")   /* its connection ended before its answer did */                         \
    X(TIMEOUT, "timeout") /* no whole answer timeout_ms after it was due */                        \
    X(UNSENT, "unsent")   /* no connection was free for it within that time */                     \
    X(ANSWER, "answer")   /* what came is no HTTP, or not what was asked for */                    \
    X(STOPPED, "stopped") /* the load was told to stop at once; counted nowhere */
enum dp_load_failure {
#define DP_LOAD_FAILURE_ENUM(ID, name) DP_LOAD_FAILED_##ID,
    DP_LOAD_FAILURE_TABLE(DP_LOAD_FAILURE_ENUM)
#undef DP_LOAD_FAILURE_ENUM
        DP_LOAD_FAILURES
};
const char *dp_load_failure_name(enum dp_load_failure failure);

/* A request that ended. */
struct dp_load_end {
    enum dp_load_kind kind;
    enum dp_load_failure failure;      /* NONE: it was answered well */
    uint16_t status;                   /* 0: no answer */
    uint64_t due_ns, sent_ns, done_ns; /* sent_ns 0: unsent */
    struct dp_span region;             /* .n == 0: not told. Valid during the callback */
};

/* A second of the load, by when requests were due. */
struct dp_load_second {
    uint32_t second;                         /* since the first request that counts was due */
    uint32_t due, ok, failed, slow;          /* slow: of ok, longer than DP_LOAD_SLOW_NS */
    uint64_t p50_ns, p90_ns, p99_ns, max_ns; /* of ok; 0 when it is 0 */
    uint32_t by_region[DP_LOAD_REGIONS + 1]; /* answers of any status; the last: others */
};

/* Where it stands. `last`: what ended in the last whole second, by when it ended; `second` counts those. */
struct dp_load_progress {
    /* "connecting", "first documents", "followers", "warm-up", "load", "last answers", "done" */
    const char *phase;
    double at_s; /* since the first request that counts was due */
    uint64_t due, ok, failed;
    uint64_t waiting;   /* in line for a connection */
    unsigned under_way; /* sent, not answered */
    unsigned standing;  /* connections */
    struct dp_load_second last;
};

/* Any may be NULL but done. */
struct dp_load_events {
    /* When the first request that counts is due. */
    void (*begun)(void *ctx, uint64_t start_ns);
    void (*ended)(void *ctx, const struct dp_load_end *end);
    /* Final, so timeout_ms later; in order. */
    void (*second)(void *ctx, const struct dp_load_second *row);
    /* Every second, from dp_load_start on. */
    void (*tick)(void *ctx, const struct dp_load_progress *now);
    /* Once, the last. DP_OK: all that was due has ended, or dp_load_stop. Else it never began or could not go on, and
     * `why` says so: DP_ECONNECT, DP_EINVAL (a 4xx for the first documents), DP_ETIMEOUT (they, or followers),
     * DP_ELIMIT (the ledger is full), DP_ENOMEM. */
    void (*done)(void *ctx, enum dp_err err, const char *why);
};

/* Everything is copied but `ledger`, which outlives it (NULL with target) and has `documents` slots. Looks the host up,
 * so it may block.
 * why: DP_LOAD_WHY bytes. Errors: DP_EINVAL, DP_ERESOLVE, DP_ETLS, DP_ENOMEM; EIO (no timer of the system's). */
DP_MUST_USE enum dp_err dp_load_new(uv_loop_t *loop, const struct dp_load_config *config,
                                    struct dp_ledger *ledger, const struct dp_load_events *events,
                                    void *ctx, struct dp_load **out, char why[DP_LOAD_WHY]);
void dp_load_start(struct dp_load *load);
/* Nothing more is due. What is under way may end (bounded by timeout_ms); then `done`.
 * at_once: what is under way is dropped; its writes are unknown to the ledger. */
void dp_load_stop(struct dp_load *load, bool at_once);
/* Behind `done`, or before dp_load_start. Handles close on the loop: run it until `closed`. */
void dp_load_destroy(struct dp_load *load, void (*closed)(void *ctx), void *ctx);

/* Counts so far; read in callbacks. */
const struct dp_histogram *dp_load_latency(const struct dp_load *load, enum dp_load_kind kind);
/* Of due to sent: how late the generator, or a line before its connections, made them. */
const struct dp_histogram *dp_load_lag(const struct dp_load *load);
/* The name of by_region[i]; NULL: not so many. */
const char *dp_load_region(const struct dp_load *load, unsigned i);
/* What it holds and may come to hold, ledger excluded. */
size_t dp_load_bytes(const struct dp_load *load);

/* {"requests","ok","failed","seconds","rate","mean_ms","p50_ms" … "max_ms","lag_p99_ms","series","kinds","outages"} with the
 * last three as in the result of a drill (docs/drills.md). Behind `done`. NULL: out of memory. */
DP_MUST_USE json_t *dp_load_json(const struct dp_load *load);

#endif
