/* From a refusal to the question whose write it is, and back to the client. */
#include "proxy/settle.h"

#include "davenport/base/attr.h"
#include "davenport/base/log.h"
#include "davenport/couch/gunzip.h"
#include "davenport/couch/trace.h"
#include "davenport/http/writer.h"

#include "proxy/exchange.h"
#include "proxy/inquiry.h"
#include "proxy/spread.h"

#include <stdlib.h>
#include <string.h>

/* Fields of an answer of ours, and of one that is passed on with a word of ours. */
#define OWN_HEADERS 5
/* A look that got no answer is tried once more. */
#define TRIES 2

enum what { NOTHING, DOCUMENT, CREATION, DELETION, ATTACHMENT, DETACHMENT, BULK, MAKING, DROPPING };

/* In the exchange's arena. */
struct dp_settle {
    enum what what;
    unsigned tries;        /* of the look that is under way */
    struct dp_buf answer;  /* the region's */
    struct dp_span path;   /* of what was written: a document, an attachment, a database */
    struct dp_span doc;    /* of the document, where `path` is longer */
    struct dp_span leaves; /* the first look's answer */
    struct dp_trace_ask ask;
    struct dp_trace_found found;
    struct dp_trace_rows rows; /* BULK: of the answer that is told */
    struct dp_inquiry inquiry;
};

/* ---- which answers ---- */

static struct dp_span path_of(const struct dp_exchange *x)
{
    struct dp_span rest = x->request.target;
    return dp_span_cut(&rest, '?');
}

static enum what what_of(const struct dp_exchange *x)
{
    const struct dp_couch_request *r = &x->couch;
    if (!r->idempotent || r->batch || !r->writes)
        return NOTHING; /* what batch=ok promises is nothing to be looked for */
    if (r->mints != DP_MINTS_NOTHING)
        return r->mints == DP_MINTS_BULK ? BULK : CREATION;
    if (r->point && r->doc.n == 0) /* the database itself */
        return x->request.method == DP_METHOD_PUT ? MAKING : DROPPING;
    if (r->doc.n == 0 || dp_span_starts(r->doc, DP_SPAN("_local/")))
        return NOTHING; /* _local: no conflicts */
    const bool attachment = dp_couch_behind(x->request.target, r->doc).n > 0;
    if (x->request.method == DP_METHOD_PUT)
        return attachment ? ATTACHMENT : DOCUMENT;
    if (x->request.method == DP_METHOD_DELETE)
        return attachment ? DETACHMENT : DELETION;
    return NOTHING;
}

static bool may_be_own(enum what what, uint16_t status)
{
    switch (what) {
    case NOTHING:
        return false;
    case DOCUMENT:
    case CREATION:
    case ATTACHMENT:
    case DETACHMENT:
        return status == 409;
    case DELETION:
        return status == 409 || status == 404;
    case BULK: /* 417, 500: some rows may be told as well */
        return status == 201 || status == 202 || status == 417 || status == 500;
    case MAKING:
        return status == 412;
    case DROPPING:
        return status == 404;
    }
    return false;
}

bool dp_settle_wants(const struct dp_exchange *x)
{
    const struct dp_head *h = &x->response;
    if (!x->wrote_before || !x->engine->config->resolve_conflicts)
        return false;
    const bool empty = h->framing == DP_FRAMING_NONE ||
                       (h->framing == DP_FRAMING_LENGTH && h->content_length == 0);
    return !empty && !dp_head_has(h, DP_HEADER_CONTENT_ENCODING) && x->request_complete &&
           x->body_replayable && may_be_own(what_of(x), h->status);
}

/* ---- what was written ---- */

static struct dp_span flat(struct dp_exchange *x, const struct dp_buf *b)
{
    struct dp_buf_iter it = dp_buf_begin(b);
    char *p = dp_arena_alloc(&x->arena, b->bytes + 1);
    struct dp_span piece, out = {p, 0};
    while (p && dp_buf_next(&it, &piece)) {
        memcpy(p + out.n, piece.p, piece.n);
        out.n += piece.n;
    }
    return out;
}

static enum dp_err take(void *ctx, const char *p, size_t n)
{
    struct dp_buf *b = ctx;
    return b->bytes + n > DP_SETTLE_BYTES ? DP_EBODYSIZE : dp_buf_append(b, p, n);
}

