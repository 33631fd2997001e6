/* See refresh.h. */
#include "davenport/core/refresh.h"

#define NS_PER_MS UINT64_C(1000000)

void dp_refresh_init(struct dp_refresh *r, uint64_t now_ns)
{
    *r = (struct dp_refresh){.next_ns = now_ns};
}

bool dp_refresh_due(const struct dp_refresh *r, uint64_t now_ns)
{
    return !r->asking && now_ns >= r->next_ns;
}

bool dp_refresh_usable(const struct dp_refresh *r, uint64_t now_ns)
{
    return r->have && now_ns < r->ends_ns;
}

void dp_refresh_asked(struct dp_refresh *r, uint64_t now_ns)
{
    r->asking = true;
    r->asked_ns = now_ns;
}

void dp_refresh_got(struct dp_refresh *r, uint64_t life_ns)
{
    const uint64_t margin = DP_REFRESH_MARGIN_MS * NS_PER_MS;
    r->asking = false;
    r->have = true;
    r->failures = 0;
    if (life_ns == 0) {
        r->ends_ns = r->next_ns = UINT64_MAX;
        return;
    }
    r->ends_ns = r->asked_ns + life_ns - (life_ns / 10 < margin ? life_ns / 10 : margin);
    r->next_ns = r->asked_ns + life_ns / 5 * 4;
    if (r->next_ns < r->asked_ns + DP_REFRESH_AGAIN_MS * NS_PER_MS)
        r->next_ns = r->asked_ns + DP_REFRESH_AGAIN_MS * NS_PER_MS;
}

void dp_refresh_failed(struct dp_refresh *r, uint64_t now_ns, uint64_t at_least_ns)
{
    uint64_t wait_ms = DP_REFRESH_AGAIN_MS;
    r->asking = false;
    for (uint32_t i = 0; i < r->failures && wait_ms < DP_REFRESH_AGAIN_MAX_MS; i++)
        wait_ms *= 2;
    if (wait_ms > DP_REFRESH_AGAIN_MAX_MS)
        wait_ms = DP_REFRESH_AGAIN_MAX_MS;
    r->failures++;
    r->next_ns = now_ns + (wait_ms * NS_PER_MS > at_least_ns ? wait_ms * NS_PER_MS : at_least_ns);
}

void dp_refresh_discard(struct dp_refresh *r)
{
    const uint64_t soonest = r->asked_ns + DP_REFRESH_AGAIN_MS * NS_PER_MS;
    r->have = false;
    if (r->next_ns > soonest)
        r->next_ns = soonest;
}
