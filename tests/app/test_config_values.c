/* Good configurations: defaults, references, what the layers below are given, dumps without
 * secrets, and that the files in conf/ are what the program says they are. */
#include "davenport/app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* A configuration that must be good; what is said of it (warnings) goes to *says when it is not
 * NULL. */
static struct dp_config *parse_in(const char *json, const char *folder, struct dp_text *says)
{
    struct dp_problems problems;
    struct dp_config *config = NULL;
    struct dp_config_source source = {.text = dp_span_str(json), .folder = folder};
    dp_problems_init(&problems, "f");
    enum dp_err err = dp_config_parse(&source, &problems, &config);
    if (err != DP_OK) {
        print_error("%s", dp_text_str(&problems.text));
    }
    assert_int_equal(err, DP_OK);
    if (says) {
        dp_text_add(says, dp_text_span(&problems.text));
    }
    dp_problems_fini(&problems);
    return config;
}

static struct dp_config *parse(const char *json)
{
    return parse_in(json, NULL, NULL);
}

/* What is said of a bad one. */
static void assert_bad(const char *json, const char *folder, const char *says)
{
    struct dp_problems problems;
    struct dp_config *config = NULL;
    struct dp_config_source source = {.text = dp_span_str(json), .folder = folder};
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_parse(&source, &problems, &config), DP_EINVAL);
    assert_string_equal(dp_text_str(&problems.text), says);
    dp_problems_fini(&problems);
}

static void read_file(const char *name, struct dp_text *out)
{
    char chunk[4096];
    char path[512];
    assert_true(snprintf(path, sizeof path, "%s/%s", DP_TEST_SOURCE_DIR, name) > 0);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        dp_text_add(out, (struct dp_span){chunk, n});
    }
    assert_int_equal(fclose(f), 0);
}

static void test_defaults(void **state)
{
    struct dp_config *c = parse("{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\"}]}");
    struct dp_control_config control;
    struct dp_proxy_config proxy;
    (void)state;
    assert_string_equal(c->listen_address, "127.0.0.1");
    assert_int_equal(c->listen_port, 8984);
    assert_string_equal(c->admin_listen, "unix:/run/davenport/admin.sock");
    assert_string_equal(c->admin_socket_mode, "0600");
    assert_int_equal(c->n_tokens, 0);
    assert_int_equal(c->workers, 0);
    assert_null(c->journal_path);

    dp_config_control(c, &control);
    assert_int_equal(control.n_regions, 1);
    assert_string_equal(control.probe_path, "/_up");
    assert_int_equal(control.probe_interval_ms, 1000);
    assert_int_equal(control.probe_fast_ms, 500);
    assert_int_equal(control.probe_timeout_ms, 1800);
    assert_int_equal(control.probe_jitter_percent, 10);
    assert_int_equal(control.silent, 12);
    assert_int_equal(control.fall, 3);
    assert_int_equal(control.rise, 2);
    assert_int_equal(control.traffic_failures, 5);
    assert_int_equal(control.sample_ms, 100);
    assert_int_equal(control.failback, DP_FAILBACK_HOLD_DOWN);
    assert_int_equal(control.failback_hold_ms, 300000);
    assert_int_equal(control.failback_hold_max_ms, 3600000);
    assert_int_equal(control.failback_forget_ms, 21600000);
    assert_int_equal(control.failback_ramp_ms, 60000);
    assert_int_equal(control.failback_conditions, DP_GATE_BIT(DP_GATE_PROBES) |
                                                      DP_GATE_BIT(DP_GATE_ERRORS) |
                                                      DP_GATE_BIT(DP_GATE_REPLICATION));
    assert_false(control.failback_unseen_manual);
    assert_int_equal(control.failback_pause_ms, 2000);
    assert_int_equal(control.failback_error_percent, 5);
    assert_int_equal(control.failback_windows.n, 0);
    assert_int_equal(control.no_region, DP_NO_REGION_REFUSE);
    assert_int_equal(control.retry_after_s, 5);
    assert_null(control.journal_path);

    dp_config_proxy(c, &proxy);
    assert_true(proxy.hold_ms >= DP_TRAFFIC_HOLD_MS + 1000); /* what waits outlasts it */
    assert_int_equal(proxy.head_timeout_ms, 10000);
    assert_int_equal(proxy.idle_timeout_ms, 300000);
    assert_int_equal(proxy.body_timeout_ms, 60000);
    assert_int_equal(proxy.max_head_bytes, 32768);
    assert_int_equal(proxy.max_target_bytes, 16384);
    assert_int_equal(proxy.max_headers, 128);
    assert_int_equal(proxy.max_body_bytes, 0);
    assert_int_equal(proxy.max_connections, 10000);
    assert_int_equal(proxy.connect_timeout_ms, 2000);
    assert_int_equal(proxy.answer_timeout_ms, 65000);
    assert_int_equal(proxy.partition_timeout_ms, 10000);
    assert_true(proxy.mint_ids && proxy.resolve_conflicts);
    assert_int_equal(proxy.stall_timeout_ms, 120000);
    assert_int_equal(proxy.feed_timeout_ms, 3600000);
    assert_int_equal(proxy.pool_idle_timeout_ms, 60000);
    assert_int_equal(proxy.pool_max_idle, 64);
    assert_int_equal(proxy.max_upstream, 512);
    assert_int_equal(proxy.max_waiting, 1024);
    assert_int_equal(proxy.replay_body_bytes, 1048576);
    assert_int_equal(proxy.whole_answer_bytes, 16384);
    assert_int_equal(proxy.max_buffer_chunks, 16384);
    assert_int_equal(proxy.drain_timeout_ms, 30000);
    assert_string_equal(proxy.via, "davenport");
    dp_config_destroy(c);
}

