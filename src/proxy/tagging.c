/* Tokens out and in. */
#include "proxy/tagging.h"

#include "davenport/base/attr.h"
#include "davenport/couch/bookmark.h"
#include "davenport/couch/seqmaps.h"

#include "proxy/exchange.h"
#include "proxy/route.h"

#include <stdlib.h>

/* So much is unpacked at a time, and there is room for all that can be made of it: no token is shorter than `id: ""` and its
 * line's end. */
#define UNPACKED_BYTES 4096
#define UNPACKED_ROOM  (UNPACKED_BYTES + UNPACKED_BYTES / 7 * DP_TAGGER_ROOM)

/* Between two rows of one feed that are held against a look that no row has passed. */
#define LOOK_NS (100 * DP_NS_PER_MS)

#define NO_ENDPOINT UINT16_MAX

static const struct dp_span nothing = {NULL, 0};
static const struct dp_span anew = DP_SPAN_INIT("0");

/* ---- the request ---- */

static bool carries_since(enum dp_tokens kind)
{
    return kind == DP_TOKENS_CHANGES || kind == DP_TOKENS_LINES || kind == DP_TOKENS_EVENTS;
}

/* An eventsource's client that comes back says so in a header, which counts more than its query. */
static struct dp_span since_of(const struct dp_exchange *x, const struct dp_reading *r,
                               bool *header)
{
    const struct dp_header *h = x->couch.tokens == DP_TOKENS_EVENTS
                                    ? dp_head_find(&x->request, DP_HEADER_LAST_EVENT_ID)
                                    : NULL;
    *header = h != NULL;
    return h ? h->value : r->since;
}

enum dp_err dp_tagging_begin(struct dp_exchange *x)
{
    struct dp_tagging *t = dp_arena_alloc(&x->arena, sizeof(*t));
    if (!t)
        return DP_ENOMEM;
    *t = (struct dp_tagging){
        .pin = DP_NO_REGION,
        .look_at_ns = UINT64_MAX,
        .reading = dp_reading_of(x->request.target, x->engine->config->sequence_settle_s),
        .asked = {{.endpoint = NO_ENDPOINT}, {.endpoint = NO_ENDPOINT}}};
    dp_buf_init(&t->rest, &x->engine->chunks);
    x->tagging = t;
    if (x->couch.tokens == DP_TOKENS_BOOKMARK)
        t->reading.since = dp_bookmark_in_query(x->request.target);
    else if (!carries_since(x->couch.tokens))
        return DP_OK;
    const struct dp_span raw = since_of(x, &t->reading, &t->by_header);
    if (raw.n == 0)
        return DP_OK;
    char *text = dp_arena_alloc(&x->arena, raw.n);
    if (!text)
        return DP_ENOMEM;
    t->since = dp_token_split(t->by_header ? raw : dp_couch_decode(raw, text, raw.n));
    if (x->couch.tokens == DP_TOKENS_BOOKMARK)
        t->anywhere = t->since.tag.n > 0 && dp_bookmark_is_portable(t->since.token);
    return DP_OK;
}

bool dp_tagging_bookmark(struct dp_exchange *x, struct dp_span text, struct dp_span *bare)
{
    struct dp_tagging *t = x->tagging;
    const struct dp_token mark = dp_token_split(text);
    const bool portable = mark.tag.n > 0 && dp_bookmark_is_portable(mark.token);
    /* Where the request names a region itself, that one says what it makes of another's. */
    if (mark.tag.n == 0 || (x->named.p && !portable && !dp_span_eq(x->named, mark.tag)))
        return false;
    t->since = mark;
    t->in_body = true;
    t->anywhere = portable;
    *bare = mark.token;
    return true;
}

void dp_tagging_follow(struct dp_exchange *x)
{
    struct dp_tagging *t = x->tagging;
    t->pin = t->since.tag.n > 0 ? dp_route_region(x->view->view, t->since.tag) : DP_NO_REGION;
}

