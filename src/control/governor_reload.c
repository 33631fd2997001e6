/* Another configuration in the place of the present one, while all goes on. What is known of a region is found again by its
 * name, what is known of an endpoint by its url in that region; the rest begins as at a start.
 *
 * Workers know endpoints by number, so one that stays keeps its number (the configuration is laid out so), and a number
 * that is given to another endpoint has been vacant for a generation. Prober and resolver are made anew; the old ones
 * close beside, and only then is the old configuration let go. */
#include "control/governor_state.h"

#include <stdlib.h>
#include <string.h>

/* An old configuration with what still uses it. */
struct retired {
    struct dp_governor *governor;
    unsigned parts;
    void (*release)(void *ctx);
    void *ctx;
};

struct numbers {
    uint16_t regions[DP_MAX_REGIONS];     /* by old number: the new one, or DP_NO_REGION */
    uint16_t endpoints[DP_MAX_ENDPOINTS]; /* by new number: the old one, or DP_MAX_ENDPOINTS */
    bool same;                            /* every region that stays kept its number */
};

static uint16_t region_named(const struct dp_control_config *c, const char *name)
{
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (strcmp(c->regions[i].name, name) == 0)
            return i;
    }
    return DP_NO_REGION;
}

/* The endpoint of `region` with this url, or DP_MAX_ENDPOINTS. */
static uint16_t endpoint_at(const struct dp_control_config *c, uint16_t region, const char *url)
{
    const struct dp_region_config *r = &c->regions[region];
    for (uint16_t i = r->first; i < r->first + r->n_endpoints; i++) {
        if (strcmp(c->endpoints[i].url, url) == 0)
            return i;
    }
    return DP_MAX_ENDPOINTS;
}

static void compare(const struct dp_control_config *old, const struct dp_control_config *next,
                    struct numbers *out)
{
    out->same = true;
    for (uint16_t i = 0; i < old->n_regions; i++) {
        out->regions[i] = region_named(next, old->regions[i].name);
        out->same = out->same && (out->regions[i] == i || out->regions[i] == DP_NO_REGION);
    }
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++)
        out->endpoints[i] = DP_MAX_ENDPOINTS;
    for (uint16_t i = 0; i < next->n_endpoints; i++) {
        const struct dp_endpoint_config *e = &next->endpoints[i];
        uint16_t was = e->url ? region_named(old, next->regions[e->region].name) : DP_NO_REGION;
        if (was != DP_NO_REGION)
            out->endpoints[i] = endpoint_at(old, was, e->url);
    }
}

static void on_retired(void *ctx)
{
    struct retired *r = ctx;
    if (--r->parts)
        return;
    struct dp_governor *g = r->governor;
    if (r->release)
        r->release(r->ctx);
    free(r);
    governor_part_closed(g);
}

static void retire(struct dp_governor *g, struct retired *r)
{
    *r = (struct retired){g, 3, g->release, g->release_ctx};
    g->retiring++;
    dp_prober_destroy(g->prober, on_retired, r);
    dp_resolver_destroy(g->resolver, on_retired, r);
    dp_keys_destroy(g->keys, on_retired, r);
}

/* A pool that kept its number drops its idle connections by a new epoch, not by another endpoint's. */
static void carry_endpoints(struct dp_governor *g, const struct numbers *n,
                            const struct governor_endpoint *old, const bool *renew)
{
    for (uint16_t i = 0; i < DP_MAX_ENDPOINTS; i++) {
        struct governor_endpoint *e = &g->endpoints[i];
        uint16_t was = n->endpoints[i];
        if (was == i) {
            e->pool_epoch += renew[g->config->endpoints[i].region];
            continue;
        }
        *e = was < DP_MAX_ENDPOINTS ? old[was] : (struct governor_endpoint){0};
        if (was == DP_MAX_ENDPOINTS && i < g->config->n_endpoints && !governor_vacant(g, i))
            governor_init_endpoint(g, i);
        e->pool_epoch = old[i].pool_epoch + 1;
        e->followed = 0;
        governor_begin_counting(g, i);
    }
}

/* What no probe asks any more says nothing any more; what is asked anew says it soon. */
static void forget_layers(struct dp_governor *g)
{
    const bool asked[DP_LAYER_COUNT] = {
        [DP_LAYER_UP] = true,
        [DP_LAYER_DATABASE] = g->config->n_probe_databases > 0,
        [DP_LAYER_CANARY] = g->config->canary_database != NULL,
    };
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        struct governor_endpoint *e = &g->endpoints[i];
        e->missing = 0; /* by the old list's numbers */
        for (unsigned l = DP_LAYER_UP + 1; l < DP_LAYER_COUNT; l++) {
            if (asked[l])
                continue;
            memset(&e->health.deep[l], 0, sizeof(e->health.deep[l]));
            e->layers[DP_STATUS_LAYER_UP + l] = (struct dp_layer_status){0};
        }
    }
}

