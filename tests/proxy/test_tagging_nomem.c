/* Sequence tokens through the engine: out with their region's name, in without it, and to the region that they are of. */
#include "davenport/base/attr.h"
#include "davenport/couch/seqmaps.h"

#include "proxy/conn.h"
#include "proxy/exchange.h"
#include "proxy/tagging.h"
#include "support/nomem.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#define HEAD    "HTTP/1.1 200 OK\r\nDate: D\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

/* The rig's clock begins at 1 s. */
static const char changes_body[] =
    "{\"results\":[\n{\"seq\":\"1-a\",\"id\":\"x\",\"changes\":[]},\n"
    "{\"seq\":\"2-b\",\"id\":\"y\",\"seq_\":{\"seq\":1}}\n],\n"
    "\"last_seq\":\"2-b\",\"pending\":0}\n";
static const char changes_tagged[] =
    "{\"results\":[\n{\"seq\":\"1-a~r0\",\"id\":\"x\",\"changes\":[]},\n"
    "{\"seq\":\"2-b~r0\",\"id\":\"y\",\"seq_\":{\"seq\":1}}\n],\n"
    "\"last_seq\":\"2-b~r0.0.1\",\"pending\":0}\n";

static void begin(struct rig *r, unsigned regions)
{
    rig_init(r, regions);
    r->config.tags_sequences = true;
    r->config.sequence_settle_s = 60;
    r->config.whole_answer_bytes = 0;
}

static struct rig_peer *ask(struct rig *r, const char *target, const char *fields,
                            struct rig_peer **up)
{
    char text[1000];
    (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, fields);
    return rig_request(r, text, up);
}

/* The body of the answer in p->got, chunks joined; *whole: it has its end. */
static size_t body_of(const struct rig_peer *p, char *out, size_t cap, bool *whole)
{
    const char *at = strstr(p->got, "\r\n\r\n"), *end = p->got + p->got_bytes;
    size_t n = 0;
    assert_non_null(at);
    *whole = false;
    for (at += 4; at < end;) {
        char *data;
        const size_t size = strtoul(at, &data, 16);
        data += 2;
        if (size == 0) {
            *whole = true;
            break;
        }
        assert_true(data + size + 2 <= end);
        assert_true(n + size <= cap);
        memcpy(out + n, data, size);
        n += size;
        at = data + size + 2;
    }
    return n;
}

static void assert_body(const struct rig_peer *p, const char *want)
{
    char text[4000];
    bool whole;
    const size_t n = body_of(p, text, sizeof(text) - 1, &whole);
    text[n] = '\0';
    assert_string_equal(text, want);
    assert_true(whole);
}

static void assert_asked(const struct rig_peer *up, const char *line)
{
    if (strncmp(up->got, line, strlen(line)) != 0)
        fail_msg("asked was %.200s", up->got);
}

static size_t chunked(const char *text, size_t n, char *out, size_t cap)
{
    const int head = snprintf(out, cap, "%zx\r\n", n);
    assert_true(head > 0 && (size_t)head + n + 7 < cap);
    memcpy(out + head, text, n);
    memcpy(out + (size_t)head + n, "\r\n0\r\n\r\n", 7);
    return (size_t)head + n + 7;
}

/* ---- out ---- */

