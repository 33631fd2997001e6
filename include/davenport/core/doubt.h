/* Am I the one that is cut off? When every region falls silent within a short span, the likelier fault is our own
 * network, and no move helps. Pure.
 *
 *         every region silent,                    the active region is well, or a while has
 *         all within `span`                       passed since any region answered anything
 *   OFF ───────────────────────► ON ─────────────────────────────────────────────────────► OFF
 *
 * Regions that fall silent one after another are not doubted about: that is how real outages look. Neither is
 * one that answers, however badly: the network to it works. A single region's silence says nothing of whose fault it is.
 *
 * After our network's return the regions are trusted one by one, in an order that chance decides. So the doubt
 * lasts for `grace` more, unless the active region is well before: no failover to whoever was first. */
#ifndef DAVENPORT_CORE_DOUBT_H
#define DAVENPORT_CORE_DOUBT_H

#include "davenport/core/view.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_doubt_config {
    uint16_t n_regions;
    uint64_t span_ns, grace_ns;
};

/* What is known of a region: silent since when (0: it is not), and else whether it answers well (trusted),
 * badly, or not yet often enough to be trusted (neither). */
struct dp_doubt_region {
    uint64_t silent_since_ns;
    bool well, bad;
};

struct dp_doubt_state {
    bool on;
    uint64_t since_ns;    /* of `on` */
    uint64_t answered_ns; /* while on: some region answered decidedly at this time; 0: none has */
};

/* True: `on` changed. active: DP_NO_REGION where there is none. */
bool dp_doubt_step(struct dp_doubt_state *s, const struct dp_doubt_config *c,
                   const struct dp_doubt_region *regions, uint16_t active, uint64_t now_ns);

#endif
