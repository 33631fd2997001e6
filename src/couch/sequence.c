/* Tokens taken apart. The term is decoded by hand: the handful of tags that CouchDB writes, everything else is
 * refused. All lengths are checked against what is left; depth is fixed, so nothing recurses. */
#include "davenport/couch/sequence.h"

#include "davenport/base/base64.h"

#include <stdlib.h>
#include <zlib.h>

/* The external term format's tags that occur. */
enum {
    TERM = 131,
    COMPRESSED = 80,
    SMALL_INT = 97,
    INT = 98,
    SMALL_BIG = 110,
    ATOM = 100,
    SMALL_ATOM = 115,
    ATOM_UTF8 = 118,
    SMALL_ATOM_UTF8 = 119,
    SMALL_TUPLE = 104,
    NIL = 106,
    STRING = 107,
    LIST = 108,
    BINARY = 109,
};

/* A term larger than this is none of CouchDB's: 128 shards with long names have less. */
#define TERM_BYTES 65536

struct cursor {
    const unsigned char *p;
    size_t n;
    bool bad; /* sticky: what is read afterwards is 0 */
};

static uint32_t take(struct cursor *c, unsigned bytes)
{
    uint32_t v = 0;
    if (c->bad || c->n < bytes) {
        c->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | c->p[i];
    c->p += bytes;
    c->n -= bytes;
    return v;
}

static struct dp_span take_bytes(struct cursor *c, size_t n)
{
    if (c->bad || c->n < n) {
        c->bad = true;
        return (struct dp_span){NULL, 0};
    }
    struct dp_span s = {(const char *)c->p, n};
    c->p += n;
    c->n -= n;
    return s;
}

static uint64_t take_big(struct cursor *c)
{
    uint32_t n = take(c, 1), negative = take(c, 1);
    uint64_t v = 0;
    if (n > 8 || negative != 0)
        c->bad = true;
    struct dp_span digits = take_bytes(c, n);
    for (size_t i = 0; i < digits.n; i++)
        v |= (uint64_t)(unsigned char)digits.p[i] << (8 * i);
    return v;
}

static uint64_t take_integer(struct cursor *c)
{
    switch (take(c, 1)) {
    case SMALL_INT:
        return take(c, 1);
    case INT: {
        uint32_t v = take(c, 4);
        if (v > INT32_MAX) /* a negative one */
            c->bad = true;
        return v;
    }
    case SMALL_BIG:
        return take_big(c);
    default:
        c->bad = true;
        return 0;
    }
}

static void take_atom(struct cursor *c, struct dp_seq_name *out)
{
    struct dp_span s = {NULL, 0};
    switch (take(c, 1)) {
    case ATOM:
    case ATOM_UTF8:
        s = take_bytes(c, take(c, 2));
        break;
    case SMALL_ATOM:
    case SMALL_ATOM_UTF8:
        s = take_bytes(c, take(c, 1));
        break;
    default:
        c->bad = true;
    }
    if (s.n > DP_SEQ_NAME)
        c->bad = true;
    if (c->bad || s.n == 0)
        return;
    memcpy(out->p, s.p, s.n);
    out->n = (uint8_t)s.n;
}

static void take_uuid(struct cursor *c, struct dp_seq_shard *out)
{
    if (take(c, 1) != BINARY)
        c->bad = true;
    struct dp_span s = take_bytes(c, take(c, 4));
    if (s.n > DP_SEQ_UUID)
        c->bad = true;
    if (c->bad || s.n == 0)
        return;
    memcpy(out->uuid, s.p, s.n);
    out->uuid_n = (uint8_t)s.n;
}

/* [first, last]; a list of two small numbers may come as a string. */
static void take_range(struct cursor *c, struct dp_seq_shard *out)
{
    uint64_t first = 0, last = 0;
    uint32_t tag = take(c, 1);
    if (tag == STRING && take(c, 2) == 2) {
        first = take(c, 1);
        last = take(c, 1);
    } else if (tag == LIST && take(c, 4) == 2) {
        first = take_integer(c);
        last = take_integer(c);
        if (take(c, 1) != NIL)
            c->bad = true;
    } else {
        c->bad = true;
    }
    if (first > last || last > UINT32_MAX)
        c->bad = true;
    out->first = (uint32_t)first;
    out->last = (uint32_t)last;
}

/* The head of one with three members. */
static void take_tuple(struct cursor *c)
{
    if (take(c, 2) != (SMALL_TUPLE << 8 | 3))
        c->bad = true;
}

static void take_shard(struct cursor *c, struct dp_seq_shard *out)
{
    *out = (struct dp_seq_shard){0};
    take_tuple(c);
    take_atom(c, &out->node);
    take_range(c, out);
    if (!c->bad && c->n > 0 && *c->p == SMALL_TUPLE) {
        take_tuple(c);
        out->seq = take_integer(c);
        take_uuid(c, out);
        take_atom(c, &out->epoch_node);
    } else {
        out->seq = take_integer(c);
    }
}

static enum dp_err parse_list(struct cursor *c, struct dp_seq *out)
{
    *out = (struct dp_seq){0};
    uint32_t tag = take(c, 1);
    uint32_t n = tag == LIST ? take(c, 4) : 0;
    if (c->bad || (tag != LIST && tag != NIL))
        return DP_EINVAL;
    if (n > DP_SEQ_SHARDS)
        return DP_ELIMIT;
    for (uint32_t i = 0; i < n; i++)
        take_shard(c, &out->shards[i]);
    if (tag == LIST && take(c, 1) != NIL)
        c->bad = true;
    out->n = (uint16_t)n;
    return c->bad || c->n > 0 || n == 0 ? DP_EINVAL : DP_OK;
}

/* bytes: a term, 131 first. */
static enum dp_err parse_term(struct dp_span bytes, struct dp_seq *out)
{
    struct cursor c = {(const unsigned char *)bytes.p, bytes.n, false};
    if (take(&c, 1) != TERM)
        return DP_EINVAL;
    if (c.bad || c.n == 0 || *c.p != COMPRESSED)
        return parse_list(&c, out);
    (void)take(&c, 1);
    uLongf size = take(&c, 4);
    if (c.bad || size == 0)
        return DP_EINVAL;
    if (size > TERM_BYTES)
        return DP_ELIMIT;
    unsigned char *plain = malloc(size);
    if (!plain)
        return DP_ENOMEM;
    uLongf got = size;
    int z = uncompress(plain, &got, c.p, (uLong)c.n);
    struct cursor inner = {plain, got, z != Z_OK || got != size};
    enum dp_err err = z == Z_MEM_ERROR ? DP_ENOMEM : parse_list(&inner, out);
    free(plain);
    return err;
}

enum dp_err dp_seq_parse(struct dp_span token, struct dp_seq *out)
{
    uint64_t number;
    size_t n;
    if (token.n > DP_SEQ_TEXT)
        return DP_ELIMIT;
    struct dp_span rest = token, prefix = dp_span_cut(&rest, '-');
    if (!rest.p) {
        if (!dp_span_u64(token, &number))
            return DP_EINVAL;
        *out = (struct dp_seq){.plain = true, .n = 1, .shards = {{.seq = number}}};
        return DP_OK;
    }
    if (!dp_span_u64(prefix, &number))
        return DP_EINVAL;
    char *bytes = malloc(rest.n + 2);
    if (!bytes)
        return DP_ENOMEM;
    enum dp_err err = dp_base64_decode(DP_BASE64_URL, rest, bytes, &n)
                          ? parse_term((struct dp_span){bytes, n}, out)
                          : DP_EINVAL;
    free(bytes);
    return err;
}

bool dp_seq_same_name(const struct dp_seq_name *a, const struct dp_seq_name *b)
{
    return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

bool dp_seq_same_count(const struct dp_seq_shard *a, const struct dp_seq_shard *b)
{
    return a->uuid_n > 0 && a->uuid_n == b->uuid_n && memcmp(a->uuid, b->uuid, a->uuid_n) == 0 &&
           dp_seq_same_name(&a->node, &b->node) && dp_seq_same_name(&a->epoch_node, &b->epoch_node);
}

static enum dp_seq_order compare_shard(const struct dp_seq *s, const struct dp_seq_shard *mark)
{
    if (mark->seq == 0)
        return DP_SEQ_AT_OR_PAST; /* nothing to have seen */
    for (uint16_t i = 0; i < s->n; i++) {
        const struct dp_seq_shard *have = &s->shards[i];
        if (have->first != mark->first || have->last != mark->last)
            continue;
        if (have->seq == 0)
            return DP_SEQ_BEFORE;
        if (!dp_seq_same_count(have, mark))
            return DP_SEQ_UNKNOWN;
        return have->seq >= mark->seq ? DP_SEQ_AT_OR_PAST : DP_SEQ_BEFORE;
    }
    return DP_SEQ_UNKNOWN;
}

enum dp_seq_order dp_seq_compare(const struct dp_seq *s, const struct dp_seq *mark)
{
    enum dp_seq_order all = DP_SEQ_AT_OR_PAST;
    if (s->plain != mark->plain)
        return DP_SEQ_UNKNOWN;
    if (s->plain)
        return s->shards[0].seq >= mark->shards[0].seq ? DP_SEQ_AT_OR_PAST : DP_SEQ_BEFORE;
    for (uint16_t i = 0; i < mark->n; i++) {
        enum dp_seq_order one = compare_shard(s, &mark->shards[i]);
        if (one == DP_SEQ_UNKNOWN)
            return DP_SEQ_UNKNOWN;
        if (one == DP_SEQ_BEFORE)
            all = DP_SEQ_BEFORE;
    }
    return all;
}
