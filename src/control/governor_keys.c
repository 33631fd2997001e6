/* Keys and routing: a region whose key is refused or over serves, but not us. Its health is not touched; it is left as one
 * in maintenance is, and barred, for requests would come there as nobody. */
#include "control/governor_state.h"

#include <stdio.h>

/* A start without a token moves nothing for so long. */
#define PATIENCE_MS 5000

bool governor_keyless(const struct dp_governor *g, uint16_t region)
{
    return dp_keys_missing(g->keys, region);
}

bool governor_locked_out(const struct dp_governor *g, uint16_t region)
{
    struct dp_key_status s;
    if (!dp_keys_missing(g->keys, region))
        return false;
    dp_keys_status(g->keys, region, &s);
    return s.state != DP_KEY_WAITING || dp_clock_wall_ms(g->clock) - s.since_wall_ms > PATIENCE_MS;
}

bool governor_awaits_key(const struct dp_governor *g, uint16_t region)
{
    struct dp_key_status s;
    dp_keys_status(g->keys, region, &s);
    return (s.state == DP_KEY_WAITING || s.state == DP_KEY_EXPIRED) &&
           g->decision.routes[region] == DP_ROUTE_OK;
}

enum dp_route_state governor_route(const struct dp_governor *g, uint16_t region)
{
    const enum dp_route_state s = g->decision.routes[region];
    return s == DP_ROUTE_OK && governor_keyless(g, region) ? DP_ROUTE_BARRED : s;
}

static void record(struct dp_governor *g, uint16_t region, enum dp_keys_event event)
{
    static const char *const names[] = {
        [DP_KEYS_RENEWED] = "credentials_renewed",
        [DP_KEYS_RESTORED] = "credentials_in_use",
        [DP_KEYS_WITHHELD] = "credentials_withheld",
        [DP_KEYS_FAILING] = "token_unavailable",
    };
    static const char *const reasons[] = {
        [DP_KEYS_RENEWED] = "another token than before",
        [DP_KEYS_RESTORED] = "nothing speaks against them any more",
        [DP_KEYS_WITHHELD] = ("nobody uses them until they are tried again; this does not count "
                              "against the region"),
        [DP_KEYS_FAILING] = "what is in use stays in use until its time is over",
    };
    struct dp_key_status s;
    dp_keys_status(g->keys, region, &s);
    const struct dp_kv kv[] = {
        DP_KV_STR("region", governor_region_name(g, region)),
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", reasons[event]),
        DP_KV_STR("type", dp_credential_type_name(s.type)),
        DP_KV_STR("state", dp_key_state_name(s.state)),
        DP_KV_STR("detail", s.why),
    };
    dp_journal_write(g->journal, g->view->epoch, names[event], kv, DP_ARRAY_LEN(kv));
    const enum dp_log_level level = event == DP_KEYS_WITHHELD  ? DP_LOG_ERROR
                                    : event == DP_KEYS_FAILING ? DP_LOG_WARN
                                                               : DP_LOG_INFO;
    dp_log(level, names[event], DP_KV_STR("region", governor_region_name(g, region)),
           DP_KV_STR("type", dp_credential_type_name(s.type)),
           DP_KV_STR("state", dp_key_state_name(s.state)), DP_KV_STR("detail", s.why));
}

static void on_event(void *ctx, uint16_t region, enum dp_keys_event event)
{
    struct dp_governor *g = ctx;
    if (g->dead || !g->started)
        return;
    const struct dp_region_config *r = &g->config->regions[region];
    for (uint16_t i = r->first; i < r->first + r->n_endpoints; i++)
        dp_prober_key(g->prober, i, dp_keys_for_us(g->keys, region));
    if (g->view->regions[region].credential != dp_keys_for_requests(g->keys, region))
        governor_publish_again(g);
    if (event != DP_KEYS_RENEWED)
        record(g, region, event);
    governor_settle(g, governor_now(g));
}

struct dp_keys *governor_make_keys(struct dp_governor *g, const struct dp_control_config *c)
{
    struct dp_keys_target targets[DP_MAX_REGIONS];
    for (uint16_t i = 0; i < c->n_regions; i++)
        targets[i] = (struct dp_keys_target){.config = &c->regions[i].key,
                                             .url = c->endpoints[c->regions[i].first].url,
                                             .tls = c->regions[i].tls};
    return dp_keys_new(&(struct dp_keys_options){.loop = g->opt.loop,
                                                 .clock = g->clock,
                                                 .retry_ms = c->key_retry_ms,
                                                 .event = on_event,
                                                 .ctx = g},
                       targets, c->n_regions);
}
