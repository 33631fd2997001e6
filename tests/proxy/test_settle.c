/* A second attempt of a write meets the first one's trace: whose write it is is found out, and the client is told what the
 * first attempt would have told it. docs/http.md links its table to these tests. */
#include "davenport/base/attr.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define JSON     "Content-Type: application/json\r\n"
#define CONFLICT "{\"error\":\"conflict\",\"reason\":\"Document update conflict.\"}\n"
#define DELETED  "{\"error\":\"not_found\",\"reason\":\"deleted\"}\n"
#define ROW(id)                                                                                    \
    "{\"id\":\"" id "\",\"error\":\"conflict\",\"reason\":\"Document update conflict.\"}"

#define LEAF(members, start, ids)                                                                  \
    "[{\"ok\":{\"_id\":\"doc\"," members "\"_revisions\":{\"start\":" start ",\"ids\":[" ids       \
    "]}}}]\n"

#define BULK_A                                                                                     \
    "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 22\r\n\r\n"                \
    "{\"docs\":[{\"_id\":\"a\"}]}"

#define BULK_ON(rev)                                                                               \
    "POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 36\r\n\r\n"                \
    "{\"docs\":[{\"_id\":\"a\",\"_rev\":\"" rev "\"}]}"

struct desk {
    struct rig r;
    struct rig_peer *c, *first, *second;
};

static void begin(struct desk *d)
{
    rig_init(&d->r, 2);
    d->r.config.not_replicated = DP_SPREAD_ACTIVE; /* PUT /db is one answer here */
    d->r.config.mint_ids = true;
    d->r.config.resolve_conflicts = true;
    d->r.config.try_timeout_ms = 5000;
}

/* The first region reads the request and dies; the second has it. */
static void send_twice(struct desk *d, const char *request)
{
    rig_start(&d->r);
    d->c = rig_request(&d->r, request, &d->first);
    rig_end(d->first, DP_ERESET);
    d->second = rig_dialed(&d->r, 2);
    rig_connect(d->second, DP_OK);
    rig_clear(d->second);
}

static void answer(struct rig_peer *p, const char *status, const char *body, size_t step)
{
    char text[2048];
    const int n = snprintf(text, sizeof(text),
                           "HTTP/1.1 %s\r\nDate: D\r\nServer: S\r\nContent-Length: %zu\r\n\r\n%s",
                           status, strlen(body), body);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    rig_clear(p);
    rig_send_bytes(p, text, (size_t)n, step);
}

static const char *body_of(const struct rig_peer *p)
{
    const char *at = strstr(p->got, "\r\n\r\n");
    assert_non_null(at);
    return at + 4;
}

static void assert_asked(const struct rig_peer *p, const char *line)
{
    if (strncmp(p->got, line, strlen(line)) != 0)
        fail_msg("asked %s, not %s", p->got, line);
}

static void assert_told(const struct rig_peer *c, const char *status, const char *body)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "HTTP/1.1 %s\r\n", status);
    assert_asked(c, line);
    assert_string_equal(body_of(c), body);
}

/* A conflict that may be of our own making is not passed on where there is no seeing whose it is. */
static void assert_unknown(const struct rig_peer *c)
{
    assert_asked(c, "HTTP/1.1 503 Service Unavailable\r\n");
    assert_non_null(strstr(c->got, "\r\nDavenport-Outcome: unknown\r\n"));
    assert_non_null(strstr(c->got, "\"outcome_unknown\""));
}

struct row {
    const char *request;
    const char *status, *refusal; /* what the second region says */
    const char *asks, *sees;      /* the first look */
    const char *asks2, *sees2;    /* the second one, or NULL */
    const char *told, *body;      /* what the client is told; NULL: the refusal */
    const char *field;            /* and a field of it */
};

#define PUT_DOC   "PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}"
#define UNSETTLED "Davenport-Outcome: unsettled\r\n"
#define LOOK      "GET /db/doc?open_revs=all&revs=true HTTP/1.1\r\n"

