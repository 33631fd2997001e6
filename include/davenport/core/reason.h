/* How a request ended, and why it was anything but a plain success: the same word in the access log, in metrics and in
 * traces. Pure. */
#ifndef DAVENPORT_CORE_REASON_H
#define DAVENPORT_CORE_REASON_H

#include "davenport/base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* How an exchange ended. */
#define DP_END_TABLE(X)                                                                            \
    X(ABORTED, "aborted")         /* by us, without an answer: the end of a drain, no memory */    \
    X(ANSWERED, "answered")       /* a region's answer, in full */                                 \
    X(REFUSED, "refused")         /* an answer of our own; the reason says why */                  \
    X(CUT, "cut")                 /* the answer had begun and could not be ended */                \
    X(FEED_ENDED, "feed_ended")   /* a feed, by us: failover or drain */                           \
    X(CLIENT_GONE, "client_gone") /* the client went away first */                                 \
    X(CLIENT_SLOW, "client_slow") /* the client took or sent nothing for too long */

enum dp_end {
#define X(name, word) DP_END_##name,
    DP_END_TABLE(X)
#undef X
        DP_END_COUNT
};
const char *dp_end_word(enum dp_end end);

enum dp_reason {
    DP_REASON_NONE, /* a plain success: the answer of the region that was asked first, of status 2xx or 3xx */
#define DP_REASON(name, word, cause, text) DP_REASON_##name,
#include "davenport/core/reason.def"
    DP_REASON_COUNT
};

/* What is known of an exchange at its end. */
struct dp_reason_facts {
    enum dp_end end;
    enum dp_err err;   /* DP_OK: none */
    uint16_t status;   /* told to the client; 0: none was */
    unsigned attempts; /* begun, the last one included */
    bool elsewhere;    /* another region failed it before */
    bool hedged;       /* a hedge's answer was the first */
    bool held;         /* it waited for a region */
};
enum dp_reason dp_reason_of(const struct dp_reason_facts *f);

/* The row that stands for an error; INTERNAL where there is none, NONE for DP_OK. */
enum dp_reason dp_reason_of_err(enum dp_err err);

const char *dp_reason_word(enum dp_reason r); /* NULL for NONE */
const char *dp_reason_text(enum dp_reason r); /* a sentence; "" for NONE */
/* The first letter of HAProxy's termination state; '-' where nothing was ended before its time. */
char dp_reason_cause(enum dp_reason r);

#endif
