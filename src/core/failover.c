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
    return m < DP_MOVE_COUNT ? names[m] : "?";
}

const char *dp_no_region_name(enum dp_no_region p)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_NO_REGION_TABLE(X)
#undef X
    };
    return p <= DP_NO_REGION_PRIMARY ? names[p] : "?";
}

void dp_failover_init(struct dp_failover_state *s)
{
    memset(s, 0, sizeof(*s));
    s->ramp_from = DP_NO_REGION;
}

static uint16_t mapped(const uint16_t *map, uint16_t n, uint16_t i)
{
    return i < n ? map[i] : DP_NO_REGION;
}

void dp_failover_remap(struct dp_failover_state *s, const uint16_t *map, uint16_t n)
{
    struct dp_failover_state old = *s;
    dp_failover_init(s);
    for (uint16_t i = 0; i < n; i++) {
        uint16_t to = map[i];
        if (to == DP_NO_REGION)
            continue;
        s->drained[to] = old.drained[i];
        s->approved[to] = old.approved[i];
        s->unsettled[to] = old.unsettled[i];
        s->was_up[to] = old.was_up[i];
        s->heard_of_ns[to] = old.heard_of_ns[i];
        s->up_since_ns[to] = old.up_since_ns[i];
        s->away[to] = old.away[i];
        s->falls[to] = old.falls[i];
    }
    s->active = mapped(map, n, old.active);
    s->last = mapped(map, n, old.last);
    s->home = old.home == 0 ? 0 : mapped(map, n, old.home); /* 0: the most preferred, whichever */
    s->ramp_from = mapped(map, n, old.ramp_from);
    s->ramp_done_ns = old.ramp_done_ns;
    s->ramp_seen_ns = old.ramp_seen_ns;
    s->moved_at_ns = old.moved_at_ns;
    s->frozen = old.frozen;
    bool here = s->active != DP_NO_REGION;
    s->pinned = here && old.pinned;
    s->forced = here && old.forced;
    s->open = here && old.open;
    if (!here)
        s->ramp_from = DP_NO_REGION;
    if (s->home == DP_NO_REGION)
        s->home = 0;
    if (s->last == DP_NO_REGION)
        s->last = 0;
}

static bool lost(const struct dp_failover_state *s, const struct dp_failover_region *regions,
                 uint16_t i)
{
    return regions[i].health == DP_HEALTH_DOWN || regions[i].draining || s->drained[i];
}

static bool well(const struct dp_failover_state *s, const struct dp_failover_region *regions,
                 uint16_t i)
{
    return regions[i].health == DP_HEALTH_UP && !regions[i].slow && !regions[i].unprovisioned &&
           !lost(s, regions, i);
}

/* Time 0 is "not up" in up_since_ns, so a clock that begins at 0 is off by one nanosecond. */
static uint64_t mark(uint64_t now_ns)
{
    return now_ns ? now_ns : 1;
}

uint64_t dp_failover_hold_ns(const struct dp_failover_state *s, const struct dp_failover_config *c,
                             uint16_t i)
{
    uint64_t hold = c->hold_ns;
    for (unsigned fall = 1; fall < s->falls[i] && hold < c->hold_max_ns; fall++)
        hold = hold < c->hold_max_ns / 2 ? hold * 2 : c->hold_max_ns;
    return hold;
}

static bool well_for(const struct dp_failover_state *s, uint16_t i, uint64_t ns, uint64_t now_ns)
{
    return s->up_since_ns[i] && now_ns >= s->up_since_ns[i] + ns;
}

static bool hold_is_over(const struct dp_failover_state *s, const struct dp_failover_config *c,
                         uint16_t i, uint64_t now_ns)
{
    return well_for(s, i, dp_failover_hold_ns(s, c, i), now_ns);
}

/* Nothing is forgotten before the longest hold is over. */
static uint64_t forget_ns(const struct dp_failover_config *c)
{
    uint64_t longest = c->hold_max_ns > c->hold_ns ? c->hold_max_ns : c->hold_ns;
    return c->forget_ns > longest ? c->forget_ns : longest;
}

/* Not up yet, and perhaps about to be. */
static bool is_starting(const struct dp_failover_state *s, const struct dp_failover_config *c,
                        const struct dp_failover_region *r, uint16_t i, uint64_t now_ns)
{
    return r->health == DP_HEALTH_DOWN && !s->was_up[i] && !s->drained[i] && c->start_ns > 0 &&
           now_ns < s->heard_of_ns[i] + c->start_ns;
}

