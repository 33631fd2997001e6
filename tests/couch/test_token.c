/* Sequence tokens get their region's tag where CouchDB's answers carry them, and nowhere else; whole, and cut at
 * every byte, and with the least room for output. */
#include "davenport/base/attr.h"
#include "davenport/couch/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TAG "eu-de"

/* The body through a tagger, in pieces of `piece` bytes, `cap` bytes of room for each. */
static char *tagged(enum dp_tokens kind, const struct dp_token_times *times, struct dp_span body,
                    size_t piece, size_t cap, uint64_t *count)
{
    struct dp_tagger t;
    char *all = malloc(40 * body.n + 2 * DP_TAGGER_ROOM + 1), *out = malloc(cap);
    size_t n = 0;
    assert_non_null(all);
    assert_non_null(out);
    dp_tagger_init(&t, kind, DP_SPAN(TAG), times);
    for (size_t at = 0; at < body.n;) {
        size_t used, left = body.n - at;
        char *copy = malloc(left); /* of that size, so that a look too far is seen */
        assert_non_null(copy);
        memcpy(copy, body.p + at, left);
        size_t written = dp_tagger_run(&t, copy, left < piece ? left : piece, &used, out, cap);
        assert_true(used > 0 && used <= piece && written <= cap);
        memcpy(all + n, out, written);
        free(copy);
        n += written;
        at += used;
    }
    n += dp_tagger_finish(&t, all + n);
    all[n] = '\0';
    *count = t.tagged;
    free(out);
    return all;
}

static void expect_timed(enum dp_tokens kind, const struct dp_token_times *times, const char *body,
                         const char *want, uint64_t count)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7, 63, 64, 65};
    static const size_t caps[] = {DP_TAGGER_ROOM, DP_TAGGER_ROOM + 1, 4096};
    for (size_t i = 0; i < DP_ARRAY_LEN(pieces); i++) {
        for (size_t j = 0; j < DP_ARRAY_LEN(caps); j++) {
            uint64_t tokens;
            char *got = tagged(kind, times, dp_span_str(body), pieces[i], caps[j], &tokens);
            assert_string_equal(got, want);
            assert_int_equal(tokens, count);
            free(got);
        }
    }
}

static void expect(enum dp_tokens kind, const char *body, const char *want, uint64_t count)
{
    expect_timed(kind, NULL, body, want, count);
}

/* Bodies as CouchDB 3.4.3 sends them, tokens shortened. */

static void test_changes(void **state)
{
    (void)state;
    expect(DP_TOKENS_CHANGES,
           "{\"results\":[\n{\"seq\":\"1-g1AA\",\"id\":\"d2\",\"changes\":[{\"rev\":\"1-43\"}]},\n"
           "{\"seq\":\"2-g1AB\",\"id\":\"d0\",\"changes\":[{\"rev\":\"1-6a\"}],\"deleted\":true}\n"
           "],\n\"last_seq\":\"2-g1AB\",\"pending\":0}\n",
           "{\"results\":[\n{\"seq\":\"1-g1AA~eu-de\",\"id\":\"d2\",\"changes\":[{\"rev\":\"1-43\"}"
           "]},\n"
           "{\"seq\":\"2-g1AB~eu-de\",\"id\":\"d0\",\"changes\":[{\"rev\":\"1-6a\"}],\"deleted\":"
           "true}\n"
           "],\n\"last_seq\":\"2-g1AB~eu-de\",\"pending\":0}\n",
           3);
    expect(DP_TOKENS_CHANGES, "{\"results\":[\n\n],\n\"last_seq\":\"3-g1\",\"pending\":0}\n",
           "{\"results\":[\n\n],\n\"last_seq\":\"3-g1~eu-de\",\"pending\":0}\n", 1);
}

/* seq_interval leaves most of them null. */
static void test_null_stays(void **state)
{
    (void)state;
    expect(DP_TOKENS_CHANGES,
           "{\"results\":[{\"seq\":null,\"id\":\"a\",\"changes\":[]}],\"last_seq\":\"9-x\"}",
           "{\"results\":[{\"seq\":null,\"id\":\"a\",\"changes\":[]}],\"last_seq\":\"9-x~eu-de\"}",
           1);
}