/* Every number set to its own value: no two keys are mixed up. */
static void test_every_number_arrives(void **state)
{
    struct dp_config *c = parse(
        "{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\"}],"
        "\"probe\":{\"interval_ms\":9001,\"fast_interval_ms\":9000,\"timeout_ms\":9002,\"fall\":11,"
        "\"rise\":12,\"jitter_percent\":13,\"path\":\"/x\"},"
        "\"traffic\":{\"failures\":14,\"sample_ms\":15},"
        "\"failback\":{\"mode\":\"manual\",\"hold_down_ms\":16,\"hold_down_max_ms\":28,"
        "\"forget_ms\":29,\"ramp_ms\":30,\"conditions\":\"approval\",\"max_error_percent\":31,"
        "\"windows\":\"mon 01:00-02:00\",\"utc_offset\":\"-00:32\"},"
        "\"no_region\":{\"retry_after_s\":17,\"policy\":\"primary\"},\"journal\":{\"path\":\"j\","
        "\"max_bytes\":70000,"
        "\"keep\":18},"
        "\"safety\":{\"min_regions\":1,\"dwell_ms\":19},\"via\":\"v\","
        "\"drills\":{\"allowed\":true,\"max_ms\":1020},"
        "\"timeouts\":{\"head_ms\":1001,\"idle_ms\":1002,\"body_ms\":1003,\"connect_ms\":1004,"
        "\"answer_ms\":1005,\"stall_ms\":1006,\"feed_ms\":1007,\"pool_idle_ms\":1008,"
        "\"drain_ms\":1009},"
        "\"limits\":{\"head_bytes\":2001,\"target_bytes\":2000,\"headers\":21,\"body_bytes\":"
        "5000000000,\"connections\":22,\"upstream\":24,\"upstream_idle\":23,\"waiting\":25,"
        "\"replay_body_bytes\":26,\"whole_answer_bytes\":33,\"buffer_bytes\":2097152},"
        "\"access_log\":{\"path\":\"a\",\"format\":\"combined\",\"sample_percent\":27,"
        "\"flush_ms\":1010}}");
    struct dp_access_config access;
    struct dp_control_config control;
    struct dp_proxy_config proxy;
    (void)state;
    dp_config_control(c, &control);
    assert_int_equal(control.probe_interval_ms, 9001);
    assert_int_equal(control.probe_fast_ms, 9000);
    assert_int_equal(control.probe_timeout_ms, 9002);
    assert_int_equal(control.fall, 11);
    assert_int_equal(control.rise, 12);
    assert_int_equal(control.probe_jitter_percent, 13);
    assert_string_equal(control.probe_path, "/x");
    assert_int_equal(control.traffic_failures, 14);
    assert_int_equal(control.sample_ms, 15);
    assert_int_equal(control.failback, DP_FAILBACK_MANUAL);
    assert_int_equal(control.failback_hold_ms, 16);
    assert_int_equal(control.failback_hold_max_ms, 28);
    assert_int_equal(control.failback_forget_ms, 29);
    assert_int_equal(control.failback_ramp_ms, 30);
    assert_int_equal(control.failback_conditions, DP_GATE_BIT(DP_GATE_APPROVAL));
    assert_int_equal(control.failback_error_percent, 31);
    assert_int_equal(control.failback_windows.n, 1);
    assert_int_equal(control.failback_windows.at[0].till_m, 120);
    assert_int_equal(control.failback_windows.utc_offset_m, -32);
    assert_int_equal(control.no_region, DP_NO_REGION_PRIMARY);
    assert_int_equal(control.retry_after_s, 17);
    assert_string_equal(control.journal_path, "j");
    assert_int_equal(control.journal_max_bytes, 70000);
    assert_int_equal(control.journal_keep, 18);
    assert_int_equal(control.min_regions, 1);
    assert_int_equal(control.dwell_ms, 19);
    assert_true(control.drills_allowed);
    assert_int_equal(control.drills_max_ms, 1020);
    dp_config_access(c, &access);
    assert_string_equal(c->access_log_path, "a");
    assert_int_equal(access.format, DP_ACCESS_COMBINED);
    assert_int_equal(access.sample_percent, 27);
    assert_int_equal(access.flush_ms, 1010);
    dp_config_proxy(c, &proxy);
    assert_int_equal(proxy.head_timeout_ms, 1001);
    assert_int_equal(proxy.idle_timeout_ms, 1002);
    assert_int_equal(proxy.body_timeout_ms, 1003);
    assert_int_equal(proxy.connect_timeout_ms, 1004);
    assert_int_equal(proxy.answer_timeout_ms, 1005);
    assert_int_equal(proxy.stall_timeout_ms, 1006);
    assert_int_equal(proxy.feed_timeout_ms, 1007);
    assert_int_equal(proxy.pool_idle_timeout_ms, 1008);
    assert_int_equal(proxy.drain_timeout_ms, 1009);
    assert_int_equal(proxy.max_head_bytes, 2001);
    assert_int_equal(proxy.max_target_bytes, 2000);
    assert_int_equal(proxy.max_headers, 21);
    assert_int_equal(proxy.max_body_bytes, 5000000000);
    assert_int_equal(proxy.max_connections, 22);
    assert_int_equal(proxy.pool_max_idle, 23);
    assert_int_equal(proxy.max_upstream, 24);
    assert_int_equal(proxy.max_waiting, 25);
    assert_int_equal(proxy.replay_body_bytes, 26);
    assert_int_equal(proxy.whole_answer_bytes, 33);
    assert_int_equal(proxy.max_buffer_chunks, 128);
    assert_string_equal(proxy.via, "v");
    dp_config_destroy(c);
}