static const struct row rows[] = {
    /* a creation: ours; somebody else's */
    {PUT_DOC, "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "1", "\"aa\""), NULL, NULL,
     "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n",
     "Location: http://a/db/doc\r\n"},
    {PUT_DOC, "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":2,", "1", "\"aa\""), NULL, NULL, NULL,
     NULL, NULL},
    /* an update, told its revision in three ways */
    {"PUT /db/doc?rev=1-aa HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "2", "\"bb\",\"aa\""), NULL, NULL,
     "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n", "ETag: \"2-bb\"\r\n"},
    {"PUT /db/doc HTTP/1.1\r\nHost: a\r\nIf-Match: \"1-aa\"\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "2", "\"bb\",\"aa\""), NULL, NULL,
     "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n",
     "Davenport-Outcome: settled\r\n"},
    {"PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\n\r\n{\"v\":1,\"_rev\":\"1-aa\"}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "2", "\"bb\",\"aa\""), NULL, NULL,
     "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n", "ETag: \"2-bb\"\r\n"},
    /* another parent: the region never had ours, so it does not know */
    {"PUT /db/doc?rev=1-ab HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "2", "\"bb\",\"aa\""), NULL, NULL, NULL, NULL,
     UNSETTLED},
    {"PUT /db/doc?rev=2-bb HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "1", "\"aa\""), NULL, NULL, NULL, NULL,
     UNSETTLED},
    /* our parent, and somebody else's write behind it */
    {"PUT /db/doc?rev=1-aa HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":2,", "2", "\"bb\",\"aa\""), NULL, NULL, NULL, NULL,
     NULL},
    /* a deletion by PUT */
    {"PUT /db/doc?rev=1-aa HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n{\"_deleted\":true}",
     "409 Conflict", CONFLICT, LOOK, LEAF("\"_deleted\":true,", "2", "\"bb\",\"aa\""), NULL, NULL,
     "200 OK", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n", "ETag: \"2-bb\"\r\n"},
    /* a repeated deletion is 404, as recorded */
    {"DELETE /db/doc?rev=1-aa HTTP/1.1\r\nHost: a\r\n\r\n", "404 Object Not Found", DELETED, LOOK,
     LEAF("\"_deleted\":true,", "2", "\"bb\",\"aa\""), NULL, NULL, "200 OK",
     "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n", "ETag: \"2-bb\"\r\n"},
    {"DELETE /db/doc HTTP/1.1\r\nHost: a\r\nIf-Match: \"1-aa\"\r\n\r\n", "409 Conflict", CONFLICT,
     LOOK, LEAF("\"v\":1,", "2", "\"bb\",\"aa\""), NULL, NULL, NULL, NULL, NULL},
    {"DELETE /db/doc?rev=1-ab HTTP/1.1\r\nHost: a\r\n\r\n", "404 Object Not Found", DELETED, LOOK,
     LEAF("\"_deleted\":true,", "2", "\"bb\",\"aa\""), NULL, NULL, NULL, NULL, UNSETTLED},
    /* somebody built on ours before it was asked for again */
    {PUT_DOC, "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":7,", "2", "\"bb\",\"aa\""),
     "GET /db/doc?rev=1-aa&attachments=true HTTP/1.1\r\n", "{\"_id\":\"doc\",\"v\":1}",
     "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n", "ETag: \"1-aa\"\r\n"},
    {PUT_DOC, "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":7,", "2", "\"bb\",\"aa\""),
     "GET /db/doc?rev=1-aa&attachments=true HTTP/1.1\r\n", "{\"_id\":\"doc\",\"v\":2}", NULL, NULL,
     NULL},
    /* a creation on a tombstone */
    {PUT_DOC, "409 Conflict", CONFLICT, LOOK, LEAF("\"v\":1,", "3", "\"cc\",\"bb\",\"aa\""),
     "GET /db/doc?rev=2-bb&attachments=true HTTP/1.1\r\n", "{\"_id\":\"doc\",\"_deleted\":true}",
     "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"3-cc\"}\n", "ETag: \"3-cc\"\r\n"},
    /* an attachment: its bytes are looked at */
    {"PUT /db/doc/a%2Fb?rev=1-aa HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     "409 Conflict", CONFLICT, LOOK,
     LEAF("\"_attachments\":{\"a/b\":{\"revpos\":2,\"length\":5,\"stub\":true}},", "2",
          "\"bb\",\"aa\""),
     "GET /db/doc/a%2Fb?rev=2-bb HTTP/1.1\r\n", "hello", "201 Created",
     "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n", "Location: http://a/db/doc/a%2Fb\r\n"},
    {"PUT /db/doc/a?rev=1-aa HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "409 Conflict",
     CONFLICT, LOOK, LEAF("", "2", "\"bb\",\"aa\""), "GET /db/doc/a?rev=2-bb HTTP/1.1\r\n", "hallo",
     NULL, NULL, NULL},
    /* a POST with an id of its own, whose path is ours to make */
    {"POST /db HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 14\r\n\r\n{\"_id\":\"d/\xc3\xa9\"}",
     "409 Conflict", CONFLICT, "GET /db/d%2F%C3%A9?open_revs=all&revs=true HTTP/1.1\r\n",
     "[{\"ok\":{\"_id\":\"d/\xc3\xa9\",\"_revisions\":{\"start\":1,\"ids\":[\"aa\"]}}}]", NULL,
     NULL, "201 Created", "{\"ok\":true,\"id\":\"d/\xc3\xa9\",\"rev\":\"1-aa\"}\n",
     "Location: http://a/db/d%2F%C3%A9\r\n"},
    /* a design document, a name that is encoded */
    {"PUT /db/_design/x?rev=1-aa HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
     "409 Conflict", CONFLICT, "GET /db/_design/x?open_revs=all&revs=true HTTP/1.1\r\n",
     LEAF("\"v\":1,", "2", "\"bb\",\"aa\""), NULL, NULL, "201 Created",
     "{\"ok\":true,\"id\":\"doc\",\"rev\":\"2-bb\"}\n", NULL},
    /* rows: one ours, one not, one that went well */
    {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 64\r\n\r\n"
     "{\"docs\":[{\"_id\":\"a\",\"v\":1},{\"_id\":\"b\",\"v\":1},{\"_id\":\"c\",\"v\":1}]}",
     "201 Created", "[" ROW("a") "," ROW("b") ",{\"ok\":true,\"id\":\"c\",\"rev\":\"1-cc\"}]\n",
     "POST /db/_bulk_get?revs=true HTTP/1.1\r\n",
     "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"v\":1,\"_revisions\":{\"start\":1,\"ids\":["
     "\"aa\"]}}}]},{\"id\":\"b\",\"docs\":[{\"ok\":{\"v\":2,\"_revisions\":{\"start\":1,\"ids\":["
     "\"aa\"]}}}]}]}",
     NULL, NULL, "201 Created",
     "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}," ROW("b") ",{\"ok\":true,\"id\":\"c\",\"rev\":"
                                                              "\"1-cc\"}]\n",
     "Server: S\r\n"},
    {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 30\r\n\r\n"
     "{\"docs\":[{\"_id\":\"a\",\"v\":1  }]}",
     "201 Created", "[" ROW("a") "]\n", "POST /db/_bulk_get?revs=true HTTP/1.1\r\n",
     "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"v\":2,\"_revisions\":{\"start\":1,\"ids\":["
     "\"aa\"]}}}]}]}",
     NULL, NULL, NULL, NULL, NULL},
    /* rows of a region that lacks what they build on, alone and beside one of ours; one that can't be seen */
    {BULK_ON("2-bb"), "201 Created", "[" ROW("a") "]\n",
     "POST /db/_bulk_get?revs=true HTTP/1.1\r\n",
     "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"v\":1,\"_revisions\":{\"start\":1,\"ids\":["
     "\"aa\"]}}}]}]}",
     NULL, NULL, NULL, NULL, UNSETTLED},
    {BULK_ON("1-aa"), "201 Created", "[" ROW("a") "]\n",
     "POST /db/_bulk_get?revs=true HTTP/1.1\r\n",
     "{\"results\":[{\"id\":\"a\",\"docs\":[{\"error\":{\"id\":\"a\",\"rev\":\"undefined\","
     "\"error\":\"not_found\",\"reason\":\"missing\"}}]}]}",
     NULL, NULL, NULL, NULL, UNSETTLED},
    {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 48\r\n\r\n"
     "{\"docs\":[{\"_id\":\"a\"},{\"_id\":\"b\",\"_rev\":\"2-bb\"}]}",
     "201 Created", "[" ROW("a") "," ROW("b") "]\n", "POST /db/_bulk_get?revs=true HTTP/1.1\r\n",
     "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"_revisions\":{\"start\":1,\"ids\":[\"aa\"]}}"
     "}]},"
     "{\"id\":\"b\",\"docs\":[{\"ok\":{\"_revisions\":{\"start\":1,\"ids\":[\"aa\"]}}}]}]}",
     NULL, NULL, "201 Created", "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}," ROW("b") "]\n",
     UNSETTLED},
    {BULK_A, "201 Created", "[" ROW("a") "]\n", "POST /db/_bulk_get?revs=true HTTP/1.1\r\n",
     "{\"results\":[{\"id\":\"a\",\"docs\":[{\"error\":{}}]}]}", NULL, NULL, NULL, NULL, UNSETTLED},
};

