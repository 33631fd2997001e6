/* Who asks: where requests carry our credentials, applications prove to us who they are, by Basic or by a session of ours
 * (`_session`, as CouchDB has it).
 *
 *   cookie good ───────────────────────────────────► admitted
 *   Basic: verified before (cache) ────────────────► admitted
 *          not yet: hashed on another thread ─right─► admitted
 *                                            └wrong─► 401, counted; too many: 403 whatever comes
 *   nothing: 401, but where certificates are enough
 *
 * A password's hash takes long on purpose, so it is computed in a pool, one at a time a worker, and what was found right is
 * remembered as an HMAC under a key of this process: later requests pay that alone. Who waits for the same password waits
 * for the same computation. A worker's own. */
#ifndef DAVENPORT_PROXY_CLIENTS_H
#define DAVENPORT_PROXY_CLIENTS_H

#include "davenport/base/err.h"
#include "davenport/base/list.h"
#include "davenport/base/span.h"
#include "davenport/net/secret.h"
#include "davenport/proxy/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_exchange;

/* Something to be done on another thread, then told on this one: `done` never runs inside the call. */
struct dp_hash_job {
    void (*work)(struct dp_hash_job *job);
    void (*done)(struct dp_hash_job *job);
};
/* Tests put a double here; ctx is dial_ctx. Errors: ENOMEM. */
typedef enum dp_err (*dp_hash_fn)(void *ctx, struct dp_hash_job *job);

#define DP_CLIENTS_KNOWN 256

struct dp_clients {
    struct dp_list queue;                         /* (dp_login.node), the first one is at work */
    uint32_t waiting;                             /* jobs in it */
    struct dp_hmac_key *known_key, *session_key;  /* NULL: not made yet */
    unsigned char session_bytes[DP_SECRET_BYTES]; /* what it was made of */
    unsigned char known[DP_CLIENTS_KNOWN][DP_HMAC_BYTES]; /* verified; zero: none */
};

void dp_clients_init(struct dp_clients *c);
void dp_clients_fini(struct dp_clients *c);

/* May the request go on? True: x->user says whose it is. False: it waits, or was answered and is gone. */
bool dp_clients_admit(struct dp_exchange *x);
/* A fresh cookie as a field, in the arena; .n == 0: out of memory, and the old one lives on. */
struct dp_span dp_clients_renewed(struct dp_exchange *x);

#endif