static void test_regions(void **state)
{
    struct dp_config *c = parse(
        "{\"regions\":["
        "{\"name\":\"a\",\"url\":\"http://127.0.0.1\"},"
        "{\"name\":\"b\",\"url\":\"HTTP://127.0.0.2:5984/\",\"credentials\":{\"username\":\"u\","
        "\"password\":\"${env:DP_TEST_WORD}\"}},"
        "{\"name\":\"c\",\"url\":\"http://[::1]:80\"},"
        "{\"name\":\"d\",\"url\":\"http://[::1]:81\"}]}");
    struct dp_control_config control;
    struct dp_problems problems;
    (void)state;
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_resolve(c, true, &problems), DP_OK);
    dp_config_control(c, &control);
    static const struct {
        const char *name, *url, *host, *ip;
        uint16_t port;
    } expected[] = {
        {"a", "http://127.0.0.1", "127.0.0.1", "127.0.0.1", 80},
        {"b", "http://127.0.0.2:5984", "127.0.0.2:5984", "127.0.0.2", 5984},
        {"c", "http://[::1]", "[::1]", "::1", 80},
        {"d", "http://[::1]:81", "[::1]:81", "::1", 81},
    };
    assert_int_equal(control.n_regions, DP_ARRAY_LEN(expected));
    for (size_t i = 0; i < DP_ARRAY_LEN(expected); i++) {
        assert_string_equal(control.regions[i].name, expected[i].name);
        assert_string_equal(control.endpoints[i].url, expected[i].url);
        assert_string_equal(control.endpoints[i].host, expected[i].host);
        assert_string_equal(control.endpoints[i].addrs.at[0].ip, expected[i].ip);
        assert_int_equal(control.endpoints[i].port, expected[i].port);
    }
    assert_null(control.regions[0].key.username);
    assert_string_equal(control.regions[1].key.username, "u");
    assert_string_equal(control.regions[1].key.password, "hunter2");
    dp_problems_fini(&problems);
    dp_config_destroy(c);
}

