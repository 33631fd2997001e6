/* HTTP requests of the control plane: libcurl multi on a libuv loop. Not for traffic.
 * All on the control thread; callbacks never run inside the call that asked for them. */
#ifndef DAVENPORT_CLIENT_FETCH_H
#define DAVENPORT_CLIENT_FETCH_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_timer_s uv_timer_t;

struct dp_fetcher; /* a pool of handles over one loop */
struct dp_fetch;   /* one request under way */

/* Trust and identity for https. All NULL: the system's store, no certificate of our own. Texts of PEM files, not
 * their names: so a file that changes is used when its change is told, not before. */
struct dp_fetch_tls {
    struct dp_span ca;        /* instead of the system's store */
    struct dp_span cert, key; /* for mutual TLS; the key is a secret */
    const char *pins;         /* "sha256//BASE64[;sha256//BASE64…]": of the leaf's public key */
};

struct dp_fetch_request {
    const char *method; /* NULL: GET */
    const char *url;
    const char *username, *password; /* Basic, NULL: none */
    struct dp_span headers;          /* more fields, "Name: value\r\n" each; .n == 0: none */
    struct dp_span body;             /* copied */
    const char *content_type;        /* NULL: none */
    uint32_t connect_timeout_ms, timeout_ms;
    uint32_t max_body_bytes; /* of the answer; past it DP_EBODYSIZE */
    bool fresh_connection;   /* a connection of its own, closed afterwards */
    /* Connect here whatever the URL's host resolves to (the name stays in Host and in TLS). NULL: resolve.
     * Several, with a comma between: as libcurl does it, family by family, the next one before the first timed
     * out. A kept connection is used again for the same list only. */
    const char *connect_ips; /* numeric, v4 or v6 */
    uint16_t connect_port;
    uint32_t race_delay_ms;         /* before the other family is tried too; 0: libcurl's own */
    const struct dp_fetch_tls *tls; /* NULL: as if all were NULL */
};

struct dp_fetch_result {
    enum dp_err err;    /* DP_OK: an answer came, whatever its status */
    const char *detail; /* why, for people; valid during the callback */
    uint16_t status; /* 0 without an answer; with an error: of the head, when one came before it */
    struct dp_span body;    /* valid during the callback */
    uint32_t retry_after_s; /* of its Retry-After; 0: there was none */
    uint64_t connect_ns, tls_ns, first_byte_ns,
        total_ns; /* from the start; 0: not so far, or not at all */
    bool
        reached; /* something there answered, if only by refusing the connection: the network to it works */
    bool connected; /* a connection was made for it, and stood: TLS over it may have failed */
    bool reused;    /* the connection had been used before */
};

typedef void (*dp_fetch_done)(void *ctx, const struct dp_fetch_result *result);

/* NULL when out of memory. */
DP_MUST_USE struct dp_fetcher *dp_fetcher_new(uv_loop_t *loop);
/* Cancels what is under way (their callbacks do not run). Handles close on the loop: run it once
 * more; `done` (may be NULL) tells when the memory is gone. May be called from a request's
 * callback. */
void dp_fetcher_destroy(struct dp_fetcher *f, void (*done)(void *ctx), void *ctx);
/* And closes its owner's timer, for who has one of each: `done` tells that both are gone. */
void dp_fetcher_destroy_with(struct dp_fetcher *f, uv_timer_t *timer, void (*done)(void *ctx),
                             void *ctx);

/* Strings are copied. `done` runs once, later, unless canceled; the fetch is gone when it runs.
 * Only http and https, no redirects, no proxy whatever the environment says.
 * Errors: DP_EINVAL (the URL), DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_fetch_start(struct dp_fetcher *f, const struct dp_fetch_request *req,
                                       dp_fetch_done done, void *ctx, struct dp_fetch **out);
void dp_fetch_cancel(struct dp_fetch *fetch);

#endif
