/* Answers that are not begun before they are whole. What goes to the client is settled with its first byte: behind that
 * there is no other attempt. So a small answer of a request that may be sent again is kept until its last byte is
 * there, and one that breaks off or stalls meanwhile has failed like one that never began: the next region answers.
 *
 *   head ──whole in the same read──► begun, nothing is copied
 *     ▼
 *   KEPT ──last byte──► begun and ended in one write
 *     │ ──larger than limits.whole_answer_bytes, no memory, slow──► begun, and passed on as it comes
 *     └─ ─broken off, stalled──► the attempt failed
 *
 * What is slow and what stalls is dp_kept_look's to say: pure. */
#ifndef DAVENPORT_PROXY_KEPT_H
#define DAVENPORT_PROXY_KEPT_H

#include "davenport/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* How often an answer that is kept is looked at. */
#define DP_KEPT_LOOK_MS 200
/* At limit_ms: nothing for so long is a stall, else it is slow. */
#define DP_KEPT_QUIET_MS 1000

struct dp_exchange;

/* In the exchange's arena. */
struct dp_kept {
    struct dp_buf body; /* decoded, so far; in chunks of the worker's pool */
    uint64_t began_ns;  /* its head was whole */
    uint64_t
        moved_ns; /* the look at which some of the body had come since the one before; at first began_ns */
    size_t looked_bytes; /* of the body, when it was looked at last */
    size_t most_bytes;   /* of the body are kept */
    /* When it is whole it is not begun, but this is done with it (settle.h, spread.h); NULL: it is begun. Takes the body
     * over. */
    void (*then)(struct dp_exchange *x, struct dp_buf *body);
};

enum dp_kept_verdict {
    DP_KEPT_WAIT,  /* for more of it */
    DP_KEPT_BEGIN, /* pass on what is there */
    DP_KEPT_STALLED /* nothing more seems to come: elsewhere, if there is an elsewhere; else as BEGIN */
};

struct dp_kept_facts {
    bool
        sized; /* its length is known, or it is looked into: a part of it is of no use to anybody */
    bool
        moves; /* some of its body came since the last look, and some before: what came with the head tells nothing,
                   as the region may have died behind it */
    bool point;        /* of one document or database: no region needs long for the rest */
    uint64_t for_ms;   /* since its head was whole */
    uint64_t quiet_ms; /* since some of its body came */
    uint32_t limit_ms; /* nothing is kept for longer; 0: none */
};

/* One whose length is not told may be of rows that are made as they are sent: as soon as it proves slow, it is passed on.
 * All others are waited for, up to limit_ms. Rows that stop for so long may be in the making; one document's bytes are not. */
enum dp_kept_verdict dp_kept_look(const struct dp_kept_facts *f);

#endif
