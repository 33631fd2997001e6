/* An HTTP answer as it comes, cut anywhere: llhttp behind a small face. Of the head only the status, one field and
 * Davenport's word of a write's outcome are kept; the body is passed on as it comes. One thread. */
#ifndef DAVENPORT_SRC_DRILL_ANSWER_H
#define DAVENPORT_SRC_DRILL_ANSWER_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#define DP_ANSWER_VALUE      64
#define DP_ANSWER_NAME       64
#define DP_ANSWER_OUTCOME    16
#define DP_ANSWER_HEAD_BYTES 65536 /* longer ones are refused */

enum dp_answer_state { DP_ANSWER_MORE, DP_ANSWER_WHOLE, DP_ANSWER_BAD };

struct dp_answer {
    llhttp_t parser;
    bool no_body;      /* of requests with HEAD */
    const char *field; /* in lower case, NULL: none; shorter than DP_ANSWER_NAME */
    void (*on_body)(struct dp_answer *a,
                    struct dp_span part); /* of an answer that is no interim one */
    uint16_t status;                      /* 0: no head yet */
    bool whole, keep_alive;               /* keep_alive: once it is whole */
    char name[DP_ANSWER_NAME];            /* of the field that comes, in lower case */
    size_t name_n, value_n, head_bytes;
    bool name_done, wanted, is_outcome;
    char outcome[DP_ANSWER_OUTCOME];
    size_t outcome_n;
    char value[DP_ANSWER_VALUE]; /* of the field; value_n == 0: it is not there, or too long */
};

/* Is it a refusal though the write may have been done (Davenport-Outcome: unsettled, docs/http.md)? */
bool dp_answer_unsettled(const struct dp_answer *a);
/* field: lives as long as `a`. */
void dp_answer_init(struct dp_answer *a, const char *field,
                    void (*on_body)(struct dp_answer *a, struct dp_span part));
/* The next request was sent: before the first byte, and again after each whole answer. */
void dp_answer_expect(struct dp_answer *a);
/* WHOLE: and nothing came behind it. BAD: it is no HTTP, or more than one answer came. */
DP_MUST_USE enum dp_answer_state dp_answer_take(struct dp_answer *a, const char *p, size_t n);
/* The connection ended in order. WHOLE: it was an answer that ends so. */
DP_MUST_USE enum dp_answer_state dp_answer_end(struct dp_answer *a);

#endif