static void play(const struct row *w, size_t step)
{
    struct desk d;
    begin(&d);
    send_twice(&d, w->request);
    answer(d.second, w->status, w->refusal, step);
    assert_int_equal(d.c->got_bytes, 0);
    assert_asked(d.second, w->asks);
    answer(d.second, "200 OK", w->sees, step);
    if (w->asks2) {
        assert_int_equal(d.c->got_bytes, 0);
        assert_asked(d.second, w->asks2);
        answer(d.second, "200 OK", w->sees2, step);
    }
    assert_told(d.c, w->told ? w->told : w->status, w->body ? w->body : w->refusal);
    if (w->field)
        assert_non_null(strstr(d.c->got, w->field));
    const bool unsettled = w->field && strcmp(w->field, UNSETTLED) == 0;
    if (!w->told && !unsettled)
        assert_null(strstr(d.c->got, "settled"));
    assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_unsettled), unsettled);
    assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_settled), w->told && !unsettled);
    assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_stood), !w->told && !unsettled);
    assert_int_equal(dp_counter_get(&d.r.traffic.inquiries), w->asks2 ? 2 : 1);
    /* both connections go on */
    rig_clear(d.c);
    rig_send(d.c, "GET /db/x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_connect(rig_dialed(&d.r, 3), DP_OK);
    rig_send(rig_dialed(&d.r, 3), "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi");
    assert_told(d.c, "200 OK", "hi");
    rig_fini(&d.r);
}

static void what_our_own_attempt_did_is_told_as_success(void **state)
{
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        play(&rows[i], 0);
        play(&rows[i], 1);
        play(&rows[i], 7);
    }
}