/* However it is framed and cut: tokens are tagged, lengths and validators are not told any more. */
static void tokens_go_out_with_their_region(void **state)
{
    (void)state;
    char sized[1000], chunks[1000], closing[1000];
    int n = snprintf(sized, sizeof(sized), HEAD "ETag: \"x\"\r\nContent-Length: %zu\r\n\r\n%s",
                     sizeof(changes_body) - 1, changes_body);
    assert_true(n > 0);
    n = snprintf(chunks, sizeof(chunks), HEAD CHUNKED);
    n += (int)chunked(changes_body, sizeof(changes_body) - 1, chunks + n,
                      sizeof(chunks) - (size_t)n);
    chunks[n] = '\0';
    (void)snprintf(closing, sizeof(closing), HEAD "\r\n%s", changes_body);
    const char *const answers[] = {sized, chunks, closing};
    for (size_t i = 0; i < 3; i++) {
        for (size_t step = 0; step < 9; step++) {
            for (unsigned kept = 0; kept < 2; kept++) {
                struct rig r;
                struct rig_peer *up;
                begin(&r, 2);
                r.config.whole_answer_bytes = kept ? 16384 : 0;
                rig_start(&r);
                struct rig_peer *c = ask(&r, "/db/_changes", "", &up);
                rig_send_bytes(up, answers[i], strlen(answers[i]), step);
                if (i == 2)
                    rig_end(up, DP_OK);
                assert_body(c, changes_tagged);
                assert_null(strstr(c->got, "Content-Length"));
                assert_null(strstr(c->got, "ETag"));
                assert_int_equal(dp_counter_get(&r.traffic.answers_tagged), 1);
                assert_int_equal(r.engine.chunks.n_used, 0);
                rig_fini(&r);
            }
        }
    }
}

static void an_old_client_gets_them_by_closing(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "GET /db HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &up);
    rig_send(up, HEAD "Content-Length: 18\r\n\r\n{\"update_seq\":\"1\"}");
    assert_string_equal(c->got, HEAD "Connection: close\r\n\r\n{\"update_seq\":\"1~r0.1.1\"}");
    assert_true(c->finished || c->closed);
    rig_fini(&r);
}

/* HEAD says of GET's answer what is true of it. */
static void head_tells_no_length(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r, 1);
    rig_start(&r);
    struct rig_peer *c = rig_request(&r, "HEAD /db HTTP/1.1\r\nHost: a\r\n\r\n", &up);
    rig_send(up, HEAD "ETag: \"x\"\r\nContent-Length: 17\r\n\r\n");
    assert_string_equal(c->got, HEAD "\r\n");
    rig_clear(c);
    rig_send(c, "HEAD /db/doc HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_send(up, HEAD "ETag: \"x\"\r\nContent-Length: 17\r\n\r\n");
    assert_string_equal(c->got, HEAD "ETag: \"x\"\r\nContent-Length: 17\r\n\r\n");
    rig_fini(&r);
}

/* Errors, documents, checkpoints, and everything where it is turned off. */
static void all_else_passes_as_it_came(void **state)
{
    static const struct {
        const char *target, *answer;
        bool off;
    } rows[] = {
        {"/db/doc", HEAD "ETag: \"x\"\r\nContent-Length: 13\r\n\r\n{\"seq\":\"1-a\"}", false},
        {"/db/_local/c", HEAD "Content-Length: 18\r\n\r\n{\"last_seq\":\"1-a\"}", false},
        {"/db/_changes",
         "HTTP/1.1 400 Bad\r\nDate: D\r\nContent-Length: 18\r\n\r\n{\"last_seq\":\"1-a\"}", false},
        {"/db/_all_docs", HEAD "ETag: \"x\"\r\nContent-Length: 18\r\n\r\n{\"update_seq\":\"1\"}",
         false},
        {"/db/_changes", HEAD "Content-Length: 18\r\n\r\n{\"last_seq\":\"1-a\"}", true},
        {"/db/_changes",
         HEAD "Content-Encoding: br\r\nContent-Length: 18\r\n\r\n{\"last_seq\":\"1-a\"}", false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 1);
        r.config.tags_sequences = !rows[i].off;
        rig_start(&r);
        struct rig_peer *c = ask(&r, rows[i].target, "", &up);
        rig_send(up, rows[i].answer);
        assert_string_equal(c->got, rows[i].answer);
        assert_int_equal(dp_counter_get(&r.traffic.answers_tagged), 0);
        assert_int_equal(dp_counter_get(&r.traffic.sequences_untagged), i == 5);
        rig_fini(&r);
    }
}

