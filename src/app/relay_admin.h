/* What the admin server of a relay answers, and the words its faults are given in.
 *
 *   GET /   PUT /fault {"kind": …}   DELETE /fault[/KIND]   GET /healthz */
#ifndef DAVENPORT_SRC_APP_RELAY_ADMIN_H
#define DAVENPORT_SRC_APP_RELAY_ADMIN_H

#include "davenport/base/attr.h"
#include "davenport/drill/relay.h"

#include "app/admin.h"

#define DP_RELAY_WHY 200

/* Read {"kind":"latency","ms":800,"for_ms":60000}. False: `why` tells what is wrong. */
DP_MUST_USE bool dp_relay_fault_read(struct dp_span json, struct dp_relay_fault *out,
                                     uint64_t *for_ms, char why[DP_RELAY_WHY]);
/* As struct dp_admin_source.answer; its ctx is a struct dp_relay. */
void dp_relay_answer(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer);

#endif