/* The id that was given to it here. */
static void a_document_that_got_its_id_here(void **state)
{
    (void)state;
    struct desk d;
    char id[33] = "", leaf[256], want[256], line[128];
    begin(&d);
    rig_start(&d.r);
    d.c = rig_request(&d.r,
                      "POST /db HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 7\r\n\r\n{\"v\":1}",
                      &d.first);
    const char *at = strstr(d.first->got, "\"_id\":\"");
    assert_non_null(at);
    memcpy(id, at + 7, 32);
    rig_end(d.first, DP_ERESET);
    d.second = rig_dialed(&d.r, 2);
    rig_connect(d.second, DP_OK);
    answer(d.second, "409 Conflict", CONFLICT, 0);
    (void)snprintf(line, sizeof(line), "GET /db/%s?open_revs=all&revs=true HTTP/1.1\r\n", id);
    assert_asked(d.second, line);
    (void)snprintf(
        leaf, sizeof(leaf),
        "[{\"ok\":{\"_id\":\"%s\",\"v\":1,\"_revisions\":{\"start\":1,\"ids\":[\"aa\"]}}}]", id);
    answer(d.second, "200 OK", leaf, 0);
    (void)snprintf(want, sizeof(want), "{\"ok\":true,\"id\":\"%s\",\"rev\":\"1-aa\"}\n", id);
    assert_told(d.c, "201 Created", want);
    rig_fini(&d.r);
}

/* It asks as its client, and for what it needs. */
static void the_question_is_its_clients(void **state)
{
    (void)state;
    struct desk d;
    begin(&d);
    send_twice(&d, "PUT /db/doc HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eA==\r\n"
                   "Cookie: AuthSession=x\r\nIf-Match: \"1-aa\"\r\n"
                   "Accept: */*\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\n"
                   "Content-Length: 7\r\n\r\n{\"v\":1}");
    answer(d.second, "409 Conflict", CONFLICT, 0);
    static const char *const has[] = {
        "\r\nHost: r1.example:80\r\n",        "\r\nAuthorization: Basic eA==\r\n",
        "\r\nCookie: AuthSession=x\r\n",      "\r\nAccept: application/json\r\n",
        "\r\nX-Forwarded-For: 192.0.2.7\r\n",
    };
    static const char *const lacks[] = {"If-Match", "Content-", "*/*", "gzip", "{"};
    for (size_t i = 0; i < DP_ARRAY_LEN(has); i++)
        assert_non_null(strstr(d.second->got, has[i]));
    for (size_t i = 0; i < DP_ARRAY_LEN(lacks); i++)
        assert_null(strstr(d.second->got, lacks[i]));
    answer(d.second, "401 Unauthorized", "{}", 0);
    assert_unknown(d.c);
    rig_fini(&d.r);
}

/* ---- what is not looked into ---- */

static void a_refusal_of_the_first_attempt_is_passed_on(void **state)
{
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        struct desk d;
        begin(&d);
        rig_start(&d.r);
        if (refused) { /* nothing was sent there */
            d.c = rig_client(&d.r);
            rig_send(d.c, PUT_DOC);
            rig_connect(rig_dialed(&d.r, 1), DP_ECONNECT);
            d.second = rig_dialed(&d.r, 2);
            rig_connect(d.second, DP_OK);
        } else {
            d.c = rig_request(&d.r, PUT_DOC, &d.second);
        }
        answer(d.second, "409 Conflict", CONFLICT, 0);
        assert_told(d.c, "409 Conflict", CONFLICT);
        assert_int_equal(dp_counter_get(&d.r.traffic.inquiries), 0);
        rig_fini(&d.r);
    }
}

static void what_is_passed_on_unasked(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *body;
        bool unsettled; /* it may be our own, and can't be looked into */
    } all[] = {
        {PUT_DOC, "201 Created", "{\"ok\":true}", false},
        {PUT_DOC, "403 Forbidden", "{}", false},
        {PUT_DOC, "404 Object Not Found", DELETED, false},
        {"PUT /db/doc?batch=ok HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "409 Conflict",
         CONFLICT, false},
        {"PUT /db/_local/doc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "409 Conflict",
         CONFLICT, false},
        {"DELETE /db/doc/attachment?rev=1-aa HTTP/1.1\r\nHost: a\r\n\r\n", "409 Conflict", CONFLICT,
         true},
        {"DELETE /db/doc?rev=1-aa HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "{\"ok\":true}", false},
        {"PUT /db HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "500 Internal Server Error",
         "{}", false},
        {"PUT /db/_security HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
         "412 Precondition Failed", "{}", false},
        /* what is gone does not tell who took it away */
        {"DELETE /db HTTP/1.1\r\nHost: a\r\n\r\n", "404 Object Not Found", "{}", true},
        {"PUT /db/doc?rev=1-aa HTTP/1.1\r\nHost: a\r\nIf-Match: \"1-ab\"\r\nContent-Length: "
         "2\r\n\r\n"
         "{}",
         "409 Conflict", CONFLICT, true},
        {"PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
         "409 Conflict", CONFLICT, true},
        {"PUT /db/doc HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
         "409 Conflict", CONFLICT, true},
        {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 22\r\n\r\n"
         "{\"docs\":[{\"_id\":\"a\"}]}",
         "201 Created", "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}]", false},
        {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 40\r\n\r\n"
         "{\"new_edits\":false,\"docs\":[{\"_id\":\"a\"}]}",
         "201 Created", "[" ROW("a") "]", false},
        /* an error of the whole request, and rows of which nobody knows what they are about */
        {BULK_A, "500 Internal Server Error", "{\"error\":\"timeout\"}", false},
        {BULK_A, "417 Expectation Failed", "[{\"id\":\"a\",\"error\":\"forbidden\"}]", false},
        {BULK_A, "417 Expectation Failed", "[" ROW("a") "," ROW("b") "]", true},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(all); i++) {
        struct desk d;
        begin(&d);
        send_twice(&d, all[i].request);
        answer(d.second, all[i].status, all[i].body, 0);
        assert_told(d.c, all[i].status, all[i].body);
        assert_int_equal(dp_counter_get(&d.r.traffic.inquiries), 0);
        assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_stood), 0);
        assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_unsettled), all[i].unsettled);
        assert_true(all[i].unsettled == (strstr(d.c->got, "Davenport-Outcome: unsettled") != NULL));
        rig_fini(&d.r);
    }
}

