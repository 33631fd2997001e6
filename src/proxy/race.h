/* Which of an endpoint's addresses to dial, and when the next one: happy eyeballs (RFC 8305) with a memory.
 * Pure: time is passed in, dialing is dial.c's.
 *
 * The first address is dialed at once. The next one follows when `delay` passed without an end, or at once when
 * one failed. Who connects first wins. */
#ifndef DAVENPORT_PROXY_RACE_H
#define DAVENPORT_PROXY_RACE_H

#include "davenport/base/addr.h"
#include "davenport/base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/* What is known of an endpoint's addresses: one a pool. */
struct dp_addr_book {
    struct dp_addrs addrs;            /* as the view has them */
    uint64_t failed_ns[DP_MAX_ADDRS]; /* when it last failed; 0: not since it last worked */
    uint16_t good; /* the last one that worked; DP_NO_ADDR: none, or it failed since */
};

#define DP_NO_ADDR UINT16_MAX
/* For so long an address that failed stands at the end of the line. */
#define DP_ADDR_SHUN_NS (30 * DP_NS_PER_S)

void dp_addr_book_init(struct dp_addr_book *b, const struct dp_addrs *addrs);
/* The addresses are these now; what is known of those that stay is kept. False: they are the same. */
bool dp_addr_book_adopt(struct dp_addr_book *b, const struct dp_addrs *addrs);
/* How it went; an address that is in the book no more is ignored. */
void dp_addr_book_worked(struct dp_addr_book *b, const struct dp_addr *a);
void dp_addr_book_failed(struct dp_addr_book *b, const struct dp_addr *a, uint64_t now_ns);
/* In which order to dial: the one that worked last, the others as the view has them, then those that failed
 * lately, the earliest failure first. */
void dp_addr_book_order(const struct dp_addr_book *b, uint64_t now_ns, struct dp_addrs *out);

/* One race over the numbers 0 … n-1. */
struct dp_race {
    uint16_t n, started, failed;
    uint64_t delay_ns,
        due_ns; /* due: when to step with DUE; UINT64_MAX: nothing is left to start */
};

enum dp_race_event {
    DP_RACE_BEGIN,
    DP_RACE_DUE,   /* time passed; too early is fine */
    DP_RACE_FAILED /* one that had been started ended without a connection */
};

void dp_race_init(struct dp_race *r, uint16_t n, uint64_t delay_ns);
/* True: start number *which now; false: nothing to start. */
bool dp_race_step(struct dp_race *r, enum dp_race_event e, uint64_t now_ns, uint16_t *which);
/* All were tried, all failed. */
bool dp_race_lost(const struct dp_race *r);

#endif
