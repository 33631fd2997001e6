/* The rules of core/failover.h, in the order in which a step applies them: note who was lost and
 * who has been up, leave what is lost, return where the hold is over, then derive the routes. */
#include "davenport/core/failover.h"

#include <string.h>

const char *dp_move_name(enum dp_move m)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_MOVE_TABLE(X)
#undef X
    };
    return m <= DP_MOVE_REGAINED ? names[m] : "?";
}

void dp_failover_init(struct dp_failover_state *s)
{
    memset(s, 0, sizeof(*s));
}

static bool lost(const struct dp_failover_state *s, const struct dp_failover_region *regions,
                 uint16_t i)
{
    return regions[i].health == DP_HEALTH_DOWN || regions[i].draining || s->drained[i];
}

static bool well(const struct dp_failover_state *s, const struct dp_failover_region *regions,
                 uint16_t i)
{
    return regions[i].health == DP_HEALTH_UP && !regions[i].slow && !lost(s, regions, i);
}

/* Time 0 is "not up" in up_since_ns, so a clock that begins at 0 is off by one nanosecond. */
static uint64_t mark(uint64_t now_ns)
{
    return now_ns ? now_ns : 1;
}

static bool hold_is_over(const struct dp_failover_state *s, const struct dp_failover_config *c,
                         uint16_t i, uint64_t now_ns)
{
    return s->up_since_ns[i] && now_ns >= s->up_since_ns[i] + c->hold_ns;
}

static void observe(struct dp_failover_state *s, const struct dp_failover_config *c,
                    const struct dp_failover_region *regions, uint64_t now_ns)
{
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (lost(s, regions, i) || (regions[i].slow && i != s->active))
            s->unsettled[i] = true;
        if (!well(s, regions, i))
            s->up_since_ns[i] = 0;
        else if (s->up_since_ns[i] == 0)
            s->up_since_ns[i] = mark(now_ns);
        if (hold_is_over(s, c, i, now_ns))
            s->unsettled[i] = false;
    }
    if (s->forced && !lost(s, regions, s->active))
        s->forced = false;
}

