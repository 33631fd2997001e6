/* What tags say of time is never later than what was answered was asked, and in feeds that stay open never later than what the
 * region told of itself meanwhile. */
#include "davenport/couch/seqmaps.h"

#include "couch/seq_encode.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n"
    "{\"results\":[],\"last_seq\":\"5-g1\",\"pending\":0}";

static uint64_t now_s(const struct rig *r)
{
    return (uint64_t)dp_clock_wall_ms(&r->clock) / 1000;
}

/* Asked in one region, and some seconds later in another: it was asked when it was asked first. */
static void the_first_attempt_counts(void **state)
{
    (void)state;
    struct rig r;
    char want[96];
    rig_init(&r, 2);
    r.config.tags_sequences = true;
    r.config.sequence_settle_s = 60;
    rig_start(&r);
    rig_wait(&r, 1000000);
    struct rig_peer *client = rig_client(&r);
    rig_send(client, "GET /db/_changes HTTP/1.1\r\nHost: a\r\n\r\n");
    struct rig_peer *first = rig_dialed(&r, 1);
    rig_connect(first, DP_OK);
    const uint64_t asked_s = now_s(&r);
    rig_wait(&r, 3000);
    rig_end(first, DP_ERESET);
    struct rig_peer *second = rig_dialed(&r, 2);
    rig_connect(second, DP_OK);
    assert_true(now_s(&r) > asked_s);
    rig_send(second, answer);
    (void)snprintf(want, sizeof(want), "\"5-g1~r1.%llu.%llu\"", (unsigned long long)asked_s,
                   (unsigned long long)asked_s - 60);
    if (!strstr(client->got, want))
        fail_msg("no %s in %s", want, client->got);
    rig_fini(&r);
}

/* The region's look, asked for now: maps come as they do from the control plane. */
static void look(struct rig *r, struct dp_seqmaps *maps, unsigned seq)
{
    const unsigned both[] = {seq, seq}, node[] = {0, 0};
    char token[ENCODED_MAX];
    encode_seq(both, node, "uu", token);
    dp_seqmaps_look(maps, DP_SPAN("db"), DP_SPAN("r0"), dp_span_str(token),
                    dp_clock_wall_ms(&r->clock), dp_clock_mono_ns(&r->clock));
    dp_engine_adopt_sequences(&r->engine, dp_seqmaps_view(maps));
}

static struct dp_seqmaps *maps_of(const char *from)
{
    const struct dp_seqmaps_config config = {.databases = 4, .marks = 4, .min_age_ms = 1000};
    const struct dp_seqmaps_mark mark = {.database = DP_SPAN("db"),
                                         .from = dp_span_str(from),
                                         .to = DP_SPAN("r9"),
                                         .token = DP_SPAN("1"),
                                         .read_ms = 1};
    struct dp_seqmaps *maps = dp_seqmaps_new(&config);
    assert_non_null(maps);
    assert_int_equal(dp_seqmaps_add(maps, &mark), DP_OK);
    return maps;
}

/* One line of a feed; *tag: what stands behind its token in what the client got. */
static void line(struct rig_peer *up, const struct rig_peer *client, unsigned seq, char tag[64])
{
    const unsigned both[] = {seq, seq}, node[] = {0, 0};
    char token[ENCODED_MAX], text[2 * ENCODED_MAX], chunk[3 * ENCODED_MAX];
    encode_seq(both, node, "uu", token);
    const int n = snprintf(text, sizeof(text), "{\"seq\":\"%s\",\"id\":\"a\"}\n", token);
    (void)snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)n, text);
    rig_send(up, chunk);
    const char *last = strrchr(client->got, '~');
    assert_non_null(last);
    (void)snprintf(tag, 64, "%.*s", (int)strcspn(last, "\""), last);
}

static struct rig_peer *feed(struct rig *r, const char *target, struct rig_peer **client)
{
    char head[512];
    rig_init(r, 1);
    r->config.tags_sequences = true;
    r->config.sequence_settle_s = 2;
    rig_start(r);
    rig_wait(r, 1000000);
    *client = rig_client(r);
    (void)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    rig_send(*client, head);
    struct rig_peer *up = rig_dialed(r, 1);
    rig_connect(up, DP_OK);
    rig_send(up, "HTTP/1.1 200 OK\r\nDate: D\r\nTransfer-Encoding: chunked\r\n\r\n");
    return up;
}

static void an_open_feed_is_renewed(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *client;
    char tag[64], want[64];
    struct rig_peer *up = feed(&r, "/db/_changes?feed=continuous&since=1-g1~r0.900", &client);
    struct dp_seqmaps *maps = maps_of("r0");
    look(&r, maps, 5); /* before nodes agree: it counts for nothing */
    line(up, client, 5, tag);
    assert_string_equal(tag, "~r0.900");
    rig_wait(&r, 3000);
    const uint64_t first_s = now_s(&r);
    look(&r, maps, 6);
    line(up, client, 5, tag); /* not there yet; and not looked at again at once */
    line(up, client, 6, tag);
    rig_wait(&r, 200);
    line(up, client, 7, tag); /* the first is passed */
    assert_string_equal(tag, "~r0.900");
    rig_wait(&r, 1000);
    look(&r, maps, 8);
    line(up, client, 7, tag);
    rig_wait(&r, 200);
    line(up, client, 8, tag);
    (void)snprintf(want, sizeof(want), "~r0.%llu", (unsigned long long)first_s);
    assert_string_equal(tag, want);
    line(up, client, 9, tag);
    assert_string_equal(tag, want);
    dp_seqmaps_free(maps);
    rig_fini(&r);
}

/* Whatever the region tells. */
static void what_is_not_renewed(void **state)
{
    static const struct {
        const char *target, *from;
    } rows[] = {
        {"/db/_changes?feed=continuous&filter=a/b&since=1-g1~r0.900", "r0"},
        {"/db/_changes?feed=continuous&descending=true&since=1-g1~r0.900", "r0"},
        {"/db2/_changes?feed=continuous&since=1-g1~r0.900", "r0"},
        {"/db/_changes?feed=continuous&since=1-g1~r0.900", "r1"}, /* no mark from here */
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        struct rig r;
        struct rig_peer *client;
        char tag[64];
        struct rig_peer *up = feed(&r, rows[i].target, &client);
        struct dp_seqmaps *maps = maps_of(rows[i].from);
        for (unsigned k = 5; k < 9; k++) {
            rig_wait(&r, 3000);
            look(&r, maps, k);
            line(up, client, k, tag);
            assert_string_equal(tag, "~r0.900");
        }
        dp_seqmaps_free(maps);
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_attempt_counts),
                                       cmocka_unit_test(an_open_feed_is_renewed),
                                       cmocka_unit_test(what_is_not_renewed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
