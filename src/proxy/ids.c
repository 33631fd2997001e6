/* Taking and making the names of a request. */
#include "proxy/ids.h"

#include <string.h>

#define TRACE_BYTES 55 /* 00-<32>-<16>-00 */

/* ---- what a client gives ---- */

bool dp_request_id_valid(struct dp_span s)
{
    if (s.n == 0 || s.n > DP_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!alnum && (c == '\0' || !strchr("-._~:/+=@", c)))
            return false;
    }
    return true;
}

/* n digits of hexadecimal in lower case; *any: one of them is not 0. */
static bool hex(const char *p, size_t n, bool *any)
{
    *any = false;
    for (size_t i = 0; i < n; i++) {
        if ((p[i] < '0' || p[i] > '9') && (p[i] < 'a' || p[i] > 'f'))
            return false;
        *any |= p[i] != '0';
    }
    return true;
}

bool dp_traceparent_valid(struct dp_span s)
{
    bool trace, parent, other;
    if (s.n < TRACE_BYTES || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-' ||
        !hex(s.p, 2, &other) || !hex(s.p + 3, 32, &trace) || !hex(s.p + 36, 16, &parent) ||
        !hex(s.p + 53, 2, &other) || !trace || !parent)
        return false;
    if (memcmp(s.p, "00", 2) == 0)
        return s.n == TRACE_BYTES;
    return memcmp(s.p, "ff", 2) != 0 && (s.n == TRACE_BYTES || s.p[TRACE_BYTES] == '-');
}

/* ---- what is made ---- */

static char *put(char *at, const char *text, size_t n)
{
    memcpy(at, text, n);
    return at + n;
}

/* 8 digits, one for each nibble of v. Their order depends on the machine's; of chance it means nothing. */
static char *put_hex8(char *at, uint32_t v)
{
    uint64_t x = v; /* a nibble a byte, all eight at once */
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    const uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
    memcpy(at, &x, sizeof(x));
    return at + sizeof(x);
}

static char *put_hex(char *at, uint64_t v)
{
    return put_hex8(put_hex8(at, (uint32_t)v), (uint32_t)(v >> 32));
}

/* An id must not be all zero. */
static uint64_t not_zero(uint64_t v)
{
    return v != 0 ? v : 1;
}

/* The client's value if it gave one, and one only. */
static struct dp_span given(const struct dp_head *h, enum dp_header_id id)
{
    const struct dp_header *f = dp_head_only(h, id);
    return f ? f->value : (struct dp_span){NULL, 0};
}

static char *choose_request_id(struct dp_ids *ids, const struct dp_head *h, enum dp_id_policy how,
                               struct dp_random *random, char *at)
{
    const struct dp_span theirs = given(h, DP_HEADER_X_REQUEST_ID);
    if (how != DP_ID_REMOVE && dp_request_id_valid(theirs)) {
        ids->request_id = theirs;
        return at;
    }
    ids->drop |= DP_HEADER_BIT(DP_HEADER_X_REQUEST_ID);
    if (how != DP_ID_MAKE)
        return at;
    at = put(at, "X-Request-Id: ", 14);
    ids->request_id = (struct dp_span){at, 32};
    at = put_hex(at, dp_random_next(random));
    at = put_hex(at, dp_random_next(random));
    return put(at, "\r\n", 2);
}

/* A tracestate belongs to the traceparent beside it and goes with it. */
static char *choose_trace(struct dp_ids *ids, const struct dp_head *h, enum dp_id_policy how,
                          struct dp_random *random, char *at)
{
    const struct dp_span theirs = given(h, DP_HEADER_TRACEPARENT);
    if (how != DP_ID_REMOVE && dp_traceparent_valid(theirs)) {
        ids->traceparent = theirs;
        return at;
    }
    ids->drop |= DP_HEADER_BIT(DP_HEADER_TRACEPARENT) | DP_HEADER_BIT(DP_HEADER_TRACESTATE);
    if (how != DP_ID_MAKE)
        return at;
    at = put(at, "traceparent: ", 13);
    ids->traceparent = (struct dp_span){at, TRACE_BYTES};
    at = put(at, "00-", 3);
    at = put_hex(at, not_zero(dp_random_next(random)));
    at = put_hex(at, dp_random_next(random));
    at = put(at, "-", 1);
    at = put_hex(at, not_zero(dp_random_next(random)));
    /* Not sampled: nobody before us asked for this trace to be recorded, and we record none. */
    return put(at, "-00\r\n", 5);
}

void dp_ids_span(struct dp_random *random, char out[16])
{
    (void)put_hex(out, not_zero(dp_random_next(random)));
}

/* Bits of the flags, of which the second digit has all that are defined. */
#define FLAG_SAMPLED 1U
#define FLAG_RANDOM  2U

static unsigned flags_of(struct dp_span traceparent)
{
    const char c = traceparent.p[54];
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* A traceparent of ours behind the other lines, or behind them without being one of them. Its span-id comes with each
 * attempt. Level 2 of the specification: flags that are not known are not passed on, that the trace-id is random is. */
static void put_sampled(struct dp_ids *ids, char *text, const char trace[32], unsigned flags,
                        bool told)
{
    char *at = put(text + ids->lines.n, "traceparent: ", 13);
    ids->traceparent = (struct dp_span){at, TRACE_BYTES};
    at = put(at, "00-", 3);
    at = put(at, trace, 32);
    ids->span = at + 1;
    at = put(at, "-0000000000000000-0", 19);
    *at++ = (char)('0' + (FLAG_SAMPLED | (flags & FLAG_RANDOM)));
    at = put(at, "\r\n", 2);
    if (told)
        ids->lines.n = (size_t)(at - text);
    ids->drop |= DP_HEADER_BIT(DP_HEADER_TRACEPARENT);
}

bool dp_ids_sample(struct dp_ids *ids, const struct dp_proxy_config *c, struct dp_random *random,
                   char *text, struct dp_span *parent)
{
    const bool theirs =
        ids->traceparent.n > 0 && !(ids->drop & DP_HEADER_BIT(DP_HEADER_TRACEPARENT));
    char trace[32];
    if (theirs) {
        if (!(flags_of(ids->traceparent) & FLAG_SAMPLED))
            return false;
        memcpy(trace, ids->traceparent.p + 3, sizeof(trace));
        *parent = (struct dp_span){ids->traceparent.p + 36, 16};
        put_sampled(ids, text, trace, flags_of(ids->traceparent), true);
        return true;
    }
    if ((dp_random_next(random) >> 32) * DP_TRACE_SAMPLE_ALL >> 32 >= c->trace_sample)
        return false;
    if (ids->traceparent.n >
        0) { /* made, not sampled: the last of the lines, which is written anew */
        memcpy(trace, ids->traceparent.p + 3, sizeof(trace));
        ids->lines.n = (size_t)(ids->traceparent.p - 13 - text);
    } else {
        (void)put_hex(put_hex(trace, not_zero(dp_random_next(random))), dp_random_next(random));
    }
    put_sampled(ids, text, trace, FLAG_RANDOM, c->traceparent != DP_ID_REMOVE);
    return true;
}

void dp_ids_choose(struct dp_ids *ids, const struct dp_head *h, const struct dp_proxy_config *c,
                   struct dp_random *random, char *text)
{
    char *end = choose_request_id(ids, h, c->request_id, random, text);
    end = choose_trace(ids, h, c->traceparent, random, end);
    ids->lines = (struct dp_span){text, (size_t)(end - text)};
}
