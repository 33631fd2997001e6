/* Bad configurations: every rule, with its exact message; all problems at once; no crash on any
 * JSON. */
#include "davenport/app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REGION  "{\"name\":\"a\",\"url\":\"http://h\"}"
#define REGIONS "\"regions\":[" REGION "]"

/* A document and all that is said of it; NULL: it is good and nothing is said. */
struct row {
    const char *json;
    const char *says;
};

static void check(const struct row *row)
{
    struct dp_problems problems;
    struct dp_config *config = NULL;
    struct dp_config_source source = {.text = dp_span_str(row->json)};
    dp_problems_init(&problems, "f");
    enum dp_err err = dp_config_parse(&source, &problems, &config);
    dp_problems_close(&problems);
    assert_string_equal(dp_text_str(&problems.text), row->says ? row->says : "");
    assert_int_equal(err, problems.errors ? DP_EINVAL : DP_OK);
    assert_true((config != NULL) == (problems.errors == 0));
    dp_config_destroy(config);
    dp_problems_fini(&problems);
}

static void check_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check(&rows[i]);
    }
}

static void test_syntax(void **state)
{
    static const struct row rows[] = {
        {"", "f: line 1, column 0: '[' or '{' expected near end of file\n"},
        {"{\n  \"a\" 1}", "f: line 2, column 7: ':' expected\n"},
        {"{\"via\":\"s3cret\" \"x\"}", "f: line 1, column 19: '}' expected\n"},
        {"{\"via\":\"x\",\n\"via\":\"y\"}",
         "f: line 2, column 5: duplicate object key near '\"via\"'\n"},
        {"{\"a\":99999999999999999999}", "f: line 1, column 25: too big integer\n"},
        {"[]", "f: must be a JSON object, not an array\n"},
        {"{\"via\":\"\\u0000\"}",
         "f: line 1, column 15: \\u0000 is not allowed without JSON_ALLOW_NUL\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_structure(void **state)
{
    static const struct row rows[] = {
        {"{" REGIONS "}", NULL},
        {"{\"$comment\":[1],\"$schema\":\"x\",\"probe\":{\"$comment\":\"y\"}," REGIONS "}", NULL},
        {"{}", "f: regions: missing: at least one region is needed\n"},
        {"{\"regions\":[]}", "f: regions: must hold 1 to 16 regions, not 0\n"},
        {"{\"regions\":{}}", "f: regions: must be an array, not an object\n"},
        {"{\"regions\":[" REGION ",1,null]}", "f: regions[1]: must be an object, not a number\n"
                                              "f: regions[2]: must be an object, not null\n"},
        {"{\"regions\":[{\"credentials\":{}}]}", "f: regions[0].name: missing\n"
                                                 "f: regions[0].url: missing\n"},
        {"{\"probe\":[]," REGIONS "}", "f: probe: must be an object, not an array\n"},
        {"{\"workers\":\"2\"," REGIONS "}", "f: workers: must be a whole number, not a string\n"},
        {"{\"workers\":1.5," REGIONS "}", "f: workers: must be a whole number, not a fraction\n"},
        {"{\"workers\":true," REGIONS "}",
         "f: workers: must be a whole number, not true or false\n"},
        {"{\"via\":null," REGIONS "}", "f: via: must be a string, not null\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_unknown_keys(void **state)
{
    static const struct row rows[] = {
        {"{\"prob\":{}," REGIONS "}", "f: prob: unknown key; did you mean \"probe\"?\n"},
        {"{\"probe\":{\"intervall_ms\":1}," REGIONS "}",
         "f: probe.intervall_ms: unknown key; did you mean \"probe.interval_ms\"?\n"},
        {"{\"hold_down_ms\":1," REGIONS "}",
         "f: hold_down_ms: unknown key; did you mean \"failback.hold_down_ms\"?\n"},
        {"{\"regions\":[{\"name\":\"a\",\"ulr\":\"http://h\"}]}",
         "f: regions[0].ulr: unknown key; did you mean \"regions[].url\"?\n"
         "f: regions[0].url: missing\n"},
        {"{\"zzzzzz\":{\"deep\":1}," REGIONS "}", "f: zzzzzz: unknown key\n"},
        {"{\"\":1,\"regions[]\":{}," REGIONS "}",
         "f: \"\": unknown key\n"
         "f: regions[]: unknown key; did you mean \"regions\"?\n"},
        {"{\"a\\nb\\u00e9\":1," REGIONS "}", "f: a?b??: unknown key\n"},
        {"{\"probe\":{\"$schema\":1}," REGIONS "}", "f: probe.$schema: unknown key\n"},
        {"{\"0123456789012345678901234567890123456789012345678901234567890123456789\":1," REGIONS
         "}",
         "f: 012345678901234567890123456789012345678901234567890123456789...: unknown key\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_values(void **state)
{
    static const struct row rows[] = {
        {"{\"listen\":{\"port\":65536}," REGIONS "}",
         "f: listen.port: must be 0 to 65535, not 65536\n"},
        {"{\"listen\":{\"port\":-1}," REGIONS "}", "f: listen.port: must be 0 to 65535, not -1\n"},
        {"{\"timeouts\":{\"idle_ms\":5}," REGIONS "}",
         "f: timeouts.idle_ms: must be 0 or 100 to 86400000, not 5\n"},
        {"{\"timeouts\":{\"idle_ms\":0}," REGIONS "}", NULL},
        {"{\"timeouts\":{\"head_ms\":0}," REGIONS "}",
         "f: timeouts.head_ms: must be 100 to 600000, not 0\n"},
        {"{\"limits\":{\"body_bytes\":9223372036854775807}," REGIONS "}", NULL},
        {"{\"listen\":{\"address\":\"localhost\"}," REGIONS "}",
         "f: listen.address: must be a numeric address like 127.0.0.1 or ::, or unix:PATH\n"},
        {"{\"listen\":{\"address\":\"unix:/run/http.sock\",\"socket_mode\":\"0666\"}," REGIONS "}",
         NULL},
        {"{\"listen\":{\"address\":\"unix:\"}," REGIONS "}",
         "f: listen.address: must have a path of 1 to 107 bytes after unix:\n"},
        {"{\"listen\":{\"socket_mode\":\"660\"}," REGIONS "}",
         "f: listen.socket_mode: must be permissions in octal like 0660\n"},
        {"{\"listen\":{\"socket_mode\":\"0888\"}," REGIONS "}",
         "f: listen.socket_mode: must be permissions in octal like 0660\n"},
        {"{\"listen\":{\"address\":\"::\",\"ipv6_only\":\"no\"}," REGIONS "}", NULL},
        {"{\"listen\":{\"address\":\"::1\",\"ipv6_only\":\"no\"}," REGIONS "}",
         "f: listen.ipv6_only: can be no for the address :: only\n"},
        {"{\"listen\":{\"address\":\"unix:/a\"},\"admin\":{\"listen\":\"unix:/a\"}," REGIONS "}",
         "f: admin.listen: is where applications connect (listen)\n"},
        {"{\"timeouts\":{\"waiting_ms\":2000}," REGIONS "}",
         "f: timeouts.waiting_ms: must be above timeouts.connect_ms, which is 2000\n"},
        {"{\"timeouts\":{\"waiting_ms\":2001}," REGIONS "}", NULL},
        {"{\"listen\":{\"address\":\"::1\"}," REGIONS "}", NULL},
        {"{\"mode\":\"latency\"," REGIONS "}",
         "f: mode: must be \"active-passive\" or \"active-active\" or \"write-primary\"\n"},
        {"{\"failback\":{\"mode\":\"hold-down\"}," REGIONS "}",
         "f: failback.mode: must be \"manual\" or \"hold_down\" or \"gated\" or \"window\"\n"},
        {"{\"failback\":{\"conditions\":\"probes, errors\"}," REGIONS "}",
         "f: failback.conditions: must be some of health, probes, errors, approval, window and "
         "replication, "
         "with commas between\n"},
        {"{\"failback\":{\"windows\":\"mon 2-5\"}," REGIONS "}",
         "f: failback.windows: hours must be like 02:00-05:00\n"},
        {"{\"failback\":{\"utc_offset\":\"CET\"}," REGIONS "}",
         "f: failback.utc_offset: must be like +01:00 or -03:30, at most 14 hours\n"},
        {"{\"no_region\":{\"policy\":\"open\"}," REGIONS "}",
         "f: no_region.policy: must be \"503\" or \"last_good\" or \"primary\"\n"},
        {"{\"log\":{\"level\":\"\"}," REGIONS "}",
         "f: log.level: must be \"debug\" or \"info\" or \"warn\" or \"error\"\n"},
        {"{\"probe\":{\"path\":\"_up\"}," REGIONS "}", "f: probe.path: must begin with /\n"},
        {"{\"probe\":{\"path\":\"/_up HTTP/1.1\\r\\n\"}," REGIONS "}",
         "f: probe.path: must be a path as in a URL: no spaces, no #, percent-encoded beyond "
         "ASCII\n"},
        {"{\"via\":\"a b\"," REGIONS "}", "f: via: must be 1 to 64 of a-z, A-Z, 0-9, -, . and _\n"},
        {"{\"journal\":{\"path\":\"\"}," REGIONS "}", "f: journal.path: must not be empty\n"},
        {"{\"safety\":{\"min_regions\":2}," REGIONS "}",
         "f: safety.min_regions: must be at most the number of regions, 1\n"},
        {"{\"safety\":{\"min_regions\":0,\"dwell_ms\":0}," REGIONS "}", NULL},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_between_keys(void **state)
{
    static const struct row rows[] = {
        {"{\"probe\":{\"interval_ms\":100}," REGIONS "}",
         "f: probe.fast_interval_ms: must be at most probe.interval_ms, which is 100\n"},
        {"{\"limits\":{\"head_bytes\":2048}," REGIONS "}",
         "f: limits.target_bytes: must be at most limits.head_bytes, which is 2048\n"},
        {"{\"limits\":{\"upstream\":3}," REGIONS "}",
         "f: limits.upstream_idle: must be at most limits.upstream, which is 3\n"},
        {"{\"limits\":{\"buffer_bytes\":1048576,\"replay_body_bytes\":1048577}," REGIONS "}",
         "f: limits.replay_body_bytes: must be at most limits.buffer_bytes, which is 1048576\n"},
        {"{\"listen\":{\"port\":7},\"admin\":{\"listen\":\"127.0.0.1:7\"}," REGIONS "}",
         "f: admin.listen: is where applications connect (listen)\n"},
        {"{\"listen\":{\"port\":0},\"admin\":{\"listen\":\"127.0.0.1:0\"}," REGIONS "}", NULL},
        {"{\"failback\":{\"mode\":\"window\"}," REGIONS "}",
         "f: failback.windows: missing: failback.mode window needs it\n"},
        {"{\"failback\":{\"mode\":\"gated\",\"conditions\":\"window\"}," REGIONS "}",
         "f: failback.windows: missing: failback.conditions (window) needs it\n"},
        {"{\"failback\":{\"conditions\":\"window\"}," REGIONS "}", NULL},
        {"{\"failback\":{\"mode\":\"window\",\"windows\":\"02:00-05:00\"}," REGIONS "}", NULL},
        {"{\"regions\":[" REGION ",{\"name\":\"b\",\"url\":\"http://i\"}," REGION "]}",
         "f: regions[2].name: is the name of regions[0] too\n"
         "f: regions[2].url: is the url of regions[0] too\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_endpoints(void **state)
{
#define SEVERAL(list) "{\"regions\":[{\"name\":\"a\",\"endpoints\":" list "}]}"
    static const struct row rows[] = {
        {SEVERAL("[\"http://h\"]"), NULL},
        {SEVERAL("[\"https://h\",\"https://h:444\",\"https://i\"]"), NULL},
        {SEVERAL("\"http://h\""),
         "f: regions[0].endpoints: must be an array of strings, not a string\n"},
        {SEVERAL("[]"), "f: regions[0].endpoints: must hold 1 to 32 strings, not 0\n"},
        {SEVERAL("[\"http://h\",7]"),
         "f: regions[0].endpoints[1]: must be a string, not a number\n"},
        {SEVERAL("[\"http://h\",\"ftp://i\"]"),
         "f: regions[0].endpoints[1]: must begin with https:// or http://\n"},
        {SEVERAL("[\"http://h\",\"https://i\"]"),
         "f: regions[0].endpoints: must be all https:// or all http://\n"},
        {SEVERAL("[\"http://h\",\"http://h/\"]"),
         "f: regions[0].endpoints[1]: is regions[0].endpoints[0] too\n"},
        {"{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\",\"endpoints\":[\"http://i\"]}]}",
         "f: regions[0].endpoints: stands in place of url, not beside it\n"},
        {"{\"regions\":[" REGION ",{\"name\":\"b\",\"endpoints\":[\"http://h\"]}]}",
         "f: regions[1].endpoints[0]: is the url of regions[0] too\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

/* 16 endpoints in each of two regions are as many as there may be. */
static void test_too_many_endpoints(void **state)
{
    struct dp_text text = {0};
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        struct dp_problems problems;
        struct dp_config *c = NULL;
        dp_problems_init(&problems, "f");
        dp_text_clear(&text);
        dp_text_addf(&text, "{\"regions\":[");
        for (unsigned r = 0; r < 2; r++) {
            dp_text_addf(&text, "%s{\"name\":\"r%u\",\"endpoints\":[", r ? "," : "", r);
            for (unsigned e = 0; e < 16 + more * r; e++) {
                dp_text_addf(&text, "%s\"http://n%u-%u\"", e ? "," : "", r, e);
            }
            dp_text_addf(&text, "]}");
        }
        dp_text_addf(&text, "]}");
        struct dp_config_source source = {.text = dp_text_span(&text)};
        enum dp_err err = dp_config_parse(&source, &problems, &c);
        assert_int_equal(err, more ? DP_EINVAL : DP_OK);
        if (!more) {
            assert_int_equal(c->n_endpoints, 32);
            assert_int_equal(c->regions[1].first, 16);
            assert_int_equal(c->regions[1].n_endpoints, 16);
            assert_int_equal(c->endpoints[31].region, 1);
            assert_string_equal(c->endpoints[31].host, "n1-15");
        }
        dp_config_destroy(c);
        dp_problems_fini(&problems);
    }
    dp_text_fini(&text);
}

static void test_admin_listen(void **state)
{
#define ADMIN(text) "{\"admin\":{\"listen\":\"" text "\"}," REGIONS "}"
#define FORM                                                                                       \
    "f: admin.listen: must be unix:PATH or a numeric address with a port (127.0.0.1:8985, "        \
    "[::1]:8985)\n"
#define NO_TLS                                                                                     \
    "f: admin.listen: is no loopback address: it needs admin.tls (cert_file and key_file), so "    \
    "that nobody on the way reads tokens, or use unix:PATH\n"
#define NO_TOKENS                                                                                  \
    "f: admin.listen: is no loopback address: it needs admin.tokens, or anyone who reaches it "    \
    "could switch regions (davenport token makes one), or use unix:PATH\n"
#define REACH NO_TLS NO_TOKENS
    static const struct row rows[] = {
        {ADMIN("127.0.0.1:1"), NULL},
        {ADMIN("127.255.0.9:65535"), NULL},
        {ADMIN("[::1]:9"), NULL},
        {ADMIN("localhost:9"), NULL},
        {ADMIN("unix:/run/x"), NULL},
        {ADMIN("0.0.0.0:9"), REACH},
        {ADMIN("10.0.0.1:9"), REACH},
        {ADMIN("[::]:9"), REACH},
        {ADMIN("127.0.0.1"), FORM},
        {ADMIN("127.0.0.1:"), FORM},
        {ADMIN("127.0.0.1:x"), FORM},
        {ADMIN("127.0.0.1:65536"), FORM},
        {ADMIN("::1:9"), FORM},
        {ADMIN("[::1]9"), FORM},
        {ADMIN("[::1:9"), FORM},
        {ADMIN("example.org:9"), FORM},
        {ADMIN(":9"), FORM},
        {ADMIN("8985"), FORM},
        {ADMIN("[127.0.0.1]:9"), FORM},
        {ADMIN("unix:"), "f: admin.listen: must have a path of 1 to 107 bytes after unix:\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

/* Who may ask, beyond this host and here. */
static void test_admin_access(void **state)
{
#define DIGITS               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define HASH(digit)          "\"hash\":\"sha256:" DIGITS digit "\""
#define ACCESS(listen, keys) "{\"admin\":{\"listen\":\"" listen "\"," keys "}," REGIONS "}"
#define TOKEN(name, keys)    "\"tokens\":{\"" name "\":{" keys "}}"
#define CERTIFICATE          "\"tls\":{\"cert_file\":\"c\",\"key_file\":\"k\"}"
#define BAD_HASH                                                                                   \
    "f: admin.tokens.ann.hash: must be a token's hash, sha256: and 64 hexadecimal digits, as "     \
    "davenport token prints it\n"
    static const struct row rows[] = {
        {ACCESS("127.0.0.1:1", TOKEN("ann", HASH("0"))), NULL},
        {ACCESS("127.0.0.1:1", TOKEN("ann@ops-1.example", HASH("0") ",\"role\":\"operator\"")),
         NULL},
        {ACCESS("0.0.0.0:1", CERTIFICATE "," TOKEN("ann", HASH("0"))), NULL},
        {ACCESS("[::]:1", CERTIFICATE "," TOKEN("ann", HASH("0"))), NULL},
        {ACCESS("0.0.0.0:1", CERTIFICATE), NO_TOKENS},
        {ACCESS("0.0.0.0:1", TOKEN("ann", HASH("0"))), NO_TLS},
        {ACCESS("127.0.0.1:1", "\"tls\":{\"cert_file\":\"c\"}"),
         "f: admin.tls: needs both cert_file and key_file\n"},
        {ACCESS("127.0.0.1:1", "\"tls\":{\"client_ca_file\":\"c\"}"),
         "f: admin.tls: needs cert_file and key_file for client_ca_file\n"},
        {ACCESS("unix:/x", CERTIFICATE),
         "f: admin.tls: is for TCP: admin.listen is a Unix socket\n"},
        {ACCESS("unix:/x", TOKEN("ann", HASH("0"))),
         "f: warning: admin.tokens: are not asked for: admin.listen is a Unix socket, whose "
         "permissions (admin.socket_mode) say who may ask\n"},
        {ACCESS("127.0.0.1:1", TOKEN("ann", "\"role\":\"read\"")),
         "f: admin.tokens.ann.hash: missing\n"},
        {ACCESS("127.0.0.1:1", TOKEN("ann", HASH("0") ",\"role\":\"root\"")),
         "f: admin.tokens.ann.role: must be \"read\" or \"operator\"\n"},
        {ACCESS("127.0.0.1:1", TOKEN("ann", "\"hash\":\"sha256:" DIGITS "\"")), BAD_HASH},
        {ACCESS("127.0.0.1:1", TOKEN("ann", HASH("A"))), BAD_HASH},
        {ACCESS("127.0.0.1:1", TOKEN("a b", HASH("0"))),
         "f: admin.tokens.a?b: must be called by 1 to 32 of a-z, A-Z, 0-9, -, ., _ and @\n"},
        {ACCESS("127.0.0.1:1", TOKEN("", HASH("0"))), "f: admin.tokens.\"\": must have a name\n"},
        {ACCESS("127.0.0.1:1", "\"tokens\":{\"a\":{" HASH("0") "},\"b\":{" HASH("0") "}}"),
         "f: admin.tokens: a and b are one token: who asked could not be told\n"},
        {ACCESS("127.0.0.1:1", "\"socket_mode\":\"rw\""),
         "f: admin.socket_mode: must be permissions in octal like 0660\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_region_values(void **state)
{
#define URL(text)      "{\"regions\":[{\"name\":\"a\",\"url\":\"" text "\"}]}"
#define BAD            "f: regions[0].url: "
#define TLS(url, keys) "{\"regions\":[{\"name\":\"a\",\"url\":\"" url "\",\"tls\":{" keys "}}]}"
#define LISTEN(keys)   "{\"listen\":{\"tls\":{" keys "}},\"regions\":[" REGION "]}"
#define PIN            "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define BAD_PIN                                                                                    \
    "f: regions[0].tls.pins: must be 1 to 4 of sha256//BASE64 (44 characters of base64), with ; "  \
    "between\n"
    static const struct row rows[] = {
        {URL("http://h:1"), NULL},
        {URL("HTTP://h.example.:65535/"), NULL},
        {URL("http://[::1]:1"), NULL},
        {URL("https://h"), NULL},
        {URL("HTTPS://h:6984/"), NULL},
        {TLS("https://h", "\"ca_file\":\"/ca\",\"cert_file\":\"/c\",\"key_file\":\"/k\""), NULL},
        {TLS("https://h", "\"pins\":\"" PIN "\""), NULL},
        {TLS("https://h", "\"pins\":\"" PIN ";" PIN ";" PIN ";" PIN "\""), NULL},
        {TLS("https://h", "\"pins\":\"" PIN ";" PIN ";" PIN ";" PIN ";" PIN "\""), BAD_PIN},
        {TLS("https://h", "\"pins\":\"" PIN ";\""), BAD_PIN},
        {TLS("https://h", "\"pins\":\"sha256//AAAA\""), BAD_PIN},
        {TLS("http://h", "\"ca_file\":\"/ca\""),
         "f: regions[0].tls: needs an https:// url: to an http:// one nothing is encrypted\n"},
        {TLS("https://h", "\"cert_file\":\"/c\""),
         "f: regions[0].tls: needs both cert_file and key_file, or neither\n"},
        {LISTEN("\"cert_file\":\"/c\",\"key_file\":\"/k\",\"client_ca_file\":\"/ca\""), NULL},
        {LISTEN("\"key_file\":\"/k\""), "f: listen.tls: needs both cert_file and key_file\n"},
        {LISTEN("\"client_ca_file\":\"/ca\""),
         "f: listen.tls: needs cert_file and key_file for client_ca_file\n"},
        {URL("h:5984"), BAD "must begin with https:// or http://\n"},
        {URL("http:/h"), BAD "must begin with https:// or http://\n"},
        {URL("http://me:pass@h"),
         BAD "must not hold a user or password: put them under credentials\n"},
        {URL("http://h/db"),
         BAD "must not have a path, query or fragment: requests keep their own\n"},
        {URL("http://h?x"),
         BAD "must not have a path, query or fragment: requests keep their own\n"},
        {URL("http://"), BAD "must be https://host[:port] or http://host[:port]\n"},
        {URL("http://:1"), BAD "must be https://host[:port] or http://host[:port]\n"},
        {URL("http://h:"), BAD "must be https://host[:port] or http://host[:port]\n"},
        {URL("http://[::1"), BAD "must be https://host[:port] or http://host[:port]\n"},
        {URL("http://h:0"), BAD "must have a port from 1 to 65535\n"},
        {URL("http://h:99999"), BAD "must have a port from 1 to 65535\n"},
        {URL("http://h h"), BAD "must be https://host[:port] or http://host[:port] with a host "
                                "name or an address; IPv6 in [ ]\n"},
        {URL("http://[h]"), BAD "must be https://host[:port] or http://host[:port] with a host "
                                "name or an address; IPv6 in [ ]\n"},
        {"{\"regions\":[{\"name\":\"EU_1\",\"url\":\"http://h\"}]}",
         "f: regions[0].name: must be 1 to 63 of a-z, 0-9 and -\n"},
        {"{\"regions\":[{\"name\":\"-a\",\"url\":\"http://h\"}]}",
         "f: regions[0].name: must not begin or end with -\n"},
        {"{\"regions\":[{\"name\":\"a\",\"url\":\"http://h\",\"credentials\":{\"username\":\"a:b\","
         "\"password\":\"\"}}]}",
         "f: regions[0].credentials.username: must not contain a colon: HTTP Basic cannot carry "
         "it\n"
         "f: regions[0].credentials.password: must not be empty\n"},
    };
    (void)state;
    check_all(rows, DP_ARRAY_LEN(rows));
}

static void test_all_at_once(void **state)
{
    static const struct row row = {
        "{\"port\":5984,\"workers\":-1,\"mode\":\"ring\",\"listen\":{\"port\":\"x\"},"
        "\"probe\":{\"fall\":0,\"rise\":101},\"regions\":[{\"name\":\"A\"},{\"url\":\"ftp://h\"}]}",
        "f: port: unknown key; did you mean \"listen.port\"?\n"
        "f: workers: must be 0 to 256, not -1\n"
        "f: mode: must be \"active-passive\" or \"active-active\" or \"write-primary\"\n"
        "f: listen.port: must be a whole number, not a string\n"
        "f: probe.fall: must be 1 to 100, not 0\n"
        "f: probe.rise: must be 1 to 100, not 101\n"
        "f: regions[0].name: must be 1 to 63 of a-z, 0-9 and -\n"
        "f: regions[0].url: missing\n"
        "f: regions[1].url: must begin with https:// or http://\n"
        "f: regions[1].name: missing\n"};
    (void)state;
    check(&row);
}

static void test_many_problems_are_cut(void **state)
{
    struct dp_text json = {0};
    struct dp_problems problems;
    struct dp_config *config = NULL;
    (void)state;
    dp_text_addf(&json, "{" REGIONS);
    for (int i = 0; i < 150; i++) {
        dp_text_addf(&json, ",\"qqqqqqqqqq%d\":1", i);
    }
    dp_text_addf(&json, "}");
    dp_problems_init(&problems, "f");
    struct dp_config_source source = {.text = dp_text_span(&json)};
    assert_int_equal(dp_config_parse(&source, &problems, &config), DP_EINVAL);
    dp_problems_close(&problems);
    assert_int_equal(problems.errors, 150);
    assert_non_null(strstr(dp_text_str(&problems.text), "qqqqqqqqqq99: unknown key\n"));
    assert_null(strstr(dp_text_str(&problems.text), "qqqqqqqqqq100"));
    assert_non_null(strstr(dp_text_str(&problems.text), "f: and 50 more problems\n"));
    dp_problems_fini(&problems);
    dp_text_fini(&json);
}

/* Every prefix of a document, and every byte of it changed: an answer, never a crash. */
static void test_mangled(void **state)
{
    static const char good[] =
        "{\"listen\":{\"address\":\"::\",\"port\":1},\"regions\":[{\"name\":\"a\",\"url\":"
        "\"http://[::1]:5\",\"credentials\":{\"username\":\"${env:HOME}\",\"password\":"
        "\"${file:/nowhere}\"}}],\"probe\":{\"fall\":1e3},\"admin\":{\"listen\":\"unix:/x\"}}";
    static const char bytes[] = {'\0', '"', '{', '}',  '[', ']',   ':',
                                 '@',  '/', '$', '\\', '9', '\xff'};
    char text[sizeof good];
    (void)state;
    for (size_t i = 0; i < sizeof good; i++) {
        for (size_t j = 0; j < sizeof bytes; j++) {
            memcpy(text, good, sizeof good);
            text[i] = bytes[j];
            size_t n = j == 0 ? i : sizeof good - 1;
            struct dp_problems problems;
            struct dp_config *config = NULL;
            struct dp_config_source source = {.text = {text, n}};
            dp_problems_init(&problems, "f");
            enum dp_err err = dp_config_parse(&source, &problems, &config);
            assert_true((err == DP_OK) == (problems.errors == 0));
            dp_config_destroy(config);
            dp_problems_fini(&problems);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_between_keys),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_too_many_endpoints),
        cmocka_unit_test(test_admin_listen),
        cmocka_unit_test(test_admin_access),
        cmocka_unit_test(test_region_values),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_many_problems_are_cut),
        cmocka_unit_test(test_mangled),
    };
    return cmocka_run_group_tests_name("config_parse", tests, NULL, NULL);
}