static void test_documents_keep_their_own(void **state)
{
    (void)state;
    const char *doc = "{\"seq\":\"mine\",\"last_seq\":7,\"a\":[{\"seq\":1,\"update_seq\":\"u\"}],"
                      "\"t\":\"\\\"seq\\\":\\\"no\\\"\"}";
    char body[512], want[512];
    (void)snprintf(body, sizeof(body),
                   "{\"results\":[{\"seq\":\"5-g\",\"id\":\"seq\",\"changes\":[{\"rev\":\"1-a\"}],"
                   "\"doc\":%s}],\"last_seq\":\"5-g\"}",
                   doc);
    (void)snprintf(want, sizeof(want),
                   "{\"results\":[{\"seq\":\"5-g~eu-de\",\"id\":\"seq\",\"changes\":[{\"rev\":\"1-"
                   "a\"}],\"doc\":%s}],\"last_seq\":\"5-g~eu-de\"}",
                   doc);
    expect(DP_TOKENS_CHANGES, body, want, 2);
    (void)snprintf(
        body, sizeof(body),
        "{\"seq\":\"5-g\",\"id\":\"last_seq\",\"changes\":[{\"rev\":\"1-a\"}],\"doc\":%s}\n", doc);
    (void)snprintf(
        want, sizeof(want),
        "{\"seq\":\"5-g~eu-de\",\"id\":\"last_seq\",\"changes\":[{\"rev\":\"1-a\"}],\"doc\":%s}\n",
        doc);
    expect(DP_TOKENS_LINES, body, want, 1);
    (void)snprintf(body, sizeof(body),
                   "{\"total_rows\":1,\"update_seq\":\"8-g\",\"offset\":0,\"rows\":[{\"id\":"
                   "\"update_seq\",\"key\":[\"update_seq\"],\"value\":%s,\"doc\":%s}]}",
                   doc, doc);
    (void)snprintf(want, sizeof(want),
                   "{\"total_rows\":1,\"update_seq\":\"8-g~eu-de\",\"offset\":0,\"rows\":[{\"id\":"
                   "\"update_seq\",\"key\":[\"update_seq\"],\"value\":%s,\"doc\":%s}]}",
                   doc, doc);
    expect(DP_TOKENS_TOP, body, want, 1);
}

static void test_keys_that_only_end_alike(void **state)
{
    (void)state;
    expect(DP_TOKENS_LINES,
           "{\"xseq\":\"1\",\"\\\"seq\":\"2\",\"\\\\\":\"\\\\seq\",\"seq\":\"3\"}\n",
           "{\"xseq\":\"1\",\"\\\"seq\":\"2\",\"\\\\\":\"\\\\seq\",\"seq\":\"3~eu-de\"}\n", 1);
}

static void test_numbers_become_strings(void **state)
{
    (void)state;
    expect(DP_TOKENS_CHANGES, "{\"results\":[{\"seq\":12,\"id\":\"a\"}],\"last_seq\":12}",
           "{\"results\":[{\"seq\":\"12~eu-de\",\"id\":\"a\"}],\"last_seq\":\"12~eu-de\"}", 2);
    expect(DP_TOKENS_TOP, "{\"db_name\":\"x\",\"update_seq\":0}",
           "{\"db_name\":\"x\",\"update_seq\":\"0~eu-de\"}", 1);
    expect(DP_TOKENS_TOP, "{\"update_seq\" : -1 }", "{\"update_seq\" : \"-1~eu-de\" }", 1);
    expect(DP_TOKENS_TOP, "{\"update_seq\":77", "{\"update_seq\":\"77~eu-de\"",
           1); /* cut short: it ends anyway */
}

