/* What the admin server answers, without its sockets: routes, methods, the two guards against browsers. */
#include "davenport/net/secret.h"

#include "app/admin_live.h"
#include "app/admin_orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A program with one region, and what it was told. */
struct fake {
    bool draining, replaced;
    size_t n_events;
    char order[512]; /* the last one, or "" */
    enum dp_err err;
    enum dp_refusal refusal;
    uint64_t ticket;
    const struct dp_config_token *tokens;
    uint16_t n_tokens;
    unsigned denials;
    char denial[256]; /* the last one */
};

static const struct dp_control_config config = {.n_regions = 1};

static void report(void *ctx, struct dp_report *out)
{
    const struct fake *f = ctx;
    *out = (struct dp_report){.version = "v", .listen = "l", .admin = "a"};
    out->draining = f->draining;
    out->status.n_regions = 1;
    out->status.regions[0].name = "left";
    out->status.regions[0].url = "http://h";
    out->status.heir = out->status.failback_to = DP_NO_REGION;
    out->status.config = &config;
}

static size_t events(void *ctx, struct dp_span *lines, size_t max)
{
    const struct fake *f = ctx;
    for (size_t i = 0; i < f->n_events && i < max; i++) {
        static const char *const texts[] = {"{\"epoch\":1}", "{\"epoch\":1,\"x\":1}",
                                            "{\"epoch\":2}"};
        lines[i] = dp_span_str(texts[i]);
    }
    return f->n_events;
}

static enum dp_err order(void *ctx, const struct dp_order_request *r, struct dp_order_result *out)
{
    struct fake *f = ctx;
    char epoch[32] = "any";
    if (r->if_epoch)
        assert_true(snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)r->epoch) > 0);
    assert_true(snprintf(f->order, sizeof f->order,
                         "%s %s force=%d dry=%d ttl=%u epoch=%s actor=%s reason=%s",
                         dp_order_name(r->kind), r->region ? r->region : "(all)", r->force,
                         r->dry_run, (unsigned)r->ttl_s, epoch, r->actor,
                         r->reason ? r->reason : "(none)") > 0);
    *out = (struct dp_order_result){.refusal = f->refusal,
                                    .epoch = 8,
                                    .ticket = f->ticket,
                                    .overridden = r->force ? 1U << DP_REFUSAL_DWELL : 0,
                                    .before = {.active = 0},
                                    .after = {.active = DP_NO_REGION, .drained = {true}}};
    assert_true(snprintf(out->why, sizeof out->why, "because") > 0);
    return f->err;
}

static bool being_replaced(void *ctx)
{
    const struct fake *f = ctx;
    return f->replaced;
}

static enum dp_err reload(void *ctx, const char *actor, uint64_t *asked)
{
    struct fake *f = ctx;
    assert_true(snprintf(f->order, sizeof f->order, "reload %s", actor) > 0);
    *asked = f->err == DP_OK ? 5 : 0;
    return f->err;
}

static bool saved(void *ctx, uint64_t ticket)
{
    (void)ctx;
    return ticket == 0;
}

static void tokens(void *ctx, struct dp_admin_tokens *out)
{
    const struct fake *f = ctx;
    *out = (struct dp_admin_tokens){f->tokens, f->n_tokens};
}

static uint32_t denied(void *ctx, const char *who, const char *actor, const char *reason)
{
    struct fake *f = ctx;
    assert_true(snprintf(f->denial, sizeof f->denial, "%s|%s|%s", who, actor, reason) > 0);
    return ++f->denials > 2 ? 60 : 0;
}

struct ask {
    enum dp_method method;
    const char *target, *host, *guard, *body, *actor;
    bool unix_socket, tls;
    const char *authorization;
};