/* What an operator drains did not fall. */
static void count_falls(struct dp_failover_state *s, const struct dp_failover_config *c,
                        const struct dp_failover_region *r, uint16_t i, uint64_t now_ns)
{
    bool away =
        (r->health == DP_HEALTH_DOWN || r->draining || r->slow) && !is_starting(s, c, r, i, now_ns);
    if (away && !s->away[i] && s->falls[i] < UINT8_MAX)
        s->falls[i]++;
    s->away[i] = away;
    if (well_for(s, i, forget_ns(c), now_ns))
        s->falls[i] = 0;
}

static void observe(struct dp_failover_state *s, const struct dp_failover_config *c,
                    const struct dp_failover_region *regions, uint64_t now_ns)
{
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (s->heard_of_ns[i] == 0)
            s->heard_of_ns[i] = mark(now_ns);
        s->was_up[i] = s->was_up[i] || regions[i].health == DP_HEALTH_UP;
        if (lost(s, regions, i) || i == s->active)
            s->approved[i] = false;
        if ((lost(s, regions, i) && !is_starting(s, c, &regions[i], i, now_ns)) ||
            ((regions[i].slow || regions[i].unprovisioned) && i != s->active))
            s->unsettled[i] = true;
        if (!well(s, regions, i))
            s->up_since_ns[i] = 0;
        else if (s->up_since_ns[i] == 0)
            s->up_since_ns[i] = mark(now_ns);
        count_falls(s, c, &regions[i], i, now_ns);
        if (hold_is_over(s, c, i, now_ns) && !regions[i].unready)
            s->unsettled[i] = false;
    }
    if (s->forced && !lost(s, regions, s->active))
        s->forced = false;
}

/* Up and settled, else up, else not known to be lost, then a slow one, and one without its database last; among equals
 * one that speaks, and then the most preferred. */
static uint16_t best_other(const struct dp_failover_state *s, const struct dp_failover_config *c,
                           const struct dp_failover_region *regions)
{
    uint16_t best = DP_NO_REGION;
    int best_rank = 0;
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (i == s->active || lost(s, regions, i))
            continue;
        int rank = regions[i].unprovisioned ? 1
                   : regions[i].slow        ? 2
                   : !well(s, regions, i)   ? 3
                   : s->unsettled[i]        ? 4
                                            : 5;
        rank = 2 * rank + !regions[i].mute;
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

/* The most preferred region before the active one that is up, its hold over or not yet, shut or not. */
static uint16_t failback_target(const struct dp_failover_state *s,
                                const struct dp_failover_config *c,
                                const struct dp_failover_region *regions, bool over, bool shut,
                                uint64_t now_ns)
{
    uint16_t end = s->active == DP_NO_REGION ? 0 : s->active;
    for (uint16_t i = 0; i < end && i < c->n_regions; i++) {
        if (s->up_since_ns[i] && hold_is_over(s, c, i, now_ns) == over && regions[i].shut == shut)
            return i;
    }
    return DP_NO_REGION;
}

/* The region that traffic will return to: who waits for the dwell alone, for its hold too, or for its gate. */
static uint16_t waiting(const struct dp_failover_state *s, const struct dp_failover_config *c,
                        const struct dp_failover_region *regions, uint64_t now_ns)
{
    static const struct {
        bool over, shut;
    } order[] = {{true, false}, {false, false}, {true, true}, {false, true}};
    uint16_t found = DP_NO_REGION;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && found == DP_NO_REGION; i++)
        found = failback_target(s, c, regions, order[i].over, order[i].shut, now_ns);
    return found;
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
    if (s->active != DP_NO_REGION)
        s->last = s->active;
    s->active = to;
    s->pinned = false;
    s->forced = false;
    s->open = move == DP_MOVE_OPEN;
    s->ramp_from = DP_NO_REGION;
}

/* Where it would go there may be nobody either: a moment will tell. */
static bool nobody_speaks(const struct dp_failover_state *s, const struct dp_failover_config *c,
                          const struct dp_failover_region *regions)
{
    uint16_t to = best_other(s, c, regions);
    return to != DP_NO_REGION && regions[to].mute;
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
        return !nobody_speaks(s, c, regions);
    /* An operator who pinned a region wants it, slow or not. */
    if (!regions[s->active].slow || s->pinned)
        return false;
    uint16_t to = best_other(s, c, regions);
    return to != DP_NO_REGION && well(s, regions, to) && !s->unsettled[to] && !regions[to].mute;
}

/* With every region lost: who is used all the same. What is drained stays so: it was drained on purpose. */
static uint16_t last_resort(const struct dp_failover_state *s, const struct dp_failover_config *c,
                            const struct dp_failover_region *regions)
{
    uint16_t last = s->active == DP_NO_REGION ? s->last : s->active;
    if (c->no_region == DP_NO_REGION_REFUSE)
        return DP_NO_REGION;
    if (c->no_region == DP_NO_REGION_LAST_GOOD && last < c->n_regions && !s->drained[last] &&
        !regions[last].draining)
        return last;
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (!s->drained[i] && !regions[i].draining)
            return i;
    }
    return DP_NO_REGION;
}