static void test_resolve_names_the_region(void **state)
{
    struct dp_config *c = parse("{\"regions\":[{\"name\":\"ok\",\"url\":\"http://127.0.0.1\"},"
                                "{\"name\":\"lost\",\"url\":\"http://256.0.0.1.invalid\"}]}");
    struct dp_problems problems;
    (void)state;
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_resolve(c, true, &problems), DP_ERESOLVE);
    assert_int_equal(problems.errors, 1);
    static const char begin[] =
        "f: regions[1].url: region lost: the host 256.0.0.1.invalid has no address: ";
    assert_memory_equal(dp_text_str(&problems.text), begin, sizeof begin - 1);
    dp_problems_fini(&problems);
    dp_config_destroy(c);
}

static void test_references(void **state)
{
    char folder[] = "/tmp/davenport-test-XXXXXX";
    char path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_true(snprintf(path, sizeof path, "%s/word", folder) > 0);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs("from-file\r\n", f) >= 0);
    assert_int_equal(fclose(f), 0);

    struct dp_config *c = parse_in(
        "{\"regions\":[{\"name\":\"${env:DP_TEST_NAME}\",\"url\":\"http://h\","
        "\"credentials\":{\"username\":\"$${x}$$y$\",\"password\":\"<${file:word}>\"}}],"
        "\"via\":\"a-${env:DP_TEST_WORD}-${env:DP_TEST_WORD}\",\"log\":{\"level\":\"${env:DP_TEST_"
        "LEVEL}\"}}",
        folder, NULL);
    assert_string_equal(c->regions[0].name, "eu-de");
    assert_string_equal(c->regions[0].username, "${x}$$y$");
    assert_string_equal(c->regions[0].password, "<from-file>");
    assert_string_equal(c->via, "a-hunter2-hunter2");
    assert_int_equal(c->log_level, 3);
    dp_config_destroy(c);

#define WITH(text) "{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\"}],\"via\":\"" text "\"}"
    assert_bad(WITH("${env:DP_TEST_UNSET}"), NULL,
               "f: via: the environment variable DP_TEST_UNSET is not set\n");
    assert_bad(WITH("${env:}"), NULL,
               "f: via: ${env:…} needs the name of an environment variable\n");
    assert_bad(WITH("${env:A-B}"), NULL,
               "f: via: ${env:…} needs the name of an environment variable\n");
    assert_bad(WITH("${file:/nonexistent/x}"), NULL,
               "f: via: the file /nonexistent/x cannot be opened: No such file or directory\n");
    assert_bad(WITH("${file:}"), NULL, "f: via: ${file:…} needs the path of a file\n");
    assert_bad(WITH("${vault:x}"), NULL,
               "f: via: only ${env:NAME} and ${file:PATH} can be referred to; write $${ for a "
               "plain ${\n");
    assert_bad(WITH("${env:HOME"), NULL, "f: via: a ${ has no }; write $${ for a plain ${\n");
    assert_bad(WITH("${env:DP_TEST_BYTES}"), NULL, "f: via: what it refers to is not UTF-8 text\n");
    assert_bad(WITH("${file:/dev/zero}"), NULL,
               "f: via: the file /dev/zero cannot be read: File too large\n");
    assert_bad(WITH("${env:DP_TEST_EMPTY}"), NULL, "f: via: must not be empty\n");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_secrets_stay_hidden(void **state)
{
    struct dp_text says = {0};
    struct dp_text dump = {0};
    struct dp_config *c = parse_in(
        "{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\",\"credentials\":{\"username\":\"u\","
        "\"password\":\"hunter2\"}},{\"name\":\"b\",\"url\":\"http://i\",\"credentials\":{"
        "\"username\":\"v\",\"password\":\"${env:DP_TEST_WORD}\"}}]}",
        NULL, &says);
    (void)state;
    assert_string_equal(dp_text_str(&says),
                        "f: warning: regions[0].credentials.password: stands in the file itself; "
                        "${env:NAME} or ${file:PATH} keeps it out\n");
    dp_config_dump(c, &dump);
    dp_config_summary(c, &dump);
    assert_false(dump.failed);
    assert_null(strstr(dp_text_str(&dump), "hunter2"));
    assert_non_null(strstr(dp_text_str(&dump), "\"password\": \"(hidden)\""));
    dp_config_destroy(c);
    dp_text_fini(&dump);
    dp_text_fini(&says);

    /* Nor do they come out in a message. */
    struct dp_problems problems;
    struct dp_config_source source = {
        .text = DP_SPAN(
            "{\"regions\":[{\"name\":\"hunter2 \",\"url\":\"http://u:hunter2@h\",\"credentials\":{"
            "\"username\":\"hunter2:\",\"password\":[\"hunter2\"]}}],\"mode\":\"hunter2\"}")};
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_parse(&source, &problems, &c), DP_EINVAL);
    assert_int_equal(problems.errors, 5);
    assert_null(strstr(dp_text_str(&problems.text), "hunter2"));
    dp_problems_fini(&problems);
}