/* The answer's status; its body (and Allow) are left in `answer`. */
static unsigned answer_to(struct fake *f, struct ask ask, struct dp_admin_answer *answer)
{
    struct dp_header headers[] = {
        {.name = DP_SPAN("DAVENPORT-admin"), .value = dp_span_str(ask.guard)},
        {.name = DP_SPAN("Davenport-Actor"), .value = dp_span_str(ask.actor)},
        {.name = DP_SPAN("Authorization"), .value = dp_span_str(ask.authorization)}};
    struct dp_head head = {.method = ask.method,
                           .target = dp_span_str(ask.target),
                           .authority = dp_span_str(ask.host ? ask.host : "localhost"),
                           .minor = 1,
                           .headers = ask.guard ? headers : headers + 2,
                           .n_headers = (ask.guard ? 2U : 0U) + (ask.authorization ? 1U : 0U)};
    struct dp_admin_request request = {.head = &head,
                                       .body = dp_span_str(ask.body),
                                       .tcp = !ask.unix_socket,
                                       .tls = ask.tls,
                                       .peer = "uid 7"};
    struct dp_admin_source source = {.ctx = f,
                                     .report = report,
                                     .events = events,
                                     .being_replaced = being_replaced,
                                     .order = order,
                                     .reload = reload,
                                     .saved = saved,
                                     .tokens = tokens,
                                     .denied = denied};
    struct dp_live live;
    assert_true(dp_live_init(&live, &dp_clock_system, &source));
    source.live = &live;
    dp_text_fini(&answer->body);
    *answer = (struct dp_admin_answer){0};
    dp_admin_answer(&source, &request, answer);
    dp_live_fini(&live);
    return answer->status;
}

#define GET  DP_METHOD_GET
#define POST DP_METHOD_POST

static void test_routes(void **state)
{
    static const struct {
        struct ask ask;
        unsigned status;
        const char *type, *begins;
    } rows[] = {
        {{.method = GET, .target = "/status"},
         200,
         "application/json",
         "{\n  \"version\": \"v\",\n"},
        {{.method = GET, .target = "/status?x=1"}, 200, "application/json", "{\n"},
        {{.method = DP_METHOD_HEAD, .target = "/status"}, 200, "application/json", "{\n"},
        {{.method = GET, .target = "/metrics"},
         200,
         "text/plain; version=0.0.4; charset=utf-8",
         "# HELP "},
        {{.method = GET, .target = "/healthz"}, 200, "application/json", "{\"status\":\"ok\"}\n"},
        {{.method = GET, .target = "/readyz"}, 200, "application/json", "{\"status\":\"ready\"}\n"},
        {{.method = GET, .target = "/events"}, 200, "application/json", "[\n]\n"},
        {{.method = GET, .target = "/explain"}, 200, "application/json", "{\n  \"epoch\": 0,\n"},
        {{.method = GET, .target = "/"}, 200, "text/html; charset=utf-8", "<!doctype html>"},
        {{.method = GET, .target = "/live"}, 200, "text/event-stream", "event: state\ndata: {"},
        {{.method = GET, .target = "/history"}, 200, "application/json", "{\"step_s\":5,"},
        {{.method = GET, .target = "/x"}, 404, "application/json", "{\"error\":\"not_found\""},
        {{.method = GET, .target = "/status/"},
         404,
         "application/json",
         "{\"error\":\"not_found\""},
        {{.method = GET, .target = "*"}, 404, "application/json", "{\"error\":\"not_found\""},
        {{.method = DP_METHOD_DELETE, .target = "/status"},
         405,
         "application/json",
         "{\"error\":\"method_not_all"},
        {{.method = POST, .target = "/status"},
         405,
         "application/json",
         "{\"error\":\"method_not_allowed\""},
        {{.method = GET, .target = "/switch"},
         405,
         "application/json",
         "{\"error\":\"method_not_allowed\""},
    };
    struct fake f = {0};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        assert_int_equal(answer_to(&f, rows[i].ask, &answer), rows[i].status);
        assert_string_equal(answer.type, rows[i].type);
        assert_memory_equal(dp_text_str(&answer.body), rows[i].begins, strlen(rows[i].begins));
        assert_true((answer.allow != NULL) == (rows[i].status == 405));
    }
    dp_text_fini(&answer.body);
}

static void test_not_ready(void **state)
{
    struct fake f = {.draining = true};
    struct dp_admin_answer answer = {0};
    (void)state;
    assert_int_equal(answer_to(&f, (struct ask){.method = GET, .target = "/readyz"}, &answer), 503);
    assert_string_equal(dp_text_str(&answer.body),
                        "{\"error\":\"not_ready\",\"reason\":\"this proxy is shutting down\"}\n");
    assert_int_equal(answer_to(&f, (struct ask){.method = GET, .target = "/healthz"}, &answer),
                     200);
    dp_text_fini(&answer.body);
}

