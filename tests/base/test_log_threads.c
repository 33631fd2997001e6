/* Lines of several threads never mix. */
#include "base/log_pipe.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS 4
#define LINES   1500

static void *writer(void *arg)
{
    static const char text[4000] = {'a'}; /* then zeros: they make the longest lines */
    const int *id = arg;
    for (int i = 0; i < LINES; i++)
        dp_log(DP_LOG_INFO, "line", DP_KV_INT("thread", *id), DP_KV_INT("i", i),
               DP_KV_SPAN("text", ((struct dp_span){text, (size_t)(i * 7 % 600)})),
               DP_KV_INT("end", i));
    return NULL;
}

/* Turn levels on and off and change nothing: the lines are above all of them. */
static void *fiddler(void *arg)
{
    (void)arg;
    for (int i = 0; i < LINES; i++)
        dp_log_set_level(i % 2 ? DP_LOG_DEBUG : DP_LOG_INFO);
    return NULL;
}

struct reading {
    int fd;
    char *text;
    size_t n, cap;
};

static void *reader(void *arg)
{
    struct reading *r = arg;
    for (;;) {
        if (r->cap - r->n < 65536) {
            r->cap = 2 * r->cap + 65536;
            r->text = realloc(r->text, r->cap);
            if (!r->text)
                abort();
        }
        ssize_t n = read(r->fd, r->text + r->n, r->cap - r->n);
        if (n <= 0)
            return NULL;
        r->n += (size_t)n;
    }
}

static void test_whole_lines(void **state)
{
    (void)state;
    pthread_t threads[THREADS], fiddling, reading;
    int ids[THREADS], next[THREADS] = {0};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct reading r = {.fd = fds[0]};
    dp_log_set_fd(fds[1]);
    assert_int_equal(pthread_create(&reading, NULL, reader, &r), 0);
    assert_int_equal(pthread_create(&fiddling, NULL, fiddler, NULL), 0);
    for (int t = 0; t < THREADS; t++) {
        ids[t] = t;
        assert_int_equal(pthread_create(&threads[t], NULL, writer, &ids[t]), 0);
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    assert_int_equal(pthread_join(fiddling, NULL), 0);
    dp_log_set_fd(STDERR_FILENO);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(pthread_join(reading, NULL), 0);
    assert_int_equal(close(fds[0]), 0);
    for (size_t at = 0; at < r.n;) {
        const char *end = memchr(r.text + at, '\n', r.n - at);
        assert_non_null(end);
        size_t len = (size_t)(end - (r.text + at)) + 1;
        json_t *root = parse_line(r.text + at, len);
        json_int_t t = json_integer_value(json_object_get(root, "thread"));
        json_int_t i = json_integer_value(json_object_get(root, "i"));
        assert_in_range(t, 0, THREADS - 1);
        assert_int_equal(i, next[t]); /* in its thread's order, none lost */
        next[t]++;
        assert_int_equal(json_string_length(json_object_get(root, "text")), i * 7 % 600);
        assert_int_equal(json_integer_value(json_object_get(root, "end")), i);
        json_decref(root);
        at += len;
    }
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(next[t], LINES);
    free(r.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
