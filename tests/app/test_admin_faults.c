/* /faults on the admin server, without its sockets: what is taken, what is refused, and what is told of it. */
#include "app/admin.h"
#include "app/report_faults.h"
#include "app/report_sample.h"

struct fake {
    char asked[1024]; /* what the governor was asked last, or "" */
    enum dp_err err;
    enum dp_fault_refusal refusal;
    uint32_t healed;
    bool stands; /* a fault of eu-de */
};

static void report(void *ctx, struct dp_report *out)
{
    const struct fake *f = ctx;
    static struct dp_control_config config;
    config = thresholds;
    config.drills_allowed = true;
    config.drills_max_ms = 60000;
    *out = explained();
    out->status.config = &config;
    if (f->stands) {
        out->status.regions[0].faulted = standing("ann", "quarterly", 5, 25);
        out->status.regions[0].fault =
            (struct dp_fault){.kind = DP_FAULT_SLOW, .delay_ms = 800, .share = 300000};
        assert_true(dp_fault_add_database(&out->status.regions[0].fault, DP_SPAN("orders*")));
        assert_true(dp_fault_add_database(&out->status.regions[0].fault, DP_SPAN("ledger")));
    }
}

static enum dp_err fault(void *ctx, const struct dp_fault_request *r, struct dp_fault_result *out)
{
    struct fake *f = ctx;
    assert_true(snprintf(f->asked, sizeof f->asked,
                         "%s %s for=%u delay=%u share=%u databases=%s actor=%s reason=%s",
                         r->region, dp_fault_name(r->fault.kind), (unsigned)r->for_ms,
                         (unsigned)r->fault.delay_ms, (unsigned)r->fault.share, r->fault.databases,
                         r->actor, r->reason ? r->reason : "(none)") > 0);
    *out = (struct dp_fault_result){.refusal = f->refusal, .epoch = 7};
    set_text(out->why, "because");
    f->stands = f->err == DP_OK && f->refusal == DP_FAULT_REFUSAL_NONE;
    return f->err;
}

static enum dp_err heal(void *ctx, const char *region, const char *actor, uint32_t *healed)
{
    struct fake *f = ctx;
    assert_true(snprintf(f->asked, sizeof f->asked, "heal %s actor=%s", region ? region : "(all)",
                         actor) > 0);
    *healed = f->healed;
    return f->err;
}

struct ask {
    enum dp_method method;
    const char *target, *body;
    bool unguarded;
};

static unsigned answer_to(struct fake *f, struct ask ask, struct dp_admin_answer *answer)
{
    struct dp_header headers[] = {
        {.name = DP_SPAN("Davenport-Admin"), .value = DP_SPAN("1")},
        {.name = DP_SPAN("Davenport-Actor"), .value = DP_SPAN("ann@ops")}};
    struct dp_head head = {.method = ask.method,
                           .target = dp_span_str(ask.target),
                           .authority = DP_SPAN("localhost"),
                           .minor = 1,
                           .headers = headers,
                           .n_headers = ask.unguarded ? 0 : 2};
    struct dp_admin_request request = {
        .head = &head, .body = dp_span_str(ask.body), .tcp = true, .peer = "loopback"};
    struct dp_admin_source source = {.ctx = f, .report = report, .fault = fault, .heal = heal};
    dp_text_fini(&answer->body);
    *answer = (struct dp_admin_answer){0};
    f->asked[0] = '\0';
    dp_admin_answer(&source, &request, answer);
    return answer->status;
}

static void assert_says(const struct dp_admin_answer *answer, const char *text)
{
    struct dp_text body = answer->body;
    if (!strstr(dp_text_str(&body), text)) {
        fail_msg("%s\nhas no %s", dp_text_str(&body), text);
    }
}

#define DARK "{\"region\":\"eu-de\",\"kind\":\"dark\",\"for_ms\":30000"