/* A line is there as soon as it came, and so is a heartbeat. */
static void feeds_are_not_held_up(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r, 1);
    rig_start(&r);
    struct rig_peer *c = ask(&r, "/db/_changes?feed=continuous&since=7-x~r0.900", "", &up);
    assert_asked(up, "GET /db/_changes?feed=continuous&since=7-x HTTP/1.1\r\n");
    rig_send(up, HEAD CHUNKED);
    rig_clear(c);
    rig_send(up, "1\r\n\n\r\n");
    assert_string_equal(c->got, "1\r\n\n\r\n");
    rig_clear(c);
    rig_send(up, "14\r\n{\"seq\":12,\"id\":\"a\"}\n\r\n");
    assert_string_equal(c->got, "1d\r\n{\"seq\":\"12~r0.900\",\"id\":\"a\"}\n\r\n");
    rig_clear(c);
    dp_engine_drain(&r.engine);
    rig_turn(&r);
    assert_string_equal(c->got, "0\r\n\r\n"); /* at a line's end */
    rig_fini(&r);
}

/* ---- compressed ---- */

static size_t pack(const char *p, size_t n, char *out, size_t cap, int flush)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = (unsigned char *)out;
    z.avail_out = (uInt)cap;
    (void)deflate(&z, flush);
    (void)deflateEnd(&z);
    return cap - z.avail_out;
}

static void compressed_ones_are_read(void **state)
{
    (void)state;
    char packed[1000], framed[1200];
    const size_t n = pack(changes_body, sizeof(changes_body) - 1, packed, sizeof(packed), Z_FINISH);
    const size_t all = chunked(packed, n, framed, sizeof(framed));
    for (size_t step = 0; step < 12; step++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 1);
        rig_start(&r);
        struct rig_peer *c = ask(&r, "/db/_changes", "Accept-Encoding: br, gzip;q=1\r\n", &up);
        assert_non_null(strstr(up->got, "\r\nAccept-Encoding: gzip\r\n"));
        assert_null(strstr(up->got, "br"));
        rig_send(up, HEAD "Content-Encoding: gzip\r\n" CHUNKED);
        rig_send_bytes(up, framed, all, step);
        assert_body(c, changes_tagged);
        assert_null(strstr(c->got, "Content-Encoding"));
        rig_fini(&r);
    }
}

/* One that is cut, or no gzip at all: the client sees a cut. */
static void wrongly_compressed_ones_are_cut(void **state)
{
    (void)state;
    char packed[1000], framed[1200];
    const size_t n = pack(changes_body, sizeof(changes_body) - 1, packed, sizeof(packed), Z_FINISH);
    for (int how = 0; how < 2; how++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 1);
        rig_start(&r);
        struct rig_peer *c = ask(&r, "/db/_changes", "", &up);
        rig_send(up, HEAD "Content-Encoding: gzip\r\n" CHUNKED);
        const size_t all = how ? chunked("\x1fjunk", 5, framed, sizeof(framed))
                               : chunked(packed, n - 4, framed, sizeof(framed));
        rig_send_bytes(up, framed, all, 0);
        assert_true(c->closed || c->finished);
        assert_null(strstr(c->got, "\r\n0\r\n\r\n"));
        assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_TRUNCATED]), 1);
        rig_fini(&r);
    }
}

/* A feed that came compressed reaches its client plain: behind a line it ends properly, unless what came was no gzip. */
static void a_compressed_feed_ends_behind_a_line(void **state)
{
    static const struct {
        const char *lines;
        bool breaks, proper;
    } rows[] = {
        {"{\"seq\":1}\n", false, true},
        {"{\"seq\":1}\n{\"se", false, false},
        {"{\"seq\":1}\n", true, false},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        char packed[200], framed[300];
        struct rig r;
        struct rig_peer *up;
        const size_t n =
            pack(rows[i].lines, strlen(rows[i].lines), packed, sizeof(packed), Z_SYNC_FLUSH);
        const size_t all = chunked(packed, n, framed, sizeof(framed)) - 5; /* no last chunk */
        begin(&r, 1);
        rig_start(&r);
        struct rig_peer *c = ask(&r, "/db/_changes?feed=continuous", "", &up);
        rig_send(up, HEAD "Content-Encoding: gzip\r\n" CHUNKED);
        rig_send_bytes(up, framed, all, 0);
        assert_non_null(strstr(c->got, "{\"seq\":\"1~r0\"}\n"));
        assert_false(c->finished || c->closed);
        if (rows[i].breaks)
            rig_send(up, "1\r\n\x07\r\n"); /* no kind of block */
        else
            rig_end(up, DP_ERESET);
        assert_int_equal(c->finished || c->closed, !rows[i].proper);
        assert_int_equal(strcmp(c->got + c->got_bytes - 5, "0\r\n\r\n") == 0, rows[i].proper);
        assert_int_equal(dp_counter_get(&r.traffic.endpoints[0].outcomes[DP_OUTCOME_TRUNCATED]), 1);
        rig_fini(&r);
    }
}