static void leave(struct dp_failover_state *s, const struct dp_failover_config *c,
                  const struct dp_failover_region *regions, uint64_t now_ns,
                  struct dp_failover_decision *out)
{
    uint16_t to = best_other(s, c, regions);
    enum dp_move move = DP_MOVE_FAILOVER;
    if (to == DP_NO_REGION) {
        to = last_resort(s, c, regions);
        move = to == DP_NO_REGION ? DP_MOVE_LOST : DP_MOVE_OPEN;
    } else if (s->active == DP_NO_REGION || s->open) {
        move = DP_MOVE_REGAINED;
    } else if (s->drained[s->active]) {
        move = DP_MOVE_DRAIN;
    }
    if (to != s->active || (move == DP_MOVE_OPEN && !s->open))
        move_to(s, to, move, now_ns, out);
}

/* ---- the ramp ---- */

/* Its time stands still while frozen, and while the region is in doubt. It ends early when who takes the rest was lost. */
static void go_up_the_ramp(struct dp_failover_state *s, const struct dp_failover_config *c,
                           uint64_t now_ns)
{
    uint16_t from = s->ramp_from;
    if (from == DP_NO_REGION)
        return;
    if (!s->frozen && s->up_since_ns[s->active])
        s->ramp_done_ns += now_ns - s->ramp_seen_ns;
    s->ramp_seen_ns = now_ns;
    if (s->ramp_done_ns >= c->ramp_ns || s->unsettled[from])
        s->ramp_from = DP_NO_REGION;
}

/* In steps, so that only so many views are made of it. */
static uint16_t share(const struct dp_failover_state *s, const struct dp_failover_config *c)
{
    if (s->ramp_from == DP_NO_REGION || c->ramp_ns == 0)
        return 100;
    uint64_t steps = s->ramp_done_ns / (c->ramp_ns / (100 / DP_RAMP_STEP_PERCENT) + 1);
    uint64_t percent = (steps + 1) * DP_RAMP_STEP_PERCENT;
    return (uint16_t)(percent < 100 ? percent : 100);
}

static void begin_ramp(struct dp_failover_state *s, const struct dp_failover_config *c,
                       uint16_t from, uint64_t now_ns)
{
    if (c->ramp_ns == 0)
        return;
    s->ramp_from = from;
    s->ramp_done_ns = 0;
    s->ramp_seen_ns = now_ns;
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
    bool active_lives = s->active != DP_NO_REGION && !lost(s, regions, s->active);
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (i != s->active && !lost(s, regions, i) && !s->unsettled[i])
            settled_other = true;
    }
    for (uint16_t i = 0; i < c->n_regions; i++) {
        out->held[i] = i != s->active && !lost(s, regions, i) && s->unsettled[i];
        if (i == s->active)
            out->routes[i] = DP_ROUTE_OK;
        else if (i == s->ramp_from && !lost(s, regions, i)) /* held or not, it had the traffic */
            out->routes[i] = DP_ROUTE_OK;
        else if (regions[i].health == DP_HEALTH_DOWN)
            out->routes[i] = DP_ROUTE_DOWN;
        else if (lost(s, regions, i) || (out->held[i] && settled_other) ||
                 (regions[i].unprovisioned && (settled_other || active_lives)))
            out->routes[i] = DP_ROUTE_BARRED;
        else
            out->routes[i] = DP_ROUTE_OK;
    }
    out->open = s->open;
    out->share_percent = share(s, c);
    out->ramp_from = s->ramp_from;
    out->waiting = DP_NO_REGION;
    if (!returns_by_itself(s, c))
        return;
    uint64_t dwell_over = now_ns + dp_failover_dwell_left(s, c, now_ns);
    out->waiting = waiting(s, c, regions, now_ns);
    if (out->waiting == DP_NO_REGION)
        return;
    out->failback_at_ns = s->up_since_ns[out->waiting] + dp_failover_hold_ns(s, c, out->waiting);
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
    go_up_the_ramp(s, c, now_ns);
    if (s->open && !lost(s, regions, s->active)) {
        move_to(s, s->active, DP_MOVE_REGAINED, now_ns, out);
    } else if (must_leave(s, c, regions)) {
        leave(s, c, regions, now_ns, out);
    } else if (returns_by_itself(s, c) && dp_failover_dwell_left(s, c, now_ns) == 0) {
        uint16_t to = failback_target(s, c, regions, true, false, now_ns);
        if (to != DP_NO_REGION && !regions[to].mute) {
            out->held_ns = now_ns - s->up_since_ns[to];
            move_to(s, to, DP_MOVE_FAILBACK, now_ns, out);
            begin_ramp(s, c, out->before, now_ns);
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
