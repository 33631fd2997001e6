/* How requests are routed, as a configuration says it. */
#include "davenport/base/attr.h"

#include "app/config_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define REGIONS "\"regions\":[{\"name\":\"a\",\"url\":\"http://h\"}]"

static struct dp_config *parse(const char *text, const char *says)
{
    struct dp_problems problems;
    struct dp_config *c = NULL;
    const struct dp_config_source source = {.text = dp_span_str(text)};
    dp_problems_init(&problems, "f");
    enum dp_err err = dp_config_parse(&source, &problems, &c);
    assert_string_equal(dp_text_str(&problems.text), says);
    assert_int_equal(err, problems.errors ? DP_EINVAL : DP_OK);
    dp_problems_fini(&problems);
    return c;
}

static const struct dp_rule *rule_of(const struct dp_rules *r, const char *db)
{
    return dp_rules_find(r, dp_span_str(db));
}

static void by_default_all_goes_to_one_region(void **state)
{
    struct dp_config *c = parse("{" REGIONS "}", "");
    struct dp_rules r;
    (void)state;
    dp_config_rules(c, &r);
    assert_int_equal(r.n, 0);
    assert_false(r.nearest);
    assert_false(dp_config_nearest(c));
    assert_ptr_equal(rule_of(&r, "any"), &r.all);
    assert_int_equal(r.all.mode, DP_MODE_ACTIVE_PASSIVE);
    assert_int_equal(r.all.sticky, DP_STICKY_NONE);
    assert_true(r.all.writes_failover);
    dp_config_destroy(c);
}

static void the_most_specific_pattern_counts(void **state)
{
    struct dp_config *c = parse(
        "{\"mode\":\"write-primary\",\"writes_failover\":false,\"sticky\":{\"by\":\"connection\","
        "\"on_loss\":\"refuse\"},\"databases\":{\"$comment\":\"x\","
        "\"*\":{\"sticky\":{\"by\":\"none\"}},\"orders*\":{\"mode\":\"active-passive\"},"
        "\"orders-log\":{\"mode\":\"active-active\",\"writes_failover\":true,"
        "\"sticky\":{\"$comment\":\"y\",\"on_loss\":\"move\"}}}," REGIONS "}",
        "");
    struct dp_rules r;
    (void)state;
    dp_config_rules(c, &r);
    assert_true(r.nearest);
    assert_int_equal(r.n, 3);
    assert_int_equal(rule_of(&r, "orders-log")->mode, DP_MODE_ACTIVE_ACTIVE);
    assert_true(rule_of(&r, "orders-log")->writes_failover);
    assert_int_equal(rule_of(&r, "orders-log")->sticky, DP_STICKY_CONNECTION); /* as all */
    assert_int_equal(rule_of(&r, "orders-log")->on_loss, DP_ON_LOSS_MOVE);
    assert_int_equal(rule_of(&r, "orders-logs")->mode, DP_MODE_ACTIVE_PASSIVE);
    assert_int_equal(rule_of(&r, "orders/2026")->on_loss, DP_ON_LOSS_REFUSE);
    assert_int_equal(rule_of(&r, "else")->mode, DP_MODE_WRITE_PRIMARY);
    assert_int_equal(rule_of(&r, "else")->sticky, DP_STICKY_NONE);
    assert_false(rule_of(&r, "else")->writes_failover);
    assert_ptr_equal(rule_of(&r, ""), &r.all); /* of no database */
    dp_config_destroy(c);
}

