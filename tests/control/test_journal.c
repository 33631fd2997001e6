/* The journal's lines, its ring, and what it makes of the files it finds. */
#include "control/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

struct desk {
    char dir[64], path[96];
};

static uint64_t mono_ns(void *ctx)
{
    (void)ctx;
    return 0;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return INT64_C(1795381384567);
}

static const struct dp_clock test_clock = {.mono_ns = mono_ns, .wall_ms = wall_ms};

static int setup(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    (void)snprintf(d->dir, sizeof(d->dir), "/tmp/davenport-journal-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    (void)snprintf(d->path, sizeof(d->path), "%s/journal.jsonl", d->dir);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct desk *d = *state;
    (void)chmod(d->dir, 0700);
    (void)unlink(d->path);
    (void)rmdir(d->path); /* one test makes a folder of it */
    assert_int_equal(rmdir(d->dir), 0);
    free(d);
    return 0;
}

static void put(const struct desk *d, const char *text, size_t n)
{
    int fd = open(d->path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    assert_int_equal(close(fd), 0);
}

/* The whole file, NUL ended; the caller frees. */
static char *take(const struct desk *d)
{
    int fd = open(d->path, O_RDONLY);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    return text;
}

static void write_one(struct dp_journal *j, uint64_t epoch, const char *region)
{
    const struct dp_kv kv[] = {DP_KV_STR("region", region), DP_KV_INT("count", 3)};
    dp_journal_write(j, epoch, "region_down", kv, 2);
}

static void a_line_is_a_json_object(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = dp_journal_new(d->path, &test_clock);
    assert_non_null(j);
    assert_int_equal(dp_journal_last_epoch(j), 0);
    write_one(j, 7, "eu\n\"x\"");
    write_one(j, 8, "us");
    char *text = take(d);
    assert_string_equal(
        text, "{\"ts\":\"2026-11-22T21:03:04.567Z\",\"epoch\":7,\"event\":\"region_down\","
              "\"region\":\"eu\\u000a\\\"x\\\"\",\"count\":3}\n"
              "{\"ts\":\"2026-11-22T21:03:04.567Z\",\"epoch\":8,\"event\":\"region_down\","
              "\"region\":\"us\",\"count\":3}\n");
    free(text);
    struct stat st;
    assert_int_equal(stat(d->path, &st), 0);
    assert_int_equal(st.st_mode & 07, 0); /* not for the world */
    struct dp_span lines[4];
    assert_int_equal(dp_journal_lines(j, lines, 4), 2);
    assert_null(memchr(lines[1].p, '\n', lines[1].n));
    assert_int_equal(dp_journal_lines(j, lines, 1), 1);
    assert_non_null(memmem(lines[0].p, lines[0].n, "\"epoch\":8", 9)); /* the newest */
    dp_journal_free(j);
}

static uint64_t epoch_found(const struct desk *d)
{
    struct dp_journal *j = dp_journal_new(d->path, &test_clock);
    assert_non_null(j);
    uint64_t epoch = dp_journal_last_epoch(j);
    dp_journal_free(j);
    return epoch;
}

#define PUT(d, s) put(d, s, sizeof(s) - 1)

static void the_epoch_goes_on(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = dp_journal_new(d->path, &test_clock);
    write_one(j, 41, "eu");
    dp_journal_free(j);
    assert_int_equal(epoch_found(d), 41);
    PUT(d, "{\"ts\":\"x\",\"epoch\":42,\"event\":\"failover\"}\n{\"ts\":\"2026-1");
    assert_int_equal(epoch_found(d), 42); /* the torn line is passed over */
    j = dp_journal_new(d->path, &test_clock);
    write_one(j, 43, "eu"); /* and closed */
    dp_journal_free(j);
    assert_int_equal(epoch_found(d), 43);
    char *text = take(d);
    assert_non_null(strstr(text, "{\"ts\":\"2026-1\n{\"ts\""));
    free(text);
}

static void strange_files(void **state)
{
    struct desk *d = *state;
    PUT(d, "");
    assert_int_equal(epoch_found(d), 0);
    PUT(d, "\n\n\n");
    assert_int_equal(epoch_found(d), 0);
    PUT(d, "not json\n{\"epoch\":\"9\"}\n{\"epoch\":-3}\n[1]\n\0\377\n");
    assert_int_equal(epoch_found(d), 0);
    PUT(d, "{\"epoch\":9}\n");
    assert_int_equal(epoch_found(d), 9);
    char *junk = calloc(1, 200000);
    memset(junk, 'x', 200000);
    put(d, junk, 200000); /* a tail without a line in it */
    free(junk);
    assert_int_equal(epoch_found(d), 0);
    PUT(d, "\n{\"epoch\":10}");
    assert_int_equal(epoch_found(d), 10); /* whole, only its newline is missing */
}

static void memory_only(void **state)
{
    (void)state;
    struct dp_journal *j = dp_journal_new(NULL, &test_clock);
    struct dp_span lines[DP_JOURNAL_RING + 10];
    assert_int_equal(dp_journal_lines(j, lines, DP_JOURNAL_RING), 0);
    for (uint64_t i = 1; i <= DP_JOURNAL_RING + 50; i++)
        write_one(j, i, "eu");
    assert_int_equal(dp_journal_lines(j, lines, DP_JOURNAL_RING + 10), DP_JOURNAL_RING);
    for (size_t i = 0; i < DP_JOURNAL_RING; i++) {
        json_t *doc = json_loadb(lines[i].p, lines[i].n, 0, NULL);
        assert_non_null(doc);
        assert_int_equal(json_integer_value(json_object_get(doc, "epoch")), i + 51);
        json_decref(doc);
    }
    dp_journal_free(j);
}

static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = dp_journal_new(d->path, &test_clock);
    char *huge = calloc(1, 10001);
    memset(huge, 'h', 10000);
    const struct dp_kv kv[] = {DP_KV_STR("region", "eu"), DP_KV_STR("reason", huge)};
    dp_journal_write(j, 5, "region_down", kv, 2);
    free(huge);
    struct dp_span line;
    assert_int_equal(dp_journal_lines(j, &line, 1), 1);
    json_t *doc = json_loadb(line.p, line.n, 0, NULL);
    assert_non_null(doc);
    assert_true(json_is_true(json_object_get(doc, "cut")));
    assert_string_equal(json_string_value(json_object_get(doc, "region")), "eu");
    assert_null(json_object_get(doc, "reason"));
    json_decref(doc);
    dp_journal_free(j);
}

/* What the log says, through a pipe. */
static size_t count_in_log(int fd, const char *word)
{
    char text[8192];
    size_t count = 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

/* The path is a folder, later none: the journal goes on in memory, complains once, and catches up. */
static void a_file_that_cannot_be_written(void **state)
{
    struct desk *d = *state;
    int log[2];
    assert_int_equal(pipe2(log, O_NONBLOCK | O_CLOEXEC), 0);
    dp_log_set_fd(log[1]);
    assert_int_equal(mkdir(d->path, 0700), 0);
    struct dp_journal *j = dp_journal_new(d->path, &test_clock);
    assert_non_null(j);
    for (uint64_t i = 1; i < 10; i++)
        write_one(j, i, "eu");
    assert_int_equal(count_in_log(log[0], "journal_not_written"), 1);
    struct dp_span lines[20];
    assert_int_equal(dp_journal_lines(j, lines, 20), 9);
    assert_int_equal(rmdir(d->path), 0);
    PUT(d, "{\"epoch\":77}\n"); /* somebody put the right file there meanwhile */
    write_one(j, 10, "eu");
    assert_int_equal(count_in_log(log[0], "journal_written_again"), 1);
    assert_int_equal(dp_journal_last_epoch(j), 77);
    dp_journal_free(j);
    dp_log_set_fd(2);
    (void)close(log[0]);
    (void)close(log[1]);
}

static void a_full_disk(void **state)
{
    (void)state;
    int log[2];
    assert_int_equal(pipe2(log, O_NONBLOCK | O_CLOEXEC), 0);
    dp_log_set_fd(log[1]);
    struct dp_journal *j = dp_journal_new("/dev/full", &test_clock);
    assert_non_null(j);
    for (uint64_t i = 1; i < 10; i++)
        write_one(j, i, "eu");
    assert_int_equal(count_in_log(log[0], "journal_not_written"), 1);
    struct dp_span lines[20];
    assert_int_equal(dp_journal_lines(j, lines, 20), 9);
    dp_journal_free(j);
    dp_log_set_fd(2);
    (void)close(log[0]);
    (void)close(log[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_line_is_a_json_object),
        T(the_epoch_goes_on),
        T(strange_files),
        cmocka_unit_test(memory_only),
        T(a_line_that_is_too_long_is_cut_and_says_so),
        T(a_file_that_cannot_be_written),
        cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
