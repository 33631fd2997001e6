/* Which requests for another protocol are about it, and which merely offer one. */
#include "davenport/base/arena.h"
#include "davenport/base/attr.h"
#include "davenport/http/upgrade.h"

#include "http_run.h"

static const struct {
    const char *fields;
    bool insists;
} rows[] = {
    {"", false},
    {"Connection: upgrade\r\n", false},
    {"Upgrade: websocket\r\n", false}, /* lost at a hop before: to be ignored */
    {"Connection: keep-alive\r\nUpgrade: websocket\r\n", false},
    {"Connection: upgrade\r\nUpgrade: websocket\r\n", true},
    {"Upgrade: WebSocket\r\nConnection: keep-alive, UPGRADE\r\n", true},
    {"Connection: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nUpgrade: IRC/6.9\r\n", true},
    {"Connection: upgrade\r\nUpgrade: h2c, websocket\r\n", true},
    {"Connection: upgrade\r\nUpgrade: ,\r\n", false},
    {"Connection: upgrade\r\nUpgrade:\r\n", false},
    {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", false},
    {"Connection: upgrade\r\nUpgrade: H2C\r\n", false},
    {"Connection: upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n", false},
    {"Connection: upgrade\r\nUpgrade: TLSx\r\n", true},
    {"Connection: upgrade\r\nUpgrade: h2cx\r\n", true},
    {"Connection: upgraded\r\nUpgrade: websocket\r\n", false},
};

static bool insists(const char *fields, int minor)
{
    const struct dp_reader_limits limits = DEFAULT_LIMITS;
    struct dp_arena_cache cache;
    struct dp_arena arena;
    struct dp_head head;
    char text[512];
    size_t used;
    const int n =
        snprintf(text, sizeof(text), "GET / HTTP/1.%d\r\nHost: a\r\n%s\r\n", minor, fields);
    dp_arena_cache_init(&cache, 1);
    dp_arena_init(&arena, &cache);
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
    assert_non_null(r);
    dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
    assert_int_equal(dp_reader_head(r, text, (size_t)n, &used), DP_READ_DONE);
    const bool yes = dp_upgrade_insists(&head);
    dp_reader_destroy(r);
    dp_arena_reset(&arena);
    dp_arena_cache_fini(&cache);
    return yes;
}

static void test_what_is_no_mere_offer(void **state)
{
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        if (insists(rows[i].fields, 1) != rows[i].insists)
            fail_msg("%s", rows[i].fields);
    }
}

static void test_1_0_upgrades_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++)
        assert_false(insists(rows[i].fields, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_mere_offer),
        cmocka_unit_test(test_1_0_upgrades_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
