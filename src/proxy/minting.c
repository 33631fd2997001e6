/* From the gathered body to one whose documents all have ids, or whose bookmark has no tag. */
#include "proxy/minting.h"

#include "davenport/base/attr.h"
#include "davenport/couch/bookmark.h"
#include "davenport/couch/gunzip.h"

#include "proxy/exchange.h"
#include "proxy/settle.h"
#include "proxy/tagging.h"

#include <string.h>
#include <sys/random.h>

/* As CouchDB: a new prefix after so much, and the largest step. */
#define SERIAL_MAX 0xfff000U
#define STEP_MAX   0xffeU
/* Bytes that are written at a time. */
#define PIECE_BYTES 4096

/* ---- ids ---- */

static void write_hex(char *out, size_t digits, uint64_t v)
{
    static const char hex[] = "0123456789abcdef";
    while (digits-- > 0) {
        out[digits] = hex[v & 15];
        v >>= 4;
    }
}

/* The kernel's chance; a worker's own, which is unique though not secret, while the kernel has none. */
static void new_prefix(struct dp_engine *e, struct dp_mint_state *s)
{
    uint64_t chance[2];
    if (getrandom(chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance)) {
        chance[0] = dp_random_next(&e->random);
        chance[1] = dp_random_next(&e->random);
    }
    write_hex(s->prefix, DP_MINT_PREFIX_BYTES / 2, chance[0]);
    write_hex(s->prefix + DP_MINT_PREFIX_BYTES / 2, DP_MINT_PREFIX_BYTES / 2, chance[1]);
}

void dp_mint_next(void *ctx, char id[DP_ID_BYTES])
{
    struct dp_engine *e = ctx;
    struct dp_mint_state *s = &e->mint;
    if (s->serial == 0 || s->serial > SERIAL_MAX) {
        new_prefix(e, s);
        s->serial = 0;
    }
    s->serial += 1 + (uint32_t)(dp_random_next(&e->random) % STEP_MAX);
    memcpy(id, s->prefix, DP_MINT_PREFIX_BYTES);
    write_hex(id + DP_MINT_PREFIX_BYTES, DP_ID_BYTES - DP_MINT_PREFIX_BYTES, s->serial);
}

/* ---- which requests ---- */

static bool is_json(const struct dp_head *h)
{
    const struct dp_header *type = dp_head_find(h, DP_HEADER_CONTENT_TYPE);
    struct dp_span rest = type ? type->value : (struct dp_span){NULL, 0};
    return type && dp_span_ieq(dp_span_trim(dp_span_cut(&rest, ';')), DP_SPAN("application/json"));
}

static bool is_gzip(const struct dp_head *h)
{
    const struct dp_header *coding = dp_head_find(h, DP_HEADER_CONTENT_ENCODING);
    return coding && dp_span_eq(coding->value, DP_SPAN("gzip"));
}

/* No other coding, and nothing that vouches for the bytes of the body. */
static bool may_be_changed(const struct dp_head *h)
{
    static const struct dp_span sums[] = {
        DP_SPAN_INIT("Content-MD5"),
        DP_SPAN_INIT("Digest"),
        DP_SPAN_INIT("Content-Digest"),
        DP_SPAN_INIT("Repr-Digest"),
    };
    const struct dp_header *coding = dp_head_find(h, DP_HEADER_CONTENT_ENCODING);
    if (coding && !is_gzip(h) && !dp_span_eq(coding->value, DP_SPAN("identity")))
        return false;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        for (size_t k = 0; k < DP_ARRAY_LEN(sums); k++) {
            if (h->headers[i].id == DP_HEADER_OTHER && dp_span_ieq(h->headers[i].name, sums[k]))
                return false;
        }
    }
    return true;
}

void dp_minting_begin(struct dp_exchange *x)
{
    const struct dp_head *h = &x->request;
    const struct dp_proxy_config *c = x->engine->config;
    const bool wants = x->couch.mints != DP_MINTS_NOTHING
                           ? c->mint_ids
                           : x->tagging && x->couch.tokens == DP_TOKENS_BOOKMARK;
    /* Who asks before it sends the body is answered by the region; an override may be heeded by the region or not. */
    x->gathers = wants && !h->expect_continue &&
                 !dp_head_has(h, DP_HEADER_X_HTTP_METHOD_OVERRIDE) &&
                 (h->framing == DP_FRAMING_CHUNKED ||
                  (h->framing == DP_FRAMING_LENGTH && h->content_length <= c->replay_body_bytes)) &&
                 is_json(h) && may_be_changed(h);
}

