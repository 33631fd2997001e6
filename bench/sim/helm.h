/* The real control plane of one sidecar on the virtual clock: the governor of src/control with all that it decides by,
 * at what the configuration says. Real are its looks at the counters, kicks, doubt, trials, regions of several endpoints,
 * holds, ramps, views and journal lines. Not real are its ears: probes and lookups are the simulation's (ears.c). */
#ifndef SIM_HELM_H
#define SIM_HELM_H

#include "davenport/control/governor.h"
#include "davenport/core/failover.h"
#include "davenport/proxy/worker.h"

#include "car.h"

struct dp_config;

struct sim_helm {
    struct dp_config *parsed;
    struct dp_control_config control;
    struct dp_proxy_config proxy;
    struct dp_clock clock;
    struct dp_traffic *traffic; /* of the one worker */
    const struct dp_traffic *workers[1];
    struct dp_governor *governor;
    unsigned place[SIM_ENDPOINTS];    /* the governor's number of each endpoint */
    unsigned endpoint[SIM_ENDPOINTS]; /* and back */
    /* When the quiet stretch began: what probes took, how often answers to requests came, and the last one. */
    uint64_t usual_ns[SIM_ENDPOINTS], heard_ns[SIM_ENDPOINTS];
    double rate[SIM_ENDPOINTS];
};

/* publish: a view, as in dp_governor_options; called with `c`. Aborts where something is wrong with the
 * configuration. */
void sim_helm_begin(struct sim_car *c, struct sim_helm *h,
                    void (*publish)(void *car, struct dp_view *view));
void sim_helm_end(struct sim_helm *h);
/* The sample timer is due; an attempt ended badly or is late. */
void sim_helm_look(struct sim_helm *h);
void sim_helm_kick(struct sim_helm *h);
/* As the subject's callbacks. */
void sim_helm_probe_due(struct sim_car *c, struct sim_helm *h, unsigned endpoint);
void sim_helm_probe_ended(struct sim_car *c, struct sim_helm *h, unsigned endpoint,
                          const struct sim_probe *p);
void sim_helm_looked_up(struct sim_car *c, struct sim_helm *h, unsigned endpoint, bool good);
bool sim_helm_settled(const struct sim_car *c, const struct sim_helm *h, unsigned endpoint,
                      bool dark);
bool sim_helm_calm(const struct sim_helm *h);
uint64_t sim_helm_interval(const struct sim_helm *h, unsigned endpoint);
uint64_t sim_helm_timed(const struct sim_helm *h);
void sim_helm_leaving(struct sim_helm *h);
void sim_helm_leapt(struct sim_car *c, struct sim_helm *h, uint64_t span, bool ticked);
const struct dp_failover_decision *sim_helm_decision(const struct sim_helm *h);
uint64_t sim_helm_doubts(const struct sim_helm *h);

#endif