enum dp_err dp_settle_body(struct dp_exchange *x, struct dp_span *out)
{
    const struct dp_header *coding = dp_head_find(&x->request, DP_HEADER_CONTENT_ENCODING);
    const bool passed = coding && !(x->ids.drop & DP_HEADER_BIT(DP_HEADER_CONTENT_ENCODING));
    enum dp_err err = x->replay.bytes > DP_SETTLE_BYTES ? DP_EBODYSIZE : DP_OK;
    if (!err && passed && dp_span_eq(coding->value, DP_SPAN("gzip"))) {
        struct dp_buf plain;
        dp_buf_init(&plain, &x->engine->chunks);
        err = dp_gunzip(&x->replay, take, &plain);
        *out = err ? *out : flat(x, &plain);
        dp_buf_clear(&plain);
    } else if (!err && passed && !dp_span_eq(coding->value, DP_SPAN("identity"))) {
        err = DP_EINVAL;
    } else if (!err) {
        *out = flat(x, &x->replay);
    }
    return err ? err : out->p ? DP_OK : DP_ENOMEM;
}

static struct dp_span query_value(struct dp_span target, struct dp_span name)
{
    struct dp_span query = target;
    (void)dp_span_cut(&query, '?');
    while (query.p) {
        struct dp_span value = dp_span_cut(&query, '&');
        if (dp_span_eq(dp_span_cut(&value, '='), name))
            return value.p ? value : (struct dp_span){NULL, 0};
    }
    return (struct dp_span){NULL, 0};
}

/* The revision that it builds on, as far as the head tells; false: it tells two. */
static bool find_rev(const struct dp_exchange *x, struct dp_span *out)
{
    const struct dp_header *match = dp_head_find(&x->request, DP_HEADER_IF_MATCH);
    const struct dp_span asked = query_value(x->request.target, DP_SPAN("rev"));
    struct dp_span told = match ? match->value : (struct dp_span){NULL, 0};
    if (told.n >= 2 && told.p[0] == '"' && told.p[told.n - 1] == '"')
        told = (struct dp_span){told.p + 1, told.n - 2};
    *out = asked.n > 0 ? asked : told;
    return asked.n == 0 || told.n == 0 || dp_span_eq(asked, told);
}

static struct dp_span join(struct dp_exchange *x, const struct dp_span *parts, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += parts[i].n;
    char *p = dp_arena_alloc(&x->arena, bytes + 1);
    struct dp_span out = {p, 0};
    for (size_t i = 0; p && i < n; i++) {
        if (parts[i].n > 0)
            memcpy(p + out.n, parts[i].p, parts[i].n);
        out.n += parts[i].n;
    }
    return out;
}

#define JOIN(x, ...)                                                                               \
    join((x), (const struct dp_span[]){__VA_ARGS__},                                               \
         sizeof((const struct dp_span[]){__VA_ARGS__}) / sizeof(struct dp_span))

/* As it stands in a path. */
static struct dp_span encoded(struct dp_exchange *x, const char *id)
{
    static const char hex[] = "0123456789ABCDEF";
    const size_t n = strlen(id);
    char *p = dp_arena_alloc(&x->arena, 3 * n + 1);
    struct dp_span out = {p, 0};
    for (size_t i = 0; p && i < n; i++) {
        const unsigned char c = (unsigned char)id[i];
        const bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                           (c != '\0' && strchr("-._~", c));
        if (plain) {
            p[out.n++] = id[i];
            continue;
        }
        p[out.n++] = '%';
        p[out.n++] = hex[c >> 4];
        p[out.n++] = hex[c & 15];
    }
    return out;
}

/* A path for what had none of its own: the document that was posted. */
static struct dp_span created_path(struct dp_exchange *x, struct dp_span body)
{
    char *id = dp_trace_id(body);
    struct dp_span out = {NULL, 0};
    if (id) {
        const struct dp_span name = encoded(x, id);
        if (name.p)
            out = JOIN(x, DP_SPAN("/"), x->couch.db, DP_SPAN("/"), name);
    }
    free(id);
    return out;
}

static enum dp_err understand(struct dp_exchange *x, struct dp_settle *s)
{
    const struct dp_span path = path_of(x);
    enum dp_err err = DP_OK;
    if (s->what == DETACHMENT ||
        s->what == DROPPING) /* what is gone does not tell who took it away */
        return DP_EINVAL;
    if (s->what == MAKING) {
        s->path = s->doc = path;
        return DP_OK;
    }
    if (s->what != DELETION)
        err = dp_settle_body(x, &s->ask.body);
    if (!err && !find_rev(x, &s->ask.rev))
        err = DP_EINVAL;
    if (err)
        return err;
    s->path = path;
    s->doc = (struct dp_span){path.p, (size_t)(x->couch.doc.p + x->couch.doc.n - path.p)};
    if (s->what == ATTACHMENT) {
        s->ask.write = DP_TRACE_ATTACHMENT;
        s->ask.name = dp_couch_behind(x->request.target, x->couch.doc);
    } else if (s->what == DELETION) {
        s->ask.write = DP_TRACE_DELETE;
    } else if (s->what == CREATION) {
        s->path = s->doc = created_path(x, s->ask.body);
    } else if (s->what == BULK) {
        s->doc = JOIN(x, DP_SPAN("/"), x->couch.db);
    }
    return s->doc.p && s->path.p ? DP_OK : DP_EINVAL;
}

