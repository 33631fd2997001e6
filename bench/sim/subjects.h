/* What is compared. */
#ifndef SIM_SUBJECTS_H
#define SIM_SUBJECTS_H

#include "car.h"

extern const struct sim_subject sim_davenport, sim_haproxy, sim_envoy;

#endif
