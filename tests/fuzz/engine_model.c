/* The models of engine.h's clients and regions. */
#include "engine_model.h"

#include "davenport/http/reader.h"

#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_SPANS 8

static const struct dp_reader_limits no_limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};

/* ---- flows ---- */

static void flow_init(struct flow *f, enum dp_reader_side side,
                      const struct dp_reader_limits *limits)
{
    *f = (struct flow){.reader = dp_reader_new(side, limits)};
    fuzz_check(f->reader != NULL, "memory");
    dp_arena_init(&f->arena, NULL);
}

static void flow_fini(struct flow *f)
{
    dp_reader_destroy(f->reader);
    dp_arena_reset(&f->arena);
}

static void flow_begin(struct flow *f, enum dp_method request)
{
    dp_arena_reset(&f->arena);
    f->head = (struct dp_head){0};
    f->begun = true;
    f->in_body = false;
    f->body_bytes = 0;
    dp_reader_begin(f->reader, &f->arena, &f->head, request);
}

struct flow_step {
    enum dp_read read;
    size_t used;
    bool head_done; /* with this step */
    struct dp_span spans[BODY_SPANS];
    size_t n_spans;
};

static struct flow_step flow_step(struct flow *f, const char *p, size_t n)
{
    struct flow_step s = {.read = DP_READ_MORE};
    if (f->in_body) {
        s.read = dp_reader_body(f->reader, p, n, &s.used, s.spans, BODY_SPANS, &s.n_spans);
        for (size_t i = 0; i < s.n_spans; i++)
            f->body_bytes += s.spans[i].n;
        return s;
    }
    s.read = dp_reader_head(f->reader, p, n, &s.used);
    if (s.read == DP_READ_DONE) {
        size_t none;
        s.head_done = f->in_body = true;
        s.read = dp_reader_body(f->reader, p, 0, &none, s.spans, BODY_SPANS, &s.n_spans);
    }
    return s;
}

/* ---- sides ---- */

static struct side *side_init(struct model *m, struct side *s, struct rig_peer *p, bool is_client)
{
    const struct dp_proxy_config *c = &m->rig.config;
    const struct dp_reader_limits limits = {c->max_head_bytes, c->max_target_bytes, c->max_headers};
    *s = (struct side){.model = m, .peer = p, .is_client = is_client, .whole = UINT64_MAX};
    flow_init(&s->requests, DP_READ_REQUESTS, is_client ? &limits : &no_limits);
    flow_init(&s->answers, DP_READ_RESPONSES, is_client ? &no_limits : &limits);
    return s;
}

static void side_fini(struct side *s)
{
    flow_fini(&s->requests);
    flow_fini(&s->answers);
    fuzz_free(&s->queue);
    fuzz_free(&s->asked);
}

void side_queue_raw(struct side *s, struct dp_span raw)
{
    const size_t from = s->queue.n;
    fuzz_add(&s->queue, raw.p, raw.n);
    for (size_t i = from; i < s->queue.n; i++) {
        char *c = &s->queue.p[i];
        *c = *c == '<' || *c == '>' ? '(' : *c == '~' ? '-' : *c;
    }
    s->dirty = true;
}

static const struct asked *asked_at(const struct side *s, size_t i)
{
    return (const struct asked *)(const void *)s->asked.p + i;
}

static void note_asked(struct side *s)
{
    const struct dp_head *h = &s->requests.head;
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < h->target.n; i++)
        hash = (hash ^ (unsigned char)h->target.p[i]) * 16777619U;
    unsigned client = (unsigned)(s - s->model->clients);
    if (!s->is_client) {
        const struct dp_header *from = dp_head_find(h, DP_HEADER_X_FORWARDED_FOR);
        fuzz_check(from && from->value.n > 0, "a region is told who asks");
        client = (unsigned)(from->value.p[from->value.n - 1] - '1');
    }
    struct asked a = {.method = h->method,
                      .has_query = memchr(h->target.p, '?', h->target.n) != NULL};
    (void)snprintf(a.tag, sizeof(a.tag), "<%u:%08x>", client, hash);
    fuzz_add(&s->asked, &a, sizeof(a));
    s->n_asked++;
}

/* What a client has sent, as far as anybody can know what it means. */
static void client_sent(struct side *c, const char *p, size_t n)
{
    while (n > 0) {
        if (!c->requests.begun)
            flow_begin(&c->requests, DP_METHOD_OTHER);
        const struct flow_step s = flow_step(&c->requests, p, n);
        p += s.used;
        n -= s.used;
        if (s.head_done)
            note_asked(c);
        if (s.read == DP_READ_DONE)
            c->requests.begun = false;
        if (s.read == DP_READ_FAILED)
            return;
    }
}