static void test_continuous(void **state)
{
    (void)state;
    expect(DP_TOKENS_LINES,
           "{\"seq\":\"1-g\",\"id\":\"d\",\"changes\":[{\"rev\":\"1-4\"}]}\n\n\n{\"last_seq\":\"1-"
           "g\",\"pending\":0}\n",
           "{\"seq\":\"1-g~eu-de\",\"id\":\"d\",\"changes\":[{\"rev\":\"1-4\"}]}\n\n\n{\"last_"
           "seq\":\"1-g~eu-de\",\"pending\":0}\n",
           2);
}

static void test_eventsource(void **state)
{
    (void)state;
    expect(DP_TOKENS_EVENTS,
           "data: "
           "{\"seq\":\"1-g\",\"id\":\"d\",\"changes\":[{\"rev\":\"1-4\"}],\"doc\":{\"t\":\"\\nid: "
           "\\\"x\\\"\"}}\nid: \"1-g\"\n\n"
           "event: heartbeat\ndata: \n\ndata: {\"seq\":\"2-h\",\"id\": \"e\"}\nid: \"2-h\"\n\n",
           "data: "
           "{\"seq\":\"1-g~eu-de\",\"id\":\"d\",\"changes\":[{\"rev\":\"1-4\"}],\"doc\":{\"t\":"
           "\"\\nid: \\\"x\\\"\"}}\nid: \"1-g~eu-de\"\n\n"
           "event: heartbeat\ndata: \n\ndata: {\"seq\":\"2-h~eu-de\",\"id\": \"e\"}\nid: "
           "\"2-h~eu-de\"\n\n",
           4);
}

static void test_database_info(void **state)
{
    (void)state;
    expect(DP_TOKENS_TOP,
           "{\"instance_start_time\":\"1763832\",\"db_name\":\"a\",\"purge_seq\":\"0-g1AA\","
           "\"update_seq\":\"4-g1AC\",\"sizes\":{\"file\":1},\"props\":{}}\n",
           "{\"instance_start_time\":\"1763832\",\"db_name\":\"a\",\"purge_seq\":\"0-g1AA\","
           "\"update_seq\":\"4-g1AC~eu-de\",\"sizes\":{\"file\":1},\"props\":{}}\n",
           1);
    expect(DP_TOKENS_NESTED,
           "[{\"key\":\"update_seq\",\"info\":{\"db_name\":\"a\",\"update_seq\":\"4-g\"}},{\"key\":"
           "\"n\",\"error\":\"not_found\"}]",
           "[{\"key\":\"update_seq\",\"info\":{\"db_name\":\"a\",\"update_seq\":\"4-g~eu-de\"}},{"
           "\"key\":\"n\",\"error\":\"not_found\"}]",
           1);
}

/* A page of _find as recorded (05-views-find, find-page-1), one of a search as Cloudant documents it, the last page. */
static void test_bookmarks(void **state)
{
    (void)state;
    expect(DP_TOKENS_BOOKMARK,
           "{\"docs\":[\r\n{\"_id\":\"d03\",\"bookmark\":\"mine\"}\r\n],\r\n\"bookmark\": "
           "\"g2wAAAACaAJk\",\r\n\"execution_stats\": {\"bookmark\":1}}\r\n",
           "{\"docs\":[\r\n{\"_id\":\"d03\",\"bookmark\":\"mine\"}\r\n],\r\n\"bookmark\": "
           "\"g2wAAAACaAJk~eu-de\",\r\n\"execution_stats\": {\"bookmark\":1}}\r\n",
           1);
    expect(DP_TOKENS_BOOKMARK, "{\"total_rows\":3,\"bookmark\":\"g1AAAA\",\"rows\":[]}",
           "{\"total_rows\":3,\"bookmark\":\"g1AAAA~eu-de\",\"rows\":[]}", 1);
    expect(DP_TOKENS_BOOKMARK, "{\"docs\":[\r\n],\r\n\"bookmark\": \"nil\"}\r\n",
           "{\"docs\":[\r\n],\r\n\"bookmark\": \"nil\"}\r\n", 0);
    expect(DP_TOKENS_BOOKMARK, "{\"bookmark\":\"nilly\",\"b\":\"annil\",\"bookmark\":\"annil\"}",
           "{\"bookmark\":\"nilly~eu-de\",\"b\":\"annil\",\"bookmark\":\"annil~eu-de\"}", 2);
    expect(DP_TOKENS_BOOKMARK, "{\"update_seq\":\"1\",\"bookmark\":null}",
           "{\"update_seq\":\"1\",\"bookmark\":null}", 0);
}