/* Up and settled, else up, else not known to be lost, a slow one last; among equals the most preferred. */
static uint16_t best_other(const struct dp_failover_state *s, const struct dp_failover_config *c,
                           const struct dp_failover_region *regions)
{
    uint16_t best = DP_NO_REGION;
    int best_rank = 0;
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (i == s->active || lost(s, regions, i))
            continue;
        int rank = regions[i].slow ? 1 : !well(s, regions, i) ? 2 : s->unsettled[i] ? 3 : 4;
        if (rank > best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    return best;
}

uint16_t dp_failover_heir(const struct dp_failover_state *s, const struct dp_failover_config *c,
                          const struct dp_failover_region *regions)
{
    return best_other(s, c, regions);
}

/* The most preferred region before the active one that is up: for the whole hold, or not yet. */
static uint16_t failback_target(const struct dp_failover_state *s,
                                const struct dp_failover_config *c, bool over, uint64_t now_ns)
{
    uint16_t end = s->active == DP_NO_REGION ? 0 : s->active;
    for (uint16_t i = 0; i < end && i < c->n_regions; i++) {
        if (s->up_since_ns[i] && hold_is_over(s, c, i, now_ns) == over)
            return i;
    }
    return DP_NO_REGION;
}

uint64_t dp_failover_dwell_left(const struct dp_failover_state *s,
                                const struct dp_failover_config *c, uint64_t now_ns)
{
    uint64_t over = s->moved_at_ns + c->dwell_ns;
    return s->moved_at_ns && over > now_ns ? over - now_ns : 0;
}

static void move_to(struct dp_failover_state *s, uint16_t to, enum dp_move move, uint64_t now_ns,
                    struct dp_failover_decision *out)
{
    out->move = move;
    out->after = to;
    if (move != DP_MOVE_NONE)
        s->moved_at_ns = mark(now_ns);
    s->active = to;
    s->pinned = false;
    s->forced = false;
}

static bool must_leave(const struct dp_failover_state *s, const struct dp_failover_config *c,
                       const struct dp_failover_region *regions)
{
    if (s->active == DP_NO_REGION)
        return true;
    if (s->drained[s->active])
        return true;
    if (s->forced || s->frozen)
        return false;
    if (lost(s, regions, s->active))
        return true;
    /* An operator who pinned a region wants it, slow or not. */
    if (!regions[s->active].slow || s->pinned)
        return false;
    uint16_t to = best_other(s, c, regions);
    return to != DP_NO_REGION && well(s, regions, to) && !s->unsettled[to];
}

static void leave(struct dp_failover_state *s, const struct dp_failover_config *c,
                  const struct dp_failover_region *regions, uint64_t now_ns,
                  struct dp_failover_decision *out)
{
    uint16_t to = best_other(s, c, regions);
    enum dp_move move = DP_MOVE_FAILOVER;
    if (s->active == DP_NO_REGION)
        move = DP_MOVE_REGAINED;
    else if (to == DP_NO_REGION)
        move = DP_MOVE_LOST;
    else if (s->drained[s->active])
        move = DP_MOVE_DRAIN;
    if (to != s->active)
        move_to(s, to, move, now_ns, out);
}

static bool returns_by_itself(const struct dp_failover_state *s, const struct dp_failover_config *c)
{
    return c->automatic && !s->pinned && !s->frozen;
}

/* A region that is held may lack data, so a request that failed in the active region goes there
 * only when no settled region is left to take it. */
static void derive(const struct dp_failover_state *s, const struct dp_failover_config *c,
                   const struct dp_failover_region *regions, uint64_t now_ns,
                   struct dp_failover_decision *out)
{
    bool settled_other = false;
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (i != s->active && !lost(s, regions, i) && !s->unsettled[i])
            settled_other = true;
    }
    for (uint16_t i = 0; i < c->n_regions; i++) {
        out->held[i] = i != s->active && !lost(s, regions, i) && s->unsettled[i];
        if (i == s->active)
            out->routes[i] = DP_ROUTE_OK;
        else if (regions[i].health == DP_HEALTH_DOWN)
            out->routes[i] = DP_ROUTE_DOWN;
        else if (lost(s, regions, i) || (out->held[i] && settled_other))
            out->routes[i] = DP_ROUTE_BARRED;
        else
            out->routes[i] = DP_ROUTE_OK;
    }
    out->waiting = DP_NO_REGION;
    if (!returns_by_itself(s, c))
        return;
    uint64_t dwell_over = now_ns + dp_failover_dwell_left(s, c, now_ns);
    out->waiting = failback_target(s, c, true, now_ns); /* for the dwell alone */
    if (out->waiting == DP_NO_REGION)
        out->waiting = failback_target(s, c, false, now_ns);
    if (out->waiting == DP_NO_REGION)
        return;
    out->failback_at_ns = s->up_since_ns[out->waiting] + c->hold_ns;
    if (out->failback_at_ns < dwell_over)
        out->failback_at_ns = dwell_over;
}

void dp_failover_step(struct dp_failover_state *s, const struct dp_failover_config *c,
                      const struct dp_failover_region *regions, uint64_t now_ns,
                      struct dp_failover_decision *out)
{
    memset(out, 0, sizeof(*out));
    out->before = s->active;
    out->after = s->active;
    observe(s, c, regions, now_ns);
    if (must_leave(s, c, regions)) {
        leave(s, c, regions, now_ns, out);
    } else if (returns_by_itself(s, c) && dp_failover_dwell_left(s, c, now_ns) == 0) {
        uint16_t to = failback_target(s, c, true, now_ns);
        if (to != DP_NO_REGION) {
            out->held_ns = now_ns - s->up_since_ns[to];
            move_to(s, to, DP_MOVE_FAILBACK, now_ns, out);
        }
    }
    derive(s, c, regions, now_ns, out);
}

bool dp_failover_switch(struct dp_failover_state *s, const struct dp_failover_config *c,
                        const struct dp_failover_region *regions, uint16_t target, bool force,
                        uint64_t now_ns, struct dp_failover_decision *out)
{
    if (s->drained[target] || (lost(s, regions, target) && !force))
        return false;
    memset(out, 0, sizeof(*out));
    observe(s, c, regions, now_ns);
    out->before = s->active;
    move_to(s, target, s->active == target ? DP_MOVE_NONE : DP_MOVE_SWITCH, now_ns, out);
    s->pinned = true;
    s->home = target;
    s->forced = lost(s, regions, target);
    derive(s, c, regions, now_ns, out);
    return true;
}
