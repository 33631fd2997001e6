/* Probes: asks endpoints how they are and says what the answers mean. When to ask, even beside a question that waits, and
 * how long for an answer, is health's decision; the prober keeps the timers. Odd probes use a connection of
 * their own, even ones a kept one: a region can fail for either alone. Control thread; callbacks
 * never run inside a call.
 *
 * The simulator has its own (bench/sim/ears.c), behind the same calls.
 *
 * The deeper layers follow a good answer of the first, at their own, longer interval, or with every probe while they
 * fail.
 *
 * A drill's fault (core/fault.h) makes a probe of the first layer fare as it says: it gets no answer, is refused or
 * reset without having been sent, or its answer is told later. */
#ifndef DAVENPORT_CONTROL_PROBER_H
#define DAVENPORT_CONTROL_PROBER_H

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/client/fetch.h"
#include "davenport/core/credential.h"
#include "davenport/core/fault.h"
#include "davenport/core/health.h"
#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_prober;

/* Probes of one endpoint under way at a time. */
#define DP_MAX_ASKS 16

#define DP_PROBE_DETAIL 160

struct dp_probe_result {
    enum dp_probe_layer layer;
    enum dp_probe_kind kind;
    enum dp_err err; /* DP_OK: an answer came */
    uint16_t status; /* 0: no answer */
    bool reused;
    bool connected;     /* see dp_fetch_result */
    bool reached;       /* see dp_fetch_result */
    bool without_keys;  /* our credentials were held back, see prober.c */
    bool login_refused; /* it is our name or password that is wrong, see couch/login.h */
    uint32_t missing;   /* of the target's databases, those that are not there: a bit each */
    uint64_t started_ns, total_ns;
    uint64_t connect_ns, tls_ns;  /* of a fresh connection, as far as it came: from the start */
    char detail[DP_PROBE_DETAIL]; /* for people: "200 in 3 ms", "timed out after 1000 ms" */
};

/* Where and how one endpoint is probed. Strings are copied. */
struct dp_probe_target {
    const char *url; /* scheme://host[:port][/prefix] */
    const char *path;
    struct dp_credential *key;      /* NULL: none. A reference is taken: see dp_prober_key */
    const struct dp_fetch_tls *tls; /* NULL: defaults; not copied: see dp_prober_trust */
    /* For the deeper layers; 0, NULL: not asked. */
    const char *const *databases;
    const char *canary_database;
    const char *canary_id; /* of the document that the canary writes */
    uint16_t n_databases;  /* at most DP_MAX_PROBE_DATABASES */
    struct dp_addrs addrs; /* connected to; none: resolved from the URL */
};

struct dp_prober_options {
    uv_loop_t *loop;
    const struct dp_clock *clock;
    uint32_t timeout_ms;
    uint32_t deep_interval_ms, deep_timeout_ms;
    uint32_t race_delay_ms; /* see dp_fetch_request */
    /* A probe begins: how long it may take. NULL: timeout_ms. */
    uint32_t (*asked)(void *ctx, uint16_t endpoint);
    /* And what a drill makes of it: NULL, or a fault that is looked at during the call only. NULL itself: no drills. */
    const struct dp_fault *(*fault)(void *ctx, uint16_t endpoint);
    void (*result)(void *ctx, uint16_t endpoint, const struct dp_probe_result *r);
    void *ctx;
};

/* NULL when out of memory. */
DP_MUST_USE struct dp_prober *dp_prober_new(const struct dp_prober_options *opt,
                                            const struct dp_probe_target *targets, uint16_t n);
/* The next probe of `endpoint` begins at `at_ns` (the injected clock's), or as soon as one ends where
 * DP_MAX_ASKS are under way. Replaces what was set before. */
void dp_prober_set(struct dp_prober *p, uint16_t endpoint, uint64_t at_ns);
/* From the next probe on, connect there. */
void dp_prober_move(struct dp_prober *p, uint16_t endpoint, const struct dp_addrs *addrs);
/* From the next probe on, trust and show what `tls` says (NULL: defaults), which outlives the prober or the next
 * such call. */
void dp_prober_trust(struct dp_prober *p, uint16_t endpoint, const struct dp_fetch_tls *tls);
/* From the next probe on, ask with this key (NULL: none), whatever was said of the one before. A reference is taken. */
void dp_prober_key(struct dp_prober *p, uint16_t endpoint, struct dp_credential *key);
/* For other questions to the endpoint: all that they have in common with probes, but the url. False: its credentials
 * were refused, and are not used for now. */
DP_MUST_USE bool dp_prober_request(const struct dp_prober *p, uint16_t endpoint,
                                   struct dp_fetch_request *out);
/* Such a question was answered with 401: are the credentials good? */
void dp_prober_refused(struct dp_prober *p, uint16_t endpoint);
/* Cancels. `done` runs when the memory is gone. May be called from a result callback. */
void dp_prober_destroy(struct dp_prober *p, void (*done)(void *ctx), void *ctx);

/* What an answer to a probe means: couchdb-wise, by status and body. Pure. `what` (may be NULL) is
 * set to the word that a draining node gave, NUL ended. */
#define DP_PROBE_WORD 32
enum dp_probe_kind dp_probe_classify(enum dp_probe_layer layer, enum dp_err err, uint16_t status,
                                     struct dp_span body, char what[DP_PROBE_WORD]);

#endif
