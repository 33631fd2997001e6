/* One configuration with all that is made of it, shared by who works by it: the runtime, the governor, each worker. It goes
 * when the last of them lets go, on whatever thread that is. */
#ifndef DAVENPORT_SRC_APP_GENERATION_H
#define DAVENPORT_SRC_APP_GENERATION_H

#include "davenport/app/config.h"

#include "app/tls_load.h"

#include <stdatomic.h>

struct dp_generation {
    _Atomic uint32_t refs;
    const struct dp_config *config;
    struct dp_config *owned; /* the same, where it is ours to free */
    struct dp_proxy_config proxy;
    struct dp_control_config control; /* with the TLS of probes */
    struct dp_tls_load *tls;
};

/* One reference. `config` is borrowed, or with `own` taken over on success. On failure `why` tells people. */
DP_MUST_USE enum dp_err dp_generation_new(struct dp_config *own, const struct dp_config *config,
                                          const struct dp_tls_ticket_keys *keys, uint32_t n_workers,
                                          struct dp_generation **out, char why[DP_TLS_LOAD_WHY]);
struct dp_generation *dp_generation_ref(struct dp_generation *g);
void dp_generation_unref(void *g); /* NULL is fine */

#endif
