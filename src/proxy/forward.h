/* Heads as they are written anew: the request to a region, the answer to a client, our own errors.
 * Pure. */
#ifndef DAVENPORT_PROXY_FORWARD_H
#define DAVENPORT_PROXY_FORWARD_H

#include "davenport/base/arena.h"
#include "davenport/base/err.h"
#include "davenport/http/head.h"

struct dp_forward_request {
    const struct dp_head *head;
    const char *host; /* Host of the endpoint */
    const char *peer; /* the client's address */
    const char *via;  /* our pseudonym */
    bool tls;         /* the client came by TLS */
};

/* The head for a region, in `a`. .p == NULL: out of memory. Hop-by-hop fields are gone, Host is the
 * region's, X-Forwarded-For ends in the true peer, the body is framed as the client framed it. */
struct dp_span dp_forward_request_head(struct dp_arena *a, const struct dp_forward_request *f);

/* How the body goes to the client: chunked when its length isn't known and the client speaks
 * HTTP/1.1, else by closing. */
enum dp_framing dp_forward_framing(const struct dp_head *response, uint8_t client_minor);

struct dp_forward_response {
    const struct dp_head *head;
    enum dp_framing framing; /* towards the client */
    uint8_t client_minor;
    bool keep_alive; /* towards the client */
};
struct dp_span dp_forward_response_head(struct dp_arena *a, const struct dp_forward_response *f);

/* 100 or 103, for passing on: status line and end-to-end fields. */
struct dp_span dp_forward_interim_head(struct dp_arena *a, const struct dp_head *head);

struct dp_forward_error {
    enum dp_err err;
    uint32_t retry_after_s; /* 0: no Retry-After */
    int64_t wall_ms;        /* for Date */
    bool head_only;         /* answer to HEAD */
    bool keep_alive;
    uint8_t client_minor;
};
/* A whole answer in CouchDB's form. The error must have a status. */
struct dp_span dp_forward_error(struct dp_arena *a, const struct dp_forward_error *f);
/* The length of its body. */
size_t dp_forward_error_bytes(enum dp_err err);

#endif
