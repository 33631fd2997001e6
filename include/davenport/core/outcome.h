/* What became of one attempt at one endpoint, and whose fault it was. */
#ifndef DAVENPORT_CORE_OUTCOME_H
#define DAVENPORT_CORE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

/* DP_OUTCOME(name, label, verdict): verdict on the endpoint as traffic evidence:
 * OK it serves, BAD it does not, NONE says nothing of its health. */
#define DP_OUTCOME_TABLE(X)                                                                        \
    X(ANSWERED, "answered", OK)             /* a complete answer, any status but those below */    \
    X(ANSWERED_LATE, "answered_late", NONE) /* the same, but its lateness was counted before */    \
    X(FAILED_LATE, "failed_late",                                                                  \
      NONE) /* as any of those below that speak against it, likewise */                            \
    X(SERVER_ERROR, "server_error", BAD)       /* 500, 502, 503, 504 */                            \
    X(THROTTLED, "throttled", NONE)            /* 429 */                                           \
    X(CREDENTIALS, "credentials", NONE)        /* 401, 403: a fault of keys, not of the region */  \
    X(CONNECT_REFUSED, "connect_refused", BAD) /* no connection */                                 \
    X(TLS_FAULT, "tls_fault", BAD) /* connected, but the handshake or the certificate failed */    \
    X(CONNECT_TIMEOUT, "connect_timeout", BAD)                                                     \
    X(STALE, "stale", NONE)        /* a reused idle connection was already closed */               \
    X(NO_ANSWER, "no_answer", BAD) /* closed or reset before the first response byte */            \
    X(ANSWER_TIMEOUT, "answer_timeout", BAD)                                                       \
    X(BAD_ANSWER, "bad_answer", BAD)    /* not HTTP, or ambiguous */                               \
    X(TRUNCATED, "truncated", BAD)      /* died after the first response byte */                   \
    X(CLIENT_GONE, "client_gone", NONE) /* our client went away first */                           \
    X(ABANDONED, "abandoned", NONE)     /* we ended it: failover, drain */

enum dp_outcome {
#define X(name, label, verdict) DP_OUTCOME_##name,
    DP_OUTCOME_TABLE(X)
#undef X
        DP_OUTCOME_COUNT
};

enum dp_verdict { DP_VERDICT_NONE, DP_VERDICT_OK, DP_VERDICT_BAD };

const char *dp_outcome_label(enum dp_outcome o); /* metrics and journal word */
enum dp_verdict dp_outcome_verdict(enum dp_outcome o);
/* The outcome of an attempt that was answered in full with this status. */
enum dp_outcome dp_outcome_of_status(uint16_t status);

#endif
