/* Drills in the data path: an attempt whose region has a fault in the view (core/fault.h) is made to fare as it says. The
 * places that send something ask only where the view has any fault: see dp_view.faulty. What is under way when a fault
 * begins is left alone, and what met one fares so until it ends, also when the fault is over meanwhile. */
#ifndef DAVENPORT_PROXY_FAULT_H
#define DAVENPORT_PROXY_FAULT_H

#include "davenport/core/fault.h"

struct dp_exchange;
struct dp_engine;
struct dp_upstream;

/* A request of x's is to be sent to `endpoint` on `up`, which is handed over: what does it meet? `up` fares so from here
 * on; but with REFUSED nothing was done to it, and it is to be used as if it had never been asked for. */
enum dp_fault_kind dp_fault_meet(struct dp_exchange *x, uint16_t endpoint, struct dp_upstream *up);

/* Time moves on: slow answers may be read now, flaky connections break. */
void dp_fault_due(struct dp_engine *e);

#endif
