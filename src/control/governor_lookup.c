/* What lookups bring: new addresses go into the view and to the prober; failures are told once, and when they end.
 *
 * The order that a lookup gives is taken with a change only: name servers turn it round with every answer, and that
 * is no news. Connections to addresses that stay are the workers' to keep (proxy/pool.c).
 *
 * Probes go first where the workers' connections go: an address that can't be used is found out by dialing it, and a
 * region is as well as the address that its requests take. */
#include "control/governor_state.h"

#include <stdio.h>
#include <string.h>

static void record_addresses(struct dp_governor *g, uint16_t endpoint,
                             const struct dp_addrs *before)
{
    const struct dp_endpoint_config *c = &g->config->endpoints[endpoint];
    char was[DP_ADDRS_TEXT], is[DP_ADDRS_TEXT];
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_name_at(g, endpoint)),
        DP_KV_STR("before", dp_addrs_text(before, was)),
        DP_KV_STR("after", dp_addrs_text(&g->endpoints[endpoint].addrs, is)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason",
                  "its name has these addresses now; connections to others are not used again"),
        DP_KV_STR("host", c->lookup),
    };
    dp_journal_write(g->journal, g->view->epoch, "address", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_INFO, "address", DP_KV_STR("region", governor_name_at(g, endpoint)),
           DP_KV_STR("before", was), DP_KV_STR("after", is), DP_KV_INT("epoch", g->view->epoch));
}

static void record_failed(struct dp_governor *g, uint16_t endpoint)
{
    const struct dp_endpoint_config *c = &g->config->endpoints[endpoint];
    const struct governor_endpoint *e = &g->endpoints[endpoint];
    char kept[DP_ADDRS_TEXT];
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_name_at(g, endpoint)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", e->addrs.n ? "its name does not resolve; its last addresses are used on"
                                       : "its name does not resolve and never did"),
        DP_KV_STR("host", c->lookup),
        DP_KV_STR("detail", e->lookup.why),
    };
    dp_journal_write(g->journal, g->view->epoch, "lookup_failed", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_WARN, "lookup_failed", DP_KV_STR("region", governor_name_at(g, endpoint)),
           DP_KV_STR("detail", e->lookup.why),
           DP_KV_STR("addresses", dp_addrs_text(&e->addrs, kept)));
}

static void record_recovered(struct dp_governor *g, uint16_t endpoint)
{
    const struct dp_endpoint_config *c = &g->config->endpoints[endpoint];
    const struct governor_lookup *l = &g->endpoints[endpoint].lookup;
    int64_t ms = l->last_wall_ms - l->failing_since_ms;
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_name_at(g, endpoint)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", "its name resolves again"),
        DP_KV_STR("host", c->lookup),
        DP_KV_INT("failed_for_ms", ms),
    };
    dp_journal_write(g->journal, g->view->epoch, "lookup_recovered", kv, DP_ARRAY_LEN(kv));
    dp_log(DP_LOG_INFO, "lookup_recovered", DP_KV_STR("region", governor_name_at(g, endpoint)),
           DP_KV_INT("failed_for_ms", ms));
}

static void failed(struct dp_governor *g, uint16_t endpoint, const char *why)
{
    struct governor_lookup *l = &g->endpoints[endpoint].lookup;
    bool news = l->failing_since_ms == 0;
    l->failed++;
    (void)snprintf(l->why, sizeof(l->why), "%s", why);
    if (!news)
        return;
    l->failing_since_ms = l->last_wall_ms;
    record_failed(g, endpoint);
}

static void found(struct dp_governor *g, uint16_t endpoint, const struct dp_addrs *addrs)
{
    struct governor_endpoint *e = &g->endpoints[endpoint];
    struct dp_addrs before = e->addrs;
    e->lookup.ok++;
    e->lookup.good_wall_ms = e->lookup.last_wall_ms;
    e->lookup.why[0] = '\0';
    if (e->lookup.failing_since_ms)
        record_recovered(g, endpoint);
    e->lookup.failing_since_ms = 0;
    if (dp_addrs_same(&before, addrs))
        return;
    e->addrs = *addrs;
    e->followed = 0;
    dp_prober_move(g->prober, endpoint, addrs);
    governor_publish_if_changed(g);
    record_addresses(g, endpoint, &before);
}

void governor_resolved(void *governor, uint16_t endpoint, const struct dp_addrs *addrs,
                       const char *why)
{
    struct dp_governor *g = governor;
    g->endpoints[endpoint].lookup.last_wall_ms = dp_clock_wall_ms(g->clock);
    if (addrs->n > 0)
        found(g, endpoint, addrs);
    else
        failed(g, endpoint, why);
}

/* `a` with the tagged address in front. False: it is not among them. */
static bool in_front(const struct dp_addrs *a, uint64_t tag, struct dp_addrs *out)
{
    uint16_t i = 0;
    while (i < a->n && dp_addr_tag(&a->at[i]) != tag)
        i++;
    if (i == a->n)
        return false;
    *out = *a;
    memmove(&out->at[1], &out->at[0], i * sizeof(out->at[0]));
    out->at[0] = a->at[i];
    return true;
}

void governor_follow(struct dp_governor *g, uint16_t endpoint)
{
    struct governor_endpoint *e = &g->endpoints[endpoint];
    struct dp_addrs order;
    for (uint32_t w = 0; w < g->n_workers && e->addrs.n > 1; w++) {
        uint64_t tag = dp_counter_get(&g->traffic[w]->endpoints[endpoint].address);
        if (tag != 0 && tag == e->followed)
            return;
        if (tag != 0 && in_front(&e->addrs, tag, &order)) {
            e->followed = tag;
            dp_prober_move(g->prober, endpoint, &order);
            return;
        }
    }
}
