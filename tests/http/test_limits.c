/* Limits at their exact borders, and what a reader costs a peer that tests its patience. */
#include "http_run.h"

#define LINE "GET / HTTP/1.1\r\n"

static void add_repeated(struct text *t, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text_add(t, &c, 1);
}

static enum dp_err error_of(const struct setup *setup, const struct text *t)
{
    struct result got = run(setup, (struct dp_span){t->p, t->n});
    const enum dp_err err = got.err;
    if (err == DP_OK) {
        assert_int_equal(got.read, DP_READ_DONE);
        assert_int_equal(got.consumed, t->n);
    }
    result_fini(&got);
    return err;
}

/* A head of exactly n bytes. */
static struct text head_of(size_t n)
{
    struct text t = {0};
    text_add_str(&t, LINE "Host: a\r\nX: ");
    add_repeated(&t, 'y', n - t.n - 4);
    text_add_str(&t, "\r\n\r\n");
    assert_int_equal(t.n, n);
    return t;
}

static void test_head_bytes(void **state)
{
    (void)state;
    struct setup setup = REQUESTS;
    setup.limits.head_bytes = 200;
    for (size_t n = 199; n <= 202; n++) {
        struct text t = head_of(n);
        assert_int_equal(error_of(&setup, &t), n <= 200 ? DP_OK : DP_EHEADSIZE);
        free(t.p);
    }
    /* An unfinished head fails with the byte that fills it, not later. */
    struct text t = head_of(300);
    t.n = 199;
    assert_int_equal(error_of(&setup, &t), DP_ETRUNCATED);
    t.n = 200;
    assert_int_equal(error_of(&setup, &t), DP_EHEADSIZE);
    free(t.p);
    /* What stands before the limit counts first, what stands behind it does not. */
    t = head_of(300);
    memcpy(t.p + 150, "\n", 1);
    assert_int_equal(error_of(&setup, &t), DP_EBADREQUEST);
    memcpy(t.p + 150, "y", 1);
    memcpy(t.p + 150, "\0", 1);
    assert_int_equal(error_of(&setup, &t), DP_EBADREQUEST);
    memcpy(t.p + 150, "y", 1);
    memcpy(t.p + 200, "\n", 1);
    assert_int_equal(error_of(&setup, &t), DP_EHEADSIZE);
    memcpy(t.p + 200, "\0", 1);
    assert_int_equal(error_of(&setup, &t), DP_EHEADSIZE);
    free(t.p);
    /* Empty lines before the head do not count. */
    t = (struct text){0};
    struct text head = head_of(200);
    text_add_str(&t, "\r\n\r\n");
    text_add(&t, head.p, head.n);
    assert_int_equal(error_of(&setup, &t), DP_OK);
    free(head.p);
    free(t.p);
}

static void test_head_bytes_of_responses(void **state)
{
    (void)state;
    struct setup setup = RESPONSES_TO(DP_METHOD_HEAD);
    setup.limits.head_bytes = 100;
    for (size_t n = 99; n <= 101; n++) {
        for (int in_reason = 0; in_reason < 2; in_reason++) {
            struct text t = {0};
            text_add_str(&t, in_reason ? "HTTP/1.1 200 " : "HTTP/1.1 200\r\nX:");
            add_repeated(&t, 'y', n - t.n - 4);
            text_add_str(&t, "\r\n\r\n");
            assert_int_equal(error_of(&setup, &t), n <= 100 ? DP_OK : DP_EHEADSIZE);
            free(t.p);
        }
    }
}

