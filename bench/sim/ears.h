/* The governor's ears in the simulation: see ears.c. Numbers are the governor's, endpoints the simulation's. */
#ifndef SIM_EARS_H
#define SIM_EARS_H

#include "davenport/base/addr.h"

#include "helm.h"

struct dp_prober;
struct dp_resolver;

/* The probe that was set is due. */
void sim_ears_ask(struct sim_car *c, struct dp_prober *p, unsigned endpoint, uint16_t number);
void sim_ears_hear(struct sim_car *c, struct dp_prober *p, unsigned endpoint, uint16_t number,
                   const struct sim_probe *probe);
/* A lookup ended. */
void sim_ears_name(struct dp_resolver *r, uint16_t number, unsigned endpoint, unsigned address,
                   bool good);
/* Where an endpoint is, when its name has moved so often. */
void sim_ears_address(unsigned endpoint, unsigned address, uint16_t port, struct dp_addrs *out);

#endif
