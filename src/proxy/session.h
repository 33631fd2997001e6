/* Our own session cookie: who logged in and when, signed. As CouchDB's: base64url of "name:TIME:" and a MAC, TIME in seconds
 * since 1970 in hexadecimal. The MAC covers the password's hash too, so a new password ends all sessions. Pure. */
#ifndef DAVENPORT_PROXY_SESSION_H
#define DAVENPORT_PROXY_SESSION_H

#include "davenport/base/attr.h"
#include "davenport/base/base64.h"
#include "davenport/net/secret.h"
#include "davenport/proxy/worker.h"

#define DP_SESSION_PLAIN_BYTES (256 + 2 + 16 + DP_HMAC_BYTES)
#define DP_SESSION_BYTES       DP_BASE64_BYTES(DP_SESSION_PLAIN_BYTES)

/* NULL: there is no such user. */
const struct dp_client_user *dp_clients_find(const struct dp_clients_config *c,
                                             struct dp_span name);

/* The cookie's value; .n == 0: the library failed. key: of c->session_key. */
struct dp_span dp_session_make(const struct dp_client_user *user, struct dp_hmac_key *key,
                               int64_t now_s, char out[DP_SESSION_BYTES]);
/* Whose it is and how old; NULL: nobody's, by whatever fault. */
const struct dp_client_user *dp_session_read(const struct dp_clients_config *c,
                                             struct dp_hmac_key *key, struct dp_span value,
                                             int64_t now_s, uint32_t *age_s);

#endif
