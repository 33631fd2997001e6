/* The list of feeds to be ended. */
#include "proxy/feed_end.h"

#include "davenport/base/attr.h"

#include "proxy/exchange.h"

static void end_between(struct dp_exchange *x, uint64_t delay_ms, uint64_t spread_ms)
{
    struct dp_engine *e = x->engine;
    const uint64_t spread_ns = spread_ms * DP_NS_PER_MS;
    x->feed_end_ns =
        e->wheel.now_ns + delay_ms * DP_NS_PER_MS + dp_random_next(&e->random) % (spread_ns + 1);
    dp_list_remove(&x->awaited);
    dp_list_push_back(&e->feeds_ending, &x->awaited);
}

static void end_after(struct dp_exchange *x, uint64_t delay_ms)
{
    end_between(x, delay_ms, x->engine->config->feed_spread_ms);
}

bool dp_feed_retires(const struct dp_exchange *x)
{
    return x->engine->draining &&
           (x->couch.feed == DP_FEED_CONTINUOUS || x->couch.feed == DP_FEED_EVENTSOURCE);
}

void dp_feed_end_within(struct dp_exchange *x, uint64_t ms)
{
    const uint64_t spread_ms = x->engine->config->feed_spread_ms;
    if (!x->feed_dead) /* else it has its moment */
        end_between(x, 0, spread_ms < ms ? spread_ms : ms);
}

void dp_feed_end_dead(struct dp_exchange *x)
{
    if (x->feed_dead) { /* it has its moment; but a connection that broke since took it off the list */
        dp_list_remove(&x->awaited);
        dp_list_push_back(&x->engine->feeds_ending, &x->awaited);
        return;
    }
    x->feed_dead = true;
    if (x->engine->config->feed_spread_ms > 0)
        end_after(x, 0);
    else
        dp_relay_end_feed(x, true);
}

void dp_feed_moved(struct dp_exchange *x, const struct dp_view *view)
{
    const struct dp_proxy_config *c = x->engine->config;
    const uint16_t region = view->endpoints[x->endpoint].region;
    if (x->feed_dead || x->named.p || view->active == DP_NO_REGION)
        return;
    /* Its client would come back with a token of this region, which it then goes on in. */
    if (x->tagging && region != DP_VIEW_GONE && view->regions[region].state == DP_ROUTE_OK)
        return;
    if (view->active != region && c->feed_ends_on_move && dp_list_empty(&x->awaited))
        end_after(x, c->feed_grace_ms);
    else if (view->active == region && !dp_feed_retires(x))
        dp_list_remove(&x->awaited);
}

void dp_feed_begun(struct dp_exchange *x)
{
    const struct dp_view *now = x->engine->view->view;
    if (dp_feed_retires(x)) /* dp_engine_retire did not see it as a feed yet */
        dp_feed_end_within(x, x->engine->config->drain_timeout_ms / 2);
    if (now->active != x->view->view->active)
        dp_feed_moved(x, now);
}

void dp_feed_end_due(struct dp_engine *e)
{
    struct dp_list *all = &e->feeds_ending;
    for (struct dp_list *n = all->next, *next; n != all; n = next) {
        struct dp_exchange *x = DP_CONTAINER_OF(n, struct dp_exchange, awaited);
        next = n->next;
        if (x->feed_end_ns > e->wheel.now_ns)
            continue;
        dp_list_remove(n);
        dp_relay_end_feed(x, x->feed_dead);
    }
}
