/* The checks that llhttp leaves out. Pure functions over text and heads. Private to http. */
#ifndef DAVENPORT_SRC_HTTP_STRICT_H
#define DAVENPORT_SRC_HTTP_STRICT_H

#include "davenport/base/arena.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/http/head.h"

/* A start line's parts as offsets, for the text may still move. Requests: method is [0, method_n).
 * Responses: text is the reason phrase. */
struct dp_start_line {
    size_t method_n;
    size_t text_at, text_n; /* the target, or the reason phrase */
    enum dp_method method;
    uint16_t status;
    uint8_t minor;
};

/* `line` without its CR LF. Errors: EBADREQUEST, EVERSION, EMETHOD, ETARGETSIZE. */
DP_MUST_USE enum dp_err dp_strict_request_line(struct dp_span line, uint32_t target_max,
                                               struct dp_start_line *out);
/* Errors: EBADRESPONSE. */
DP_MUST_USE enum dp_err dp_strict_status_line(struct dp_span line, struct dp_start_line *out);

/* `h` has its start line and fields: check what they say together and fill in the rest. An
 * absolute-form target is repaired, which may take memory from `arena`. Errors: EBADREQUEST, EHOST,
 * EFRAMING, EEXPECT, ENOMEM. */
DP_MUST_USE enum dp_err dp_strict_request(struct dp_head *h, struct dp_arena *arena);
/* request: the method that is answered. Errors: EFRAMING, EBADRESPONSE. */
DP_MUST_USE enum dp_err dp_strict_response(struct dp_head *h, enum dp_method request);

#endif
