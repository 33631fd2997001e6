/* When a token that ends by itself is asked for again. Pure: time comes in.
 *
 * Asked for at 80 % of its life, so that a service that is out for a while is not noticed; taken for over a little before
 * its end, so that no request meets that on its way; and kept in use until then, whatever the service says meanwhile. */
#ifndef DAVENPORT_CORE_REFRESH_H
#define DAVENPORT_CORE_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

/* How long before its end a token is not used any more; of a short life a tenth. */
#define DP_REFRESH_MARGIN_MS 10000
/* Between two asks after a failure: doubled from the first to the last. */
#define DP_REFRESH_AGAIN_MS     1000
#define DP_REFRESH_AGAIN_MAX_MS 60000

struct dp_refresh {
    bool have;
    bool asking;       /* one ask at a time */
    uint64_t asked_ns; /* the one under way, or the last */
    uint64_t ends_ns;  /* have: not to be used from then on */
    uint64_t next_ns;  /* not before */
    uint32_t failures; /* in a row */
};

void dp_refresh_init(struct dp_refresh *r, uint64_t now_ns);
bool dp_refresh_due(const struct dp_refresh *r, uint64_t now_ns);
bool dp_refresh_usable(const struct dp_refresh *r, uint64_t now_ns);
void dp_refresh_asked(struct dp_refresh *r, uint64_t now_ns);
/* Its life counts from the ask on: that is the safe side. life_ns 0: it does not end. */
void dp_refresh_got(struct dp_refresh *r, uint64_t life_ns);
/* at_least_ns: nothing is asked before; for an answer that will not be another one soon. */
void dp_refresh_failed(struct dp_refresh *r, uint64_t now_ns, uint64_t at_least_ns);
/* What we have is worth nothing: ask now, but not within a second of the last ask. */
void dp_refresh_discard(struct dp_refresh *r);

#endif
