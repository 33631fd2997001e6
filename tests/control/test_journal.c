/* The journal's lines, its ring, and what it makes of the files it finds. */
#include "control/journal.h"
#include "control/journal_writer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <uv.h>

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

static const char *const endings[] = {"", ".1", ".2", ".3", ".away", ".state", ".state.new"};

static void path_of(const struct desk *d, const char *ending, char out[128])
{
    (void)snprintf(out, 128, "%s%s", d->path, ending);
}

static int teardown(void **state)
{
    struct desk *d = *state;
    char path[128];
    for (size_t i = 0; i < DP_ARRAY_LEN(endings); i++) {
        path_of(d, endings[i], path);
        (void)unlink(path);
    }
    (void)rmdir(d->path); /* one test makes a folder of it */
    assert_int_equal(rmdir(d->dir), 0);
    free(d);
    return 0;
}

#define LONG_MS 60000 /* what only a hang reaches */

static struct dp_journal *open_sized(const char *path, uint64_t max_bytes, uint32_t keep)
{
    const struct dp_journal_options opt = {
        .path = path, .max_bytes = max_bytes, .keep = keep, .clock = &test_clock};
    struct dp_journal *j = dp_journal_new(&opt);
    assert_non_null(j);
    return j;
}

static struct dp_journal *open_journal(const char *path)
{
    return open_sized(path, 0, 1);
}