/* What a region sends: is its answer to the last request whole? */
static void region_sent(struct side *r, const char *p, size_t n)
{
    while (n > 0 && r->answers.begun) {
        const struct flow_step s = flow_step(&r->answers, p, n);
        p += s.used;
        n -= s.used;
        if (s.read == DP_READ_FAILED)
            return;
        if (s.read != DP_READ_DONE)
            continue;
        if (r->answers.head.status < 200) {
            flow_begin(&r->answers, asked_at(r, r->n_asked - 1)->method);
        } else {
            r->answers.begun = false;
            r->n_answered++;
        }
    }
}

/* A region's bytes when nothing was asked of it: they can be nobody's answer. */
static bool unasked(const struct side *r)
{
    return !r->is_client && r->n_answered == r->n_asked && !r->early &&
           r->peer->waiting_bytes == 0 && !r->peer->write_error;
}

void side_deliver(struct side *s, size_t n)
{
    struct rig_peer *p = s->peer;
    size_t left = s->queue.n - s->queue_at;
    if (n < left)
        left = n;
    while (left > 0 && p->reading && !p->closed && !s->ended && s->connected) {
        const size_t now = left < 65536 ? left : 65536;
        const char *bytes = s->queue.p + s->queue_at;
        const bool stray = unasked(s);
        s->early = s->early || p->waiting_bytes > 0;
        s->queue_at += now;
        left -= now;
        if (s->is_client)
            client_sent(s, bytes, now);
        else
            region_sent(s, bytes, now);
        rig_send_bytes(p, bytes, now, 0);
        fuzz_check(!stray || p->closed, "bytes that nobody asked for close their connection");
        model_look(s->model);
    }
}

void side_end(struct side *s, enum dp_err err)
{
    if (s->ended || !s->connected || s->peer->closed || !s->peer->reading)
        return;
    if (s->queue_at < s->queue.n)
        err = DP_ERESET; /* an orderly end comes behind the last byte */
    s->ended = true;
    s->broken = err != DP_OK;
    if (!s->is_client && !err && s->answers.begun && s->answers.in_body &&
        s->answers.head.framing == DP_FRAMING_CLOSE) {
        s->answers.begun = false; /* this was its end */
        s->n_answered++;
    }
    rig_end(s->peer, err);
}

void side_take_all(struct side *s)
{
    while (s->connected && s->peer->waiting_bytes > 0)
        rig_take(s->peer, SIZE_MAX);
    s->peer->full = false;
}

/* ---- clients ---- */

void model_client(struct model *m)
{
    char address[16];
    if (m->n_clients == MODEL_CLIENTS)
        return;
    const size_t i = m->n_clients++;
    (void)snprintf(address, sizeof(address), "192.0.2.%zu", i + 1);
    struct side *c = side_init(m, &m->clients[i], NULL, true);
    c->connected = true;
    c->peer = rig_client_from(&m->rig, address);
}

