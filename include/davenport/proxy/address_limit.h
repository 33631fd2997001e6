/* How many connections one client address has, over all workers.
 *
 * A table of atomics that all workers share, made only where there is such a limit. No lock: a slot is one word that
 * holds an address's tag and its count, so every change of it is one compare-and-swap. Any thread. */
#ifndef DAVENPORT_PROXY_ADDRESS_LIMIT_H
#define DAVENPORT_PROXY_ADDRESS_LIMIT_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_address_limit;

/* A place taken; DP_NO_PLACE: none, give nothing back. */
#define DP_NO_PLACE UINT32_MAX

/* most: connections of one address. connections: of all addresses together, for the table's size. seed: random, so
 * that nobody can choose addresses that meet. NULL: out of memory. */
DP_MUST_USE struct dp_address_limit *dp_address_limit_new(uint32_t most, uint64_t connections,
                                                          uint64_t seed);
void dp_address_limit_free(struct dp_address_limit *l); /* NULL is fine */

/* One more connection of `peer`. False: it has as many as it may. True and *place: give it back once. What is no
 * address (a Unix socket) is not counted; neither is what finds no room near its place in the table, which takes far
 * more addresses than connections were announced. Two that come at once may both be refused where one had room; never
 * are more than `most` let in. */
DP_MUST_USE bool dp_address_limit_take(struct dp_address_limit *l, const char *peer,
                                       uint32_t *place);
void dp_address_limit_give(struct dp_address_limit *l, uint32_t place);

/* What counts as one address: an IPv4 address, also one that IPv6 wraps (::ffff:192.0.2.1), or the /64 of an IPv6
 * address, which one host has to itself. False: it is none. */
DP_MUST_USE bool dp_address_key(const char *peer, uint64_t *key);

#endif
