/* The keys of all regions: credentials are made, renewed, withheld when a region refuses them, and tried again.
 *
 *             token there            a region said no
 *   WAITING ───────────────► GOOD ───────────────────► REFUSED
 *      ▲                     │  ▲                         │ after retry_ms, or with a new token: one question,
 *      │          its time is│  │ new token               │ GET /_session
 *      │              over   ▼  │                         │
 *      └──────────────────── EXPIRED                      └──► GOOD, or REFUSED for another retry_ms
 *
 * CouchDB locks a user out after five wrong passwords from one address, and all applications behind this proxy share its
 * address: so the first no ends the use of a key at once, for requests, probes and whatever else we ask. Workers and
 * probes hear it first and mark the credential itself (core/credential.h); here follows what comes of that.
 * A 401 that may mean something else is settled by asking, too.
 *
 * Control thread. Callbacks never run inside dp_keys_new and dp_keys_destroy. */
#ifndef DAVENPORT_SRC_CONTROL_KEYS_H
#define DAVENPORT_SRC_CONTROL_KEYS_H

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/client/fetch.h"
#include "davenport/control/keys.h"

typedef struct uv_loop_s uv_loop_t;

struct dp_keys;

enum dp_keys_event {
    DP_KEYS_RENEWED,  /* another credential than before, and nothing was wrong */
    DP_KEYS_RESTORED, /* it is in use again, or for the first time */
    DP_KEYS_WITHHELD, /* the region refused it, or it expired: an alarm */
    DP_KEYS_FAILING   /* no new token could be had: the first failure in a row */
};

struct dp_keys_options {
    uv_loop_t *loop;
    const struct dp_clock *clock;
    uint32_t retry_ms;
    void (*event)(void *ctx, uint16_t region, enum dp_keys_event event);
    void *ctx;
};

struct dp_keys_target {
    const struct dp_key_config *config; /* borrowed */
    const char *url;                    /* of one of its endpoints; copied */
    const struct dp_fetch_tls *tls;     /* borrowed */
};

/* What needs no token is ready at once. NULL when out of memory. */
DP_MUST_USE struct dp_keys *dp_keys_new(const struct dp_keys_options *opt,
                                        const struct dp_keys_target *targets, uint16_t n);
/* Region `to` is configured as region `from` of `old` was: go on with its tokens and what is known of them. The old one's
 * are not used any more. Before the first tick. */
void dp_keys_carry(struct dp_keys *k, uint16_t to, struct dp_keys *old, uint16_t from);
/* Are they configured alike? */
DP_MUST_USE bool dp_keys_alike(const struct dp_key_config *a, const struct dp_key_config *b);
/* Time has passed: ask for what is due, see what was said. */
void dp_keys_tick(struct dp_keys *k);
void dp_keys_destroy(struct dp_keys *k, void (*done)(void *ctx), void *ctx);

/* Borrowed until the next tick or event; NULL: none now. What requests carry, and what we ask with ourselves. */
struct dp_credential *dp_keys_for_requests(const struct dp_keys *k, uint16_t region);
struct dp_credential *dp_keys_for_us(const struct dp_keys *k, uint16_t region);
/* Requests must carry one, and there is none that may be used. */
bool dp_keys_missing(const struct dp_keys *k, uint16_t region);
void dp_keys_status(const struct dp_keys *k, uint16_t region, struct dp_key_status *out);

#endif