/* DNS rebinding: a page at evil.example that resolves to 127.0.0.1 still says so in Host. */
static void test_host(void **state)
{
    static const struct {
        const char *host;
        unsigned status;
    } rows[] = {
        {"localhost", 200},      {"LOCALHOST:8985", 200},    {"127.0.0.1", 200},
        {"127.0.0.1:8985", 200}, {"127.3.2.1:1", 200},       {"[::1]", 200},
        {"[::1]:8985", 200},     {"evil.example", 403},      {"", 403},
        {":8985", 403},          {"localhost.example", 403}, {"127.0.0.1.evil.example", 403},
        {"10.0.0.1", 403},       {"[::2]:8985", 403},        {"[::1]evil", 403},
        {"127.1", 403},          {"0.0.0.0:8985", 403},
    };
    struct fake f = {0};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct ask ask = {.method = GET, .target = "/status", .host = rows[i].host};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        ask.unix_socket = true; /* ssh -L brings browsers there */
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
    }
    dp_text_fini(&answer.body);
}

/* Where TLS is spoken the certificate has been checked by the name: no Host is asked for. */
static void test_host_by_tls(void **state)
{
    struct fake f = {0};
    struct dp_admin_answer answer = {0};
    struct ask ask = {.method = GET, .target = "/status", .host = "ops.example", .tls = true};
    (void)state;
    assert_int_equal(answer_to(&f, ask, &answer), 200);
    dp_text_fini(&answer.body);
}

/* Two tokens; what each may do, and what none may. */
static void test_tokens(void **state)
{
    char reader[DP_TOKEN_BYTES], boss[DP_TOKEN_BYTES], stranger[DP_TOKEN_BYTES];
    char hashes[2][DP_TOKEN_HASH_BYTES];
    char bearer[4][96];
    (void)state;
    assert_true(dp_token_make(reader) && dp_token_make(boss) && dp_token_make(stranger));
    assert_true(dp_token_hash(dp_span_str(reader), hashes[0]));
    assert_true(dp_token_hash(dp_span_str(boss), hashes[1]));
    const struct dp_config_token all[] = {
        {.name = "prom", .hash = hashes[0], .role = DP_ADMIN_READ},
        {.name = "ann", .hash = hashes[1], .role = DP_ADMIN_OPERATOR}};
    (void)snprintf(bearer[0], sizeof bearer[0], "Bearer %s", reader);
    (void)snprintf(bearer[1], sizeof bearer[1], "bearer  %s", boss);
    (void)snprintf(bearer[2], sizeof bearer[2], "Bearer %s", stranger);
    (void)snprintf(bearer[3], sizeof bearer[3], "Basic %s", reader);
    const struct {
        enum dp_method method;
        const char *target, *authorization, *guard;
        unsigned status;
        const char *says, *denial;
    } rows[] = {
        {GET, "/status", NULL, NULL, 401, "a token is needed", ""},
        {GET, "/nothing", NULL, NULL, 401, "a token is needed", ""},
        {POST, "/freeze", NULL, "1", 401, "a token is needed", ""},
        {GET, "/faults", NULL, NULL, 401, "a token is needed", ""},
        {GET, "/healthz", NULL, NULL, 200, "ok", ""},
        {GET, "/readyz", bearer[2], NULL, 200, "ready", ""},
        {GET, "/status", bearer[2], NULL, 401, "not known",
         "uid 7|uid 7|a token that is not known"},
        {GET, "/status", "Bearer", NULL, 401, "a token is needed", ""},
        {GET, "/status", "Bearer ", NULL, 401, "not known",
         "uid 7|uid 7|a token that is not known"},
        {GET, "/status", bearer[3], NULL, 401, "a token is needed", ""},
        {GET, "/status", bearer[0], NULL, 200, "\"regions\"", ""},
        {GET, "/faults", bearer[0], NULL, 200, "\"faults\"", ""},
        {GET, "/whoami", bearer[0], NULL, 200,
         "{\"actor\":\"prom\",\"role\":\"read\",\"by\":\"token\"}\n", ""},
        {GET, "/whoami", bearer[1], NULL, 200,
         "{\"actor\":\"ann\",\"role\":\"operator\",\"by\":\"token\"}\n", ""},
        {POST, "/freeze", bearer[0], "1", 403, "role is read",
         "prom|token prom, uid 7|a token of role read asked for a change"},
        {POST, "/reload", bearer[0], "1", 403, "role is read",
         "prom|token prom, uid 7|a token of role read asked for a change"},
        {DP_METHOD_DELETE, "/faults", bearer[0], "1", 403, "role is read",
         "prom|token prom, uid 7|a token of role read asked for a change"},
        {POST, "/faults", bearer[0], "1", 403, "role is read",
         "prom|token prom, uid 7|a token of role read asked for a change"},
        {POST, "/freeze", bearer[1], NULL, 403, "Davenport-Admin: 1 is needed", ""},
        {POST, "/freeze", bearer[1], "1", 200, "operator (token ann, uid 7)", ""},
        {GET, "/nothing", bearer[1], NULL, 404, "/whoami", ""},
    };
    struct dp_admin_answer answer = {0};
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {.tokens = all, .n_tokens = 2};
        struct ask ask = {.method = rows[i].method,
                          .target = rows[i].target,
                          .authorization = rows[i].authorization,
                          .guard = rows[i].guard,
                          .body = "{}"};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        assert_string_equal(f.denial, rows[i].denial);
        if (!strstr(dp_text_str(&answer.body), rows[i].says)) {
            fail_msg("row %zu: %s", i, dp_text_str(&answer.body));
        }
        assert_null(strstr(dp_text_str(&answer.body), "dvp_"));
        assert_true((answer.challenge != NULL) == (rows[i].status == 401));
        if (rows[i].method == GET) { /* a Unix socket's permissions have decided */
            ask.unix_socket = true;
            assert_int_equal(answer_to(&f, ask, &answer),
                             strcmp(rows[i].target, "/nothing") == 0 ? 404 : 200);
        }
    }
    dp_text_fini(&answer.body);
}

