/* A follower of a database's changes: it asks, takes rows, asks again from where it was. One connection each. What it is told
 * goes to the ledger. One thread. */
#ifndef DAVENPORT_SRC_DRILL_FOLLOW_H
#define DAVENPORT_SRC_DRILL_FOLLOW_H

#include "davenport/drill/ledger.h"

#include "drill/link.h"
#include "drill/work.h"

#define DP_FOLLOW_SINCE 2048 /* the longest sequence */

struct dp_follower {
    struct dp_link link;
    struct dp_work *work;
    struct dp_ledger *ledger;
    uint32_t feed;
    bool continuous;
    bool stands;                 /* it knows since when: what is written from now on is for it */
    bool told;                   /* a row, since it asked last */
    bool failed;                 /* out of memory, or an answer that is no feed */
    uint64_t heard_ns;           /* the last byte */
    uint64_t ask_at_ns;          /* not before */
    char since[DP_FOLLOW_SINCE]; /* as it stands in a query; "" before it stands */
    char *text;                  /* of an answer, or of a row */
    size_t n, cap;
};

/* kind as told by the ledger: "longpoll" or "continuous". */
DP_MUST_USE enum dp_err dp_follow_init(struct dp_follower *f, bool continuous,
                                       struct dp_link_net *shared, struct dp_work *work,
                                       struct dp_ledger *ledger);
void dp_follow_fini(struct dp_follower *f);
/* Dial, ask, give up what is silent. Every so often. */
void dp_follow_tend(struct dp_follower *f, uint64_t now_ns);

/* Rows of an answer with "results", or one row: tell them to the ledger and keep the sequence. False: it is neither. Public for
 * tests. */
DP_MUST_USE bool dp_follow_take(struct dp_follower *f, struct dp_span json);

#endif