/* ---- what the client is told ---- */

static struct dp_buf let_go(struct dp_exchange *x)
{
    struct dp_buf answer = x->settle->answer;
    dp_inquiry_drop(&x->settle->inquiry);
    x->settle = NULL;
    return answer;
}

/* Of what every region is to have the others hear only now. */
static void pass(struct dp_exchange *x, struct dp_buf *answer)
{
    if (dp_spread_wants(x))
        dp_spread_begin(x, answer);
    else
        dp_answer_whole(x, answer);
}

static void give_back(struct dp_exchange *x)
{
    struct dp_buf answer = let_go(x);
    pass(x, &answer);
}

/* It was looked into, and its word stands. */
static void let_stand(struct dp_exchange *x)
{
    dp_counter_add(&x->engine->traffic->conflicts_stood, 1);
    give_back(x);
}

/* What stands there did not come: a conflict that may be of our own making is not passed on. */
static void tell_unknown(struct dp_exchange *x)
{
    dp_exchange_refuse(x, DP_EUNKNOWNOUTCOME);
}

void dp_settle_expire(struct dp_exchange *x)
{
    tell_unknown(x);
}

void dp_settle_drop(struct dp_exchange *x)
{
    struct dp_buf answer = let_go(x);
    dp_buf_clear(&answer);
}

static void add_header(struct dp_head *h, const char *name, struct dp_span value)
{
    const struct dp_span n = dp_span_str(name);
    const enum dp_header_id id = dp_header_lookup(n);
    h->headers[h->n_headers++] = (struct dp_header){n, value, id, false};
    h->present |= DP_HEADER_BIT(id);
}

/* A head of ours, with room for OWN_HEADERS besides those of `like` (NULL: none). */
static bool begin_head(struct dp_exchange *x, const struct dp_head *like, struct dp_head *h)
{
    const uint32_t n = like ? like->n_headers : 0;
    *h = x->response;
    h->headers = dp_arena_alloc(&x->arena, (n + OWN_HEADERS) * sizeof(*h->headers));
    if (!h->headers)
        return false;
    if (n > 0)
        memcpy(h->headers, like->headers, n * sizeof(*h->headers));
    h->n_headers = n;
    h->present = like ? like->present : 0;
    return true;
}

static bool end_head(struct dp_exchange *x, struct dp_head *h, const char *outcome)
{
    add_header(h, "Davenport-Outcome", dp_span_str(outcome));
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (!h->headers[i].value.p)
            return false; /* no memory */
    }
    x->response = *h;
    return true;
}

void dp_settle_skip(struct dp_exchange *x)
{
    struct dp_head h;
    dp_counter_add(&x->engine->traffic->conflicts_unsettled, 1);
    if (begin_head(x, &x->response, &h))
        (void)end_head(x, &h, "unsettled");
}

/* Nothing can be looked for: what was sent, or what is said, can't be read, or there is too much of it; or what is said is not about the
 * earlier attempt. */
static void say_unsettled(struct dp_exchange *x)
{
    dp_settle_skip(x);
    give_back(x);
}

/* The head of the answer that is told in place of the region's. */
static bool make_head(struct dp_exchange *x, const struct dp_settle *s, size_t bytes, bool open)
{
    struct dp_head h;
    const bool rows = s->what == BULK; /* the same but for its body */
    const struct dp_span rev = dp_span_str(s->found.rev);
    if (!begin_head(x, rows ? &x->response : NULL, &h))
        return false;
    h.framing = DP_FRAMING_LENGTH;
    h.content_length = bytes;
    h.trailers = (struct dp_span){NULL, 0};
    if (rows && h.status >= 400 && s->rows.failed == 0) {
        h.status = 201;
        h.reason = dp_reason_phrase(h.status);
    }
    if (!rows) {
        h.status = s->found.deleted ? 200 : 201;
        h.reason = dp_reason_phrase(h.status);
        add_header(&h, "Cache-Control", DP_SPAN("must-revalidate"));
        add_header(&h, "Content-Type", DP_SPAN("application/json"));
    }
    if (s->what == DOCUMENT || s->what == DELETION)
        add_header(&h, "ETag", JOIN(x, DP_SPAN("\""), rev, DP_SPAN("\"")));
    if (!rows && s->what != DELETION) {
        const char *host = x->view->view->endpoints[x->endpoint].host;
        add_header(&h, "Location", JOIN(x, DP_SPAN("http://"), dp_span_str(host), s->path));
    }
    return end_head(x, &h, open ? "unsettled" : "settled");
}

