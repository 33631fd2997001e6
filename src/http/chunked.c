/* The chunked transfer coding (RFC 9112 7.1), one byte of framing at a time, payload in blocks.
 *
 * Why not llhttp's: its body callback cannot pause where our span list is full, and it takes more
 * than the grammar has. Here a size is 1 to 16 hex digits and nothing else, every line ends in CR
 * LF, no byte of an extension or a trailer is a control character. Extensions are dropped once
 * checked; trailers are checked here and kept by reader.c.
 *
 *          ';'                        left > 0
 *   SIZE ------> EXTENSION --+     +-----------> DATA -> DATA_CR -> DATA_LF -> SIZE
 *    | CR                 CR |     |
 *    +-----------------------+-> SIZE_LF
 *                                  | left == 0             CR
 *                                  +-----------> TRAILER -----> END_LF -> DONE
 *                                                 ^  | name byte
 *                                                 |  +-> NAME -> VALUE -> TRAILER_LF -+
 *                                                 +-----------------------------------+
 *
 * Framing must be paid for by payload: each size line adds its length to `overhead`, each chunk
 * takes away 16 and twice its size. Past 16 KiB the peer is wasting our time and is refused. */
#include "http/chunked.h"

#include "http/chars.h"

#define SIZE_DIGITS_MAX 16
#define OVERHEAD_MAX    16384

void dp_chunked_init(struct dp_chunked *c, uint32_t trailer_max)
{
    *c = (struct dp_chunked){.trailer_max = trailer_max};
}

/* The size line is complete: `left` is the chunk's size. */
static void begin_chunk(struct dp_chunked *c)
{
    const uint64_t paid = c->left < OVERHEAD_MAX ? 16 + 2 * c->left : OVERHEAD_MAX;
    c->overhead = paid < c->overhead ? c->overhead - (uint32_t)paid : 0;
    c->digits = 0;
    c->state = c->left > 0 ? DP_CHUNKED_DATA : DP_CHUNKED_TRAILER;
}

/* One byte of a size line. False when it must not stand there. */
static bool step_size(struct dp_chunked *c, char byte)
{
    if (++c->overhead > OVERHEAD_MAX)
        return false;
    if (c->state == DP_CHUNKED_SIZE_LF) {
        begin_chunk(c);
        return byte == '\n';
    }
    if (c->state == DP_CHUNKED_EXTENSION && dp_char_is(byte, DP_CHAR_VALUE))
        return true;
    if (byte == '\r' && c->digits > 0) {
        c->state = DP_CHUNKED_SIZE_LF;
        return true;
    }
    if (c->state == DP_CHUNKED_EXTENSION)
        return false;
    if (byte == ';' && c->digits > 0) {
        c->state = DP_CHUNKED_EXTENSION;
        return true;
    }
    const int digit = dp_hex_value(byte);
    if (digit < 0 || ++c->digits > SIZE_DIGITS_MAX)
        return false;
    c->left = c->left << 4 | (uint64_t)digit;
    return true;
}

/* One byte of the trailer section. False when it must not stand there. */
static bool step_trailer(struct dp_chunked *c, char byte)
{
    switch (c->state) {
    case DP_CHUNKED_TRAILER:
        c->state = byte == '\r' ? DP_CHUNKED_END_LF : DP_CHUNKED_TRAILER_NAME;
        return byte == '\r' || dp_char_is(byte, DP_CHAR_TOKEN);
    case DP_CHUNKED_TRAILER_NAME:
        if (byte == ':')
            c->state = DP_CHUNKED_TRAILER_VALUE;
        return byte == ':' || dp_char_is(byte, DP_CHAR_TOKEN);
    case DP_CHUNKED_TRAILER_VALUE:
        if (byte == '\r')
            c->state = DP_CHUNKED_TRAILER_LF;
        return byte == '\r' || dp_char_is(byte, DP_CHAR_VALUE);
    case DP_CHUNKED_TRAILER_LF:
        c->state = DP_CHUNKED_TRAILER;
        return byte == '\n';
    case DP_CHUNKED_END_LF:
        c->state = DP_CHUNKED_DONE;
        return byte == '\n';
    case DP_CHUNKED_SIZE:
    case DP_CHUNKED_EXTENSION:
    case DP_CHUNKED_SIZE_LF:
    case DP_CHUNKED_DATA:
    case DP_CHUNKED_DATA_CR:
    case DP_CHUNKED_DATA_LF:
    case DP_CHUNKED_DONE:
        break;
    }
    return false;
}

/* One byte that is not payload. */
static enum dp_err step(struct dp_chunked *c, char byte)
{
    if (c->state <= DP_CHUNKED_SIZE_LF)
        return step_size(c, byte) ? DP_OK : DP_EFRAMING;
    if (c->state == DP_CHUNKED_DATA_CR) {
        c->state = DP_CHUNKED_DATA_LF;
        return byte == '\r' ? DP_OK : DP_EFRAMING;
    }
    if (c->state == DP_CHUNKED_DATA_LF) {
        c->state = DP_CHUNKED_SIZE;
        return byte == '\n' ? DP_OK : DP_EFRAMING;
    }
    if (!step_trailer(c, byte))
        return DP_EFRAMING;
    return ++c->trailer_bytes > c->trailer_max ? DP_EHEADSIZE : DP_OK;
}

enum dp_err dp_chunked_read(struct dp_chunked *c, const char *p, size_t n, size_t *consumed,
                            struct dp_span *spans, size_t max, size_t *n_spans)
{
    size_t at = 0;
    size_t found = 0;
    enum dp_err err = DP_OK;
    while (at < n && c->state != DP_CHUNKED_DONE) {
        if (c->state != DP_CHUNKED_DATA) {
            err = step(c, p[at]);
            if (err != DP_OK)
                break; /* what stood before the fault is still given */
            at++;
            continue;
        }
        /* A size line stands between any two chunks, so no two spans of a call touch. */
        if (found == max)
            break;
        const size_t here = c->left < n - at ? (size_t)c->left : n - at;
        spans[found++] = (struct dp_span){p + at, here};
        at += here;
        c->left -= here;
        if (c->left == 0)
            c->state = DP_CHUNKED_DATA_CR;
    }
    *consumed = at;
    *n_spans = found;
    return err;
}
