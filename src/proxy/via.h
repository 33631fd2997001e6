/* The way a request came and how far it may go: Via, Forwarded, X-Forwarded-*, Max-Forwards. Pure. */
#ifndef DAVENPORT_PROXY_VIA_H
#define DAVENPORT_PROXY_VIA_H

#include "davenport/base/err.h"
#include "davenport/http/writer.h"
#include "davenport/proxy/worker.h"

/* Who asked, and how. */
struct dp_way {
    const char *peer; /* the client's address */
    bool tls;         /* it came by TLS */
};

/* The fields of a request that its policies do not let through as they came (DP_HEADER_BIT). */
uint64_t dp_way_drops(const struct dp_proxy_config *c);
/* What is written in their place; needs at most twice the head's size and DP_WAY_BYTES. */
#define DP_WAY_BYTES 384
void dp_write_way(struct dp_writer *w, const struct dp_head *h, const struct dp_proxy_config *c,
                  const struct dp_way *way);

/* "Via: 1.1 davenport"; minor: of the version in which the message came. */
void dp_write_via(struct dp_writer *w, uint8_t minor, const char *pseudonym);
/* How often Via names `pseudonym` already. */
unsigned dp_via_count(const struct dp_head *h, const char *pseudonym);

/* Max-Forwards of an OPTIONS request (RFC 9110 7.6.2); of others it means nothing. Errors: EBADREQUEST (not one
 * number). */
#define DP_NO_HOPS UINT64_MAX /* no such limit */
DP_MUST_USE enum dp_err dp_hops_left(const struct dp_head *h, uint64_t *out);

#endif