static void test_methods(void **state)
{
    static const struct {
        struct ask ask;
        unsigned status;
        const char *allow, *says;
    } rows[] = {
        {{.method = DP_METHOD_GET, .target = "/faults"}, 200, NULL, "\"faults\": []"},
        {{.method = DP_METHOD_GET, .target = "/faults?x=1", .unguarded = true},
         200,
         NULL,
         "\"allowed\": true"},
        {{.method = DP_METHOD_HEAD, .target = "/faults"}, 200, NULL, "\"max_ms\": 60000"},
        {{.method = DP_METHOD_POST, .target = "/faults", .body = DARK "}", .unguarded = true},
         403,
         NULL,
         "the header Davenport-Admin: 1 is needed"},
        {{.method = DP_METHOD_DELETE, .target = "/faults", .unguarded = true},
         403,
         NULL,
         "the header Davenport-Admin: 1 is needed"},
        {{.method = DP_METHOD_DELETE, .target = "/faults/eu-de", .unguarded = true},
         403,
         NULL,
         "the header Davenport-Admin: 1 is needed"},
        {{.method = DP_METHOD_PUT, .target = "/faults"},
         405,
         "DELETE, GET, HEAD, POST",
         "method_not_allowed"},
        {{.method = DP_METHOD_GET, .target = "/faults/eu-de"}, 405, "DELETE", "takes DELETE"},
        {{.method = DP_METHOD_POST, .target = "/faults/eu-de"}, 405, "DELETE", "takes DELETE"},
        {{.method = DP_METHOD_DELETE, .target = "/faults/"}, 404, NULL, "not_found"},
        {{.method = DP_METHOD_GET, .target = "/faultsy"}, 404, NULL, "not_found"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {0};
        assert_int_equal(answer_to(&f, rows[i].ask, &answer), rows[i].status);
        assert_says(&answer, rows[i].says);
        assert_string_equal(f.asked, "");
        assert_true((answer.allow == NULL) == (rows[i].allow == NULL));
        if (answer.allow) {
            assert_string_equal(answer.allow, rows[i].allow);
        }
    }
    dp_text_fini(&answer.body);
}

static void test_what_is_asked_for(void **state)
{
    static const struct {
        const char *body, *asked;
    } rows[] = {
        {DARK "}", "eu-de dark for=30000 delay=0 share=1000000 databases= actor=ann@ops (loopback) "
                   "reason=(none)"},
        {"{\"region\":\"eu-de\",\"kind\":\"slow\",\"for_ms\":1,\"delay_ms\":800,\"share\":0.3,"
         "\"databases\":[\"orders*\",\"a/b\"],\"reason\":\"quarterly\"}",
         "eu-de slow for=1 delay=800 share=300000 databases=orders*,a/b actor=ann@ops (loopback) "
         "reason=quarterly"},
        {"{\"region\":\"x\",\"kind\":\"flaky\",\"for_ms\":4294967295,\"share\":1}",
         "x flaky for=4294967295 delay=0 share=1000000 databases= actor=ann@ops (loopback) "
         "reason=(none)"},
        {"{\"region\":\"x\",\"kind\":\"refused\",\"for_ms\":5,\"share\":0.000001}",
         "x refused for=5 delay=0 share=1 databases= actor=ann@ops (loopback) reason=(none)"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {0};
        struct ask ask = {.method = DP_METHOD_POST, .target = "/faults", .body = rows[i].body};
        assert_int_equal(answer_to(&f, ask, &answer), 200);
        assert_string_equal(f.asked, rows[i].asked);
    }
    struct fake f = {0};
    struct ask ask = {.method = DP_METHOD_POST, .target = "/faults", .body = DARK "}"};
    assert_int_equal(answer_to(&f, ask, &answer), 200);
    assert_says(&answer, "{\"order\":\"fault\",\"region\":\"eu-de\",\"actor\":\"ann@ops "
                         "(loopback)\",\"done\":true,\"epoch\":7,\"fault\":{\"actor\":\"ann\","
                         "\"reason\":\"quarterly\",\"since\":\"");
    assert_says(&answer, "\"for_s\":5.0,\"until\":\"");
    assert_says(&answer, "\"left_s\":25.0,\"kind\":\"slow\",\"delay_ms\":800,\"share\":0.3,"
                         "\"databases\":[\"orders*\",\"ledger\"],\"words\":\"slow by 800 ms, 30 % "
                         "of attempts, databases orders*,ledger\"}}\n");
    dp_text_fini(&answer.body);
}

static void test_what_is_wrong(void **state)
{
    static const struct {
        const char *body, *says;
    } rows[] = {
        {"", "the body must be a JSON object"},
        {"[]", "the body must be a JSON object"},
        {DARK ",\"region\":\"b\"}", "the body must be a JSON object"},
        {"{\"kind\":\"dark\",\"for_ms\":1}", "region, kind and for_ms must be given"},
        {"{\"region\":\"a\",\"for_ms\":1}", "region, kind and for_ms must be given"},
        {"{\"region\":\"a\",\"kind\":\"dark\"}", "a fault ends by itself"},
        {"{\"region\":7,\"kind\":\"dark\",\"for_ms\":1}", "region must be a string"},
        {"{\"region\":\"a\",\"kind\":\"none\",\"for_ms\":1}", "kind must be dark, refused"},
        {"{\"region\":\"a\",\"kind\":1,\"for_ms\":1}", "kind must be dark, refused"},
        {"{\"region\":\"a\",\"kind\":\"dark\",\"for_ms\":0}", "for_ms must be a whole number"},
        {"{\"region\":\"a\",\"kind\":\"dark\",\"for_ms\":-1}", "for_ms must be a whole number"},
        {"{\"region\":\"a\",\"kind\":\"dark\",\"for_ms\":1.5}", "for_ms must be a whole number"},
        {"{\"region\":\"a\",\"kind\":\"dark\",\"for_ms\":4294967296}",
         "for_ms must be a whole number"},
        {DARK ",\"delay_ms\":1}", "delay_ms is for slow"},
        {"{\"region\":\"a\",\"kind\":\"slow\",\"for_ms\":1}", "delay_ms is for slow"},
        {"{\"region\":\"a\",\"kind\":\"slow\",\"for_ms\":1,\"delay_ms\":0}", "delay_ms must be"},
        {"{\"region\":\"a\",\"kind\":\"slow\",\"for_ms\":1,\"delay_ms\":600001}",
         "delay_ms must be"},
        {DARK ",\"share\":0}", "share must be"},
        {DARK ",\"share\":-0.1}", "share must be"},
        {DARK ",\"share\":1.1}", "share must be"},
        {DARK ",\"share\":1e300}", "share must be"},
        {DARK ",\"share\":1e-9}", "share must be"},
        {DARK ",\"share\":\"0.5\"}", "share must be"},
        {DARK ",\"databases\":[]}", "databases must be"},
        {DARK ",\"databases\":\"a\"}", "databases must be"},
        {DARK ",\"databases\":[1]}", "databases must be"},
        {DARK ",\"databases\":[\"\"]}", "databases must be"},
        {DARK ",\"databases\":[\"a,b\"]}", "databases must be"},
        {DARK ",\"reason\":1}", "reason must be a string"},
        {DARK ",\"ttl_s\":1}", "only region, kind, for_ms"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {0};
        struct ask ask = {.method = DP_METHOD_POST, .target = "/faults", .body = rows[i].body};
        if (answer_to(&f, ask, &answer) != 400) {
            fail_msg("%s: %u", rows[i].body, answer.status);
        }
        assert_says(&answer, "{\"error\":\"bad_request\",");
        assert_says(&answer, rows[i].says);
        assert_string_equal(f.asked, "");
    }
    dp_text_fini(&answer.body);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        enum dp_err err;
        enum dp_fault_refusal refusal;
        unsigned status;
        const char *body;
    } rows[] = {
        {DP_EINVAL, DP_FAULT_REFUSAL_NONE, 404,
         "{\"error\":\"no_such_region\",\"reason\":\"because\"}\n"},
        {DP_OK, DP_FAULT_REFUSAL_NOT_ALLOWED, 403,
         "{\"error\":\"drills_not_allowed\",\"reason\":\"because\"}\n"},
        {DP_OK, DP_FAULT_REFUSAL_TOO_LONG, 400,
         "{\"error\":\"too_long\",\"reason\":\"because\"}\n"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {.err = rows[i].err, .refusal = rows[i].refusal};
        struct ask ask = {.method = DP_METHOD_POST, .target = "/faults", .body = DARK "}"};
        assert_int_equal(answer_to(&f, ask, &answer), rows[i].status);
        assert_string_equal(dp_text_str(&answer.body), rows[i].body);
    }
    dp_text_fini(&answer.body);
}

static void test_heal(void **state)
{
    static const struct {
        const char *target;
        uint32_t healed;
        const char *asked, *says;
    } rows[] = {
        {"/faults", 3, "heal (all) actor=ann@ops (loopback)",
         "{\"order\":\"heal\",\"actor\":\"ann@ops (loopback)\",\"done\":true,\"epoch\":7,"
         "\"healed\":[\"eu-de\",\"us-south\"]}\n"},
        {"/faults", 0, "heal (all) actor=ann@ops (loopback)", "\"healed\":[]}\n"},
        {"/faults/us-south", 2, "heal us-south actor=ann@ops (loopback)",
         "\"healed\":[\"us-south\"]}\n"},
    };
    struct dp_admin_answer answer = {0};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct fake f = {.healed = rows[i].healed};
        struct ask ask = {.method = DP_METHOD_DELETE, .target = rows[i].target};
        assert_int_equal(answer_to(&f, ask, &answer), 200);
        assert_string_equal(f.asked, rows[i].asked);
        assert_says(&answer, rows[i].says);
    }
    struct fake f = {.err = DP_EINVAL};
    struct ask ask = {.method = DP_METHOD_DELETE, .target = "/faults/x"};
    assert_int_equal(answer_to(&f, ask, &answer), 404);
    assert_says(&answer, "no_such_region");
    dp_text_fini(&answer.body);
}

/* Wherever one looks it is told that it is a drill, whose, and for how long. */
static void test_where_it_is_told(void **state)
{
    struct fake f = {.stands = true};
    struct dp_report r;
    struct dp_text text = {0};
    (void)state;
    report(&f, &r);
    dp_report_faults(&r, &text);
    assert_non_null(strstr(dp_text_str(&text), "\"region\": \"eu-de\""));
    assert_null(strstr(dp_text_str(&text), "us-south"));
    dp_text_clear(&text);
    json_t *status = status_of(&r);
    const json_t *regions = json_object_get(status, "regions");
    const json_t *one = json_object_get(json_array_get(regions, 0), "fault");
    assert_string_equal(json_string_value(json_object_get(one, "kind")), "slow");
    assert_true(json_is_null(json_object_get(json_array_get(regions, 1), "fault")));
    dp_status_text(status, false, &text);
    assert_non_null(strstr(dp_text_str(&text), "  eu-de     up, held, drill  "));
    assert_non_null(strstr(dp_text_str(&text),
                           "Drill: eu-de is slow by 800 ms, 30 % of attempts, databases "
                           "orders*,ledger by ann, 5 s ago, for 25 s more: quarterly\n"));
    json_decref(status);
    dp_text_clear(&text);
    dp_report_explain(&r, &text);
    assert_non_null(strstr(dp_text_str(&text),
                           "\"a drill: eu-de is slow by 800 ms, 30 % of attempts, databases "
                           "orders*,ledger on purpose, by ann, 5 s ago, for 25 s more: "
                           "quarterly\""));
    assert_non_null(strstr(dp_text_str(&text), "\"up, held, in a drill\""));
    dp_text_clear(&text);
    dp_report_metrics(&r, &text);
    assert_non_null(
        strstr(dp_text_str(&text), "davenport_region_fault{region=\"eu-de\",kind=\"slow\"} 1\n"));
    assert_non_null(
        strstr(dp_text_str(&text), "davenport_region_fault{region=\"eu-de\",kind=\"dark\"} 0\n"));
    assert_non_null(strstr(dp_text_str(&text),
                           "davenport_region_fault{region=\"us-south\",kind=\"slow\"} 0\n"));
    dp_text_fini(&text);
}

static void test_answers_for_people(void **state)
{
    static const struct {
        void (*show)(const json_t *answer, bool colour, struct dp_text *out);
        const char *json, *text;
    } rows[] = {
        {dp_fault_text,
         "{\"region\":\"a\",\"epoch\":4,\"fault\":{\"words\":\"slow by 5 ms\",\"left_s\":30.0}}",
         "a: slow by 5 ms, for 30 s (epoch 4)\n"},
        {dp_fault_text, "{}", "-: -, for - (epoch 0)\n"},
        {dp_heal_text, "{\"healed\":[\"a\",\"b\"]}", "healed: a, b\n"},
        {dp_heal_text, "{\"healed\":[]}", "nothing was faulty on purpose\n"},
        {dp_heal_text, "{\"healed\":[1]}", "healed: -\n"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_text text = {0};
        json_t *answer = json_loads(rows[i].json, 0, NULL);
        rows[i].show(answer, false, &text);
        assert_string_equal(dp_text_str(&text), rows[i].text);
        json_decref(answer);
        dp_text_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_what_is_asked_for),
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_heal),
        cmocka_unit_test(test_where_it_is_told),
        cmocka_unit_test(test_answers_for_people),
    };
    return cmocka_run_group_tests_name("admin_faults", tests, NULL, NULL);
}
