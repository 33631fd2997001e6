/* Heads as they are written anew: the request to a region, the answer to a client, our own errors.
 * Pure. */
#ifndef DAVENPORT_PROXY_FORWARD_H
#define DAVENPORT_PROXY_FORWARD_H

#include "davenport/base/arena.h"
#include "davenport/base/err.h"
#include "davenport/http/head.h"

#include "proxy/ids.h"
#include "proxy/origin.h"
#include "proxy/proof.h"
#include "proxy/via.h"

struct dp_forward_request {
    const struct dp_head *head;
    const struct dp_proxy_config *config;
    const char *host; /* Host of the endpoint */
    const struct dp_ids *ids;
    uint64_t hops_left; /* of Max-Forwards, 1 or more; or DP_NO_HOPS */
    /* .p == NULL: as in the head. Fields that are replaced are in `without`. */
    struct dp_span target, accept_encoding, last_event_id;
    uint64_t without; /* DP_HEADER_BIT of what else is not sent */
    struct dp_way way;
    struct dp_span db; /* of the target */
    struct dp_origin origin;
    struct dp_proof proof;
};

/* The head for a region, in `a`. .p == NULL: out of memory. Hop-by-hop fields are gone, Host is the
 * region's, the way it came is told as configured, the body is framed as the client framed it. */
struct dp_span dp_forward_request_head(struct dp_arena *a, const struct dp_forward_request *f);

/* How the body goes to the client: chunked when its length isn't known and the client speaks
 * HTTP/1.1, else by closing. */
enum dp_framing dp_forward_framing(const struct dp_head *response, uint8_t client_minor);

struct dp_forward_response {
    const struct dp_head *head;
    enum dp_framing framing; /* towards the client */
    uint8_t client_minor;
    bool keep_alive;           /* towards the client */
    bool trailers;             /* fields behind the body are passed on */
    struct dp_span date;       /* for an answer without one */
    struct dp_span request_id; /* .n == 0: what the region says of it, if anything */
    uint64_t without;          /* DP_HEADER_BIT of what is not told */
    bool no_length;            /* that of an answer without a body is not told: GET's has another */
    const char *sequence;      /* Davenport-Sequence; NULL: none */
    const char *region;        /* Davenport-Region; NULL: none */
    unsigned attempts;         /* Davenport-Attempts; 0: none */
    const char *via;           /* our pseudonym; NULL: no Via of ours */
    const char *host;          /* Host of the endpoint that it is from */
    struct dp_span missed;     /* regions that did not take what all should have; .n == 0: none */
    struct dp_origin origin;
    bool client_tls;       /* it came by TLS */
    struct dp_span fields; /* more of the head, "Name: value\r\n" each */
    bool injected;         /* the region's cookies are ours, and no business of the client's */
};
struct dp_span dp_forward_response_head(struct dp_arena *a, const struct dp_forward_response *f);

/* 100 or 103, for passing on: status line and end-to-end fields. */
struct dp_span dp_forward_interim_head(struct dp_arena *a, const struct dp_head *head);

/* An answer of our own. */
struct dp_forward_own {
    const char *region; /* that was asked last; NULL: none was, or it is not told */
    unsigned attempts;  /* 0: likewise */
    enum dp_err err; /* with a status; DP_OK: what an OPTIONS that ends here is told, or `body` */
    struct dp_span body;    /* of DP_OK: JSON; .p == NULL: none */
    struct dp_span fields;  /* more of the head, "Name: value\r\n" each */
    uint32_t retry_after_s; /* 0: no Retry-After */
    struct dp_span date;
    struct dp_span request_id; /* .n == 0: none */
    struct dp_span missed;     /* as above */
    bool head_only;            /* answer to HEAD */
    bool keep_alive;
    uint8_t client_minor;
};
/* The whole of it: errors in CouchDB's form. */
struct dp_span dp_forward_own(struct dp_arena *a, const struct dp_forward_own *f);
uint16_t dp_forward_own_status(enum dp_err err);
/* The length of its body. */
size_t dp_forward_own_bytes(enum dp_err err);

#endif