static void what_is_wrong_is_told(void **state)
{
    static const char *const rows[][2] = {
        {"\"writes_failover\":1", "f: writes_failover: must be a string, not a number\n"},
        {"\"writes_failover\":\"no\"", "f: writes_failover: must be \"false\" or \"true\"\n"},
        {"\"sticky\":{\"by\":\"cookie\"}",
         "f: sticky.by: must be \"none\" or \"connection\" or \"header\" or \"address\"\n"},
        {"\"sticky\":{\"by\":\"header\"}",
         "f: sticky.by: needs sticky.header, the header's name\n"},
        {"\"sticky\":{\"by\":\"header\",\"header\":\"a b\"}",
         "f: sticky.header: must be 1 to 64 of a-z, A-Z, 0-9, -, . and _\n"
         "f: sticky.by: needs sticky.header, the header's name\n"},
        {"\"sticky\":{\"header\":\"X\"}",
         "f: warning: sticky.header: is not used: no sticky.by is \"header\"\n"},
        {"\"mode\":\"write-primary\",\"sticky\":{\"by\":\"address\"}",
         "f: sticky.by: must not be \"address\" in mode write-primary: every client has one, so "
         "all reads would go where writes go; \"connection\" and \"header\" tell who wrote\n"},
        {"\"replication\":{\"canary_database\":\"c\"}",
         "f: warning: replication.canary_database: is not used: there is one region "
         "only\n"},
        {"\"replication\":{\"watch\":\"on\",\"canary_database\":\"_c\"}",
         "f: replication.canary_database: must not begin with _: such databases are not watched\n"},
        {"\"replication\":{\"watch\":\"on\",\"canary_database\":\"C\"}",
         "f: replication.canary_database: must be a database's name: a-z or _, then a-z, 0-9 and "
         "_$()+/-\n"},
        {"\"databases\":[]", "f: databases: must be an object, not an array\n"},
        {"\"databases\":{\"x\":1}", "f: databases.x: must be an object, not a number\n"},
        {"\"databases\":{\"x\":{\"mod\":1}}",
         "f: databases.x.mod: unknown key; did you mean \"databases{}.mode\"?\n"},
        {"\"databases\":{\"x\":{\"mode\":\"y\"}}",
         "f: databases.x.mode: must be \"active-passive\" or \"active-active\" or "
         "\"write-primary\"\n"},
        {"\"databases\":{\"\":{}}", "f: databases.\"\": must be a pattern of 1 to 238 bytes\n"},
        {"\"databases\":{\"l*\":{\"sticky\":{\"by\":\"header\"}}}",
         "f: databases.l*: needs sticky.header, the header's name\n"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_text text = {0};
        dp_text_addf(&text, "{%s," REGIONS "}", rows[i][0]);
        dp_config_destroy(parse(dp_text_str(&text), rows[i][1]));
        dp_text_fini(&text);
    }
}

static void there_may_be_so_many_patterns(void **state)
{
    struct dp_text text = {0};
    struct dp_rules r;
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        dp_text_addf(&text, "{\"databases\":{");
        for (unsigned i = 0; i < DP_MAX_RULES + more; i++)
            dp_text_addf(&text, "%s\"d%02u\":{\"sticky\":{}}", i ? "," : "", i);
        dp_text_addf(&text, "}," REGIONS "}");
        struct dp_config *c =
            parse(dp_text_str(&text),
                  more ? "f: databases.d64: is one pattern too many: there may be 64\n" : "");
        if (c) {
            dp_config_rules(c, &r);
            assert_int_equal(r.n, DP_MAX_RULES);
        }
        dp_config_destroy(c);
        dp_text_fini(&text);
        text = (struct dp_text){0};
    }
}

static void a_cap_of_a_region(void **state)
{
    struct dp_control_config control;
    struct dp_config *c = parse("{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\","
                                "\"max_in_flight\":7},{\"name\":\"b\",\"url\":\"http://i\"}]}",
                                "");
    (void)state;
    dp_config_control(c, &control);
    assert_int_equal(control.regions[0].max_in_flight, 7);
    assert_int_equal(control.regions[1].max_in_flight, 0);
    dp_config_destroy(c);
}

static void the_dump_says_it_again(void **state)
{
    static const char text[] =
        "{\"mode\":\"active-active\",\"writes_failover\":false,\"databases\":{\"a*\":{\"mode\":"
        "\"write-primary\"}}," REGIONS "}";
    struct dp_text dump = {0};
    struct dp_config *c = parse(text, "");
    (void)state;
    dp_config_dump(c, &dump);
    dp_config_destroy(c);
    c = parse(dp_text_str(&dump), "");
    assert_int_equal(c->mode, DP_MODE_ACTIVE_ACTIVE);
    assert_int_equal(c->writes_failover, 0);
    assert_int_equal(c->n_databases, 1);
    assert_string_equal(c->databases[0].pattern, "a*");
    assert_int_equal(c->databases[0].mode, DP_MODE_WRITE_PRIMARY);
    assert_int_equal(c->databases[0].writes_failover, 0);
    dp_config_destroy(c);
    dp_text_fini(&dump);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_all_goes_to_one_region),
        cmocka_unit_test(the_most_specific_pattern_counts),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(there_may_be_so_many_patterns),
        cmocka_unit_test(a_cap_of_a_region),
        cmocka_unit_test(the_dump_says_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