static void test_spaces_and_odd_values(void **state)
{
    (void)state;
    expect(DP_TOKENS_TOP, "{ \"update_seq\"\t:\r\n \"a\\\"b\\\\\" }",
           "{ \"update_seq\"\t:\r\n \"a\\\"b\\\\~eu-de\" }", 1);
    expect(DP_TOKENS_TOP, "{\"update_seq\":[12,\"x\"],\"b\":{\"c\":1}}",
           "{\"update_seq\":[12,\"x\"],\"b\":{\"c\":1}}", 0);
    expect(DP_TOKENS_TOP, "{\"update_seq\":true}", "{\"update_seq\":true}", 0);
    expect(DP_TOKENS_TOP, "{\"a\":\"update_seq\",\"b\":\"c\"}",
           "{\"a\":\"update_seq\",\"b\":\"c\"}", 0);
}

static void test_what_is_no_json_passes(void **state)
{
    (void)state;
    expect(DP_TOKENS_NONE, "{\"seq\":1,\"last_seq\":\"2\"}", "{\"seq\":1,\"last_seq\":\"2\"}", 0);
    expect(DP_TOKENS_CHANGES, "]]]}}}<html>\"\\", "]]]}}}<html>\"\\", 0);
    expect(DP_TOKENS_CHANGES, "", "", 0);
}

#define CHANGES(last, end)                                                                         \
    "{\"results\":[\n{\"seq\":\"1-g" TAGGED "\",\"id\":\"d\"}\n],\n\"last_seq\":\"2-g" last "\"" end

/* Rows inherit the time of the request's token; the end has the request's own where nothing is left behind it. */
static void test_time_of_a_whole_answer(void **state)
{
    (void)state;
    static const struct dp_token_times asked = {{0, 0}, {1764166866, 7}, 1},
                                       both = {{1764166000, 0}, {1764166866, 7}, 1},
                                       begun = {{1764166000, 0}, {1764166000, 8}, UINT64_MAX},
                                       info = {{1764166000, 9}, {0, 0}, UINT64_MAX};
#define TAGGED ""
    const char *whole = CHANGES("", ",\"pending\":0}\n");
#undef TAGGED
#define TAGGED "~eu-de"
    expect_timed(DP_TOKENS_CHANGES, &asked, whole,
                 CHANGES("~eu-de.1764166866.7", ",\"pending\":0}\n"), 2);
#undef TAGGED
#define TAGGED "~eu-de.1764166000"
    expect_timed(DP_TOKENS_CHANGES, &both, whole,
                 CHANGES("~eu-de.1764166866.7", ",\"pending\":0}\n"), 2);
    expect_timed(DP_TOKENS_CHANGES, &begun, whole,
                 CHANGES("~eu-de.1764166000.8", ",\"pending\":0}\n"), 2);
#undef TAGGED
    expect_timed(
        DP_TOKENS_CHANGES, &asked, "{\"results\":[\n\n],\n\"last_seq\":\"3-g\",\"pending\":0}\n",
        "{\"results\":[\n\n],\n\"last_seq\":\"3-g~eu-de.1764166866.7\",\"pending\":0}\n", 1);
    expect_timed(DP_TOKENS_LINES, &both,
                 "{\"seq\":\"1-g\"}\n\n{\"last_seq\":\"1-g\",\"pending\":0}\n",
                 "{\"seq\":\"1-g~eu-de.1764166000\"}\n\n{\"last_seq\":\"1-g~eu-de.1764166866.7\","
                 "\"pending\":0}\n",
                 2);
    expect_timed(DP_TOKENS_EVENTS, &both, "data: {\"seq\":\"2-h\",\"id\": \"e\"}\nid: \"2-h\"\n\n",
                 "data: {\"seq\":\"2-h~eu-de.1764166000\",\"id\": \"e\"}\nid: "
                 "\"2-h~eu-de.1764166000\"\n\n",
                 2);
    expect_timed(DP_TOKENS_TOP, &info, "{\"update_seq\":\"4-g\",\"x\":0}",
                 "{\"update_seq\":\"4-g~eu-de.1764166000.9\",\"x\":0}", 1);
}

