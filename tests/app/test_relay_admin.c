/* Faults of a relay as JSON: what is taken, what is refused and with which words, also when memory is short. */
#include "app/relay_admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *read(const char *json)
{
    static char text[DP_RELAY_WHY + 64];
    struct dp_relay_fault f = {.kind = DP_RELAY_FAULTS};
    uint64_t for_ms = 99;
    char why[DP_RELAY_WHY] = "";
    if (!dp_relay_fault_read(dp_span_str(json), &f, &for_ms, why)) {
        assert_int_equal(f.kind, DP_RELAY_FAULTS);
        assert_int_equal(for_ms, 99);
        (void)snprintf(text, sizeof text, "%s", why);
        return text;
    }
    assert_string_equal(why, "");
    (void)snprintf(text, sizeof text, "%s %d%d ms %u +-%u bytes %u for %u",
                   dp_relay_fault_name(f.kind), f.ways[DP_RELAY_TO_SERVER],
                   f.ways[DP_RELAY_TO_CLIENT], (unsigned)f.ms, (unsigned)f.jitter_ms,
                   (unsigned)f.bytes, (unsigned)for_ms);
    return text;
}

static void faults_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *json, *fault;
    } cases[] = {
        {"{\"kind\":\"latency\",\"ms\":800}", "latency 01 ms 800 +-0 bytes 0 for 0"},
        {"{\"for_ms\":9,\"jitter_ms\":3,\"ms\":8,\"direction\":\"both\",\"kind\":\"latency\"}",
         "latency 11 ms 8 +-3 bytes 0 for 9"},
        {"{\"kind\":\"bandwidth\",\"bytes_per_s\":5,\"direction\":\"to_server\"}",
         "bandwidth 10 ms 0 +-0 bytes 5 for 0"},
        {"{\"kind\":\"slice\",\"bytes\":2,\"delay_ms\":4}", "slice 11 ms 4 +-0 bytes 2 for 0"},
        {"{\"kind\":\"blackhole\"}", "blackhole 11 ms 0 +-0 bytes 0 for 0"},
        {"{\"kind\":\"cut\",\"bytes\":0}", "cut 01 ms 0 +-0 bytes 0 for 0"},
        {"{\"kind\":\"half_open\"}", "half_open 10 ms 0 +-0 bytes 0 for 0"},
        {"{\"kind\":\"half_open\",\"direction\":\"to_client\"}",
         "half_open 01 ms 0 +-0 bytes 0 for 0"},
        {"{\"kind\":\"reset\",\"for_ms\":3600000}", "reset 00 ms 0 +-0 bytes 0 for 3600000"},
        {"{\"kind\":\"refuse\"}", "refuse 00 ms 0 +-0 bytes 0 for 0"},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        assert_string_equal(read(cases[i].json), cases[i].fault);
    }
}

static void the_rest_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const char object[] =
        "the body must be a JSON object like {\"kind\":\"latency\",\"ms\":800}";
    static const char kinds[] = "kind must be one of latency, bandwidth, slice, blackhole, cut, "
                                "half_open, reset, refuse";
    static const char direction[] = "direction must be \"to_server\", \"to_client\" or \"both\"";
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"", object},
        {"[]", object},
        {"{\"kind\":\"reset\"", object},
        {"{\"kind\":\"reset\",\"kind\":\"refuse\"}", object},
        {"{}", kinds},
        {"{\"kind\":7}", kinds},
        {"{\"kind\":\"Reset\"}", kinds},
        {"{\"kind\":\"latency\"}", "a fault of kind latency needs ms"},
        {"{\"kind\":\"bandwidth\"}", "a fault of kind bandwidth needs bytes_per_s"},
        {"{\"kind\":\"latency\",\"ms\":0}", "ms must be a whole number from 1 to 3600000"},
        {"{\"kind\":\"latency\",\"ms\":-1}", "ms must be a whole number from 1 to 3600000"},
        {"{\"kind\":\"latency\",\"ms\":1.5}", "ms must be a whole number from 1 to 3600000"},
        {"{\"kind\":\"latency\",\"ms\":\"5\"}", "ms must be a whole number from 1 to 3600000"},
        {"{\"kind\":\"reset\",\"for_ms\":3600001}",
         "for_ms must be a whole number from 1 to 3600000"},
        {"{\"kind\":\"reset\",\"ms\":5}", "ms: a fault of kind reset has no such key"},
        {"{\"kind\":\"reset\",\"direction\":\"both\"}",
         "direction: a fault of kind reset has no such key"},
        {"{\"kind\":\"blackhole\",\"direction\":\"up\"}", direction},
        {"{\"kind\":\"blackhole\",\"direction\":null}", direction},
        {"{\"kind\":\"half_open\",\"direction\":\"both\"}",
         "direction must be \"to_server\" or \"to_client\""},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        assert_string_equal(read(cases[i].json), cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_read),
        cmocka_unit_test(the_rest_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
