/* See proof.h. */
#include "proxy/proof.h"

#include "davenport/base/base64.h"
#include "davenport/http/cookie.h"
#include "davenport/net/secret.h"

/* Names of the three fields, and the longest signature. */
#define ASSERTED_BYTES 256

static const uint64_t asserted = DP_HEADER_BIT(DP_HEADER_X_AUTH_COUCHDB_USERNAME) |
                                 DP_HEADER_BIT(DP_HEADER_X_AUTH_COUCHDB_ROLES) |
                                 DP_HEADER_BIT(DP_HEADER_X_AUTH_COUCHDB_TOKEN);

uint64_t dp_proof_drops(const struct dp_proxy_config *c, const struct dp_proof *p)
{
    uint64_t drops = c->passes_assertions ? 0 : asserted;
    if (p->injected)
        drops |=
            asserted | DP_HEADER_BIT(DP_HEADER_AUTHORIZATION) | DP_HEADER_BIT(DP_HEADER_COOKIE);
    return drops;
}

size_t dp_proof_bytes(const struct dp_head *h, const struct dp_proof *p)
{
    if (!p->injected)
        return 0;
    size_t n = (p->credential ? p->credential->n : 0) + ASSERTED_BYTES;
    if (p->user)
        n += strlen(p->user->name) + strlen(p->user->roles);
    return dp_head_has(h, DP_HEADER_COOKIE) ? n + 2 * h->raw.n : n;
}

/* CouchDB's proxy_authentication_handler: the token signs the name. */
static void write_asserted(struct dp_writer *w, const struct dp_proof *p)
{
    unsigned char mac[DP_HMAC_BYTES];
    char hex[2 * DP_HMAC_BYTES];
    const struct dp_span name = dp_span_str(p->user->name);
    const size_t n = dp_hmac(p->credential->sha256 ? DP_HMAC_SHA256 : DP_HMAC_SHA1,
                             dp_credential_text(p->credential), &name, 1, mac);
    dp_hex(mac, n, hex);
    dp_write_header(w, DP_SPAN("X-Auth-CouchDB-UserName"), name);
    dp_write_header(w, DP_SPAN("X-Auth-CouchDB-Roles"), dp_span_str(p->user->roles));
    dp_write_header(w, DP_SPAN("X-Auth-CouchDB-Token"), (struct dp_span){hex, 2 * n});
}

void dp_write_proof(struct dp_writer *w, const struct dp_head *h, const struct dp_proof *p)
{
    if (!p->injected)
        return;
    if (dp_head_has(h, DP_HEADER_COOKIE))
        dp_write_cookies_without(w, h, DP_SPAN(DP_SESSION_COOKIE));
    if (!p->credential)
        return;
    if (p->credential->type != DP_CREDENTIAL_COUCHDB_PROXY)
        dp_write_bytes(w, dp_credential_text(p->credential));
    else if (p->user)
        write_asserted(w, p);
}