/* What follows a last_seq must be exactly the end of an answer that left nothing out. */
static void test_what_proves_nothing(void **state)
{
    (void)state;
    static const struct dp_token_times times = {{7, 0}, {1764166866, 7}, 0};
    static const char *const ends[] = {
        ",\"pending\":1}\n",
        ",\"pending\":10}",
        ",\"pending\":01}",
        ",\"pending\":0",
        ",\"pending\":0,\"x\":1}",
        ",\"pending\":null}",
        ",\"pending\" :0}",
        " ,\"pending\":0}",
        ",\"pendin\":0}",
        ",\"p",
        ",\"",
        ",",
        "",
        "}",
        ",\"pending\":0 }",
        "]",
        ",\"pending\"]",
        ",\"pendin\\\"seq\":0}",
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(ends); i++) {
        char body[256], want[256];
        (void)snprintf(body, sizeof(body), "{\"results\":[],\"last_seq\":\"5-g\"%s", ends[i]);
        (void)snprintf(want, sizeof(want), "{\"results\":[],\"last_seq\":\"5-g~eu-de.7\"%s",
                       ends[i]);
        expect_timed(DP_TOKENS_CHANGES, &times, body, want, 1);
    }
}

/* Looking ahead loses nothing of what else is to be found there. */
static void test_behind_a_last_seq(void **state)
{
    (void)state;
    static const struct dp_token_times times = {{0, 0}, {0, 9}, UINT64_MAX};
    expect_timed(DP_TOKENS_CHANGES, &times,
                 "{\"last_seq\":\"5-g\",\"results\":[{\"seq\":\"1-g\"}]}",
                 "{\"last_seq\":\"5-g~eu-de\",\"results\":[{\"seq\":\"1-g~eu-de\"}]}", 2);
    expect_timed(
        DP_TOKENS_CHANGES, &times, "{\"last_seq\":5,\"pend}\":[{\"seq\":1}],\"last_seq\":\"6\"}",
        "{\"last_seq\":\"5~eu-de\",\"pend}\":[{\"seq\":\"1~eu-de\"}],\"last_seq\":\"6~eu-de.0.9\"}",
        3);
    expect_timed(
        DP_TOKENS_LINES, &times, "{\"last_seq\":\"5-g\",\"seq\":\"6-g\"}\n{\"seq\":\"7-g\"}\n",
        "{\"last_seq\":\"5-g~eu-de\",\"seq\":\"6-g~eu-de\"}\n{\"seq\":\"7-g~eu-de\"}\n", 3);
}

/* PouchDB's servers tell no "pending": all there was came if nothing limited it, or less came than was asked for. */
static void test_time_without_pending(void **state)
{
    (void)state;
    struct dp_token_times times = {{0, 0}, {1764166866, 7}, UINT64_MAX};
    const char *body =
        "{\"results\":[{\"seq\":11,\"id\":\"a\"},{\"seq\":12,\"id\":\"b\"}],\"last_seq\":12}\n";
    const char *whole =
        "{\"results\":[{\"seq\":\"11~eu-de\",\"id\":\"a\"},{\"seq\":\"12~eu-de\",\"id\":\"b\"}],"
        "\"last_seq\":\"12~eu-de.1764166866.7\"}\n";
    const char *part =
        "{\"results\":[{\"seq\":\"11~eu-de\",\"id\":\"a\"},{\"seq\":\"12~eu-de\",\"id\":\"b\"}],"
        "\"last_seq\":\"12~eu-de\"}\n";
    expect_timed(DP_TOKENS_CHANGES, &times, body, whole, 3);
    times.limit = 3;
    expect_timed(DP_TOKENS_CHANGES, &times, body, whole, 3);
    times.limit = 2;
    expect_timed(DP_TOKENS_CHANGES, &times, body, part, 3);
    /* a row whose token is null is a row */
    times.limit = 1;
    expect_timed(DP_TOKENS_CHANGES, &times, "{\"results\":[{\"seq\":null}],\"last_seq\":12}",
                 "{\"results\":[{\"seq\":null}],\"last_seq\":\"12~eu-de\"}", 1);
    times.limit = UINT64_MAX; /* cut short: it may not be all */
    expect_timed(DP_TOKENS_CHANGES, &times, "{\"results\":[],\"last_seq\":12",
                 "{\"results\":[],\"last_seq\":\"12~eu-de\"", 1);
}