/* Its rows are those of any other answer. What is a success in all of them is one. */
static void rows_of_an_answer_that_is_an_error(void **state)
{
    static const struct {
        const char *request, *status, *rows, *told, *body;
    } all[] = {
        {BULK_A, "500 Internal Server Error", "[" ROW("a") "]", "201 Created",
         "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}]\n"},
        {BULK_A, "417 Expectation Failed", "[" ROW("a") "]", "201 Created",
         "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"}]\n"},
        {"POST /db/_bulk_docs HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 34\r\n\r\n"
         "{\"docs\":[{\"_id\":\"a\"},{\"_id\":\"b\"}]}",
         "500 Internal Server Error",
         "[" ROW("a") ",{\"id\":\"b\",\"error\":\"internal_server_error\"}]",
         "500 Internal Server Error",
         "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-aa\"},{\"id\":\"b\",\"error\":\"internal_server_"
         "error\"}]\n"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(all); i++) {
        struct desk d;
        begin(&d);
        send_twice(&d, all[i].request);
        answer(d.second, all[i].status, all[i].rows, 0);
        assert_asked(d.second, "POST /db/_bulk_get?revs=true HTTP/1.1\r\n");
        answer(d.second, "200 OK",
               "{\"results\":[{\"id\":\"a\",\"docs\":[{\"ok\":{\"_id\":\"a\",\"_revisions\":{"
               "\"start\":1,"
               "\"ids\":[\"aa\"]}}}]}]}",
               0);
        assert_told(d.c, all[i].told, all[i].body);
        assert_non_null(strstr(d.c->got, "Davenport-Outcome: settled\r\n"));
        assert_int_equal(dp_counter_get(&d.r.traffic.rows_settled), 1);
        rig_fini(&d.r);
    }
}

/* A database that is there when it is asked for a second time: was it there before the first? */
static void a_database_of_our_own_making(void **state)
{
    static const struct {
        const char *date, *status, *info;
        const char *told, *outcome; /* NULL: the refusal; no outcome */
        uint32_t wait_ms;           /* from the first attempt to the second */
    } all[] = {
        {"Sun, 22 Nov 2026 17:42:33 GMT", "200 OK", "{\"instance_start_time\":\"1795369353\"}",
         "201 Created", "settled", 0},
        {"Sun, 22 Nov 2026 17:42:33 GMT", "200 OK", "{\"instance_start_time\":\"1795369351\"}",
         NULL, NULL, 0},
        {"Sun, 22 Nov 2026 17:42:33 GMT", "200 OK", "{\"instance_start_time\":\"1795369351\"}",
         "201 Created", "settled", 1500},
        {"Sun, 22 Nov 2026 17:42:33 GMT", "200 OK", "{\"instance_start_time\":\"0\"}", NULL,
         "unsettled", 0},
        {"D", "200 OK", "{\"instance_start_time\":\"1795369353\"}", NULL, "unsettled", 0},
        {"D", "200 OK", "no JSON", NULL, "unsettled", 0},
        {"D", "404 Object Not Found", "{}", NULL, NULL, 0}, /* gone again */
        {"D", "401 Unauthorized", "{}", "503 Service Unavailable", "unknown", 0},
    };
    static const char exists[] = "{\"error\":\"file_exists\"}\n";
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(all); i++) {
        struct desk d;
        char text[512], field[64];
        begin(&d);
        rig_start(&d.r);
        d.c = rig_request(&d.r, "PUT /db?q=2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                          &d.first);
        if (all[i].wait_ms > 0)
            rig_wait(&d.r, all[i].wait_ms);
        rig_end(d.first, DP_ERESET);
        d.second = rig_dialed(&d.r, 2);
        rig_connect(d.second, DP_OK);
        answer(d.second, "412 Precondition Failed", exists, 0);
        assert_asked(d.second, "GET /db HTTP/1.1\r\n");
        assert_int_equal(d.c->got_bytes, 0);
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 %s\r\nDate: %s\r\nContent-Length: %zu\r\n\r\n%s", all[i].status,
                       all[i].date, strlen(all[i].info), all[i].info);
        rig_send(d.second, text);
        print_message("database %zu\n", i);
        if (!all[i].told)
            assert_told(d.c, "412 Precondition Failed", exists);
        else if (all[i].told[0] == '2')
            assert_told(d.c, all[i].told, "{\"ok\":true}\n");
        else
            assert_unknown(d.c);
        (void)snprintf(field, sizeof(field), "Davenport-Outcome: %s\r\n",
                       all[i].outcome ? all[i].outcome : "");
        assert_int_equal(strstr(d.c->got, field) != NULL, all[i].outcome != NULL);
        assert_int_equal(strstr(d.c->got, "Location: http://a/db\r\n") != NULL,
                         all[i].told && all[i].told[0] == '2');
        rig_fini(&d.r);
    }
}

