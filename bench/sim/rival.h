/* What the models of other proxies share: regions of servers by preference, some of which are up, and what a check
 * says. */
#ifndef SIM_RIVAL_H
#define SIM_RIVAL_H

#include "subjects.h"

/* Without news of a server for so long nothing of the last is remembered. */
#define SIM_RIVAL_CALM (15 * SIM_S)

typedef bool sim_up(struct sim_car *c, unsigned endpoint);

static inline bool sim_check_passes(const struct sim_probe *p)
{
    return p->fate.answer == SIM_ANSWERED || p->fate.answer == SIM_CUT_SHORT;
}

/* So many of its servers are up. */
static inline unsigned sim_up_in(struct sim_car *c, unsigned region, sim_up *up)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->setting->nodes; i++)
        n += up(c, region * SIM_NODES + i);
    return n;
}

/* The next in turn of the region's servers that are up, or, with up NULL, of all. At least one must be. */
static inline unsigned sim_next_in(struct sim_car *c, unsigned region, sim_up *up, unsigned turn)
{
    for (unsigned i = 0;; i++) {
        unsigned e = region * SIM_NODES + (turn + i) % c->setting->nodes;
        if (!up || up(c, e))
            return e;
    }
}

/* The most preferred region with a server that is up, or SIM_NOWHERE. */
static inline unsigned sim_first_up(struct sim_car *c, sim_up *up)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        if (sim_up_in(c, r, up) > 0)
            return r;
    }
    return SIM_NOWHERE;
}

/* All checks begin within one interval. */
static inline void sim_begin_checks(struct sim_car *c, uint64_t interval)
{
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        if (sim_is_there(c, e))
            sim_probe_at(c, e, (uint64_t)(sim_unit(&c->own_random) * (double)interval));
    }
}

#endif