/* Where a reader of another region's token goes on here. */
static struct dp_span translated(const struct dp_exchange *x, struct dp_span to)
{
    const struct dp_tagging *t = x->tagging;
    char name[DP_COUCH_NAME_BYTES];
    if (x->engine->config->foreign_sequence != DP_FOREIGN_TRANSLATE || x->couch.db.n == 0)
        return nothing;
    return dp_seqview_translate(x->engine->sequences, dp_couch_name(x->couch.db, name),
                                t->since.tag, to, t->since.time.caught_up_s, t->asked_s);
}

/* What that endpoint was asked with; the older of the two gives way. */
static struct dp_asked *asked_of(struct dp_tagging *t, uint16_t endpoint)
{
    for (unsigned i = 0; i < DP_ARRAY_LEN(t->asked); i++) {
        if (t->asked[i].endpoint == endpoint)
            return &t->asked[i];
    }
    t->last = 1 - t->last;
    t->asked[t->last] = (struct dp_asked){.endpoint = endpoint};
    return &t->asked[t->last];
}

/* What a region is asked with in place of what came. False: as it came. */
static bool choose_token(struct dp_exchange *x, struct dp_span region, struct dp_asked *a)
{
    const struct dp_tagging *t = x->tagging;
    struct dp_traffic *traffic = x->engine->traffic;
    a->token = t->since;
    a->fate = NULL;
    if (t->since.tag.n == 0)
        return false;
    if (t->anywhere || dp_span_eq(t->since.tag, region))
        return true;
    if (x->couch.tokens ==
        DP_TOKENS_BOOKMARK) /* the request names that region: it says what it makes of this */
        return false;
    const struct dp_span found = translated(x, region);
    a->token = (struct dp_token){.token = found.n > 0 ? found : anew};
    a->fate = found.n > 0 ? "translated" : "rewound";
    dp_counter_add(found.n > 0 ? &traffic->sequences_translated : &traffic->sequences_rewound, 1);
    return true;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

/* The target with `token` in place of the since that counts. .p == NULL: out of memory. */
static struct dp_span with_token(struct dp_exchange *x, struct dp_span token)
{
    static const char digits[] = "0123456789ABCDEF";
    const struct dp_span target = x->request.target, old = x->tagging->reading.since;
    const size_t before = (size_t)(old.p - target.p), after = target.n - before - old.n;
    char *p = dp_arena_alloc(&x->arena, target.n + 3 * token.n);
    if (!p)
        return nothing;
    size_t n = before;
    memcpy(p, target.p, before);
    for (size_t i = 0; i < token.n; i++) {
        const unsigned char c = (unsigned char)token.p[i];
        if (is_plain(token.p[i])) {
            p[n++] = token.p[i];
            continue;
        }
        p[n++] = '%';
        p[n++] = digits[c >> 4];
        p[n++] = digits[c & 15];
    }
    if (after > 0)
        memcpy(p + n, old.p + old.n, after);
    return (struct dp_span){p, n + after};
}

static bool takes_gzip(const struct dp_head *h)
{
    const struct dp_header *f = dp_head_find(h, DP_HEADER_ACCEPT_ENCODING);
    struct dp_span rest = f ? f->value : nothing;
    while (rest.p) {
        struct dp_span option = dp_span_cut(&rest, ',');
        const struct dp_span coding = dp_span_trim(dp_span_cut(&option, ';'));
        if (dp_span_ieq(coding, DP_SPAN("gzip")) || dp_span_eq(coding, DP_SPAN("*")))
            return true;
    }
    return false;
}

enum dp_err dp_tagging_ask(struct dp_exchange *x, uint16_t endpoint, struct dp_forward_request *f)
{
    const struct dp_view *v = x->view->view;
    const int64_t now_ms = dp_clock_wall_ms(x->engine->clock);
    struct dp_tagging *t = x->tagging;
    /* The answer may be of an attempt before the last one: the first time is true of all. */
    if (t->asked_s == 0 && now_ms > 0)
        t->asked_s = (uint64_t)now_ms / 1000;
    /* It is read here, whatever the client makes of it. */
    if (dp_head_has(f->head, DP_HEADER_ACCEPT_ENCODING)) {
        f->without |= DP_HEADER_BIT(DP_HEADER_ACCEPT_ENCODING);
        f->accept_encoding = takes_gzip(f->head) ? DP_SPAN("gzip") : DP_SPAN("identity");
    }
    struct dp_asked *a = asked_of(t, endpoint);
    if (!choose_token(x, dp_span_str(v->regions[v->endpoints[endpoint].region].name), a))
        return DP_OK;
    if (t->in_body)
        return DP_OK;
    a->token.token = dp_arena_copy(&x->arena, a->token.token); /* other maps may come meanwhile */
    if (!a->token.token.p)
        return DP_ENOMEM;
    if (t->by_header) {
        f->without |= DP_HEADER_BIT(DP_HEADER_LAST_EVENT_ID);
        f->last_event_id = a->token.token;
        return DP_OK;
    }
    f->target = with_token(x, a->token.token);
    return f->target.p ? DP_OK : DP_ENOMEM;
}

/* ---- the answer ---- */

/* How it is compressed. False: in a way that can't be read here. */
static bool coding_of(const struct dp_head *h, bool *packed)
{
    const struct dp_header *f = dp_head_only(h, DP_HEADER_CONTENT_ENCODING);
    *packed = f && !dp_span_ieq(f->value, DP_SPAN("identity"));
    if (!f)
        return !dp_head_has(h, DP_HEADER_CONTENT_ENCODING);
    return !*packed || dp_unpack_knows(f->value);
}

static bool have_room(struct dp_engine *e)
{
    if (!e->tagged)
        e->tagged = malloc(DP_TAGGED_BYTES);
    return e->tagged != NULL;
}

/* A feed whose whole answers prove something: its rows may, too. */
static void begin_renewal(struct dp_tagging *t, const struct dp_token_times *times)
{
    const bool stays = t->tagger.kind == DP_TOKENS_LINES || t->tagger.kind == DP_TOKENS_EVENTS;
    if (!stays || times->whole.run_s == 0)
        return;
    t->renewal = (struct dp_renewal){.settled_s = times->whole.run_s + t->reading.settle_s};
    t->look_at_ns = 0;
}

enum dp_err dp_tagging_answer(struct dp_exchange *x, struct dp_forward_response *f)
{
    struct dp_tagging *t = x->tagging;
    const struct dp_head *h = &x->response;
    const struct dp_view *v = x->view->view;
    const struct dp_asked *a = asked_of(t, x->endpoint);
    bool packed = false;
    f->sequence = a->fate;
    if (h->status != 200)
        return DP_OK;
    if (!coding_of(h, &packed)) {
        dp_counter_add(&x->engine->traffic->sequences_untagged, 1);
        return DP_OK;
    }
    /* What GET tells of its body in other fields is not true of the one that we send, so HEAD does not either. */
    f->without |= DP_HEADER_BIT(DP_HEADER_ETAG);
    if (packed)
        f->without |= DP_HEADER_BIT(DP_HEADER_CONTENT_ENCODING);
    f->no_length = true;
    if (h->framing == DP_FRAMING_NONE)
        return DP_OK;
    if (!have_room(x->engine) || (packed && !(t->unpack = dp_unpack_new())))
        return DP_ENOMEM;
    const struct dp_token_times times =
        dp_reading_times(&x->couch, &t->reading, &a->token, t->asked_s);
    dp_tagger_init(&t->tagger, x->couch.tokens,
                   dp_span_str(v->regions[v->endpoints[x->endpoint].region].name), &times);
    begin_renewal(t, &times);
    t->rewrites = true;
    dp_counter_add(&x->engine->traffic->answers_tagged, 1);
    return DP_OK;
}

void dp_tagging_end(struct dp_exchange *x)
{
    struct dp_tagging *t = x->tagging;
    dp_unpack_free(t->unpack);
    dp_buf_clear(&t->rest);
    t->unpack = NULL;
}

/* ---- the body ---- */

static struct dp_span piece_of(const struct dp_tag_input *in)
{
    if (in->at == in->k)
        return nothing;
    const struct dp_span s = in->spans[in->at];
    return (struct dp_span){s.p + in->offset, s.n - in->offset};
}

static void take(struct dp_tag_input *in, size_t n)
{
    in->taken += n;
    in->offset += n;
    while (in->at < in->k && in->offset == in->spans[in->at].n) {
        in->at++;
        in->offset = 0;
    }
}

/* Of a span as it came. False: there is no room. */
static bool tag_plain(struct dp_tagging *t, struct dp_tag_input *in, char *out, size_t *n)
{
    const struct dp_span piece = piece_of(in);
    size_t used;
    if (DP_TAGGED_BYTES - *n < DP_TAGGER_ROOM)
        return false;
    *n += dp_tagger_run(&t->tagger, piece.p, piece.n, &used, out + *n, DP_TAGGED_BYTES - *n);
    take(in, used);
    return true;
}

/* Of a compressed one. *more: something may have stayed in the unpacker. */
static enum dp_err tag_packed(struct dp_tagging *t, struct dp_tag_input *in, char *out, size_t *n,
                              bool *more)
{
    char text[UNPACKED_BYTES];
    const struct dp_span piece = piece_of(in);
    size_t used, got, tagged;
    enum dp_err err = dp_unpack_run(t->unpack, piece.p, piece.n, &used, text, sizeof(text), &got);
    take(in, used);
    if (got > 0)
        *n += dp_tagger_run(&t->tagger, text, got, &tagged, out + *n, DP_TAGGED_BYTES - *n);
    *more = got == sizeof(text);
    return err;
}

static enum dp_tagged finish(struct dp_tagging *t, char *out, size_t *n)
{
    if (DP_TAGGED_BYTES - *n < DP_TAGGER_ROOM)
        return DP_TAGGED_MORE;
    *n += dp_tagger_finish(&t->tagger, out + *n);
    return DP_TAGGED_ALL;
}

/* What the region told, for the rows that come now; a snapshot may be another one in the next callback. */
static void take_look(struct dp_exchange *x)
{
    struct dp_tagging *t = x->tagging;
    char name[DP_COUCH_NAME_BYTES];
    if (t->look_at_ns == UINT64_MAX)
        return;
    const uint64_t now_ns = dp_clock_mono_ns(x->engine->clock);
    t->tagger.look.renewal = NULL;
    if (now_ns < t->look_at_ns)
        return;
    const struct dp_span region = {t->tagger.tag.text + 1, t->tagger.region};
    const struct dp_seqlook *look =
        dp_seqview_look(x->engine->sequences, dp_couch_name(x->couch.db, name), region);
    t->look_at_ns = now_ns + LOOK_NS;
    if (!look || dp_seqlook_newest_ns(look) == t->renewal.used_ns)
        return;
    t->tagger.look = (struct dp_tagger_look){&t->renewal, look, now_ns};
}

enum dp_tagged dp_tagging_run(struct dp_exchange *x, struct dp_tag_input *in, struct dp_span *out)
{
    struct dp_tagging *t = x->tagging;
    char *buf = x->engine->tagged;
    size_t n = 0;
    bool more = t->unpack != NULL;
    take_look(x);
    enum dp_tagged r = DP_TAGGED_ALL;
    take(in, 0); /* past empty spans */
    while (r == DP_TAGGED_ALL && (in->at < in->k || more)) {
        if (!t->unpack)
            r = tag_plain(t, in, buf, &n) ? DP_TAGGED_ALL : DP_TAGGED_MORE;
        else if (DP_TAGGED_BYTES - n < UNPACKED_ROOM)
            r = DP_TAGGED_MORE;
        else if (tag_packed(t, in, buf, &n, &more) != DP_OK)
            r = DP_TAGGED_BAD;
    }
    if (r == DP_TAGGED_ALL && in->last)
        r = t->unpack && !dp_unpack_whole(t->unpack) ? DP_TAGGED_BAD : finish(t, buf, &n);
    *out = (struct dp_span){buf, n};
    return r;
}

enum dp_err dp_tagging_put_off(struct dp_exchange *x, const struct dp_tag_input *in)
{
    struct dp_tagging *t = x->tagging;
    size_t offset = in->offset;
    t->behind = true;
    for (size_t i = in->at; i < in->k; i++) {
        enum dp_err err = dp_buf_append(&t->rest, in->spans[i].p + offset, in->spans[i].n - offset);
        if (err)
            return err;
        offset = 0;
    }
    return DP_OK;
}