/* text: from malloc. open: it has other conflicts that may be our own. */
static void tell(struct dp_exchange *x, char *text, size_t n, bool open)
{
    const struct dp_settle *s = x->settle;
    struct dp_buf body;
    dp_buf_init(&body, &x->engine->chunks);
    const bool whole =
        text && dp_buf_append(&body, text, n) == DP_OK && make_head(x, s, body.bytes, open);
    free(text);
    if (!whole) {
        dp_buf_clear(&body);
        tell_unknown(x);
        return;
    }
    dp_counter_add(open ? &x->engine->traffic->conflicts_unsettled
                        : &x->engine->traffic->conflicts_settled,
                   1);
    dp_log(DP_LOG_DEBUG, "conflict_settled", DP_KV_STR("rev", s->found.rev),
           DP_KV_INT("attempt", x->attempts.count));
    struct dp_buf theirs = let_go(x);
    dp_buf_clear(&theirs);
    pass(x, &body);
}

static void tell_success(struct dp_exchange *x)
{
    const struct dp_settle *s = x->settle;
    size_t n = 0;
    char *id = dp_trace_id(s->leaves);
    char *text = id ? dp_trace_answer(id, s->found.rev, &n) : NULL;
    free(id);
    tell(x, text, n, false);
}

/* ---- looks ---- */

static void first_done(struct dp_inquiry *q, enum dp_err err);
static void second_done(struct dp_inquiry *q, enum dp_err err);
static void rows_done(struct dp_inquiry *q, enum dp_err err);
static void database_done(struct dp_inquiry *q, enum dp_err err);

/* Look at `target`; false: that can't be done. */
static bool look(struct dp_exchange *x, struct dp_span target, struct dp_span body,
                 void (*done)(struct dp_inquiry *, enum dp_err))
{
    const struct dp_inquiry_ask ask = {.endpoint = x->endpoint,
                                       .target = target,
                                       .body = body,
                                       .max_bytes = 2 * (size_t)DP_SETTLE_BYTES};
    return target.p && dp_inquiry_begin(&x->settle->inquiry, x, &ask, done) == DP_OK;
}

static void look_at_rows(struct dp_exchange *x)
{
    const struct dp_settle *s = x->settle;
    const struct dp_span answer = flat(x, &s->answer);
    size_t n = 0;
    bool blind = true;
    char *text = answer.p ? dp_trace_bulk_ask(s->ask.body, answer, &n, &blind) : NULL;
    const struct dp_span body = dp_arena_copy(&x->arena, (struct dp_span){text, n});
    const bool asks = text != NULL;
    /* An error of the whole request, as of any other. */
    const bool no_rows =
        x->response.status >= 400 && !dp_span_starts(dp_span_trim(answer), DP_SPAN("["));
    free(text);
    if (!asks && (!blind || no_rows)) /* no conflicts */
        give_back(x);
    else if (!asks)
        say_unsettled(x);
    else if (!body.p || !look(x, JOIN(x, s->doc, DP_SPAN("/_bulk_get?revs=true")), body, rows_done))
        tell_unknown(x);
}

/* At all leaves of the document, or at what the database says of itself. */
static bool look_at(struct dp_exchange *x)
{
    const struct dp_settle *s = x->settle;
    const struct dp_span nothing = {NULL, 0};
    if (s->what == MAKING)
        return look(x, s->doc, nothing, database_done);
    return look(x, JOIN(x, s->doc, DP_SPAN("?open_revs=all&revs=true")), nothing, first_done);
}

static bool look_again(struct dp_exchange *x)
{
    const struct dp_settle *s = x->settle;
    const bool bytes = s->found.second == DP_TRACE_AT_BYTES;
    return look(x,
                JOIN(x, bytes ? s->path : s->doc, DP_SPAN("?rev="), dp_span_str(s->found.at),
                     bytes ? DP_SPAN("") : DP_SPAN("&attachments=true")),
                (struct dp_span){NULL, 0}, second_done);
}