/* And then the others are to have it, too, whatever came of it. */
static void what_was_settled_goes_to_every_region(void **state)
{
    static const struct {
        const char *info, *told;
    } all[] = {
        {"{\"instance_start_time\":\"1795369353\"}", "201 Created"},
        {"{\"instance_start_time\":\"1795360000\"}", "412 Precondition Failed"},
        {"{}", "412 Precondition Failed"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(all); i++) {
        struct desk d;
        char text[512], line[64];
        begin(&d);
        d.r.config.not_replicated = DP_SPREAD_FAN_OUT;
        send_twice(&d, "PUT /db HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        answer(d.second, "412 Precondition Failed", "{}", 0);
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 17:42:33 GMT\r\nContent-Length: "
                       "%zu\r\n\r\n%s",
                       strlen(all[i].info), all[i].info);
        rig_send(d.second, text);
        assert_int_equal(d.c->got_bytes, 0);
        struct rig_peer *third = rig_dialed(&d.r, 3);
        assert_string_equal(third->ip, "10.0.0.0");
        rig_connect(third, DP_OK);
        assert_asked(third, "PUT /db HTTP/1.1\r\n");
        answer(third, "201 Created", "{}", 0);
        rig_turn(&d.r);
        (void)snprintf(line, sizeof(line), "HTTP/1.1 %s\r\n", all[i].told);
        assert_asked(d.c, line);
        assert_null(strstr(d.c->got, "Davenport-Missed"));
        rig_fini(&d.r);
    }
}

static void the_switch_turns_it_off(void **state)
{
    (void)state;
    struct desk d;
    begin(&d);
    d.r.config.resolve_conflicts = false;
    send_twice(&d, PUT_DOC);
    answer(d.second, "409 Conflict", CONFLICT, 0);
    assert_told(d.c, "409 Conflict", CONFLICT);
    rig_fini(&d.r);
}

/* ---- in the same region ---- */

/* A pooled connection that was reset may have carried the request: the second attempt goes to the same region. */
static void send_twice_to_one(struct desk *d, const char *request)
{
    begin(d);
    rig_start(&d->r);
    d->c = rig_request(&d->r, "GET /db/x HTTP/1.1\r\nHost: a\r\n\r\n", &d->first);
    rig_send(d->first, "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\nhi");
    rig_clear(d->c);
    rig_send(d->c, request);
    rig_end(d->first, DP_ERESET);
    d->second = rig_dialed(&d->r, 2);
    assert_string_equal(d->second->ip, "10.0.0.0");
    rig_connect(d->second, DP_OK);
}

static void on_a_second_connection_of_the_same_region(void **state)
{
    (void)state;
    struct desk d;
    send_twice_to_one(&d, PUT_DOC);
    answer(d.second, "409 Conflict", CONFLICT, 0);
    answer(d.second, "200 OK", LEAF("\"v\":1,", "1", "\"aa\""), 0);
    assert_told(d.c, "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n");
    rig_fini(&d.r);
}

/* Nobody else was asked: what it lacks was lacking at the first attempt. */
static void a_row_of_the_only_region_that_was_asked(void **state)
{
    (void)state;
    struct desk d;
    send_twice_to_one(&d, BULK_ON("2-bb"));
    answer(d.second, "201 Created", "[" ROW("a") "]\n", 0);
    answer(d.second, "200 OK", "{\"results\":[{\"id\":\"a\",\"docs\":[]}]}", 0);
    assert_told(d.c, "201 Created", "[" ROW("a") "]\n");
    assert_null(strstr(d.c->got, "settled"));
    assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_stood), 1);
    rig_fini(&d.r);
}

/* ---- when the question fails ---- */