static void what_is_asked_for_is_what_can_be_read(void **state)
{
    static const struct {
        const char *sent, *asked;
    } rows[] = {
        {"Accept-Encoding: gzip, deflate, br\r\n", "Accept-Encoding: gzip\r\n"},
        {"Accept-Encoding: *\r\n", "Accept-Encoding: gzip\r\n"},
        {"Accept-Encoding: br\r\n", "Accept-Encoding: identity\r\n"},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 1);
        rig_start(&r);
        (void)ask(&r, "/db", rows[i].sent, &up);
        if (rows[i].asked)
            assert_non_null(strstr(up->got, rows[i].asked));
        else
            assert_null(strstr(up->got, "Accept-Encoding"));
        rig_fini(&r);
    }
}

/* ---- large ones, and clients that do not take them ---- */

#define ROWS 6000

static size_t many_rows(char *out, const char *tag)
{
    size_t n = 0;
    for (unsigned i = 0; i < ROWS; i++)
        n += (size_t)snprintf(out + n, 120,
                              "{\"seq\":\"%u-abc%s\",\"id\":\"document-%u\",\"changes\":[{\"rev\":"
                              "\"1-0123456789abcdef\"}]}\n",
                              i, tag, i);
    return n;
}

/* Constant memory: a client that takes little at a time, plain and compressed, with every piece behind the mark. */
static void a_slow_client_bounds_what_waits(void **state)
{
    (void)state;
    static char body[ROWS * 120], want[ROWS * 120], packed[ROWS * 120], framed[ROWS * 120 + 100],
        got[ROWS * 120];
    const size_t n = many_rows(body, ""), tagged = many_rows(want, "~r0");
    for (int how = 0; how < 4; how++) {
        const bool zip = how & 1, slow = how & 2;
        struct rig r;
        struct rig_peer *up;
        size_t most = 0, sent = 0;
        begin(&r, 1);
        rig_start(&r);
        struct rig_peer *c = ask(&r, "/db/_changes?feed=continuous", "", &up);
        const size_t all = zip ? pack(body, n, packed, sizeof(packed), Z_FINISH) : n;
        const size_t frame = chunked(zip ? packed : body, all, framed, sizeof(framed));
        rig_send(up, zip ? HEAD "Content-Encoding: gzip\r\n" CHUNKED : HEAD CHUNKED);
        c->full = slow;
        while (sent < frame || c->waiting_bytes > 0) {
            while (up->reading && sent < frame) {
                const size_t piece = frame - sent < 200000 ? frame - sent : 200000;
                rig_send_bytes(up, framed + sent, piece, 0);
                sent += piece;
            }
            if (c->waiting_bytes > most)
                most = c->waiting_bytes;
            if (c->waiting_bytes > 0)
                rig_take(c, 50000);
        }
        bool whole;
        const size_t m = body_of(c, got, sizeof(got), &whole);
        assert_true(whole);
        assert_int_equal(m, tagged);
        assert_memory_equal(got, want, m);
        assert_true(most <= DP_STREAM_HIGH_BYTES + DP_TAGGED_BYTES + 1000);
        assert_int_equal(r.engine.chunks.n_used, 0);
        /* the region's connection serves on: but not a feed's */
        rig_fini(&r);
    }
}