/* What was seen, .n == 0: that there is nothing. False: it was not to be seen, and the exchange goes on or is over. */
static bool seen(struct dp_inquiry *q, enum dp_err err, struct dp_span *out)
{
    struct dp_exchange *x = q->x;
    struct dp_settle *s = x->settle;
    const struct dp_inquiry_ask ask = q->ask;
    if (!err && q->answer.status == 404) {
        *out = (struct dp_span){NULL, 0};
        return true;
    }
    if (!err && q->answer.status == 200) {
        *out = flat(x, &q->body);
        s->tries = 0;
        if (out->p)
            return true;
    } else if ((err == DP_ECLOSED || err == DP_ERESET) && ++s->tries < TRIES &&
               dp_inquiry_begin(q, x, &ask, q->done) == DP_OK) {
        return false;
    }
    if (err == DP_EBODYSIZE)
        say_unsettled(x);
    else
        tell_unknown(x);
    return false;
}

/* Was another region than the one that answers now asked before? */
static bool other_wrote(const struct dp_exchange *x)
{
    return x->failed_regions & ~(UINT32_C(1) << x->view->view->endpoints[x->endpoint].region);
}

static void first_done(struct dp_inquiry *q, enum dp_err err)
{
    struct dp_exchange *x = q->x;
    struct dp_settle *s = x->settle;
    if (!seen(q, err, &s->leaves))
        return;
    switch (s->leaves.p ? dp_trace_first(&s->ask, s->leaves, &s->found) : DP_TRACE_NOT) {
    case DP_TRACE_OURS:
        tell_success(x);
        return;
    case DP_TRACE_LOOK:
        if (!look_again(x))
            tell_unknown(x);
        return;
    case DP_TRACE_BLIND:
        say_unsettled(x);
        return;
    case DP_TRACE_NOT:
        if (other_wrote(x) && dp_trace_lacks_parent(&s->ask, s->leaves))
            say_unsettled(x);
        else
            let_stand(x);
        return;
    }
}

static void second_done(struct dp_inquiry *q, enum dp_err err)
{
    struct dp_exchange *x = q->x;
    struct dp_span answer;
    if (!seen(q, err, &answer))
        return;
    if (answer.p && dp_trace_second(&x->settle->ask, &x->settle->found, answer))
        tell_success(x);
    else
        let_stand(x);
}

static void rows_done(struct dp_inquiry *q, enum dp_err err)
{
    struct dp_exchange *x = q->x;
    struct dp_settle *s = x->settle;
    struct dp_span looked;
    size_t n = 0;
    if (!seen(q, err, &looked))
        return;
    const struct dp_span answer = flat(x, &s->answer);
    if (!answer.p) {
        tell_unknown(x);
        return;
    }
    char *text = dp_trace_bulk(s->ask.body, answer, looked, &n, &s->rows);
    const bool open = s->rows.unseen > 0 || (s->rows.lacking > 0 && other_wrote(x));
    dp_counter_add(&x->engine->traffic->rows_settled, s->rows.settled);
    if (text)
        tell(x, text, n, open);
    else if (open)
        say_unsettled(x);
    else
        let_stand(x);
}

static void database_done(struct dp_inquiry *q, enum dp_err err)
{
    struct dp_exchange *x = q->x;
    const struct dp_header *date = dp_head_only(&q->answer, DP_HEADER_DATE);
    const uint64_t ago_ns = dp_clock_mono_ns(x->engine->clock) - x->wrote_ns;
    struct dp_span info;
    int64_t now_s;
    if (!seen(q, err, &info))
        return;
    if (!date || !dp_http_date_read(date->value, &now_s))
        now_s = 0;
    switch (info.p ? dp_trace_database(info, now_s, (ago_ns + DP_NS_PER_S) / DP_NS_PER_S)
                   : DP_TRACE_NOT) {
    case DP_TRACE_OURS:
        tell(x, strdup("{\"ok\":true}\n"), 12, false);
        return;
    case DP_TRACE_LOOK:
    case DP_TRACE_BLIND:
        say_unsettled(x);
        return;
    case DP_TRACE_NOT:
        let_stand(x);
        return;
    }
}

void dp_settle_begin(struct dp_exchange *x, struct dp_buf *answer)
{
    struct dp_settle *s = dp_arena_alloc(&x->arena, sizeof(*s));
    if (!s) {
        dp_buf_clear(answer);
        dp_exchange_refuse(x, DP_EUNKNOWNOUTCOME);
        return;
    }
    *s = (struct dp_settle){.what = what_of(x), .answer = *answer};
    x->settle = s;
    dp_exchange_set_phase(x, DP_PHASE_SETTLE);
    const enum dp_err err = understand(x, s);
    if (err && err != DP_ENOMEM)
        say_unsettled(x);
    else if (!err && s->what == BULK)
        look_at_rows(x);
    else if (err || !look_at(x))
        tell_unknown(x);
}
