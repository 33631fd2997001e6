/* Reading messages as their bytes come.
 *
 * A head is first delimited, line by line and without understanding it; once whole it lies
 * contiguous in the arena and is parsed in one go. So a head means the same however it was cut, and
 * costs the same to a peer that sends one byte at a time. What cannot begin or continue a head (a
 * TLS ClientHello, a lone line feed, a NUL, a folded line) is refused as soon as it is seen.
 *
 *   IDLE -begin-> EMPTY -first byte-> START_LINE -> FIELDS -empty line-> BODY -> DONE
 *                   \________________________\________\____________________\--> FAILED, for good
 *
 * Two parsers must agree about each head: ours delimits it, counts its fields and splits its start
 * line; llhttp (strict) parses all of it and must see the same end and the same number of fields,
 * each beginning where a line begins. Then strict.c judges what the fields say together.
 *
 * Words: "text" is the head's bytes gathered so far, in the arena; empty while the whole head may
 * still come in one piece. While a body is read it is the trailer section's. Invariant: text_n > 0
 * only in START_LINE, FIELDS and later. One thread.
 */
#include "davenport/http/reader.h"

#include "http/chars.h"
#include "http/chunked.h"
#include "http/strict.h"
#include "http/trailer.h"

#include <assert.h>
#include <stdlib.h>

#include <llhttp.h>

#define TEXT_FIRST_BYTES  1024
#define EMPTY_LINES_BYTES 8 /* four empty lines before a request (RFC 9112 2.2 asks for one) */

enum phase {
    PHASE_IDLE,  /* between messages */
    PHASE_EMPTY, /* before the head's first byte */
    PHASE_START_LINE,
    PHASE_FIELDS,
    PHASE_BODY,
    PHASE_DONE,
    PHASE_FAILED
};

struct dp_reader {
    enum dp_reader_side side;
    struct dp_reader_limits limits;
    enum phase phase;
    enum dp_err err; /* why FAILED */
    /* this message */
    struct dp_arena *arena;
    struct dp_head *head;
    enum dp_method request;
    /* its head */
    char *text;
    size_t text_n, text_cap;
    size_t line_bytes;  /* of the unfinished line */
    size_t empty_bytes; /* of empty lines before the head */
    uint32_t n_fields;  /* finished field lines */
    struct dp_start_line start;
    llhttp_t parser;
    /* its body */
    uint64_t left; /* FRAMING_LENGTH */
    struct dp_chunked chunked;
};

struct dp_reader *dp_reader_new(enum dp_reader_side side, const struct dp_reader_limits *limits)
{
    struct dp_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->side = side;
    r->limits = *limits;
    return r;
}

void dp_reader_limit(struct dp_reader *r, const struct dp_reader_limits *limits)
{
    assert(dp_reader_rests(r));
    r->limits = *limits;
}

void dp_reader_destroy(struct dp_reader *r)
{
    free(r);
}

void dp_reader_begin(struct dp_reader *r, struct dp_arena *arena, struct dp_head *head,
                     enum dp_method request)
{
    if (r->phase == PHASE_FAILED)
        return;
    r->phase = PHASE_EMPTY;
    r->arena = arena;
    r->head = head;
    r->request = request;
    r->text = NULL;
    r->text_n = r->text_cap = 0;
    r->line_bytes = r->empty_bytes = 0;
    r->n_fields = 0;
}

/* A region's answer is bad, whatever the reason; a client is told which. */
static enum dp_read fail(struct dp_reader *r, enum dp_err err)
{
    const bool told = r->side == DP_READ_REQUESTS || err == DP_EHEADSIZE || err == DP_ENOMEM ||
                      err == DP_ETRUNCATED;
    r->phase = PHASE_FAILED;
    r->err = told ? err : DP_EBADRESPONSE;
    return DP_READ_FAILED;
}

/* ---- the finished head: llhttp, then strict.c ---- */

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct dp_reader *r = parser->data;
    struct dp_head *h = r->head;
    if (n == 0 || at[-1] != '\n' || h->n_headers == r->n_fields)
        return -1;
    const struct dp_span name = {at, n};
    h->headers[h->n_headers++] = (struct dp_header){
        .name = name,
        .value = {at + n, 0},
        .id = dp_header_lookup(name),
    };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct dp_reader *r = parser->data;
    if (r->head->n_headers == 0)
        return -1;
    struct dp_header *f = &r->head->headers[r->head->n_headers - 1];
    if (f->value.n > 0)
        return -1; /* a value in two pieces is a folded one */
    f->value = dp_span_trim((struct dp_span){at, n});
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED; /* bodies are not llhttp's */
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
};