/* The region dies, or the client does, while there is something left to be rewritten. */
static void ends_while_behind(void **state)
{
    (void)state;
    static char body[ROWS * 120], packed[ROWS * 120], framed[ROWS * 120 + 100];
    const size_t n = many_rows(body, "");
    const size_t all = pack(body, n, packed, sizeof(packed), Z_FINISH);
    const size_t frame = chunked(packed, all, framed, sizeof(framed));
    for (int who = 0; who < 3; who++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 1);
        rig_start(&r);
        struct rig_peer *c = ask(&r, "/db/_changes", "", &up);
        rig_send(up, HEAD "Content-Encoding: gzip\r\n" CHUNKED);
        c->full = true;
        rig_send_bytes(up, framed, frame - (who == 1 ? 10 : 0), 0);
        assert_true(c->waiting_bytes > DP_STREAM_HIGH_BYTES);
        assert_true(r.engine.chunks.n_used > 0);
        if (who == 0) { /* all is there: it ends when the client has taken it */
            assert_int_equal(dp_counter_get(&r.traffic.requests_active), 1);
            while (c->waiting_bytes > 0)
                rig_take(c, 100000);
            assert_non_null(strstr(c->got + c->got_bytes - 7, "0\r\n\r\n"));
            assert_false(up->closed);
        } else if (who == 1) {
            rig_end(up, DP_ERESET);
        } else {
            rig_end(c, DP_ERESET);
            assert_true(up->closed);
        }
        assert_int_equal(dp_counter_get(&r.traffic.requests_active), 0);
        assert_int_equal(r.engine.chunks.n_used, 0);
        rig_fini(&r);
    }
}

/* ---- in ---- */

static void a_token_goes_to_its_region(void **state)
{
    static const struct {
        const char *target, *fields, *asked, *header;
    } rows[] = {
        {"/db/_changes?since=5-g1~r1", "", "GET /db/_changes?since=5-g1 HTTP/1.1\r\n", NULL},
        {"/db/_changes?a=1&since=%225-g1~r1.77%22&limit=2", "",
         "GET /db/_changes?a=1&since=5-g1&limit=2 HTTP/1.1\r\n", NULL},
        {"/db/_changes?since=1-x~r0&SINCE=5-g1%7Er1", "",
         "GET /db/_changes?since=1-x~r0&SINCE=5-g1 HTTP/1.1\r\n", NULL},
        {"/db/_changes?last-event-id=12~r1", "", "GET /db/_changes?last-event-id=12 HTTP/1.1\r\n",
         NULL},
        {"/_db_updates?since=5-g1~r1", "", "GET /_db_updates?since=5-g1 HTTP/1.1\r\n", NULL},
        {"/db/_changes?feed=eventsource&since=1~r0", "Last-Event-ID: 12~r1.5\r\n",
         "GET /db/_changes?feed=eventsource&since=1~r0 HTTP/1.1\r\n", "Last-Event-ID: 12\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 2);
        rig_start(&r);
        struct rig_peer *c = ask(&r, rows[i].target, rows[i].fields, &up);
        assert_string_equal(up->ip, "10.0.0.1");
        assert_asked(up, rows[i].asked);
        if (rows[i].header)
            assert_non_null(strstr(up->got, rows[i].header));
        rig_send(up, HEAD "Content-Length: 2\r\n\r\n{}");
        assert_null(strstr(c->got, "Davenport-Sequence"));
        rig_fini(&r);
    }
}

/* From before there was a proxy, or no token at all: as it came, to the active region. */
static void one_without_a_region_goes_on_as_it_is(void **state)
{
    static const char *const targets[] = {"/db/_changes?since=5-g1%7E", "/db/_changes?since=now",
                                          "/db/_changes?since=12",      "/db/_changes?since=%22x",
                                          "/db/_changes?since=",        "/db/_changes"};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(targets); i++) {
        struct rig r;
        struct rig_peer *up;
        char line[100];
        begin(&r, 2);
        rig_start(&r);
        (void)ask(&r, targets[i], "", &up);
        (void)snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\n", targets[i]);
        assert_string_equal(up->ip, "10.0.0.0");
        assert_asked(up, line);
        rig_fini(&r);
    }
}