void model_request(struct model *m, struct side *c, unsigned k)
{
    static const struct {
        const char *before, *target, *after;
    } rows[] = {
        {"GET /d/", "", " HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"POST /d/~", "", " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{ }"},
        {"PUT /d/", "",
         " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
        {"HEAD /d/", "", " HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"GET /d/", "/_changes?feed=continuous", " HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"GET /d/", "", " HTTP/1.0\r\n\r\n"},
        {"GET /d/", "", " HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
        {"PUT /d/", "",
         " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd"},
        {"GET /d/", "", " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
        {"POST /d/~", "",
         " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nX: "
         "y\r\n\r\n"},
        {"GET /d/", "/_changes?feed=longpoll", " HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"GET /d/", "/_changes?feed=eventsource", " HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"DELETE /d/", "",
         " HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n"
         "012345678901234567890123456789012345678901234567890123456789"},
        {"PUT /d/", "", " HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n"},
    };
    char text[256];
    const size_t i = k % DP_ARRAY_LEN(rows);
    if (m->serial == sizeof(m->seen))
        return;
    const int n = snprintf(text, sizeof(text), "%s%u%s%s", rows[i].before, m->serial++,
                           rows[i].target, rows[i].after);
    fuzz_add(&c->queue, text, (size_t)n);
    if (i + 1 < DP_ARRAY_LEN(rows))
        return;
    char *body = calloc(1, 300000);
    fuzz_check(body != NULL, "memory");
    fuzz_add(&c->queue, body, 300000);
    free(body);
}

static const struct asked *current(const struct side *c)
{
    return c->n_answered < c->n_asked ? asked_at(c, c->n_answered) : NULL;
}

/* Every tag that reaches a client is the tag of what it asked now. */
static void look_for_tags(struct side *c, const char *p, size_t n)
{
    const struct asked *a = current(c);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '<')
            c->tag_at = 0;
        if (c->tag_at == TAG_BYTES)
            continue;
        c->tag[c->tag_at++] = p[i];
        if (c->tag_at < TAG_BYTES || p[i] != '>')
            continue;
        fuzz_check(a != NULL, "no region's answer where nothing was asked");
        fuzz_check(memcmp(c->tag, a->tag, TAG_BYTES) == 0, "no byte of an answer to another");
    }
}

static void answer_head(struct side *c)
{
    const struct dp_head *h = &c->answers.head;
    static struct oracle_head o;
    const char *why = oracle_response(&o, h->raw.p, h->raw.n);
    fuzz_check(why == NULL, why ? why : "");
    c->tag_at = TAG_BYTES;
    c->whole = UINT64_MAX;
    look_for_tags(c, h->raw.p, h->raw.n);
    c->tag_at = TAG_BYTES;
    for (uint32_t i = 0; i < h->n_headers; i++) {
        if (dp_span_ieq(h->headers[i].name, DP_SPAN("x-whole")) &&
            !dp_span_u64(h->headers[i].value, &c->whole))
            c->whole = UINT64_MAX;
    }
    fuzz_check(current(c) || h->status >= 400, "nothing is answered before it is asked");
}

/* The answer is whole, as its client sees it. */
static void answer_done(struct side *c)
{
    const struct flow *f = &c->answers;
    const bool has_body = f->head.framing != DP_FRAMING_NONE;
    const bool before_its_first_line = current(c) && current(c)->has_query && f->body_bytes == 0;
    fuzz_check(!has_body || c->whole == UINT64_MAX || c->whole <= f->body_bytes ||
                   before_its_first_line,
               "what was cut does not pass for a whole answer");
    if (f->head.status < 200) {
        c->answers.begun = false;
        return;
    }
    c->answers_over = !f->head.keep_alive || !current(c);
    c->answers.begun = false;
    c->n_answered++;
}

/* Of what the next answer is for: also a head that failed, or never came to its end, has told it. */
static enum dp_method method_of_next(const struct side *c)
{
    if (current(c))
        return current(c)->method;
    return c->requests.begun ? c->requests.head.method : DP_METHOD_OTHER;
}

static void look_at_client(struct side *c)
{
    const struct rig_peer *p = c->peer;
    while (c->got_at < p->got_bytes) {
        fuzz_check(!c->answers_over, "nothing follows an answer that ends the connection");
        if (!c->answers.begun)
            flow_begin(&c->answers, method_of_next(c));
        const struct flow_step s =
            flow_step(&c->answers, p->got + c->got_at, p->got_bytes - c->got_at);
        c->got_at += s.used;
        fuzz_check(s.read != DP_READ_FAILED, "what a client gets is sound HTTP");
        if (s.head_done)
            answer_head(c);
        for (size_t i = 0; i < s.n_spans; i++)
            look_for_tags(c, s.spans[i].p, s.spans[i].n);
        if (s.read == DP_READ_DONE)
            answer_done(c);
    }
}

/* The connection is gone: an answer that ends by closing is whole then, unless it was reset. */
static void client_gone(struct side *c)
{
    if (c->answers.begun && !c->peer->reset && !c->peer->write_error && !c->broken &&
        dp_reader_eof(c->answers.reader) == DP_READ_DONE)
        answer_done(c);
}

/* ---- regions ---- */

void model_connect(struct side *r, enum dp_err err)
{
    if (r->connected || r->ended || r->peer->closed)
        return;
    r->connected = !err;
    r->ended = err != DP_OK;
    rig_connect(r->peer, err);
}

static void add_tags(struct fuzz_text *t, const char *tag, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fuzz_add(t, tag, TAG_BYTES);
}

/* Forms of an answer. tags: how often the tag stands in the body. */
enum form { BY_LENGTH, CHUNKED, BY_CLOSING, CUT };

static void add_body(struct side *r, enum form form, const char *tag, size_t tags)
{
    char line[32];
    for (size_t left = tags, now; form == CHUNKED && left > 0; left -= now) {
        now = left < 1000 ? left : 1000;
        fuzz_add(&r->queue, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", now * TAG_BYTES));
        add_tags(&r->queue, tag, now);
        fuzz_add(&r->queue, "\r\n", 2);
    }
    if (form == CHUNKED)
        fuzz_add(&r->queue, "0\r\n\r\n", 5);
    else
        add_tags(&r->queue, tag, form == CUT ? tags / 2 : tags);
}

void model_answer(struct side *r, unsigned v)
{
    static const struct {
        const char *status, *fields;
        enum form form;
        size_t tags;
    } rows[] = {
        {"200 OK", "", BY_LENGTH, 3},
        {"200 OK", "", CHUNKED, 4},
        {"200 OK", "", BY_CLOSING, 5},
        {"503 Busy", "", BY_LENGTH, 1},
        {"200 OK", "", CUT, 10},
        {"100 Continue", NULL, BY_LENGTH, 0},
        {"204 No Content", NULL, BY_LENGTH, 0},
        {"304 Not Modified", NULL, BY_LENGTH, 0},
        {"200 OK", "Connection: close\r\n", BY_LENGTH, 3},
        {"200 OK", "", BY_LENGTH, 20000},
        {"200 OK", "", CHUNKED, 20000},
        {"103 Early Hints", NULL, BY_LENGTH, 0},
        {"200 OK", "", BY_CLOSING, 20000},
        {"201 Created", "Connection: X-Drop\r\nX-Drop: 1\r\n", CHUNKED, 1},
    };
    if (r->n_asked == 0 || r->queue.n > 1000000)
        return;
    const size_t i = v % DP_ARRAY_LEN(rows);
    const struct asked *a = asked_at(r, r->n_asked - 1);
    const size_t bytes = rows[i].tags * TAG_BYTES;
    char head[256];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nX-Tag: %s\r\n", rows[i].status, a->tag);
    fuzz_add(&r->queue, head, (size_t)n);
    if (!r->dirty && rows[i].fields) {
        n = snprintf(head, sizeof(head), "X-Whole: %zu\r\n", bytes);
        fuzz_add(&r->queue, head, (size_t)n);
    }
    n = 0;
    if (rows[i].fields && (rows[i].form == BY_LENGTH || rows[i].form == CUT))
        n = snprintf(head, sizeof(head), "%sContent-Length: %zu\r\n", rows[i].fields, bytes);
    else if (rows[i].fields && rows[i].form == CHUNKED)
        n = snprintf(head, sizeof(head), "%sTransfer-Encoding: chunked\r\n", rows[i].fields);
    fuzz_add(&r->queue, head, (size_t)n);
    fuzz_add(&r->queue, "\r\n", 2);
    if (rows[i].fields && a->method != DP_METHOD_HEAD)
        add_body(r, rows[i].form, a->tag, rows[i].tags);
}

/* A request made here carries its serial behind '~' if it must not be seen twice. */
static void check_once(struct model *m, const struct dp_head *h)
{
    const char *p = memchr(h->target.p, '~', h->target.n);
    unsigned serial = 0;
    if (!p || h->method != DP_METHOD_POST)
        return;
    for (p++; p < h->target.p + h->target.n; p++)
        serial = serial * 10 + (unsigned)(*p - '0');
    fuzz_check(serial < m->serial && m->seen[serial]++ == 0, "a POST goes out once");
}

static void request_head(struct side *r)
{
    static struct oracle_head o;
    const struct dp_head *h = &r->requests.head;
    const char *why = oracle_request(&o, h->raw.p, h->raw.n);
    char host[32];
    fuzz_check(why == NULL, why ? why : "");
    (void)snprintf(host, sizeof(host), "r%c.example:80", r->peer->ip[strlen(r->peer->ip) - 1]);
    fuzz_check(dp_span_eq(h->authority, dp_span_str(host)), "a region is called by its name");
    fuzz_check(r->early || r->n_answered == r->n_asked,
               "one request at a time on a region's connection");
    check_once(r->model, h);
    note_asked(r);
    /* What it meant to say of the request before would be taken for the answer to this one by anybody. */
    r->queue_at = r->queue.n;
    flow_begin(&r->answers, h->method);
}

static void look_at_region(struct side *r)
{
    const struct rig_peer *p = r->peer;
    while (r->got_at < p->got_bytes) {
        if (!r->requests.begun)
            flow_begin(&r->requests, DP_METHOD_OTHER);
        const struct flow_step s =
            flow_step(&r->requests, p->got + r->got_at, p->got_bytes - r->got_at);
        r->got_at += s.used;
        fuzz_check(s.read != DP_READ_FAILED, "what a region gets is sound HTTP");
        if (s.head_done)
            request_head(r);
        if (s.read == DP_READ_DONE)
            r->requests.begun = false;
    }
}

/* ---- all of it ---- */

void model_look(struct model *m)
{
    while (m->n_regions < m->rig.n_regions) {
        struct rig_peer *p = m->rig.regions[m->n_regions];
        (void)side_init(m, &m->regions[m->n_regions++], p, false);
    }
    for (size_t i = 0; i < m->n_regions; i++)
        look_at_region(&m->regions[i]);
    for (size_t i = 0; i < m->n_clients; i++)
        look_at_client(&m->clients[i]);
}

void model_fini(struct model *m)
{
    for (size_t i = 0; i < m->n_clients; i++)
        client_gone(&m->clients[i]);
    rig_fini(&m->rig);
    for (size_t i = 0; i < m->n_clients; i++)
        side_fini(&m->clients[i]);
    for (size_t i = 0; i < m->n_regions; i++)
        side_fini(&m->regions[i]);
}