/* Why llhttp refused a head whose start line was sound. */
static enum dp_err error_of(llhttp_errno_t e)
{
    if (e == HPE_INVALID_METHOD || e == HPE_INVALID_CONSTANT)
        return DP_EMETHOD; /* a method it does not know, or one of RTSP */
    if (e == HPE_INVALID_CONTENT_LENGTH || e == HPE_UNEXPECTED_CONTENT_LENGTH ||
        e == HPE_INVALID_TRANSFER_ENCODING)
        return DP_EFRAMING;
    return DP_EBADREQUEST;
}

static enum dp_err parse_head(struct dp_reader *r)
{
    const struct dp_start_line *start = &r->start;
    struct dp_head *h = r->head;
    const struct dp_span text = {r->text + start->text_at, start->text_n};
    *h = (struct dp_head){
        .method = start->method,
        .status = start->status,
        .minor = start->minor,
        .raw = {r->text, r->text_n},
    };
    if (r->side == DP_READ_REQUESTS) {
        h->method_text = (struct dp_span){r->text, start->method_n};
        h->target = text;
    } else {
        h->reason = text;
    }
    if (r->n_fields > 0) {
        h->headers = dp_arena_alloc(r->arena, r->n_fields * sizeof(*h->headers));
        if (!h->headers)
            return DP_ENOMEM;
    }
    llhttp_init(&r->parser, r->side == DP_READ_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    r->parser.data = r;
    const llhttp_errno_t e = llhttp_execute(&r->parser, r->text, r->text_n);
    if (e != HPE_PAUSED)
        return error_of(e);
    if (llhttp_get_error_pos(&r->parser) != r->text + r->text_n || h->n_headers != r->n_fields)
        return DP_EBADREQUEST;
    if (r->side == DP_READ_REQUESTS)
        return dp_strict_request(h, r->arena);
    return dp_strict_response(h, r->request);
}

/* ---- the head's text ---- */

/* Append to the text. It moves at most thrice on its way to a limit of 32 KiB: what it leaves
 * behind in the arena is less than itself. */
static bool gather(struct dp_reader *r, const char *p, size_t n)
{
    if (n > r->text_cap - r->text_n) {
        size_t cap = r->text_cap > 0 ? 4 * r->text_cap : TEXT_FIRST_BYTES;
        while (cap < r->text_n + n)
            cap *= 4;
        if (cap > r->limits.head_bytes)
            cap = r->limits.head_bytes;
        char *text = dp_arena_alloc(r->arena, cap);
        if (!text)
            return false;
        if (r->text_n > 0)
            memcpy(text, r->text, r->text_n);
        r->text = text;
        r->text_cap = cap;
    }
    if (n > 0)
        memcpy(r->text + r->text_n, p, n);
    r->text_n += n;
    return true;
}

/* Gather the last piece of a head that is whole; one that came in one piece takes no more than it
 * needs. */
static bool gather_last(struct dp_reader *r, const char *p, size_t n)
{
    if (r->text_n > 0)
        return gather(r, p, n);
    r->text = dp_arena_alloc(r->arena, n);
    if (!r->text)
        return false;
    memcpy(r->text, p, n);
    r->text_n = n;
    return true;
}

/* ---- delimiting ---- */

/* A piece of input while it is looked through: [kept, at) was looked at but is not in the text yet.
 */
struct piece {
    const char *p;
    size_t end; /* the input's end, or where the head's limit falls */
    size_t kept, at;
};

static bool has_nul(const char *p, size_t n)
{
    return n > 0 && memchr(p, '\0', n) != NULL;
}

/* Skip empty lines before a request; see what a head begins with. False: failed. */
static bool take_empty(struct dp_reader *r, struct piece *in)
{
    while (in->at < in->end) {
        const char c = in->p[in->at];
        const char wanted = r->empty_bytes % 2 == 0 ? '\r' : '\n';
        if (r->side == DP_READ_REQUESTS && c == wanted && r->empty_bytes < EMPTY_LINES_BYTES) {
            r->empty_bytes++;
            in->at++;
            continue;
        }
        const bool begins = r->side == DP_READ_REQUESTS ? dp_char_is(c, DP_CHAR_TOKEN) : c == 'H';
        if (!begins || r->empty_bytes % 2 != 0) {
            fail(r, DP_EBADREQUEST);
            return false;
        }
        r->phase = PHASE_START_LINE;
        break;
    }
    in->kept = in->at;
    return true;
}

/* Look for the start line's end and check the line at once. False: failed. */
static bool take_start_line(struct dp_reader *r, struct piece *in)
{
    const char *from = in->p + in->at;
    const char *lf = memchr(from, '\n', in->end - in->at);
    const size_t n = lf ? (size_t)(lf - from) + 1 : in->end - in->at;
    if (has_nul(from, n)) {
        fail(r, DP_EBADREQUEST);
        return false;
    }
    in->at += n;
    r->line_bytes += n;
    if (!lf)
        return true;
    if (r->text_n > 0) {
        if (!gather(r, in->p + in->kept, in->at - in->kept)) {
            fail(r, DP_ENOMEM);
            return false;
        }
        in->kept = in->at;
    }
    const char *line = r->text_n > 0 ? r->text : in->p + in->kept;
    enum dp_err err = DP_EBADREQUEST;
    if (r->line_bytes >= 2 && line[r->line_bytes - 2] == '\r') {
        const struct dp_span bare = {line, r->line_bytes - 2};
        err = r->side == DP_READ_REQUESTS
                  ? dp_strict_request_line(bare, r->limits.target_bytes, &r->start)
                  : dp_strict_status_line(bare, &r->start);
    }
    if (err != DP_OK) {
        fail(r, err);
        return false;
    }
    /* Known before the rest is: a HEAD whose fields are refused is still answered without a body. */
    r->head->method = r->start.method;
    r->line_bytes = 0;
    r->phase = PHASE_FIELDS;
    return true;
}

/* Look for the empty line that ends the head. DONE: [.., at) ends with it. */
static enum dp_read find_end(struct dp_reader *r, struct piece *in)
{
    while (in->at < in->end) {
        const char *from = in->p + in->at;
        if (r->line_bytes == 0 && (*from == ' ' || *from == '\t'))
            return fail(r, DP_EBADREQUEST); /* obs-fold, or a field without a name */
        const char *lf = memchr(from, '\n', in->end - in->at);
        const size_t n = lf ? (size_t)(lf - from) + 1 : in->end - in->at;
        in->at += n;
        r->line_bytes += n;
        if (!lf)
            break;
        /* The byte before the line feed; it may have come earlier. */
        const char before = in->at - in->kept >= 2 ? lf[-1] : r->text[r->text_n - 1];
        if (before != '\r')
            return fail(r, DP_EBADREQUEST);
        if (r->line_bytes == 2)
            return DP_READ_DONE;
        if (++r->n_fields > r->limits.headers)
            return fail(r, DP_EHEADSIZE);
        r->line_bytes = 0;
    }
    return DP_READ_MORE;
}

static enum dp_read take_fields(struct dp_reader *r, struct piece *in)
{
    const size_t from = in->at;
    const enum dp_read read = find_end(r, in);
    /* Bytes before an error count first, so that a head fails for the same reason however it is
     * cut. */
    if (has_nul(in->p + from, in->at - from))
        return fail(r, DP_EBADREQUEST);
    if (read != DP_READ_DONE)
        return read;
    if (!gather_last(r, in->p + in->kept, in->at - in->kept))
        return fail(r, DP_ENOMEM);
    const enum dp_err err = parse_head(r);
    if (err != DP_OK)
        return fail(r, err);
    r->left = r->head->content_length;
    dp_chunked_init(&r->chunked, r->limits.head_bytes);
    r->text_n = r->text_cap = 0; /* the head has it now */
    r->phase = PHASE_BODY;
    return DP_READ_DONE;
}

/* A request line that is refused, too long or never finished may still be known to begin one of HEAD, whose answer
 * has no body. */
static void note_head_method(struct dp_reader *r, const struct piece *in)
{
    const struct dp_span word = DP_SPAN("HEAD ");
    const size_t here = in->end - in->kept;
    if (r->side == DP_READ_REQUESTS && r->text_n + here >= word.n &&
        gather(r, in->p + in->kept, r->text_n < word.n ? word.n - r->text_n : 0) &&
        memcmp(r->text, word.p, word.n) == 0)
        r->head->method = DP_METHOD_HEAD;
}

/* The head's limit is reached before its end. */
static enum dp_err limit_error(const struct dp_reader *r)
{
    const bool target = r->side == DP_READ_REQUESTS && r->phase == PHASE_START_LINE;
    return target ? DP_ETARGETSIZE : DP_EHEADSIZE;
}

enum dp_read dp_reader_head(struct dp_reader *r, const char *p, size_t n, size_t *consumed)
{
    *consumed = 0;
    if (r->phase == PHASE_FAILED)
        return DP_READ_FAILED;
    assert(r->phase >= PHASE_EMPTY && r->phase <= PHASE_FIELDS);
    if (n == 0)
        return DP_READ_MORE;
    struct piece in = {.p = p, .end = n};
    if (r->phase == PHASE_EMPTY && !take_empty(r, &in))
        return DP_READ_FAILED;
    if (n - in.kept > r->limits.head_bytes - r->text_n)
        in.end = in.kept + (r->limits.head_bytes - r->text_n);
    if (r->phase == PHASE_START_LINE && !take_start_line(r, &in)) {
        note_head_method(r, &in);
        return DP_READ_FAILED;
    }
    if (r->phase == PHASE_FIELDS) {
        const enum dp_read read = take_fields(r, &in);
        if (read == DP_READ_DONE)
            *consumed = in.at;
        if (read != DP_READ_MORE)
            return read;
    }
    if (r->phase != PHASE_EMPTY) {
        if (!gather(r, p + in.kept, in.at - in.kept))
            return fail(r, DP_ENOMEM);
        in.kept = in.at;
        if (r->phase == PHASE_START_LINE)
            note_head_method(r, &in);
        if (r->text_n == r->limits.head_bytes)
            return fail(r, limit_error(r));
    }
    *consumed = in.at;
    return DP_READ_MORE;
}

bool dp_reader_rests(const struct dp_reader *r)
{
    return r->phase == PHASE_IDLE || r->phase == PHASE_DONE;
}

bool dp_reader_in_head(const struct dp_reader *r)
{
    return r->phase == PHASE_START_LINE || r->phase == PHASE_FIELDS;
}

/* ---- bodies ---- */

static enum dp_read read_length(struct dp_reader *r, const char *p, size_t n, size_t *consumed,
                                struct dp_span *spans, size_t max, size_t *n_spans)
{
    const size_t here = r->left < n ? (size_t)r->left : n;
    if (here > 0 && max > 0) {
        spans[0] = (struct dp_span){p, here};
        *n_spans = 1;
        *consumed = here;
        r->left -= here;
    }
    return r->left == 0 ? DP_READ_DONE : DP_READ_MORE;
}

/* A piece of the trailer section. Most are empty: a line end alone is not worth keeping. */
static enum dp_err take_trailers(struct dp_reader *r, const char *p, size_t n)
{
    if (r->text_n == 0 && (*p == '\r' || *p == '\n'))
        return DP_OK;
    if (!gather(r, p, n))
        return DP_ENOMEM;
    if (r->chunked.state != DP_CHUNKED_DONE)
        return DP_OK;
    return dp_trailers_take(r->head, (struct dp_span){r->text, r->text_n}, r->limits.headers,
                            r->arena);
}

static enum dp_read read_chunked(struct dp_reader *r, const char *p, size_t n, size_t *consumed,
                                 struct dp_span *spans, size_t max, size_t *n_spans)
{
    const size_t before = r->chunked.trailer_bytes;
    enum dp_err err = dp_chunked_read(&r->chunked, p, n, consumed, spans, max, n_spans);
    if (err != DP_OK)
        return fail(r, err);
    /* The section is the last of a body, so what came of it now ends where reading did. */
    const size_t section = r->chunked.trailer_bytes - before;
    if (section > 0)
        err = take_trailers(r, p + *consumed - section, section);
    if (err != DP_OK)
        return fail(r, err);
    return r->chunked.state == DP_CHUNKED_DONE ? DP_READ_DONE : DP_READ_MORE;
}

enum dp_read dp_reader_body(struct dp_reader *r, const char *p, size_t n, size_t *consumed,
                            struct dp_span *spans, size_t max, size_t *n_spans)
{
    *consumed = 0;
    *n_spans = 0;
    if (r->phase == PHASE_FAILED)
        return DP_READ_FAILED;
    if (r->phase == PHASE_DONE)
        return DP_READ_DONE;
    assert(r->phase == PHASE_BODY);
    enum dp_read read = DP_READ_DONE;
    switch (r->head->framing) {
    case DP_FRAMING_NONE:
        break;
    case DP_FRAMING_LENGTH:
        read = read_length(r, p, n, consumed, spans, max, n_spans);
        break;
    case DP_FRAMING_CHUNKED:
        read = read_chunked(r, p, n, consumed, spans, max, n_spans);
        break;
    case DP_FRAMING_CLOSE:
        read = DP_READ_MORE;
        if (n > 0 && max > 0) {
            spans[0] = (struct dp_span){p, n};
            *n_spans = 1;
            *consumed = n;
        }
        break;
    }
    if (read == DP_READ_DONE)
        r->phase = PHASE_DONE;
    return read;
}

enum dp_read dp_reader_eof(struct dp_reader *r)
{
    switch (r->phase) {
    case PHASE_IDLE:
    case PHASE_EMPTY:
        return DP_READ_MORE;
    case PHASE_START_LINE:
    case PHASE_FIELDS:
        return fail(r, DP_ETRUNCATED);
    case PHASE_BODY:
        if (r->head->framing == DP_FRAMING_CHUNKED ||
            (r->head->framing == DP_FRAMING_LENGTH && r->left > 0))
            return fail(r, DP_ETRUNCATED);
        r->phase = PHASE_DONE;
        return DP_READ_DONE;
    case PHASE_DONE:
        return DP_READ_DONE;
    case PHASE_FAILED:
        break;
    }
    return DP_READ_FAILED;
}

enum dp_err dp_reader_error(const struct dp_reader *r)
{
    return r->err;
}