/* The region closes behind a refusal, as CouchDB does where it did not read the body: asked on another connection. */
static void the_connection_ends_with_the_refusal(void **state)
{
    (void)state;
    struct desk d;
    begin(&d);
    send_twice(&d, PUT_DOC);
    rig_send(d.second, "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
    struct rig_peer *third = rig_dialed(&d.r, 3);
    assert_string_equal(third->ip, "10.0.0.1");
    rig_connect(third, DP_OK);
    assert_asked(third, LOOK);
    answer(third, "200 OK", LEAF("\"v\":1,", "1", "\"aa\""), 0);
    assert_told(d.c, "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n");
    rig_fini(&d.r);
}

/* Or it ends by closing, or in chunks. */
static void refusals_without_a_length(void **state)
{
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        struct desk d;
        begin(&d);
        send_twice(&d, PUT_DOC);
        rig_send(d.second, closes ? "HTTP/1.1 409 Conflict\r\nDate: D\r\n\r\n{}"
                                  : "HTTP/1.1 409 Conflict\r\nDate: D\r\nTransfer-Encoding: "
                                    "chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
        if (closes) {
            rig_end(d.second, DP_OK);
            d.second = rig_dialed(&d.r, 3);
            rig_connect(d.second, DP_OK);
        }
        answer(d.second, "200 OK", LEAF("\"v\":2,", "1", "\"aa\""), 0);
        assert_string_equal(d.c->got, "HTTP/1.1 409 Conflict\r\nDate: D\r\nTransfer-Encoding: "
                                      "chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
        rig_fini(&d.r);
    }
}

/* It comes slowly, and its time is over before it is whole: it is no more the client's than a whole one. */
static void a_refusal_that_is_not_whole_in_time(void **state)
{
    (void)state;
    enum { DEADLINE, SLOW, LONG, WAYS };
    for (int how = 0; how < WAYS; how++) {
        struct desk d;
        static char page[1 << 16];
        begin(&d);
        if (how == DEADLINE)
            d.r.config.request_timeout_ms = 1000;
        send_twice(&d, PUT_DOC);
        rig_send(d.second, "HTTP/1.1 409 Conflict\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "1\r\n{\r\n");
        if (how == DEADLINE) {
            rig_pass(&d.r, 1100);
        } else if (how == SLOW) {
            rig_pass(&d.r, 400);
            assert_int_equal(d.c->got_bytes, 0);
            rig_send(d.second, "1\r\n}\r\n0\r\n\r\n");
            answer(d.second, "200 OK", LEAF("\"v\":1,", "1", "\"aa\""), 0);
            assert_told(d.c, "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n");
        } else {
            memset(page, ' ', sizeof(page));
            rig_send(d.second, "200000\r\n");
            for (int i = 0; i < 32; i++)
                rig_send_bytes(d.second, page, sizeof(page), 0);
            assert_asked(d.c, "HTTP/1.1 409 Conflict\r\n");
            assert_non_null(strstr(d.c->got, "\r\nDavenport-Outcome: unsettled\r\n"));
        }
        if (how == DEADLINE)
            assert_unknown(d.c);
        assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_unsettled), how == LONG);
        rig_fini(&d.r);
    }
}

/* The pooled connection is gone when the question gets there: once more, on a new one, and no further. */
static void a_stale_connection_is_replaced_once(void **state)
{
    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        struct desk d;
        begin(&d);
        send_twice(&d, PUT_DOC);
        answer(d.second, "409 Conflict", CONFLICT, 0);
        rig_end(d.second, DP_OK);
        struct rig_peer *third = rig_dialed(&d.r, 3);
        rig_connect(third, DP_OK);
        assert_asked(third, LOOK);
        if (twice)
            rig_end(third, DP_ERESET);
        else
            answer(third, "200 OK", LEAF("\"v\":1,", "1", "\"aa\""), 0);
        if (twice) { /* asked a second time, and not a third */
            rig_connect(rig_dialed(&d.r, 4), DP_OK);
            assert_asked(rig_dialed(&d.r, 4), LOOK);
            rig_end(rig_dialed(&d.r, 4), DP_ERESET);
            assert_unknown(d.c);
        } else {
            assert_told(d.c, "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n");
        }
        assert_int_equal(d.r.n_regions, twice ? 4 : 3);
        assert_int_equal(dp_counter_get(&d.r.traffic.inquiries_failed), twice ? 2 : 0);
        rig_fini(&d.r);
    }
}

static void no_answer_to_the_question(void **state)
{
    (void)state;
    enum { LATE, CUT, NO_HTTP, NO_JSON, STATUS, INTERIM, WAYS };
    for (int how = 0; how < WAYS; how++) {
        struct desk d;
        begin(&d);
        send_twice(&d, PUT_DOC);
        answer(d.second, "409 Conflict", CONFLICT, 0);
        assert_asked(d.second, LOOK);
        if (how == LATE) {
            rig_pass(&d.r, 4900);
            assert_int_equal(d.c->got_bytes, 0);
            rig_pass(&d.r, 200);
            assert_true(d.second->closed);
        } else if (how == CUT) {
            for (size_t i = 2; i < 4; i++) {
                struct rig_peer *p = rig_dialed(&d.r, i);
                rig_send(p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[");
                rig_end(p, DP_OK);
                if (i == 2)
                    rig_connect(rig_dialed(&d.r, 3), DP_OK);
            }
        } else if (how == NO_HTTP) {
            rig_send(d.second, "what?\r\n\r\n");
        } else if (how == NO_JSON) {
            answer(d.second, "200 OK", "--x\r\n", 0);
        } else if (how == STATUS) {
            answer(d.second, "503 Service Unavailable", LEAF("\"v\":1,", "1", "\"aa\""), 0);
        } else {
            for (int i = 0; i < 20; i++)
                rig_send(d.second, "HTTP/1.1 103 Early Hints\r\n\r\n");
        }
        if (how == NO_JSON) {
            assert_told(d.c, "409 Conflict", CONFLICT);
            assert_non_null(strstr(d.c->got, "\r\nDavenport-Outcome: unsettled\r\n"));
        } else {
            assert_unknown(d.c);
        }
        assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_unsettled), how == NO_JSON);
        assert_int_equal(dp_counter_get(&d.r.traffic.conflicts_stood), 0);
        rig_fini(&d.r);
    }
}

static void an_answer_that_is_too_long(void **state)
{
    (void)state;
    struct desk d;
    static char page[1 << 16];
    begin(&d);
    send_twice(&d, PUT_DOC);
    answer(d.second, "409 Conflict", CONFLICT, 0);
    rig_send(d.second, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    memset(page, ' ', sizeof(page));
    for (int i = 0; i < 200 && !d.second->closed; i++)
        rig_send_bytes(d.second, page, sizeof(page), 0);
    assert_true(d.second->closed);
    assert_told(d.c, "409 Conflict", CONFLICT);
    rig_fini(&d.r);
}

/* ---- what happens meanwhile ---- */

static void the_requests_own_time_is_over(void **state)
{
    (void)state;
    struct desk d;
    begin(&d);
    d.r.config.request_timeout_ms = 1000;
    send_twice(&d, PUT_DOC);
    answer(d.second, "409 Conflict", CONFLICT, 0);
    rig_pass(&d.r, 1100);
    assert_unknown(d.c);
    assert_true(d.second->closed);
    rig_fini(&d.r);
}

static void its_client_goes_away(void **state)
{
    (void)state;
    for (int dialing = 0; dialing < 2; dialing++) {
        struct desk d;
        begin(&d);
        send_twice(&d, PUT_DOC);
        if (dialing)
            rig_send(d.second,
                     "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}");
        else
            answer(d.second, "409 Conflict", CONFLICT, 0);
        rig_end(d.c, DP_ERESET);
        assert_true(dialing || d.second->closed);
        rig_fini(&d.r);
    }
}

/* Its region is given up, another takes the traffic, the proxy shuts down: the answer is whole already. */
static void its_region_goes_down(void **state)
{
    (void)state;
    struct desk d;
    begin(&d);
    send_twice(&d, PUT_DOC);
    answer(d.second, "409 Conflict", CONFLICT, 0);
    rig_publish(&d.r, 1, DP_ROUTE_DOWN, 0);
    dp_engine_drain(&d.r.engine);
    answer(d.second, "200 OK", LEAF("\"v\":1,", "1", "\"aa\""), 0);
    assert_told(d.c, "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n");
    rig_fini(&d.r);
}

/* Bytes that lay in the socket before the question was sent are no answer to it. */
static void stray_bytes_are_no_answer(void **state)
{
    (void)state;
    struct desk d;
    begin(&d);
    send_twice(&d, PUT_DOC);
    d.second->full = true;
    rig_send(d.second, "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}");
    rig_send(d.second, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
    struct rig_peer *third = rig_dialed(&d.r, 3);
    rig_connect(third, DP_OK);
    assert_asked(third, LOOK);
    answer(third, "200 OK", LEAF("\"v\":1,", "1", "\"aa\""), 0);
    assert_told(d.c, "201 Created", "{\"ok\":true,\"id\":\"doc\",\"rev\":\"1-aa\"}\n");
    rig_fini(&d.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_our_own_attempt_did_is_told_as_success),
        cmocka_unit_test(a_document_that_got_its_id_here),
        cmocka_unit_test(the_question_is_its_clients),
        cmocka_unit_test(a_refusal_of_the_first_attempt_is_passed_on),
        cmocka_unit_test(what_is_passed_on_unasked),
        cmocka_unit_test(rows_of_an_answer_that_is_an_error),
        cmocka_unit_test(a_database_of_our_own_making),
        cmocka_unit_test(what_was_settled_goes_to_every_region),
        cmocka_unit_test(the_switch_turns_it_off),
        cmocka_unit_test(on_a_second_connection_of_the_same_region),
        cmocka_unit_test(a_row_of_the_only_region_that_was_asked),
        cmocka_unit_test(the_connection_ends_with_the_refusal),
        cmocka_unit_test(refusals_without_a_length),
        cmocka_unit_test(a_refusal_that_is_not_whole_in_time),
        cmocka_unit_test(a_stale_connection_is_replaced_once),
        cmocka_unit_test(no_answer_to_the_question),
        cmocka_unit_test(an_answer_that_is_too_long),
        cmocka_unit_test(the_requests_own_time_is_over),
        cmocka_unit_test(its_client_goes_away),
        cmocka_unit_test(its_region_goes_down),
        cmocka_unit_test(stray_bytes_are_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