/* Who sends too many wrong ones is told to stay away, and still let in by a right one. */
static void test_too_many_tokens(void **state)
{
    char good[DP_TOKEN_BYTES];
    char hash[DP_TOKEN_HASH_BYTES];
    char bearer[96];
    struct dp_admin_answer answer = {0};
    (void)state;
    assert_true(dp_token_make(good) && dp_token_hash(dp_span_str(good), hash));
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", good);
    const struct dp_config_token token = {.name = "ann", .hash = hash};
    struct fake f = {.tokens = &token, .n_tokens = 1};
    struct ask ask = {.method = GET, .target = "/status", .authorization = "Bearer x"};
    assert_int_equal(answer_to(&f, ask, &answer), 401);
    assert_int_equal(answer_to(&f, ask, &answer), 401);
    assert_int_equal(answer_to(&f, ask, &answer), 429);
    assert_int_equal(answer.retry_after_s, 60);
    assert_null(answer.challenge);
    ask.authorization = bearer;
    assert_int_equal(answer_to(&f, ask, &answer), 200);
    dp_text_fini(&answer.body);
}

static void test_orders(void **state)
{
    static const struct {
        const char *target, *guard, *actor, *body;
        unsigned status;
        const char *order, *says;
    } rows[] = {
        {"/switch", NULL, NULL, "{\"region\":\"left\"}", 403, "",
         "the header Davenport-Admin: 1 is needed"},
        {"/drain", "0", NULL, "{\"region\":\"left\"}", 403, "",
         "the header Davenport-Admin: 1 is needed"},
        {"/switch", "1", NULL, "{\"region\":\"left\"}", 200,
         "switch left force=0 dry=0 ttl=0 epoch=any actor=operator (uid 7) reason=(none)",
         "\"done\":true"},
        {"/switch", "1", "ann@host",
         "{\"region\":\"left\",\"force\":true,\"reason\":\"why not\",\"ttl_s\":60,\"epoch\":7}",
         200, "switch left force=1 dry=0 ttl=60 epoch=7 actor=ann@host (uid 7) reason=why not",
         "\"overridden\":[\"dwell\"]"},
        {"/drain", "1", "a\"\033[2J\xc3\xa9", "{\"region\":\"left\",\"dry_run\":true}", 200,
         "drain left force=0 dry=1 ttl=0 epoch=any actor=a???2J?? (uid 7) reason=(none)",
         "\"dry_run\":true,\"done\":false,\"refused\":null"},
        {"/resume", "1", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxYYYY",
         "{\"region\":\"left\",\"epoch\":0}", 200,
         "resume left force=0 dry=0 ttl=0 epoch=0 actor="
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx (uid 7) reason=(none)",
         "\"after\":{\"active\":null,\"frozen\":false,\"pinned\":false,\"regions\":[{\"name\":"
         "\"left\","
         "\"route\":\"ok\",\"drained\":true,\"held\":false}]},\"kept\":\"memory\"}\n"},
        {"/freeze", "1", NULL, "{\"ttl_s\":31622400}", 200,
         "freeze (all) force=0 dry=0 ttl=31622400 epoch=any actor=operator (uid 7) reason=(none)",
         "\"region\":null"},
        {"/unfreeze", "1", NULL, "{}", 200,
         "unfreeze (all) force=0 dry=0 ttl=0 epoch=any actor=operator (uid 7) reason=(none)",
         "\"order\":\"unfreeze\""},
        {"/switch", "1", NULL, "", 400, "", "the body must be a JSON object"},
        {"/switch", "1", NULL, "[]", 400, "", "the body must be a JSON object"},
        {"/switch", "1", NULL, "{}", 400, "", "region must be a string"},
        {"/drain", "1", NULL, "{\"region\":7}", 400, "", "region must be a string"},
        {"/freeze", "1", NULL, "{\"region\":\"left\"}", 400, "", "no region may be given"},
        {"/switch", "1", NULL, "{\"region\":\"left\",\"reason\":1}", 400, "",
         "reason must be a string"},
        {"/switch", "1", NULL, "{\"region\":\"left\",\"force\":\"true\"}", 400, "",
         "force must be true or false"},
        {"/switch", "1", NULL, "{\"region\":\"left\",\"froce\":true}", 400, "",
         "only region, reason, ttl_s"},
        {"/switch", "1", NULL, "{\"region\":\"a\",\"region\":\"b\"}", 400, "",
         "the body must be a JSON object"},
        {"/drain", "1", NULL, "{\"region\":\"left\",\"ttl_s\":0}", 400, "", "ttl_s must be"},
        {"/drain", "1", NULL, "{\"region\":\"left\",\"ttl_s\":31622401}", 400, "", "ttl_s must be"},
        {"/drain", "1", NULL, "{\"region\":\"left\",\"ttl_s\":1.5}", 400, "", "ttl_s must be"},
        {"/resume", "1", NULL, "{\"region\":\"left\",\"ttl_s\":60}", 400, "",
         "ttl_s is for switch"},
        {"/drain", "1", NULL, "{\"region\":\"left\",\"epoch\":-1}", 400, "", "epoch must be"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {0};
        struct ask ask = {.method = POST,
                          .target = rows[i].target,
                          .guard = rows[i].guard,
                          .actor = rows[i].actor,
                          .body = rows[i].body};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        assert_string_equal(f.order, rows[i].order);
        if (!strstr(dp_text_str(&answer.body), rows[i].says)) {
            fail_msg("row %zu: %s", i, dp_text_str(&answer.body));
        }
    }
    dp_text_fini(&answer.body);
}

static void test_refused_orders(void **state)
{
    static const struct {
        enum dp_refusal refusal;
        enum dp_err err;
        const char *body;
        unsigned status;
        const char *begins;
    } rows[] = {
        {DP_REFUSAL_NONE, DP_EINVAL, "{\"region\":\"x\"}", 404,
         "{\"error\":\"no_such_region\",\"reason\":\"because\"}\n"},
        {DP_REFUSAL_DWELL, DP_OK, "{\"region\":\"x\"}", 409,
         "{\"error\":\"dwell\",\"order\":\"drain\""},
        {DP_REFUSAL_EPOCH, DP_OK, "{\"region\":\"x\"}", 412, "{\"error\":\"epoch_moved\","},
        {DP_REFUSAL_EPOCH, DP_OK, "{\"region\":\"x\",\"dry_run\":true}", 200,
         "{\"order\":\"drain\","},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {.refusal = rows[i].refusal, .err = rows[i].err};
        struct ask ask = {.method = POST, .target = "/drain", .guard = "1", .body = rows[i].body};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        assert_memory_equal(dp_text_str(&answer.body), rows[i].begins, strlen(rows[i].begins));
        assert_int_equal(answer.ticket, 0);
    }
    dp_text_fini(&answer.body);
}

/* Whatever it is that would change something, for it would be lost; who only looks is answered. */
static void test_being_replaced(void **state)
{
    static const struct {
        enum dp_method method;
        const char *target, *body;
    } rows[] = {
        {POST, "/switch", "{\"region\":\"left\"}"},
        {POST, "/approve", "{\"region\":\"left\"}"},
        {POST, "/freeze", ""},
        {POST, "/reload", ""},
        {POST, "/faults", "{\"region\":\"left\",\"kind\":\"dark\",\"for_ms\":1}"},
        {DP_METHOD_DELETE, "/faults", ""},
        {DP_METHOD_DELETE, "/faults/left", ""},
    };
    struct dp_admin_answer answer = {0};
    struct fake f = {.replaced = true};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct ask ask = {
            .method = rows[i].method, .target = rows[i].target, .guard = "1", .body = rows[i].body};
        assert_int_equal(answer_to(&f, ask, &answer), 503);
        assert_non_null(strstr(dp_text_str(&answer.body), "\"being_replaced\""));
        assert_string_equal(f.order, "");
        assert_true(answer.ticket == 0 && answer.reload == 0);
    }
    assert_int_equal(answer_to(&f, (struct ask){.method = GET, .target = "/status"}, &answer), 200);
    dp_text_fini(&answer.body);
}

