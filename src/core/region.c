/* Counting members, as core/region.h says. */
#include "davenport/core/region.h"

static bool serves(const struct dp_region_member *m)
{
    return m->health != DP_HEALTH_DOWN && !m->draining && !m->trial;
}

static bool may_serve(const struct dp_region_member *m)
{
    return m->health != DP_HEALTH_DOWN && !m->draining;
}

static bool alive(const struct dp_region_member *m)
{
    return m->health != DP_HEALTH_DOWN;
}

struct tally {
    uint16_t members; /* that were counted */
    uint16_t up, suspect, quick;
};

typedef bool choice(const struct dp_region_member *m);

static struct tally count(const struct dp_region_member *m, uint16_t n, choice *counts)
{
    struct tally t = {0};
    for (uint16_t i = 0; i < n; i++) {
        if (!counts(&m[i]))
            continue;
        t.members++;
        t.up = (uint16_t)(t.up + (m[i].health == DP_HEALTH_UP));
        t.suspect = (uint16_t)(t.suspect + (m[i].health == DP_HEALTH_SUSPECT));
        t.quick = (uint16_t)(t.quick + !m[i].slow);
    }
    return t;
}

/* The best that `need` of them are. */
static enum dp_health health_of(const struct tally *t, uint16_t need)
{
    if (t->up >= need)
        return DP_HEALTH_UP;
    return t->up + t->suspect >= need ? DP_HEALTH_SUSPECT : DP_HEALTH_UNKNOWN;
}

static void judge(const struct dp_region_member *m, uint16_t n, uint32_t up_percent,
                  struct dp_region_look *out)
{
    uint16_t need = (uint16_t)(((uint32_t)n * up_percent + 99) / 100);
    struct tally serving = count(m, n, serves), perhaps = count(m, n, may_serve),
                 living = count(m, n, alive);
    if (need == 0)
        need = 1;
    *out = (struct dp_region_look){.members = n, .serving = serving.members, .need = need};
    for (uint16_t i = 0; i < n; i++)
        out->unprovisioned = out->unprovisioned || (m[i].unprovisioned && alive(&m[i]));
    if (serving.members < need && perhaps.members >= need) {
        out->trial = true;
        out->health = DP_HEALTH_SUSPECT;
        out->slow = perhaps.quick < need;
        return;
    }
    if (serving.members >= need) {
        out->health = health_of(&serving, need);
        out->slow = serving.quick < need;
        return;
    }
    out->draining = false;
    out->slow = true;
    for (uint16_t i = 0; i < n; i++) {
        out->draining = out->draining || m[i].draining;
        out->slow = out->slow && m[i].slow;
    }
    out->health = living.members >= need ? health_of(&living, need) : DP_HEALTH_DOWN;
}

void dp_region_judge(const struct dp_region_member *m, uint16_t n, uint32_t up_percent,
                     struct dp_region_look *out)
{
    judge(m, n, up_percent, out);
    for (uint16_t i = 0; i < n; i++)
        out->slow_trial = out->slow_trial || (out->slow && m[i].slow_trial && alive(&m[i]));
}

static unsigned class_of(const struct dp_region_member *m)
{
    if (serves(m))
        return m->slow ? 3 : 4;
    if (may_serve(m))
        return 2;
    return alive(m) ? 1 : 0;
}

void dp_region_routes(const struct dp_region_member *m, uint16_t n, enum dp_route_state region,
                      enum dp_route_state *out)
{
    unsigned best = 0;
    for (uint16_t i = 0; i < n; i++)
        best = class_of(&m[i]) > best ? class_of(&m[i]) : best;
    for (uint16_t i = 0; i < n; i++) {
        if (region != DP_ROUTE_OK)
            out[i] = alive(&m[i]) ? region : DP_ROUTE_DOWN;
        else if (class_of(&m[i]) == best)
            out[i] = DP_ROUTE_OK;
        else
            out[i] = alive(&m[i]) ? DP_ROUTE_BARRED : DP_ROUTE_DOWN;
    }
}
