/* What a request means to CouchDB, as far as the proxy must know: which database it is for, may it be sent
 * again, may any region have it, and is its answer a feed that stays open. Pure. */
#ifndef DAVENPORT_COUCH_REQUEST_H
#define DAVENPORT_COUCH_REQUEST_H

#include "davenport/base/span.h"
#include "davenport/couch/token.h"

#include <stdbool.h>

enum dp_couch_class {
    DP_COUCH_READ,  /* GET, HEAD, OPTIONS; POSTs that only read */
    DP_COUCH_WRITE, /* PUT, DELETE: a second sending changes nothing more */
    DP_COUCH_POST,  /* the rest (POST, COPY, _update, _show): a second sending may duplicate */
    DP_COUCH_FEED,  /* a _changes or _db_updates answer that stays open */
    DP_COUCH_CLASS_COUNT
};
const char *dp_couch_class_name(enum dp_couch_class c); /* word of the access log and of metrics */

enum dp_couch_feed { DP_FEED_NONE, DP_FEED_LONGPOLL, DP_FEED_CONTINUOUS, DP_FEED_EVENTSOURCE };

/* What people and metrics call it. One word a request, in the order of precedence where two fit. */
#define DP_COUCH_KIND_TABLE(X)                                                                             \
    X(UNSAFE,                                                                                              \
      "unsafe") /* a function of a design document, or no method of CouchDB's: anything may happen */      \
    X(FEED, "feed")       /* stays open */                                                                 \
    X(SESSION, "session") /* _session */                                                                   \
    X(SERVER,                                                                                              \
      "server_info") /* of the server: /, _up, _uuids, _all_dbs, _dbs_info, _db_updates, _utils */         \
    X(BOUND,                                                                                               \
      "region_bound") /* means something in one region only: _replicator, _scheduler, _node, _local … */ \
    X(NOT_REPLICATED,                                                                                      \
      "not_replicated") /* makes, deletes or governs a database: replication does not carry it */          \
    X(BULK, "bulk_write")     /* _bulk_docs */                                                             \
    X(WRITE, "write")         /* of a document, an attachment, an index */                                 \
    X(READ_POST, "read_post") /* a POST that only reads */                                                 \
    X(READ, "read")

enum dp_couch_kind {
#define X(name, label) DP_COUCH_KIND_##name,
    DP_COUCH_KIND_TABLE(X)
#undef X
        DP_COUCH_KIND_COUNT
};
const char *dp_couch_kind_name(enum dp_couch_kind k);

/* Whose documents come without ids: see couch/mint.h. */
enum dp_couch_mints { DP_MINTS_NOTHING, DP_MINTS_DOCUMENT, DP_MINTS_BULK };

struct dp_couch_request {
    enum dp_couch_kind kind;
    enum dp_couch_class klass;
    enum dp_couch_feed feed;
    bool
        point; /* of one document, attachment or database: answered at once by a region that is well */
    bool idempotent; /* sending it again changes nothing more (reads, PUT, DELETE) */
    bool writes;     /* it may change documents: not what is of the server or in _local */
    /* One region alone can answer it, or it must go where the same client's requests went before: what is not
     * replicated (the server's own, databases, _security, _local), what carries a region's sequence tokens, and
     * what a replication does. */
    bool bound;
    bool partition; /* within one: Cloudant's limit is 5 s then, 60 s else */
    bool list;      /* made by a _list function: see couch/appended.h */
    bool batch;     /* batch=ok: a success is no promise */
    /* A document without _id gets one from the region, a new one each time it is sent. */
    enum dp_couch_mints mints;
    enum dp_tokens tokens; /* what sequence tokens its answer may carry; of HEAD: that of GET */
    struct dp_span db;     /* the name as it stands in the target, not decoded; .n == 0: of none */
    /* The document's id likewise, "_design/x" and "_local/x" whole; .n == 0: of none, or of no single one. */
    struct dp_span doc;
};

/* method: as sent ("GET"); override: value of X-HTTP-Method-Override or an empty span (counts on
 * POST only: it can make a feed, and is never idempotent); target: path and query as received. */
struct dp_couch_request dp_couch_classify(struct dp_span method, struct dp_span override,
                                          struct dp_span target);

/* What the path has behind `name`, which is the db or the doc of this target: .n == 0: nothing. Slashes between and at the
 * end say nothing to CouchDB, and are left out where they are all that is there. */
struct dp_span dp_couch_behind(struct dp_span target, struct dp_span name);

/* A database's name as CouchDB understands it: %XX decoded into buf, or `raw` itself where nothing is to decode, is
 * malformed or does not fit. */
#define DP_COUCH_NAME_BYTES 256
struct dp_span dp_couch_name(struct dp_span raw, char buf[DP_COUCH_NAME_BYTES]);

/* %XX decoded into buf, which has room for raw.n bytes; `raw` itself where nothing is to decode or is malformed. */
struct dp_span dp_couch_decode(struct dp_span raw, char *buf, size_t cap);

/* {"error":"…","reason":"…"}\n into buf; returns its length, 0 when it does not fit. The form of
 * CouchDB's own errors, so that clients read it as they read theirs. */
size_t dp_couch_error_body(char *buf, size_t cap, struct dp_span error, struct dp_span reason);

#endif