static void test_reload(void **state)
{
    static const struct {
        enum dp_err err;
        unsigned status;
        const char *says;
    } rows[] = {
        {DP_OK, 200, ""},
        {DP_EAGAIN, 503, "\"being_replaced\""},
        {DP_EDRAINING, 503, "\"shutting_down\""},
    };
    const struct ask ask = {
        .method = POST, .target = "/reload", .guard = "1", .actor = "ann", .body = ""};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {.err = rows[i].err};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        assert_string_equal(f.order, "reload ann (uid 7)");
        assert_non_null(strstr(dp_text_str(&answer.body), rows[i].says));
        assert_int_equal(answer.reload, rows[i].err == DP_OK ? 5 : 0);
    }
    dp_text_fini(&answer.body);
}

static void test_kept(void **state)
{
    struct fake f = {.ticket = 5};
    struct dp_admin_answer answer = {0};
    struct ask ask = {.method = POST, .target = "/freeze", .guard = "1", .body = "{}"};
    (void)state;
    assert_int_equal(answer_to(&f, ask, &answer), 200);
    assert_int_equal(answer.ticket, 5);
    assert_non_null(strstr(dp_text_str(&answer.body), ",\"kept\":\"pending\"}\n"));
    dp_admin_kept(&answer);
    assert_int_equal(answer.ticket, 0);
    assert_non_null(strstr(dp_text_str(&answer.body), ",\"kept\":\"disk\"}\n"));
    dp_text_fini(&answer.body);
}