/* What the dump says can be loaded again (but for the secrets) and says the same. */
static void test_dump_is_a_configuration(void **state)
{
    struct dp_text first = {0};
    struct dp_text second = {0};
    (void)state;
    struct dp_config *c = parse(dp_config_demo);
    dp_config_dump(c, &first);
    dp_config_destroy(c);
    c = parse(dp_text_str(&first));
    dp_config_dump(c, &second);
    dp_config_destroy(c);
    assert_string_equal(dp_text_str(&first), dp_text_str(&second));
    dp_text_fini(&second);
    dp_text_fini(&first);
}

static void test_summary(void **state)
{
    struct dp_text text = {0};
    struct dp_config *c = parse(dp_config_demo);
    (void)state;
    dp_config_summary(c, &text);
    assert_string_equal(dp_text_str(&text),
                        "  applications  http://127.0.0.1:8984\n"
                        "  operators     127.0.0.1:8985\n"
                        "  region 1      left   http://127.0.0.1:15984  (primary)\n"
                        "  region 2      right  http://127.0.0.1:25984\n"
                        "  failback      after the preferred region was well for 30 s\n");
    dp_config_destroy(c);
    dp_text_fini(&text);
}

static void test_schema_file_is_current(void **state)
{
    struct dp_text schema = {0};
    struct dp_text file = {0};
    (void)state;
    dp_config_schema(&schema);
    assert_false(schema.failed);
    read_file("conf/davenport.schema.json", &file);
    /* Not? build/…/davenport schema >conf/davenport.schema.json */
    assert_string_equal(dp_text_str(&file), dp_text_str(&schema));
    dp_text_fini(&file);
    dp_text_fini(&schema);
}

static void test_demo_file_is_current(void **state)
{
    struct dp_text file = {0};
    (void)state;
    read_file("conf/demo.json", &file);
    assert_string_equal(dp_text_str(&file), dp_config_demo);
    dp_text_fini(&file);
}

#define PROBED(value)                                                                              \
    "{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\"}],\"probe\":{\"database\":" value "}}"

static void test_one_or_several(void **state)
{
    struct dp_control_config control;
    (void)state;
    struct dp_config *c = parse(PROBED("\"orders\""));
    dp_config_control(c, &control);
    assert_int_equal(control.n_probe_databases, 1);
    assert_string_equal(control.probe_databases[0], "orders");
    dp_config_destroy(c);
    c = parse(PROBED("[\"orders\",\"a/b\"]"));
    dp_config_control(c, &control);
    assert_int_equal(control.n_probe_databases, 2);
    assert_string_equal(control.probe_databases[1], "a/b");
    dp_config_destroy(c);
    assert_bad(PROBED("[]"), NULL, "f: probe.database: must hold 1 to 16 strings, not 0\n");
    assert_bad(PROBED("7"), NULL,
               "f: probe.database: must be an array of strings or a string, not a number\n");
    assert_bad(PROBED("[\"orders\",7]"), NULL,
               "f: probe.database[1]: must be a string, not a number\n");
}

