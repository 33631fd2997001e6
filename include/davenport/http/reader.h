/* Reads HTTP/1.x messages from bytes as they come: llhttp (strict) plus the checks that llhttp leaves out.
 *
 * One reader a connection and direction, used message after message:
 *
 *     dp_reader_begin(r, arena, …)            before each message
 *     dp_reader_head(r, …)  → MORE … DONE     the head, however it is cut
 *     dp_reader_body(r, …)  → MORE … DONE     the decoded body, however it is cut
 *
 * Never buffers a body; buffers an unfinished head in the arena. Consumes nothing past the message's end.
 * Once it has returned an error it stays in error: what can't be parsed safely is refused. One thread. */
#ifndef DAVENPORT_HTTP_READER_H
#define DAVENPORT_HTTP_READER_H

#include "davenport/base/arena.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/http/head.h"

struct dp_reader;

enum dp_reader_side { DP_READ_REQUESTS, DP_READ_RESPONSES };

struct dp_reader_limits {
    uint32_t head_bytes;   /* whole head; past it DP_EHEADSIZE (default 32 KiB) */
    uint32_t target_bytes; /* request target; past it DP_ETARGETSIZE (default 8 KiB) */
    uint32_t headers;      /* how many; past it DP_EHEADSIZE (default 128) */
};

enum dp_read { DP_READ_MORE, DP_READ_DONE, DP_READ_FAILED };

/* NULL when out of memory. `limits` is copied. */
DP_MUST_USE struct dp_reader *dp_reader_new(enum dp_reader_side side,
                                            const struct dp_reader_limits *limits);
void dp_reader_destroy(struct dp_reader *r); /* NULL is fine */
/* Other limits, from the next message on. Only between messages (dp_reader_rests). */
void dp_reader_limit(struct dp_reader *r, const struct dp_reader_limits *limits);

/* Get ready for the next message. `head` is filled when DONE is returned for it; both live as long as `arena`.
 * request: of a response reader: the method of the request that it answers (HEAD has no body); else OTHER. */
void dp_reader_begin(struct dp_reader *r, struct dp_arena *arena, struct dp_head *head,
                     enum dp_method request);

/* Bytes of a head. *consumed <= n; on DONE the rest belongs to the body or to the next message.
 * FAILED: *consumed is 0; dp_reader_error() says what (EBADREQUEST, EHOST, EFRAMING, EHEADSIZE, ETARGETSIZE, EMETHOD, EVERSION,
 * EEXPECT for requests; EBADRESPONSE, EHEADSIZE for responses; ENOMEM). */
DP_MUST_USE enum dp_read dp_reader_head(struct dp_reader *r, const char *p, size_t n,
                                        size_t *consumed);

/* True between messages: nothing is left over of the last one, and any other may come. */
bool dp_reader_rests(const struct dp_reader *r);

/* True when a byte of the current head has arrived but not all of it. Leading empty lines do not count. */
bool dp_reader_in_head(const struct dp_reader *r);

/* Bytes of a body. Call once with n == 0 after the head to learn whether there is one (DONE: there is none).
 * Decoded bytes are given as spans into [p, p+n): at most `max` of them, *n_spans filled.
 * MORE with *consumed < n: the span list was full, call again with the rest. DONE: the body has ended,
 * trailers included: head->trailers has those that may be passed on. Bodies that end by closing stay MORE until dp_reader_eof().
 * FAILED: the spans hold what stood before the fault, which *consumed points at. dp_reader_error(): EFRAMING
 * for requests, EBADRESPONSE for responses; EHEADSIZE when the trailers are longer or
 * more than those of a head may be; ENOMEM. */
DP_MUST_USE enum dp_read dp_reader_body(struct dp_reader *r, const char *p, size_t n,
                                        size_t *consumed, struct dp_span *spans, size_t max,
                                        size_t *n_spans);

/* The peer closed. DONE: the message is whole (a close-delimited body is so now). MORE: no message had begun.
 * FAILED: it was cut short (DP_ETRUNCATED). */
DP_MUST_USE enum dp_read dp_reader_eof(struct dp_reader *r);

enum dp_err dp_reader_error(const struct dp_reader *r);

#endif
