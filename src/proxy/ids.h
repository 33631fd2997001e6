/* What a request is called on its way: X-Request-Id, and the traceparent of W3C Trace Context.
 *
 * Chosen once, when the head is known, and then the same on every attempt, in the answer and in the log. A name that a
 * client gives is used only if it is sound: logs, headers and other people's parsers get to see it.
 *
 * Pure but for the generator's state. */
#ifndef DAVENPORT_PROXY_IDS_H
#define DAVENPORT_PROXY_IDS_H

#include "davenport/base/random.h"
#include "davenport/base/span.h"
#include "davenport/http/head.h"
#include "davenport/proxy/worker.h"

#include <string.h>

#define DP_REQUEST_ID_MAX 128 /* bytes of one that a client gives */

/* "X-Request-Id: " 32 hex digits CR LF, "traceparent: 00-" 32 "-" 16 "-00" CR LF */
#define DP_IDS_LINES_BYTES (14 + 32 + 2 + 13 + 55 + 2)

struct dp_ids {
    struct dp_span request_id; /* .n == 0: none */
    struct dp_span
        traceparent; /* .n == 0: none; what the region is told, unless traceparents are removed */
    uint64_t drop;   /* fields of the request that are not passed on (DP_HEADER_BIT) */
    struct dp_span lines; /* fields to be added to the request */
    char *span;           /* the span-id in it, 16 digits, where it is ours to change; else NULL */
};

/* Every id in a trace of ours, of a request, an attempt: 16 digits, not all 0. */
void dp_ids_span(struct dp_random *random, char out[16]);

/* Chosen before, with the same `text`, from a head that is sound. Is its trace recorded? As the client's traceparent says, of one that begins
 * here by chance (c->trace_sample of a million). If so the region is told a traceparent of ours from now on, sampled, in the
 * client's trace where it gave one, unless c->traceparent says that clients are not to be believed and regions not to be
 * told; and *parent is the client's span-id, if any. */
bool dp_ids_sample(struct dp_ids *ids, const struct dp_proxy_config *c, struct dp_random *random,
                   char *text, struct dp_span *parent);
/* The region is told that its parent is this one. Sampled before. */
static inline void dp_ids_tell_span(const struct dp_ids *ids, const char digits[16])
{
    memcpy(ids->span, digits, 16);
}

/* ids is all zero; its spans will point into `h` and `text` (DP_IDS_LINES_BYTES). `h` may be a head that was refused,
 * as far as it was understood. */
void dp_ids_choose(struct dp_ids *ids, const struct dp_head *h, const struct dp_proxy_config *c,
                   struct dp_random *random, char *text);

/* The traceparent's trace-id, 32 digits; .p == NULL: there is none. */
static inline struct dp_span dp_ids_trace(const struct dp_ids *ids)
{
    const char *p = ids->traceparent.p;
    return p ? (struct dp_span){p + 3, 32} : (struct dp_span){NULL, 0};
}

/* 1 to DP_REQUEST_ID_MAX letters, digits and "-._~:/+=@". */
bool dp_request_id_valid(struct dp_span s);
/* As "Trace Context" says (W3C, 3.2.2): of version 00 exactly, of later ones as far as this one knows. */
bool dp_traceparent_valid(struct dp_span s);

#endif
