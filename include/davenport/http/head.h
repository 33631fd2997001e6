/* A parsed message head: spans into one contiguous copy of the bytes received, which lives in the
 * exchange's arena, so that a request can be written again from untouched input. */
#ifndef DAVENPORT_HTTP_HEAD_H
#define DAVENPORT_HTTP_HEAD_H

#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum dp_header_id {
    DP_HEADER_OTHER = 0,
#define DP_HEADER(id, name, flags) DP_HEADER_##id,
#include "davenport/http/header.def"
#undef DP_HEADER
    DP_HEADER_COUNT
};

/* A field as a bit of a set. */
#define DP_HEADER_BIT(id) (UINT64_C(1) << (id))

enum dp_header_flag { DP_HEADER_FLAG_HOP = 1, DP_HEADER_FLAG_FRAME = 2, DP_HEADER_FLAG_OWN = 4 };

struct dp_header {
    struct dp_span name;  /* as sent */
    struct dp_span value; /* without surrounding white space */
    enum dp_header_id id;
    bool named_by_connection; /* a Connection option, or Expect from HTTP/1.0: ends here too */
};

/* How the bytes of the body are delimited on the wire that this head came from. */
enum dp_framing {
    DP_FRAMING_NONE,    /* no body */
    DP_FRAMING_LENGTH,  /* content_length bytes */
    DP_FRAMING_CHUNKED, /* chunked coding */
    DP_FRAMING_CLOSE    /* responses only: until the connection ends */
};

/* Methods that change how this proxy frames or routes; all others are DP_METHOD_OTHER and passed on. */
enum dp_method {
    DP_METHOD_OTHER,
    DP_METHOD_GET,
    DP_METHOD_HEAD,
    DP_METHOD_POST,
    DP_METHOD_PUT,
    DP_METHOD_DELETE,
    DP_METHOD_OPTIONS,
    DP_METHOD_CONNECT,
    DP_METHOD_TRACE
};

struct dp_head {
    /* requests */
    enum dp_method method;
    struct dp_span method_text;
    struct dp_span target;    /* always origin-form or "*": an absolute-form target is repaired */
    struct dp_span authority; /* of the Host header, or of the absolute-form target */
    bool expect_continue;
    bool te_trailers; /* TE: trailers: the client takes fields behind an answer's body */
    /* responses */
    uint16_t status;
    struct dp_span reason;
    /* both */
    uint8_t minor;   /* HTTP/1.minor */
    bool keep_alive; /* the peer is willing to use the connection again */
    enum dp_framing framing;
    uint64_t
        content_length; /* FRAMING_LENGTH; of a HEAD answer or 304: what was declared, framing NONE */
    bool has_content_length; /* a Content-Length header was there (also where framing is NONE) */
    struct dp_header *headers;
    uint32_t n_headers;
    uint64_t present;   /* DP_HEADER_BIT of every field that is there */
    struct dp_span raw; /* the whole head, final empty line included */
    /* Once the body is whole: the fields behind it that may be passed on, as they are to be written ("name: value\r\n"
     * each). Fields of header.def and those that Connection names are not among them. */
    struct dp_span trailers;
};

enum dp_header_id dp_header_lookup(struct dp_span name);
unsigned dp_header_flags(enum dp_header_id id);
static inline bool dp_head_has(const struct dp_head *h, enum dp_header_id id)
{
    return (h->present & DP_HEADER_BIT(id)) != 0;
}
/* The first header of that id, or NULL. */
const struct dp_header *dp_head_find(const struct dp_head *h, enum dp_header_id id);
/* The value of the first header of a name that has no id; .p == NULL: it is not there. */
struct dp_span dp_head_value(const struct dp_head *h, struct dp_span name);
/* The only header of that id; NULL when there is none or more than one. */
const struct dp_header *dp_head_only(const struct dp_head *h, enum dp_header_id id);

#endif
