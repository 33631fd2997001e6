/* Who asks, as a region is told: by the client's own fields, or by ours in their place. Pure. */
#ifndef DAVENPORT_PROXY_PROOF_H
#define DAVENPORT_PROXY_PROOF_H

#include "davenport/core/credential.h"
#include "davenport/http/writer.h"
#include "davenport/proxy/worker.h"

/* CouchDB's session cookie, and ours. */
#define DP_SESSION_COOKIE "AuthSession"

struct dp_proof {
    bool injected;                          /* ours: nothing of the client's passes */
    const struct dp_credential *credential; /* NULL: none, and the region takes us for nobody */
    const struct dp_client_user *user;      /* who the client is to us; NULL: we did not ask */
};

/* The fields of a request that do not pass as they came (DP_HEADER_BIT). */
uint64_t dp_proof_drops(const struct dp_proxy_config *c, const struct dp_proof *p);
/* What is written in their place, and how long that is at most. */
size_t dp_proof_bytes(const struct dp_head *h, const struct dp_proof *p);
void dp_write_proof(struct dp_writer *w, const struct dp_head *h, const struct dp_proof *p);

#endif