static void expect_split(const char *text, const char *token, const char *tag)
{
    struct dp_token t = dp_token_split(dp_span_str(text));
    assert_true(dp_span_eq(t.token, dp_span_str(token)));
    assert_true(dp_span_eq(t.tag, dp_span_str(tag)));
}

static void test_split_time(void **state)
{
    (void)state;
    static const struct {
        const char *text, *tag;
        uint64_t caught_up_s, run_s;
    } cases[] = {
        {"12-g1~eu-de.1764166866", "eu-de", 1764166866, 0},
        {"12-g1~eu-de.1764166866.1764166000", "eu-de", 1764166866, 1764166000},
        {"12-g1~eu-de.0.9", "eu-de", 0, 9},
        {"12-g1~eu-de.1.2.3", "", 0, 0},
        {"\"12-g1~eu-de.1764166866\"", "eu-de", 1764166866, 0},
        {"12-g1~7.8", "7", 8, 0},
        {"12-g1~eu-de.", "", 0, 0},
        {"12-g1~eu-de.x1", "", 0, 0},
        {"12-g1~eu-de.1234567890123", "", 0, 0},
        {"12-g1.5", "", 0, 0},
        {"12-g1~.5", "", 0, 0},
        {".5", "", 0, 0},
        {"~.5", "", 0, 0},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(cases); i++) {
        struct dp_token t = dp_token_split(dp_span_str(cases[i].text));
        assert_true(dp_span_eq(t.tag, dp_span_str(cases[i].tag)));
        assert_int_equal(t.time.caught_up_s, cases[i].caught_up_s);
        assert_int_equal(t.time.run_s, cases[i].run_s);
        if (cases[i].tag[0])
            assert_true(t.token.n < strlen(cases[i].text) && t.token.p[0] == '1');
        else
            assert_true(dp_span_eq(t.token, dp_span_str(cases[i].text)));
    }
}

static void test_split(void **state)
{
    (void)state;
    expect_split("12-g1AAA_-x~eu-de", "12-g1AAA_-x", "eu-de");
    expect_split("\"12-g1AAA~eu-de\"", "12-g1AAA", "eu-de");
    expect_split("12~r1", "12", "r1");
    expect_split("12-g1AAA", "12-g1AAA", "");
    expect_split("\"12-g1\"", "\"12-g1\"", "");
    expect_split("now", "now", "");
    expect_split("", "", "");
    expect_split("0", "0", "");
    expect_split("12-g~", "12-g~", "");
    expect_split("12-g~EU", "12-g~EU", "");
    expect_split("a~b~c", "a~b", "c");
    expect_split("~r1", "", "r1");
    expect_split("\"", "\"", "");
    expect_split("5~aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 "5~aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_null_stays),
        cmocka_unit_test(test_documents_keep_their_own),
        cmocka_unit_test(test_keys_that_only_end_alike),
        cmocka_unit_test(test_numbers_become_strings),
        cmocka_unit_test(test_continuous),
        cmocka_unit_test(test_eventsource),
        cmocka_unit_test(test_database_info),
        cmocka_unit_test(test_bookmarks),
        cmocka_unit_test(test_spaces_and_odd_values),
        cmocka_unit_test(test_what_is_no_json_passes),
        cmocka_unit_test(test_time_of_a_whole_answer),
        cmocka_unit_test(test_what_proves_nothing),
        cmocka_unit_test(test_behind_a_last_seq),
        cmocka_unit_test(test_time_without_pending),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
