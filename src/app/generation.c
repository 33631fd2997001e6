/* The life of a configuration in force. */
#include "app/generation.h"

#include <stdlib.h>

enum dp_err dp_generation_new(struct dp_config *own, const struct dp_config *config,
                              const struct dp_tls_ticket_keys *keys, uint32_t n_workers,
                              struct dp_generation **out, char why[DP_TLS_LOAD_WHY])
{
    struct dp_generation *g = calloc(1, sizeof *g);
    if (!g) {
        abort(); /* small and fixed */
    }
    atomic_init(&g->refs, 1);
    g->config = config;
    enum dp_err err = dp_tls_load_new(config, keys, n_workers, &g->tls, why);
    if (err != DP_OK) {
        free(g);
        return err;
    }
    g->owned = own;
    dp_config_proxy(config, &g->proxy);
    dp_config_control(config, &g->control);
    for (uint16_t i = 0; i < config->n_regions; i++) {
        g->control.regions[i].tls = dp_tls_load_probe(g->tls, i);
    }
    *out = g;
    return DP_OK;
}

struct dp_generation *dp_generation_ref(struct dp_generation *g)
{
    (void)atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void dp_generation_unref(void *generation)
{
    struct dp_generation *g = generation;
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    dp_tls_load_free(g->tls);
    dp_config_destroy(g->owned);
    free(g);
}
