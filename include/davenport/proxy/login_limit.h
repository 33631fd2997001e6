/* How many wrong passwords came lately: by name and address, and by address alone, over all workers.
 *
 * A table of atomics like address_limit.h's: a slot is one word. It is bounded: where too many differ at once the oldest
 * are forgotten. Any thread. */
#ifndef DAVENPORT_PROXY_LOGIN_LIMIT_H
#define DAVENPORT_PROXY_LOGIN_LIMIT_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_login_limit;

/* seed: random, so that nobody can choose names that meet. NULL: out of memory. */
DP_MUST_USE struct dp_login_limit *dp_login_limit_new(uint64_t seed);
void dp_login_limit_free(struct dp_login_limit *l); /* NULL is fine */

/* What is counted together. An empty name: all of the address. peer: as dp_address_key; what is no address is one. */
uint64_t dp_login_limit_key(const struct dp_login_limit *l, struct dp_span name, const char *peer);
/* Did it fail `most` times within the window that its first failure began? */
DP_MUST_USE bool dp_login_limit_past(const struct dp_login_limit *l, uint64_t key, uint32_t most,
                                     uint32_t window_s, uint64_t now_s);
void dp_login_limit_failed(struct dp_login_limit *l, uint64_t key, uint32_t window_s,
                           uint64_t now_s);

#endif
