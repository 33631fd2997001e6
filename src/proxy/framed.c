/* Framing what is written. */
#include "proxy/framed.h"

#include "davenport/http/writer.h"

/* A head, a chunk's head and end, the last chunk. */
#define FRAME_SPANS 5

static const struct dp_span crlf = DP_SPAN_INIT("\r\n");
const struct dp_span dp_last_chunk = DP_SPAN_INIT("0\r\n\r\n");
static const struct dp_span crlf_last_chunk = DP_SPAN_INIT("\r\n0\r\n\r\n");

enum dp_err dp_write_framed(struct dp_stream *s, enum dp_framing framing, struct dp_span head,
                            const struct dp_span *spans, size_t n, struct dp_tail tail)
{
    struct dp_span out[DP_BODY_SPANS + FRAME_SPANS];
    char chunk_head[DP_CHUNK_HEAD_BYTES];
    size_t k = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += spans[i].n;
    if (head.n > 0)
        out[k++] = head;
    bool chunked = framing == DP_FRAMING_CHUNKED;
    if (chunked && bytes > 0)
        out[k++] = (struct dp_span){chunk_head, dp_chunk_head(chunk_head, bytes)};
    for (size_t i = 0; i < n; i++)
        out[k++] = spans[i];
    if (chunked && bytes > 0)
        out[k++] = tail.last ? crlf_last_chunk : crlf;
    else if (chunked && tail.last)
        out[k++] = dp_last_chunk;
    if (chunked && tail.last && tail.trailers.n > 0) { /* before the empty line */
        out[k - 1].n -= crlf.n;
        out[k++] = tail.trailers;
        out[k++] = crlf;
    }
    return k > 0 ? dp_stream_write(s, out, k) : DP_OK;
}