static void test_target_bytes(void **state)
{
    (void)state;
    struct setup setup = REQUESTS;
    setup.limits.target_bytes = 50;
    for (size_t n = 49; n <= 51; n++) {
        struct text t = {0};
        text_add_str(&t, "GET /");
        add_repeated(&t, 'y', n - 1);
        text_add_str(&t, " HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(error_of(&setup, &t), n <= 50 ? DP_OK : DP_ETARGETSIZE);
        free(t.p);
        /* as sent: what an absolute-form target is cut to does not matter */
        t = (struct text){0};
        text_add_str(&t, "GET http://a/");
        add_repeated(&t, 'y', n - 9);
        text_add_str(&t, " HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(error_of(&setup, &t), n <= 50 ? DP_OK : DP_ETARGETSIZE);
        free(t.p);
    }
    /* It is said before the fields are there. */
    struct text t = {0};
    text_add_str(&t, "GET /");
    add_repeated(&t, 'y', 50);
    text_add_str(&t, " HTTP/1.1\r\n");
    assert_int_equal(error_of(&setup, &t), DP_ETARGETSIZE);
    free(t.p);
    /* A start line that fills the head. */
    setup.limits = (struct dp_reader_limits){100, 100, 10};
    t = (struct text){0};
    text_add_str(&t, "GET /");
    add_repeated(&t, 'y', 94);
    assert_int_equal(error_of(&setup, &t), DP_ETRUNCATED);
    text_add_str(&t, "y");
    assert_int_equal(error_of(&setup, &t), DP_ETARGETSIZE);
    free(t.p);
}

static void test_headers(void **state)
{
    (void)state;
    struct setup setup = REQUESTS;
    for (uint32_t limit = 1; limit <= 20; limit++) {
        setup.limits.headers = limit;
        for (uint32_t n = limit; n <= limit + 1; n++) {
            struct text t = {0};
            text_add_str(&t, LINE "Host: a\r\n");
            for (uint32_t i = 1; i < n; i++)
                text_add_str(&t, "X:y\r\n");
            text_add_str(&t, "\r\n");
            assert_int_equal(error_of(&setup, &t), n <= limit ? DP_OK : DP_EHEADSIZE);
            free(t.p);
        }
    }
    setup.limits.headers = 0;
    struct text t = {0};
    text_add_str(&t, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(error_of(&setup, &t), DP_OK);
    free(t.p);
}

#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_trailer_bytes(void **state)
{
    (void)state;
    struct setup setup = REQUESTS;
    setup.limits.head_bytes = sizeof(CHUNKED) - 1;
    for (size_t n = setup.limits.head_bytes - 1; n <= setup.limits.head_bytes + 1; n++) {
        struct text t = {0};
        text_add_str(&t, CHUNKED "0\r\nX:");
        add_repeated(&t, 'y', n - 6);
        text_add_str(&t, "\r\n\r\n");
        assert_int_equal(error_of(&setup, &t), n <= setup.limits.head_bytes ? DP_OK : DP_EHEADSIZE);
        free(t.p);
    }
    /* as many short lines */
    struct text t = {0};
    text_add_str(&t, CHUNKED "0\r\n");
    for (size_t i = 0; i < setup.limits.head_bytes / 4; i++)
        text_add_str(&t, "X:\r\n");
    text_add_str(&t, "\r\n");
    assert_int_equal(error_of(&setup, &t), DP_EHEADSIZE);
    free(t.p);
    struct setup answer = RESPONSES_TO(DP_METHOD_GET);
    answer.limits.head_bytes = 50;
    t = (struct text){0};
    text_add_str(&t, "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX:");
    add_repeated(&t, 'y', 50);
    assert_int_equal(error_of(&answer, &t), DP_EHEADSIZE);
    free(t.p);
}

/* The whole of a long body, in pieces of a prime size. */
static enum dp_err error_of_long(const struct text *t)
{
    const struct setup setup = REQUESTS;
    struct result got = run_cut(&setup, (struct dp_span){t->p, t->n}, 4093, 4093);
    const enum dp_err err = got.err;
    result_fini(&got);
    return err;
}

static void test_framing_must_be_paid_for(void **state)
{
    (void)state;
    /* one extension */
    for (size_t n = 16380; n <= 16384; n++) {
        struct text t = {0};
        text_add_str(&t, CHUNKED "1;");
        add_repeated(&t, 'y', n - 4);
        text_add_str(&t, "\r\nx\r\n0\r\n\r\n");
        assert_int_equal(error_of_long(&t), DP_OK);
        free(t.p);
    }
    struct text t = {0};
    text_add_str(&t, CHUNKED "1;");
    add_repeated(&t, 'y', 16381);
    text_add_str(&t, "\r\nx\r\n0\r\n\r\n");
    assert_int_equal(error_of_long(&t), DP_EFRAMING);
    /* many: each costs 100 bytes, a byte of payload pays for 18 of them */
    t.n = 0;
    text_add_str(&t, CHUNKED);
    for (size_t i = 0; i < 300; i++) {
        text_add_str(&t, "1;");
        add_repeated(&t, 'y', 96);
        text_add_str(&t, "\r\nx\r\n");
    }
    text_add_str(&t, "0\r\n\r\n");
    assert_int_equal(error_of_long(&t), DP_EFRAMING);
    /* chunks of one byte pay for themselves, and so do signed ones as some gateways send them */
    t.n = 0;
    text_add_str(&t, CHUNKED);
    for (size_t i = 0; i < 20000; i++)
        text_add_str(&t, "0000000000000001\r\nx\r\n");
    for (size_t i = 0; i < 1000; i++) {
        text_add_str(&t, "64;chunk-signature="
                         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n");
        add_repeated(&t, 'z', 100);
        text_add_str(&t, "\r\n");
    }
    text_add_str(&t, "0\r\n\r\n");
    assert_int_equal(error_of_long(&t), DP_OK);
    free(t.p);
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    const struct dp_reader_limits limits = {32768, 8192, 128};
    struct dp_reader *r = dp_reader_new(DP_READ_REQUESTS, &limits);
    struct dp_arena arena;
    struct dp_head head;
    size_t consumed = 0;
    dp_arena_init(&arena, NULL);
    dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
    assert_int_equal(dp_reader_head(r, LINE "X: ", sizeof(LINE "X: ") - 1, &consumed),
                     DP_READ_MORE);
    enum dp_read read = DP_READ_MORE;
    size_t sent = 0;
    while (read == DP_READ_MORE) {
        read = dp_reader_head(r, "y", 1, &consumed);
        sent++;
    }
    assert_int_equal(dp_reader_error(r), DP_EHEADSIZE);
    assert_int_equal(sent, 32768 - (sizeof(LINE "X: ") - 1));
    assert_true(arena.total_bytes <= 2 * 32768);
    dp_reader_destroy(r);
    dp_arena_reset(&arena);

    /* A small head in one piece takes one small block, whatever comes behind it. */
    struct text t = {0};
    text_add_str(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    add_repeated(&t, 'b', 100000);
    r = dp_reader_new(DP_READ_REQUESTS, &limits);
    dp_arena_init(&arena, NULL);
    for (size_t cut = 1; cut <= 60; cut++) {
        dp_reader_begin(r, &arena, &head, DP_METHOD_OTHER);
        read = dp_reader_head(r, t.p, cut, &consumed);
        if (read == DP_READ_MORE)
            read = dp_reader_head(r, t.p + cut, t.n - cut, &consumed);
        assert_int_equal(read, DP_READ_DONE);
        assert_true(arena.total_bytes <= DP_ARENA_FIRST_BYTES);
        dp_arena_reset(&arena);
    }
    dp_reader_destroy(r);
    free(t.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_bytes),        cmocka_unit_test(test_head_bytes_of_responses),
        cmocka_unit_test(test_target_bytes),      cmocka_unit_test(test_headers),
        cmocka_unit_test(test_trailer_bytes),     cmocka_unit_test(test_framing_must_be_paid_for),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
