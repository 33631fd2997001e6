/* Tokens of a real CouchDB 3.4.3 (seq_tokens.json, recorded with what they decode to), and what is none. */
#include "davenport/base/attr.h"
#include "davenport/couch/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

static json_t *recorded(void)
{
    json_error_t e;
    json_t *all = json_load_file(DP_TEST_SOURCE_DIR "/tests/couch/seq_tokens.json", 0, &e);
    if (!all)
        fail_msg("%s: %s", e.source, e.text);
    return all;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void check_shard(const struct dp_seq_shard *s, const json_t *want)
{
    char range[32];
    (void)snprintf(range, sizeof(range), "%08x-%08x", s->first, s->last);
    assert_string_equal(range, text(want, "range"));
    assert_int_equal(s->seq, json_integer_value(json_object_get(want, "seq")));
    assert_int_equal(s->node.n, strlen(text(want, "node")));
    assert_memory_equal(s->node.p, text(want, "node"), s->node.n);
    assert_int_equal(s->uuid_n, strlen(text(want, "uuid")));
    assert_memory_equal(s->uuid, text(want, "uuid"), s->uuid_n);
    assert_int_equal(s->epoch_node.n, strlen(text(want, "epoch_node")));
    assert_memory_equal(s->epoch_node.p, text(want, "epoch_node"), s->epoch_node.n);
}

static void test_recorded_tokens(void **state)
{
    (void)state;
    struct dp_seq s;
    json_t *all = recorded();
    assert_true(json_array_size(all) >= 50);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *t = json_array_get(all, i), *shards = json_object_get(t, "decoded");
        assert_int_equal(dp_seq_parse(dp_span_str(text(t, "token")), &s), DP_OK);
        assert_false(s.plain);
        assert_int_equal(s.n, json_array_size(shards));
        for (uint16_t k = 0; k < s.n; k++)
            check_shard(&s.shards[k], json_array_get(shards, k));
        assert_int_equal(dp_seq_compare(&s, &s) == DP_SEQ_UNKNOWN,
                         s.shards[0].uuid_n == 0 && s.shards[0].seq > 0);
    }
    json_decref(all);
}

/* Every cut and every changed byte is an error or a token, and reads nothing that is not there. */
static void test_damaged_tokens(void **state)
{
    (void)state;
    struct dp_seq s;
    json_t *all = recorded();
    for (size_t i = 0; i < json_array_size(all); i += 9) {
        const char *token = text(json_array_get(all, i), "token");
        const size_t n = strlen(token);
        for (size_t at = 0; at < n; at++) {
            char *cut = malloc(at + 1), *changed = malloc(n);
            assert_non_null(cut);
            assert_non_null(changed);
            memcpy(cut, token, at);
            memcpy(changed, token, n);
            changed[at] = changed[at] == 'A' ? 'B' : 'A';
            enum dp_err err = dp_seq_parse((struct dp_span){cut, at}, &s);
            assert_true(err == DP_EINVAL || (err == DP_OK && s.plain));
            err = dp_seq_parse((struct dp_span){changed, n}, &s);
            assert_true(err == DP_EINVAL || err == DP_OK || err == DP_ELIMIT);
            free(cut);
            free(changed);
        }
    }
    json_decref(all);
}

static void test_plain_numbers(void **state)
{
    (void)state;
    struct dp_seq five, seven, none;
    assert_int_equal(dp_seq_parse(DP_SPAN("5"), &five), DP_OK);
    assert_int_equal(dp_seq_parse(DP_SPAN("7"), &seven), DP_OK);
    assert_true(five.plain);
    assert_int_equal(dp_seq_compare(&seven, &five), DP_SEQ_AT_OR_PAST);
    assert_int_equal(dp_seq_compare(&five, &five), DP_SEQ_AT_OR_PAST);
    assert_int_equal(dp_seq_compare(&five, &seven), DP_SEQ_BEFORE);
    static const char *const bad[] = {
        "",     "now",        "-5", "5-",           "5-!",   "5-g1",       "5-A",
        "5-gw", "x-g1AAAACX", "5x", "5-g2wAAAAAag", "5-g2o", "5-g1AAAAAA", "5-g1D_____eJwDAAAAAAE"};
    for (size_t i = 0; i < DP_ARRAY_LEN(bad); i++)
        assert_int_equal(dp_seq_parse(dp_span_str(bad[i]), &none) == DP_OK, false);
    assert_int_equal(dp_seq_parse(dp_span_str("0-g2wAAAABaANkAAFubAAAAAJhAWECamEDag"), &none),
                     DP_OK);
    assert_int_equal(dp_seq_compare(&five, &none), DP_SEQ_UNKNOWN);
}

static struct dp_seq_shard shard(uint32_t first, uint64_t seq, const char *uuid, const char *node)
{
    struct dp_seq_shard s = {.first = first, .last = first + 9, .seq = seq};
    s.uuid_n = (uint8_t)strlen(uuid);
    memcpy(s.uuid, uuid, s.uuid_n);
    s.node.n = s.epoch_node.n = (uint8_t)strlen(node);
    memcpy(s.node.p, node, s.node.n);
    memcpy(s.epoch_node.p, node, s.node.n);
    return s;
}

static void test_order(void **state)
{
    (void)state;
    static struct dp_seq mark, s;
    mark.n = s.n = 2;
    mark.shards[0] = shard(0, 5, "u1", "a");
    mark.shards[1] = shard(10, 7, "u2", "a");
    s = mark;
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_AT_OR_PAST);
    s.shards[0] = mark.shards[1]; /* in another order */
    s.shards[1] = mark.shards[0];
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_AT_OR_PAST);
    s.shards[1].seq = 6;
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_AT_OR_PAST);
    s.shards[0].seq = 6; /* past in one, before in the other */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_BEFORE);
    s.shards[0].seq = 9;
    s.shards[0].uuid[0] = 'x'; /* made anew */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_UNKNOWN);
    s.shards[0] = shard(10, 9, "u2", "b"); /* another node's copy */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_UNKNOWN);
    s.shards[0] = shard(10, 9, "", "a"); /* does not say of what */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_UNKNOWN);
    s.shards[0] = shard(20, 9, "u2", "a"); /* another range */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_UNKNOWN);
    s.shards[0] = shard(10, 0, "", "a"); /* nothing was read of it yet */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_BEFORE);
    mark.shards[1].seq = 0; /* and there is nothing to read */
    assert_int_equal(dp_seq_compare(&s, &mark), DP_SEQ_AT_OR_PAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_tokens),
        cmocka_unit_test(test_damaged_tokens),
        cmocka_unit_test(test_plain_numbers),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