/* What is kept by a region's number, in its new order. */
static void carry_regions(struct dp_governor *g, const struct numbers *n, uint16_t n_old)
{
    struct governor_region regions[DP_MAX_REGIONS] = {0};
    struct dp_standing drained[DP_MAX_REGIONS] = {0}, approved[DP_MAX_REGIONS] = {0};
    struct dp_standing faulted[DP_MAX_REGIONS] = {0};
    bool known[DP_MAX_REGIONS] = {false};
    for (uint16_t i = 0; i < n_old; i++) {
        uint16_t to = n->regions[i];
        if (to == DP_NO_REGION)
            continue;
        regions[to] = g->regions[i];
        drained[to] = g->drained[i];
        approved[to] = g->approved[i];
        faulted[to] = g->faulted[i];
        known[to] = true;
    }
    memcpy(g->regions, regions, sizeof(regions));
    memcpy(g->drained, drained, sizeof(drained));
    memcpy(g->approved, approved, sizeof(approved));
    memcpy(g->faulted, faulted, sizeof(faulted));
    memset(g->gate_told, 0, sizeof(g->gate_told));
    memset(g->settled_ns, 0, sizeof(g->settled_ns)); /* it is told anew, by the new numbers */
    g->calm_known = false;                           /* in the old numbers; soon known again */
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        if (known[i])
            governor_judge(g, i);
        else
            governor_init_region(g, i);
    }
    dp_failover_remap(&g->failover, n->regions, n_old);
    dp_orders_remap(&g->orders, n->regions, n_old);
    dp_faults_remap(&g->faults, n->regions, n_old);
}

/* The last decision in the new numbers, so that what changes now is told as a change. */
static void carry_decision(struct dp_governor *g, const struct numbers *n, uint16_t n_old)
{
    struct dp_failover_decision old = g->decision, *d = &g->decision;
    memset(d->held, 0, sizeof(d->held));
    for (uint16_t i = 0; i < n_old; i++) {
        if (n->regions[i] != DP_NO_REGION)
            d->held[n->regions[i]] = old.held[i];
    }
    d->ramp_from = g->failover.ramp_from;
}

static void decide(struct dp_governor *g, const char *left)
{
    struct dp_failover_region regions[DP_MAX_REGIONS];
    struct dp_failover_decision d;
    governor_regions(g, regions);
    dp_failover_step(&g->failover, &g->failover_config, regions, governor_now(g), &d);
    if (left && d.move == DP_MOVE_REGAINED)
        d.move = DP_MOVE_REMOVED;
    governor_carry_out(g, &d, &(struct governor_cause){.removed = left});
}

/* Tokens go on where nothing changed about them. */
static struct dp_keys *make_keys(struct dp_governor *g, const struct dp_control_config *next)
{
    struct dp_keys *keys = governor_make_keys(g, next);
    for (uint16_t i = 0; i < next->n_regions && keys; i++) {
        const uint16_t was = region_named(g->config, next->regions[i].name);
        if (was != DP_NO_REGION &&
            dp_keys_alike(&g->config->regions[was].key, &next->regions[i].key))
            dp_keys_carry(keys, i, g->keys, was);
    }
    return keys;
}

enum dp_err dp_governor_reload(struct dp_governor *g, const struct dp_governor_reload *reload)
{
    const struct dp_control_config *old = g->config, *next = reload->config;
    struct governor_endpoint *endpoints = malloc(sizeof(g->endpoints));
    struct retired *retired = malloc(sizeof(*retired));
    struct dp_keys *keys = make_keys(g, next);
    struct dp_prober *prober = keys ? governor_make_prober(g, next, keys) : NULL;
    struct dp_resolver *resolver = governor_make_resolver(g, next);
    struct numbers n;
    if (!endpoints || !retired || !prober || !resolver || !governor_reserve_view(g, next)) {
        if (prober)
            dp_prober_destroy(prober, NULL, NULL);
        if (resolver)
            dp_resolver_destroy(resolver, NULL, NULL);
        if (keys)
            dp_keys_destroy(keys, NULL, NULL);
        free(endpoints);
        free(retired);
        return DP_ENOMEM;
    }
    compare(old, next, &n);
    memcpy(endpoints, g->endpoints, sizeof(g->endpoints));
    const uint16_t active = g->failover.active;
    const char *left = active != DP_NO_REGION && n.regions[active] == DP_NO_REGION
                           ? old->regions[active].name
                           : NULL;
    retire(g, retired);
    governor_faults_leave(g, next, n.regions);
    g->config = next;
    g->release = reload->release;
    g->release_ctx = reload->ctx;
    g->prober = prober;
    g->resolver = resolver;
    g->keys = keys;
    g->generation++;
    if (!n.same)
        g->numbering = g->generation;
    governor_take_config(g, next);
    carry_endpoints(g, &n, endpoints, reload->renew);
    forget_layers(g);
    carry_regions(g, &n, old->n_regions);
    carry_decision(g, &n, old->n_regions);
    for (uint16_t i = 0; i < next->n_endpoints; i++) {
        if (n.endpoints[i] < DP_MAX_ENDPOINTS)
            dp_prober_move(prober, i, &g->endpoints[i].addrs);
    }
    dp_handover_moved(&g->handover); /* in the old numbers; it begins anew */
    memset(g->arrived, 0, sizeof(g->arrived));
    memset(g->lost_ns, 0, sizeof(g->lost_ns));
    memset(g->overdue_ns, 0, sizeof(g->overdue_ns)); /* nothing is on its way now */
    dp_replication_reload(g->replication, next, n.regions, old->n_regions);
    decide(g, left);
    governor_record_reload(g, true, reload->actor, reload->detail);
    governor_start_probing(g);
    free(endpoints);
    return DP_OK;
}