static void test_events(void **state)
{
    static const struct {
        const char *target;
        unsigned status;
        const char *body;
    } rows[] = {
        {"/events", 200, "[\n{\"epoch\":1},\n{\"epoch\":1,\"x\":1},\n{\"epoch\":2}\n]\n"},
        {"/events?limit=2", 200, "[\n{\"epoch\":1,\"x\":1},\n{\"epoch\":2}\n]\n"},
        {"/events?a=b&limit=1", 200, "[\n{\"epoch\":2}\n]\n"},
        {"/events?limit=0", 200, "[\n]\n"},
        {"/events?limit=99999999999", 200,
         "[\n{\"epoch\":1},\n{\"epoch\":1,\"x\":1},\n{\"epoch\":2}\n]\n"},
        {"/events?since=2&limit=2", 200, "[\n{\"epoch\":2}\n]\n"},
        {"/events?since=9", 200, "[\n]\n"},
        {"/events?follow=true&since=1", 200,
         "{\"epoch\":1}\n{\"epoch\":1,\"x\":1}\n{\"epoch\":2}\n"},
        {"/events?follow=false&limit=1", 200, "[\n{\"epoch\":2}\n]\n"},
        {"/events?follow=1", 400,
         "{\"error\":\"bad_request\",\"reason\":\"follow must be true or false\"}\n"},
        {"/events?since=x", 400,
         "{\"error\":\"bad_request\",\"reason\":\"since must be an epoch\"}\n"},
        {"/events?limit=", 400,
         "{\"error\":\"bad_request\",\"reason\":\"limit must be a number\"}\n"},
        {"/events?limit=-1", 400,
         "{\"error\":\"bad_request\",\"reason\":\"limit must be a number\"}\n"},
    };
    struct fake f = {.n_events = 3};
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        assert_int_equal(
            answer_to(&f, (struct ask){.method = GET, .target = rows[i].target}, &answer),
            rows[i].status);
        assert_string_equal(dp_text_str(&answer.body), rows[i].body);
    }
    dp_text_fini(&answer.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),         cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_host),           cmocka_unit_test(test_host_by_tls),
        cmocka_unit_test(test_tokens),         cmocka_unit_test(test_too_many_tokens),
        cmocka_unit_test(test_orders),         cmocka_unit_test(test_refused_orders),
        cmocka_unit_test(test_being_replaced), cmocka_unit_test(test_reload),
        cmocka_unit_test(test_kept),           cmocka_unit_test(test_events),
    };
    return cmocka_run_group_tests_name("admin_routes", tests, NULL, NULL);
}