static struct dp_seqview *one_mark(uint64_t read_s, const char *token)
{
    const struct dp_seqmaps_config config = {.databases = 4, .marks = 4, .min_age_ms = 1000};
    struct dp_seqmaps *maps = dp_seqmaps_new(&config);
    const struct dp_seqmaps_mark mark = {.database = DP_SPAN("db"),
                                         .from = DP_SPAN("r1"),
                                         .to = DP_SPAN("r0"),
                                         .token = dp_span_str(token),
                                         .read_ms = (int64_t)read_s * 1000};
    assert_non_null(maps);
    assert_int_equal(dp_seqmaps_add(maps, &mark), DP_OK);
    struct dp_seqview *v = dp_seqmaps_view(maps);
    dp_seqmaps_free(maps);
    return v;
}

static void a_foreign_one_is_translated_or_begins_anew(void **state)
{
    static const struct {
        const char *target, *asked, *word;
        enum dp_foreign_sequence policy;
    } rows[] = {
        {"/db/_changes?since=5-g1~r1.50", "since=3%2Bx", "translated", DP_FOREIGN_TRANSLATE},
        {"/db/_changes?since=5-g1~r1.10", "since=0", "rewound", DP_FOREIGN_TRANSLATE},
        {"/db/_changes?since=5-g1~r1", "since=0", "rewound", DP_FOREIGN_TRANSLATE},
        {"/other/_changes?since=5-g1~r1.50", "since=0", "rewound", DP_FOREIGN_TRANSLATE},
        {"/db/_changes?since=5-g1~gone.50", "since=0", "rewound", DP_FOREIGN_TRANSLATE},
        {"/_db_updates?since=5-g1~r1.50", "since=0", "rewound", DP_FOREIGN_TRANSLATE},
        {"/db/_changes?since=5-g1~r1.50", "since=0", "rewound", DP_FOREIGN_REWIND},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 2);
        r.config.foreign_sequence = rows[i].policy;
        r.now_ns = 100 * DP_NS_PER_S;
        rig_start(&r);
        dp_engine_adopt_sequences(&r.engine, one_mark(20, "3+x"));
        rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
        struct rig_peer *c = ask(&r, rows[i].target, "", &up);
        assert_string_equal(up->ip, "10.0.0.0");
        char line[100];
        (void)snprintf(line, sizeof(line), "GET %.*s?%s HTTP/1.1\r\n",
                       (int)strcspn(rows[i].target, "?"), rows[i].target, rows[i].asked);
        assert_asked(up, line);
        dp_engine_adopt_sequences(&r.engine, NULL); /* other maps, before it is answered */
        rig_send(up, HEAD "Content-Length: 22\r\n\r\n{\"results\":[{\"seq\":1}]}");
        char field[60];
        (void)snprintf(field, sizeof(field), "\r\nDavenport-Sequence: %s\r\n", rows[i].word);
        assert_non_null(strstr(c->got, field));
        assert_non_null(strstr(c->got, "\"seq\":\"1~r0\"")); /* of this region, and of no time */
        assert_int_equal(dp_counter_get(&r.traffic.sequences_translated), i == 0);
        assert_int_equal(dp_counter_get(&r.traffic.sequences_rewound), i != 0);
        rig_fini(&r);
    }
}

/* Its region serves, but not this request: it waits, for anywhere else it would begin anew. */
/* Another region is asked besides, as a hedge would: the answer tells what its own region was asked with. */
static void two_are_asked(void **state)
{
    struct rig r;
    struct rig_peer *up;
    (void)state;
    begin(&r, 2);
    rig_start(&r);
    struct rig_peer *c = ask(&r, "/db/_changes?since=5-g1~r0", "", &up);
    assert_asked(up, "GET /db/_changes?since=5-g1 HTTP/1.1\r\n");
    struct dp_exchange *x = DP_CONTAINER_OF(r.engine.conns.next, struct dp_conn, node)->exchange;
    struct dp_forward_request f = {.head = &x->request};
    assert_int_equal(dp_tagging_ask(x, 1, &f), DP_OK);
    assert_true(dp_span_eq(f.target, DP_SPAN("/db/_changes?since=0")));
    rig_send(up, HEAD "Content-Length: 22\r\n\r\n{\"results\":[{\"seq\":1}]}");
    assert_non_null(strstr(c->got, "\"seq\":\"1~r0\""));
    assert_null(strstr(c->got, "Davenport-Sequence"));
    rig_fini(&r);
}