/* ---- the body ---- */

struct mint {
    struct dp_minter minter;
    struct dp_buf out;
    size_t max;
};

static enum dp_err take(void *ctx, const char *p, size_t n)
{
    struct mint *m = ctx;
    char piece[PIECE_BYTES];
    for (size_t at = 0, used = 0; at < n; at += used) {
        size_t bytes = dp_minter_run(&m->minter, p + at, n - at, &used, piece, sizeof(piece));
        if (m->out.bytes + bytes > m->max)
            return DP_EBODYSIZE;
        enum dp_err err = dp_buf_append(&m->out, piece, bytes);
        if (err)
            return err;
    }
    return DP_OK;
}

static enum dp_err take_all(const struct dp_buf *in, struct mint *m)
{
    struct dp_buf_iter it = dp_buf_begin(in);
    struct dp_span piece;
    enum dp_err err = DP_OK;
    while (!err && dp_buf_next(&it, &piece))
        err = take(m, piece.p, piece.n);
    return err;
}

static uint64_t most_bytes(const struct dp_proxy_config *c)
{
    uint64_t most = c->replay_body_bytes;
    return c->max_body_bytes > 0 && c->max_body_bytes < most ? c->max_body_bytes : most;
}

/* The body as it is to be sent takes the place of the one that came. */
static void replace_body(struct dp_exchange *x, struct dp_buf *with, bool inflated)
{
    dp_buf_clear(&x->replay);
    x->replay = *with;
    if (x->request.framing == DP_FRAMING_LENGTH)
        x->request.content_length = with->bytes;
    if (inflated)
        x->ids.drop |= DP_HEADER_BIT(DP_HEADER_CONTENT_ENCODING);
}

static void mint(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    const bool gzip = is_gzip(&x->request);
    struct mint m = {.max = most_bytes(e->config)};
    dp_minter_init(&m.minter, x->couch.mints == DP_MINTS_BULK ? DP_MINT_BULK : DP_MINT_DOCUMENT,
                   dp_mint_next, e);
    dp_buf_init(&m.out, &e->chunks);
    enum dp_err err = gzip ? dp_gunzip(&x->replay, take, &m) : take_all(&x->replay, &m);
    if (!err)
        x->couch.idempotent = true;
    if (err || m.minter.minted == 0) { /* as it came */
        dp_buf_clear(&m.out);
        return;
    }
    dp_counter_add(&e->traffic->ids_minted, m.minter.minted);
    replace_body(x, &m.out, gzip);
}

/* ---- bookmarks ---- */

/* The body without its bookmark's tag, if it has one: what can't be read has none. */
static enum dp_err take_tag_off(struct dp_exchange *x)
{
    struct dp_span body, bare;
    struct dp_buf out;
    if (dp_settle_body(x, &body) != DP_OK)
        return DP_OK;
    const struct dp_span mark = dp_bookmark_in_body(body);
    if (!mark.p || !dp_tagging_bookmark(x, mark, &bare))
        return DP_OK;
    const size_t before = (size_t)(mark.p - body.p);
    const struct dp_span parts[] = {
        {body.p, before},
        bare,
        {mark.p + mark.n, body.n - before - mark.n},
    };
    enum dp_err err = DP_OK;
    dp_buf_init(&out, &x->engine->chunks);
    for (size_t i = 0; !err && i < DP_ARRAY_LEN(parts); i++)
        err = dp_buf_append(&out, parts[i].p, parts[i].n);
    if (err)
        dp_buf_clear(&out);
    else
        replace_body(x, &out, is_gzip(&x->request));
    return err;
}

bool dp_minting_ready(struct dp_exchange *x)
{
    const bool fits = x->replay.bytes <= x->engine->config->replay_body_bytes;
    if (!x->request_complete && x->replay.bytes < x->engine->config->replay_body_bytes)
        return false;
    x->gathers = false;
    if (!x->request_complete || !fits || x->replay.bytes == 0)
        return true;
    if (x->couch.mints != DP_MINTS_NOTHING) {
        mint(x);
        return true;
    }
    const enum dp_err err = take_tag_off(x);
    if (err)
        dp_exchange_refuse(x, err);
    return !err;
}
