/* Happy eyeballs: the order of addresses, and when the next one starts. */
#include "proxy/race.h"

#include <assert.h>
#include <string.h>

static uint16_t find(const struct dp_addr_book *b, const struct dp_addr *a)
{
    for (uint16_t i = 0; i < b->addrs.n; i++) {
        if (b->addrs.at[i].port == a->port && strcmp(b->addrs.at[i].ip, a->ip) == 0)
            return i;
    }
    return DP_NO_ADDR;
}

void dp_addr_book_init(struct dp_addr_book *b, const struct dp_addrs *addrs)
{
    *b = (struct dp_addr_book){.addrs = *addrs, .good = DP_NO_ADDR};
}

bool dp_addr_book_adopt(struct dp_addr_book *b, const struct dp_addrs *addrs)
{
    struct dp_addr_book fresh;
    if (dp_addrs_same(&b->addrs, addrs))
        return false;
    dp_addr_book_init(&fresh, addrs);
    for (uint16_t i = 0; i < b->addrs.n; i++) {
        uint16_t k = find(&fresh, &b->addrs.at[i]);
        if (k == DP_NO_ADDR)
            continue;
        fresh.failed_ns[k] = b->failed_ns[i];
        if (b->good == i)
            fresh.good = k;
    }
    *b = fresh;
    return true;
}

void dp_addr_book_worked(struct dp_addr_book *b, const struct dp_addr *a)
{
    uint16_t i = find(b, a);
    if (i == DP_NO_ADDR)
        return;
    b->failed_ns[i] = 0;
    b->good = i;
}

void dp_addr_book_failed(struct dp_addr_book *b, const struct dp_addr *a, uint64_t now_ns)
{
    uint16_t i = find(b, a);
    if (i == DP_NO_ADDR)
        return;
    b->failed_ns[i] = now_ns ? now_ns : 1;
    if (b->good == i)
        b->good = DP_NO_ADDR;
}

static bool shunned(const struct dp_addr_book *b, uint16_t i, uint64_t now_ns)
{
    return b->failed_ns[i] && now_ns < b->failed_ns[i] + DP_ADDR_SHUN_NS;
}

void dp_addr_book_order(const struct dp_addr_book *b, uint64_t now_ns, struct dp_addrs *out)
{
    uint16_t back[DP_MAX_ADDRS], n_back = 0;
    out->n = 0;
    if (b->good != DP_NO_ADDR)
        out->at[out->n++] = b->addrs.at[b->good];
    for (uint16_t i = 0; i < b->addrs.n; i++) {
        if (i == b->good)
            continue;
        if (!shunned(b, i, now_ns)) {
            out->at[out->n++] = b->addrs.at[i];
            continue;
        }
        uint16_t k = n_back++; /* sort it in */
        for (; k > 0 && b->failed_ns[back[k - 1]] > b->failed_ns[i]; k--)
            back[k] = back[k - 1];
        back[k] = i;
    }
    for (uint16_t i = 0; i < n_back; i++)
        out->at[out->n++] = b->addrs.at[back[i]];
}

void dp_race_init(struct dp_race *r, uint16_t n, uint64_t delay_ns)
{
    *r = (struct dp_race){.n = n, .delay_ns = delay_ns, .due_ns = UINT64_MAX};
}

bool dp_race_step(struct dp_race *r, enum dp_race_event e, uint64_t now_ns, uint16_t *which)
{
    if (e == DP_RACE_FAILED) {
        assert(r->failed < r->started);
        r->failed++;
    }
    if (r->started == r->n || (e == DP_RACE_DUE && now_ns < r->due_ns))
        return false;
    *which = r->started++;
    r->due_ns = r->started < r->n ? now_ns + r->delay_ns : UINT64_MAX;
    return true;
}

bool dp_race_lost(const struct dp_race *r)
{
    return r->failed == r->n;
}
