/* How one region is proved to who we are, as configured, and how that stands. */
#ifndef DAVENPORT_CONTROL_KEYS_H
#define DAVENPORT_CONTROL_KEYS_H

#include "davenport/core/credential.h"

#include <stdint.h>

/* Strings that are not of the type's are NULL. Immutable while the governor has it. */
struct dp_key_config {
    enum dp_credential_type type;
    const char *username; /* BASIC; of probes alone: PASSTHROUGH (NULL: none), COUCHDB_PROXY */
    const char *password; /* with it; a secret */
    const char *roles;    /* COUCHDB_PROXY: of username, "a,b"; NULL: none */
    const char *api_key, *token_url; /* IAM; the key is a secret */
    const char *token_file;          /* BEARER */
    const char *secret;              /* COUCHDB_PROXY */
    bool sha256;                     /* its HMAC; else SHA-1 */
};

#define DP_KEY_STATE_TABLE(X)                                                                      \
    X(NONE, "none")       /* requests carry their client's, and probes none */                     \
    X(GOOD, "in_use")     /* nothing speaks against it */                                          \
    X(WAITING, "waiting") /* there is no token yet */                                              \
    X(REFUSED, "refused") /* by the region: used by nobody until it is tried again */              \
    X(EXPIRED, "expired") /* the token's time is over and there is no new one */

enum dp_key_state {
#define X(name, label) DP_KEY_##name,
    DP_KEY_STATE_TABLE(X)
#undef X
        DP_KEY_STATE_COUNT
};
const char *dp_key_state_name(enum dp_key_state s);

#define DP_KEY_WHY 192

/* Wall times in ms; 0: never, or none. */
struct dp_key_status {
    enum dp_credential_type type;
    enum dp_key_state state;
    bool injected;
    int64_t since_wall_ms;   /* of the state */
    int64_t renewed_wall_ms; /* a token: when we got it */
    int64_t ends_wall_ms;    /* a token: when it is not used any more */
    int64_t retry_wall_ms;   /* REFUSED: when it is tried again */
    uint64_t refusals, renewals,
        failures; /* since the start: by the region; tokens got, and not got */
    char why
        [DP_KEY_WHY]; /* of REFUSED, EXPIRED, WAITING, or of the last failed renewal; "": all is well */
};

#endif