static void test_samples_are_good(void **state)
{
    static const char *const samples[] = {"active-passive",  "active-active",  "write-primary",
                                          "manual-failback", "gated-failback", "clusters",
                                          "cloudant",        "cloudant-iam",   "demo"};
    (void)state;
    assert_int_equal(setenv("DAVENPORT_EAST_PASSWORD", "e", 1), 0);
    assert_int_equal(setenv("DAVENPORT_WEST_PASSWORD", "w", 1), 0);
    assert_int_equal(setenv("CLOUDANT_EU_API_KEY", "e", 1), 0);
    assert_int_equal(setenv("CLOUDANT_US_API_KEY", "u", 1), 0);
    for (size_t i = 0; i < DP_ARRAY_LEN(samples); i++) {
        char path[512];
        struct dp_problems problems;
        struct dp_config *c = NULL;
        assert_true(snprintf(path, sizeof path, "%s/conf/%s.json", DP_TEST_SOURCE_DIR, samples[i]) >
                    0);
        dp_problems_init(&problems, samples[i]);
        enum dp_err err = dp_config_load(path, &problems, &c);
        /* The secret's file does not exist here. */
        if (strcmp(samples[i], "cloudant") == 0) {
            assert_int_equal(err, DP_EINVAL);
            assert_string_equal(dp_text_str(&problems.text),
                                "cloudant: regions[1].credentials.password: the file "
                                "/run/secrets/cloudant-us cannot be opened: No such file or "
                                "directory\n");
        } else {
            assert_string_equal(dp_text_str(&problems.text), "");
            assert_int_equal(err, DP_OK);
        }
        dp_config_destroy(c);
        dp_problems_fini(&problems);
    }
}

static void test_files_that_cannot_be_read(void **state)
{
    static const struct {
        const char *path, *says;
    } rows[] = {
        {"/nonexistent/x", "f: cannot be opened: No such file or directory\n"},
        {"/", "f: cannot be read: Is a directory\n"},
        {"/dev/zero", "f: cannot be read: File too large\n"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct dp_problems problems;
        struct dp_config *c = NULL;
        dp_problems_init(&problems, "f");
        assert_int_equal(dp_config_load(rows[i].path, &problems, &c), DP_EIO);
        assert_string_equal(dp_text_str(&problems.text), rows[i].says);
        dp_problems_fini(&problems);
    }
}

static void test_help_names_every_section(void **state)
{
    struct dp_text help = {0};
    (void)state;
    dp_config_help(&help);
    assert_non_null(strstr(dp_text_str(&help), "listen.port = 8984  (0 to 65535)\n    TCP port."));
    assert_non_null(strstr(dp_text_str(&help), "regions[].name  (required)\n"));
    assert_non_null(strstr(dp_text_str(&help),
                           "failback.mode = \"hold_down\"  (manual|hold_down|gated|window)\n"));
    dp_text_fini(&help);
}

static int set_environment(void **state)
{
    (void)state;
    return setenv("DP_TEST_WORD", "hunter2", 1) || setenv("DP_TEST_NAME", "eu-de", 1) ||
           setenv("DP_TEST_LEVEL", "error", 1) || setenv("DP_TEST_BYTES", "\xff\xfe", 1) ||
           setenv("DP_TEST_EMPTY", "", 1) || setenv("CLOUDANT_EU_KEY", "k", 1) ||
           setenv("CLOUDANT_EU_PASSWORD", "p", 1) || setenv("CLOUDANT_US_KEY", "k", 1) ||
           unsetenv("DP_TEST_UNSET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_number_arrives),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_resolve_names_the_region),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_secrets_stay_hidden),
        cmocka_unit_test(test_dump_is_a_configuration),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_schema_file_is_current),
        cmocka_unit_test(test_demo_file_is_current),
        cmocka_unit_test(test_one_or_several),
        cmocka_unit_test(test_samples_are_good),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_help_names_every_section),
    };
    return cmocka_run_group_tests_name("config_values", tests, set_environment, NULL);
}