static void put(const struct desk *d, const char *text, size_t n)
{
    int fd = open(d->path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    assert_int_equal(close(fd), 0);
}

/* The whole file, NUL ended; the caller frees. */
static char *take_from(const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    return text;
}

static char *take(const struct desk *d)
{
    return take_from(d->path);
}

static void write_one(struct dp_journal *j, uint64_t epoch, const char *region)
{
    const struct dp_kv kv[] = {DP_KV_STR("region", region), DP_KV_INT("count", 3)};
    dp_journal_write(j, epoch, "region_down", kv, 2);
}

static void a_line_is_a_json_object(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = open_journal(d->path);
    assert_int_equal(dp_journal_last_epoch(j), 0);
    write_one(j, 7, "eu\n\"x\"");
    write_one(j, 8, "us");
    assert_true(dp_journal_wait(j, LONG_MS));
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
    struct dp_journal *j = open_journal(d->path);
    uint64_t epoch = dp_journal_last_epoch(j);
    dp_journal_free(j);
    return epoch;
}

#define PUT(d, s) put(d, s, sizeof(s) - 1)

static void the_epoch_goes_on(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = open_journal(d->path);
    write_one(j, 41, "eu");
    dp_journal_free(j);
    assert_int_equal(epoch_found(d), 41);
    PUT(d, "{\"ts\":\"x\",\"epoch\":42,\"event\":\"failover\"}\n{\"ts\":\"2026-1");
    assert_int_equal(epoch_found(d), 42); /* the torn line is passed over */
    j = open_journal(d->path);
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
    put(d, junk, 200000);
    assert_int_equal(epoch_found(d), 9);
    put(d, "\n", 1);
    char *far = calloc(1, 300000);
    memset(far, 'x', 300000);
    put(d, far, 300000); /* a tail without a line in it */
    free(far);
    free(junk);
    assert_int_equal(epoch_found(d), 0);
    PUT(d, "\n{\"epoch\":10}");
    assert_int_equal(epoch_found(d), 10); /* whole, only its newline is missing */
}

static void memory_only(void **state)
{
    (void)state;
    struct dp_journal *j = open_journal(NULL);
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
    struct dp_journal *j = open_journal(d->path);
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

struct log_pipe {
    int ends[2];
};

static struct log_pipe listen_to_log(void)
{
    struct log_pipe p;
    assert_int_equal(pipe2(p.ends, O_NONBLOCK | O_CLOEXEC), 0);
    dp_log_set_fd(p.ends[1]);
    return p;
}

static void leave_log(struct log_pipe p)
{
    dp_log_set_fd(2);
    (void)close(p.ends[0]);
    (void)close(p.ends[1]);
}

static void await_trouble(const struct dp_journal *j)
{
    while (!dp_journal_health(j).troubled)
        (void)usleep(1000);
}

/* However long the disk takes, nobody waits and nothing of it is left out; what comes after is for who has the file next. Taken back,
 * before or after that, the lines of meanwhile follow, and tickets go on. */
static void a_file_is_handed_over_when_the_disk_took_it(void **state)
{
    struct desk *d = *state;
    assert_int_equal(mkdir(d->path, 0700), 0); /* no file can be there */
    struct dp_journal *j = open_journal(d->path);
    write_one(j, 1, "eu");
    await_trouble(j);
    dp_journal_hand_over(j);
    write_one(j, 2, "eu");
    assert_false(dp_journal_handed_over(j));
    assert_int_equal(dp_journal_take_back(j), DP_OK);
    write_one(j, 3, "eu");
    const uint64_t ticket = dp_journal_ticket(j);
    dp_journal_hand_over(j);
    assert_false(dp_journal_handed_over(j) || dp_journal_saved(j, ticket));
    assert_int_equal(rmdir(d->path), 0);
    while (!dp_journal_handed_over(j))
        (void)usleep(1000);
    assert_true(dp_journal_saved(j, ticket));
    write_one(j, 4, "eu");
    assert_int_equal(unlink(d->path), 0); /* the other one moved it */
    assert_int_equal(dp_journal_take_back(j), DP_OK);
    assert_true(dp_journal_ticket(j) > ticket && dp_journal_wait(j, LONG_MS));
    char *text = take(d);
    assert_null(strstr(text, "\"epoch\":3,"));
    assert_non_null(strstr(text, "\"epoch\":4,"));
    free(text);
    dp_journal_free(j);
}

/* In the place of libuv's: the machine may have no thread left. */
static bool no_threads;

int uv_thread_create(uv_thread_t *tid, uv_thread_cb entry, void *arg)
{
    const uv_thread_options_t none = {.flags = UV_THREAD_NO_FLAGS};
    return no_threads ? UV_EAGAIN : uv_thread_create_ex(tid, &none, entry, arg);
}

static void a_file_that_no_thread_takes_back_is_given_up(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = open_journal(d->path);
    write_one(j, 1, "eu");
    dp_journal_hand_over(j);
    while (!dp_journal_handed_over(j))
        (void)usleep(1000);
    write_one(j, 2, "eu");
    no_threads = true;
    assert_int_equal(dp_journal_take_back(j), DP_ENOMEM);
    no_threads = false;
    assert_false(dp_journal_health(j).file);
    write_one(j, 3, "eu");
    struct dp_span lines[4];
    assert_int_equal(dp_journal_lines(j, lines, 4), 3);
    assert_int_equal(dp_journal_ticket(j), 0); /* nobody is to wait for the disk */
    dp_journal_hand_over(j);
    assert_true(dp_journal_handed_over(j));
    assert_int_equal(dp_journal_take_back(j), DP_OK);
    dp_journal_free(j);
}

/* The path is a folder, later none: the journal goes on in memory, complains once, and catches up with every line. */
static void a_file_that_cannot_be_written(void **state)
{
    struct desk *d = *state;
    struct log_pipe log = listen_to_log();
    assert_int_equal(mkdir(d->path, 0700), 0);
    struct dp_journal *j = open_journal(d->path);
    for (uint64_t i = 1; i < 10; i++)
        write_one(j, i, "eu");
    await_trouble(j);
    uint64_t ticket = dp_journal_ticket(j);
    assert_true(ticket > 0 && !dp_journal_saved(j, ticket));
    struct dp_span lines[20];
    assert_int_equal(dp_journal_lines(j, lines, 20), 9);
    assert_int_equal(rmdir(d->path), 0);
    write_one(j, 10, "eu");
    assert_true(dp_journal_wait(j, LONG_MS));
    dp_journal_stop(j);
    assert_int_equal(count_in_log(log.ends[0], "journal_not_written"), 1);
    char *text = take(d);
    assert_non_null(strstr(text, "\"epoch\":1,"));
    assert_non_null(strstr(text, "\"epoch\":10,"));
    free(text);
    dp_journal_free(j);
    leave_log(log);
}

static void a_full_disk(void **state)
{
    (void)state;
    struct log_pipe log = listen_to_log();
    struct dp_journal *j = open_journal("/dev/full");
    for (uint64_t i = 1; i < 10; i++)
        write_one(j, i, "eu");
    await_trouble(j);
    struct dp_span lines[20];
    assert_int_equal(dp_journal_lines(j, lines, 20), 9);
    dp_journal_free(j);
    leave_log(log);
}

/* The disk takes half of a line, and later the rest: no line is lost, and the half one spoils none. */
static void a_disk_that_fills_up_within_a_line(void **state)
{
    struct desk *d = *state;
    struct rlimit before, small;
    struct log_pipe log = listen_to_log();
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct dp_journal *j = open_journal(d->path);
    write_one(j, 1, "eu");
    assert_true(dp_journal_wait(j, LONG_MS));
    small = before;
    small.rlim_cur = 130;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    write_one(j, 2, "eu");
    await_trouble(j);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    write_one(j, 3, "eu");
    assert_true(dp_journal_wait(j, LONG_MS));
    dp_journal_free(j);
    assert_int_equal(count_in_log(log.ends[0], "journal_written_again"), 1);
    leave_log(log);
    char *text = take(d);
    struct dp_span rest = dp_span_str(text);
    unsigned whole = 0, torn = 0;
    while (rest.p) {
        struct dp_span line = dp_span_cut(&rest, '\n');
        json_t *doc = json_loadb(line.p, line.n, 0, NULL);
        if (doc)
            assert_int_equal(json_integer_value(json_object_get(doc, "epoch")), ++whole);
        else
            torn += line.n > 0;
        json_decref(doc);
    }
    assert_int_equal(whole, 3);
    assert_int_equal(torn, 1);
    free(text);
    assert_int_equal(epoch_found(d), 3);
}

/* The disk is away for longer than the queue is long: lines are lost, and the file says how many. */
static void an_overflow_is_counted_and_told(void **state)
{
    struct desk *d = *state;
    struct log_pipe log = listen_to_log();
    assert_int_equal(mkdir(d->path, 0700), 0);
    struct dp_journal *j = open_journal(d->path);
    for (uint64_t i = 1; i <= DP_JOURNAL_QUEUE + 50; i++)
        write_one(j, i, "eu");
    assert_int_equal(dp_journal_health(j).lost, 50);
    assert_int_equal(dp_journal_health(j).waiting, DP_JOURNAL_QUEUE);
    assert_int_equal(rmdir(d->path), 0);
    assert_true(dp_journal_wait(j, LONG_MS));
    write_one(j, 5000, "eu");
    dp_journal_free(j);
    assert_int_equal(count_in_log(log.ends[0], "\"journal_overflow\""), 1);
    leave_log(log);
    char *text = take(d);
    const char *told = strstr(text, "\"event\":\"journal_overflow\"");
    assert_non_null(told);
    assert_non_null(strstr(told, "\"lost\":50}\n"));
    assert_non_null(strstr(told, "\"epoch\":5000,"));
    free(text);
}

static uint64_t size_of(const struct desk *d, const char *ending)
{
    struct stat st;
    char path[128];
    path_of(d, ending, path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void it_is_rotated_by_size(void **state)
{
    struct desk *d = *state;
    struct dp_journal *j = open_sized(d->path, 1000, 2);
    for (uint64_t i = 1; i <= 100; i++)
        write_one(j, i, "eu");
    assert_true(dp_journal_wait(j, LONG_MS));
    dp_journal_free(j);
    assert_in_range(size_of(d, ""), 1, 1000);
    assert_in_range(size_of(d, ".1"), 900, 1000);
    assert_in_range(size_of(d, ".2"), 900, 1000);
    assert_int_equal(size_of(d, ".3"), 0);
    /* What the next life finds goes back over the rotation, and so does the epoch where the file is fresh. */
    j = open_sized(d->path, 1000, 2);
    assert_int_equal(dp_journal_last_epoch(j), 100);
    struct dp_span lines[DP_JOURNAL_RING];
    size_t n = dp_journal_lines(j, lines, DP_JOURNAL_RING);
    assert_true(n > 10);
    assert_non_null(memmem(lines[n - 1].p, lines[n - 1].n, "\"epoch\":100,", 12));
    dp_journal_free(j);
    assert_int_equal(unlink(d->path), 0);
    assert_true(epoch_found(d) > 80);
}

static void it_is_reopened_when_it_was_moved_away(void **state)
{
    struct desk *d = *state;
    char away[128];
    path_of(d, ".away", away);
    struct dp_journal *j = open_journal(d->path);
    write_one(j, 1, "eu");
    assert_true(dp_journal_wait(j, LONG_MS));
    assert_int_equal(rename(d->path, away), 0);
    write_one(j, 2, "eu"); /* still into the old one */
    assert_true(dp_journal_wait(j, LONG_MS));
    dp_journal_reopen(j);
    while (access(d->path, F_OK) != 0)
        (void)usleep(1000);
    write_one(j, 3, "eu");
    dp_journal_free(j);
    char *old = take_from(away), *new = take(d);
    assert_non_null(strstr(old, "\"epoch\":2,"));
    assert_null(strstr(old, "\"epoch\":3,"));
    assert_non_null(strstr(new, "\"epoch\":3,"));
    free(old);
    free(new);
}

static void the_state_is_replaced_whole(void **state)
{
    struct desk *d = *state;
    char path[128];
    path_of(d, ".state", path);
    struct dp_journal *j = open_journal(d->path);
    assert_int_equal(dp_journal_state(j).n, 0);
    for (unsigned i = 0; i < 100; i++)
        dp_journal_keep(j, dp_span_str("{\"old\":1}\n"));
    dp_journal_keep(j, dp_span_str("{\"new\":1}\n"));
    assert_true(dp_journal_wait(j, LONG_MS));
    char *text = take_from(path);
    assert_string_equal(text, "{\"new\":1}\n");
    free(text);
    dp_journal_free(j);
    assert_int_equal(size_of(d, ".state.new"), 0);
    j = open_journal(d->path);
    assert_true(dp_span_eq(dp_journal_state(j), DP_SPAN("{\"new\":1}\n")));
    dp_journal_free(j);
}

static void count_line(void *ctx, struct dp_span line)
{
    unsigned *count = ctx;
    assert_true(line.n > 0 && line.p[line.n - 1] == '}');
    (*count)++;
}

static void who_listens_hears_every_line(void **state)
{
    (void)state;
    unsigned count = 0;
    const struct dp_journal_options opt = {.clock = &test_clock, .line = count_line, .ctx = &count};
    struct dp_journal *j = dp_journal_new(&opt);
    write_one(j, 1, "eu");
    write_one(j, 2, "eu");
    assert_int_equal(count, 2);
    assert_int_equal(dp_journal_ticket(j), 0);
    assert_false(dp_journal_health(j).file);
    dp_journal_free(j);
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
        T(a_file_is_handed_over_when_the_disk_took_it),
        T(a_file_that_no_thread_takes_back_is_given_up),
        T(a_file_that_cannot_be_written),
        cmocka_unit_test(a_full_disk),
        T(a_disk_that_fills_up_within_a_line),
        T(an_overflow_is_counted_and_told),
        T(it_is_rotated_by_size),
        T(it_is_reopened_when_it_was_moved_away),
        T(the_state_is_replaced_whole),
        cmocka_unit_test(who_listens_hears_every_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