static void a_failed_attempt_is_no_lost_region(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r, 2);
    r.config.hold_ms = 5000;
    r.config.hold_requests = 10;
    r.config.hold_bytes = 100000;
    r.config.hold_release_per_s = 1000;
    rig_start(&r);
    struct rig_peer *c = ask(&r, "/db/_changes?since=5-g1~r1", "", &up);
    rig_end(up, DP_ERESET);
    assert_int_equal(c->got_bytes, 0);
    rig_pass(&r, 200);
    up = rig_dialed(&r, 2);
    assert_string_equal(up->ip, "10.0.0.1");
    /* until it is given up */
    rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
    rig_pass(&r, 200);
    up = rig_dialed(&r, 3);
    assert_string_equal(up->ip, "10.0.0.0");
    rig_connect(up, DP_OK);
    assert_asked(up, "GET /db/_changes?since=0 HTTP/1.1\r\n");
    rig_send(up, HEAD "Content-Length: 2\r\n\r\n{}");
    assert_non_null(strstr(c->got, "Davenport-Sequence: rewound"));
    rig_fini(&r);
}

static void reject_says_so(void **state)
{
    static const char *const targets[] = {"/db/_changes?since=5-g1~r1",
                                          "/db/_changes?since=5-g1~gone"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        begin(&r, 2);
        r.config.foreign_sequence = DP_FOREIGN_REJECT;
        rig_start(&r);
        rig_publish(&r, 1, DP_ROUTE_DOWN, 0);
        char text[200];
        struct rig_peer *c = rig_client(&r);
        (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", targets[i]);
        rig_send(c, text);
        assert_int_equal(strncmp(c->got, "HTTP/1.1 503 ", 13), 0);
        assert_non_null(strstr(c->got, "\"foreign_sequence\""));
        assert_non_null(strstr(c->got, "Retry-After: 7"));
        assert_int_equal(r.n_regions, 0);
        rig_fini(&r);
    }
}

/* A feed's client would come back to the region that it left. */
static void a_move_of_the_traffic_leaves_feeds_where_they_are(void **state)
{
    (void)state;
    for (int drained = 0; drained < 2; drained++) {
        struct rig r;
        struct rig_peer *up;
        begin(&r, 2);
        r.config.feed_ends_on_move = true;
        r.config.feed_grace_ms = 100;
        r.config.feed_spread_ms = 100;
        rig_start(&r);
        struct rig_peer *c = ask(&r, "/db/_changes?feed=continuous", "", &up);
        rig_send(up, HEAD CHUNKED "1\r\n\n\r\n");
        if (drained) {
            rig_publish(&r, 0, DP_ROUTE_BARRED, 1);
        } else {
            rig_publish(&r, 0, DP_ROUTE_OK, 1);
        }
        rig_pass(&r, 1000);
        assert_int_equal(strcmp(c->got + c->got_bytes - 5, "0\r\n\r\n") == 0, drained);
        rig_fini(&r);
    }
}

/* ---- what an answer says of its way ---- */

static void an_answer_tells_its_region_and_attempts(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r, 2);
    r.config.tells_region = r.config.tells_attempts = true;
    rig_start(&r);
    struct rig_peer *c = ask(&r, "/db/doc", "", &up);
    rig_send(up, HEAD "Davenport-Region: other\r\nContent-Length: 2\r\n\r\n{}");
    assert_string_equal(c->got, HEAD "Content-Length: 2\r\nDavenport-Region: r0\r\n"
                                     "Davenport-Attempts: 1\r\n\r\n{}");
    rig_clear(c);
    rig_send(c, "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_send(up, "junk");
    rig_connect(rig_dialed(&r, 2), DP_OK);
    rig_send(r.regions[1], HEAD "Content-Length: 2\r\n\r\n{}");
    assert_string_equal(c->got, HEAD "Content-Length: 2\r\nDavenport-Region: r1\r\n"
                                     "Davenport-Attempts: 2\r\n\r\n{}");
    rig_fini(&r);
}

/* An answer of our own tells where it was tried last, if anywhere. */
static void an_error_of_ours_tells_them_too(void **state)
{
    static const struct {
        bool told, tried;
    } rows[] = {{true, true}, {true, false}, {false, true}};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *up, *c;
        begin(&r, 2);
        r.config.tells_region = r.config.tells_attempts = rows[i].told;
        rig_start(&r);
        if (rows[i].tried) {
            c = rig_request(
                &r, "POST /db/_purge HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", &up);
            rig_end(up, DP_ERESET);
            assert_non_null(strstr(c->got, "Davenport-Outcome: unknown\r\n"));
        } else {
            rig_publish(&r, 0, DP_ROUTE_BARRED, 1);
            rig_publish(&r, 1, DP_ROUTE_BARRED, 1);
            c = rig_client(&r);
            rig_send(c, "GET /db/doc HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        assert_memory_equal(c->got, "HTTP/1.1 503 ", 13);
        const bool tells = rows[i].told && rows[i].tried;
        assert_int_equal(strstr(c->got, "Davenport-Region: r0\r\n") != NULL, tells);
        assert_int_equal(strstr(c->got, "Davenport-Attempts: 1\r\n") != NULL, tells);
        rig_fini(&r);
    }
}

/* ---- memory ---- */

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char packed[1000], framed[1200];
    const size_t n = pack(changes_body, sizeof(changes_body) - 1, packed, sizeof(packed), Z_FINISH);
    const size_t all = chunked(packed, n, framed, sizeof(framed));
    bool happened = true;
    unsigned k = 1;
    for (; happened; k++) {
        struct rig r;
        assert_true(k < 100);
        begin(&r, 2);
        rig_start(&r);
        nomem_at(k);
        struct rig_peer *c = rig_client(&r);
        if (!c->closed)
            rig_send(c, "GET /db/_changes?since=5~r0 HTTP/1.1\r\nHost: a\r\n\r\n");
        if (r.n_regions > 0 && !r.regions[0]->closed)
            rig_connect(r.regions[0], DP_OK);
        if (r.n_regions > 0 && !r.regions[0]->closed && r.regions[0]->got_bytes > 0) {
            rig_send(r.regions[0], HEAD "Content-Encoding: gzip\r\n" CHUNKED);
            rig_send_bytes(r.regions[0], framed, all, 0);
        }
        happened = nomem_happened();
        nomem_at(0);
        if (!happened)
            assert_body(c, "{\"results\":[\n{\"seq\":\"1-a~r0\",\"id\":\"x\",\"changes\":[]},\n"
                           "{\"seq\":\"2-b~r0\",\"id\":\"y\",\"seq_\":{\"seq\":1}}\n],\n"
                           "\"last_seq\":\"2-b~r0.0.1\",\"pending\":0}\n");
        rig_fini(&r);
    }
    assert_in_range(k, 10, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_go_out_with_their_region),
        cmocka_unit_test(an_old_client_gets_them_by_closing),
        cmocka_unit_test(head_tells_no_length),
        cmocka_unit_test(all_else_passes_as_it_came),
        cmocka_unit_test(feeds_are_not_held_up),
        cmocka_unit_test(compressed_ones_are_read),
        cmocka_unit_test(wrongly_compressed_ones_are_cut),
        cmocka_unit_test(a_compressed_feed_ends_behind_a_line),
        cmocka_unit_test(what_is_asked_for_is_what_can_be_read),
        cmocka_unit_test(a_slow_client_bounds_what_waits),
        cmocka_unit_test(ends_while_behind),
        cmocka_unit_test(a_token_goes_to_its_region),
        cmocka_unit_test(one_without_a_region_goes_on_as_it_is),
        cmocka_unit_test(a_foreign_one_is_translated_or_begins_anew),
        cmocka_unit_test(two_are_asked),
        cmocka_unit_test(a_failed_attempt_is_no_lost_region),
        cmocka_unit_test(reject_says_so),
        cmocka_unit_test(a_move_of_the_traffic_leaves_feeds_where_they_are),
        cmocka_unit_test(an_answer_tells_its_region_and_attempts),
        cmocka_unit_test(an_error_of_ours_tells_them_too),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
