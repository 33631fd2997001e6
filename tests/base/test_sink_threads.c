/* The sink: whole lines in their order from several threads, files that move away, files that take nothing. */
#include "davenport/base/log.h"
#include "davenport/base/sink.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FILLERS 4
#define LINES   20000

struct place {
    char folder[64], path[96], moved[96];
};

static void make_place(struct place *p)
{
    (void)snprintf(p->folder, sizeof(p->folder), "/tmp/davenport-sink-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    (void)snprintf(p->path, sizeof(p->path), "%s/log", p->folder);
    (void)snprintf(p->moved, sizeof(p->moved), "%s/log.1", p->folder);
}

static void remove_place(const struct place *p)
{
    (void)unlink(p->path);
    (void)unlink(p->moved);
    assert_int_equal(rmdir(p->folder), 0);
}

static struct dp_sink *open_sink(const char *path, uint32_t chunks)
{
    struct dp_sink *s = NULL;
    char why[DP_SINK_WHY];
    assert_int_equal(dp_sink_open(path, chunks, 50, &s, why), DP_OK);
    return s;
}

struct filler {
    struct dp_sink *sink;
    unsigned index;
};

/* Takes, fills and gives small chunks until all its lines are gone; waits where the sink has none. */
static void *fill(void *arg)
{
    const struct filler *f = arg;
    for (unsigned i = 0; i < LINES;) {
        struct dp_sink_chunk *c = dp_sink_take(f->sink);
        if (!c) {
            (void)usleep(100);
            continue;
        }
        for (unsigned k = 0; k < 100 && i < LINES; k++, i++) {
            int n = snprintf(c->p + c->n, sizeof(c->p) - c->n, "%u %u\n", f->index, i);
            c->n += (size_t)n;
            c->lines++;
        }
        dp_sink_give(f->sink, c);
    }
    return NULL;
}

/* Reads on where the file before it ended. */
static void check_file(const char *path, unsigned next[FILLERS])
{
    char line[64];
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        char *rest;
        unsigned long who = strtoul(line, &rest, 10);
        unsigned long number = strtoul(rest, &rest, 10);
        assert_int_equal(*rest, '\n');
        assert_in_range(who, 0, FILLERS - 1);
        assert_int_equal(number, next[who]);
        next[who]++;
    }
    (void)fclose(f);
}

/* Between the rename and the reopening lines go to the moved file: none is lost, none is in both. */
static void a_rotation_under_load_loses_nothing(void **state)
{
    (void)state;
    struct place p;
    struct filler fillers[FILLERS];
    pthread_t threads[FILLERS];
    unsigned next[FILLERS] = {0};
    make_place(&p);
    struct dp_sink *s = open_sink(p.path, 8);
    for (unsigned i = 0; i < FILLERS; i++) {
        fillers[i] = (struct filler){s, i};
        assert_int_equal(pthread_create(&threads[i], NULL, fill, &fillers[i]), 0);
    }
    struct stat st;
    do {
        assert_int_equal(stat(p.path, &st), 0);
    } while (st.st_size == 0);
    assert_int_equal(rename(p.path, p.moved), 0);
    dp_sink_reopen(s);
    for (unsigned i = 0; i < FILLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(dp_sink_lost(s), 0);
    dp_sink_close(s);
    check_file(p.moved, next);
    check_file(p.path, next);
    for (unsigned i = 0; i < FILLERS; i++)
        assert_int_equal(next[i], LINES);
    remove_place(&p);
}

static void put(struct dp_sink *s, const char *text)
{
    struct dp_sink_chunk *c = dp_sink_take(s);
    assert_non_null(c);
    size_t n = strlen(text);
    memcpy(c->p, text, n);
    c->n = n;
    for (size_t i = 0; i < n; i++)
        c->lines += text[i] == '\n';
    dp_sink_give(s, c);
}

static void chunks_are_bounded_and_come_back(void **state)
{
    (void)state;
    struct place p;
    make_place(&p);
    struct dp_sink *s = open_sink(p.path, 2);
    struct dp_sink_chunk *a = dp_sink_take(s), *b = dp_sink_take(s);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(dp_sink_take(s));
    dp_sink_give(s, a); /* empty: free at once */
    a = dp_sink_take(s);
    assert_non_null(a);
    dp_sink_give(s, a);
    dp_sink_give(s, b);
    dp_sink_close(s);
    remove_place(&p);
}

static void a_file_that_cannot_be_opened_is_told(void **state)
{
    (void)state;
    struct dp_sink *s = NULL;
    char why[DP_SINK_WHY];
    assert_int_equal(dp_sink_open("/nonexistent/log", 2, 0, &s, why), DP_EIO);
    assert_string_equal(why, "No such file or directory");
    dp_sink_close(NULL);
}

/* Wait for `text` at the file's end; the test's own time limit ends it otherwise. */
static void wait_for(const char *path, const char *text)
{
    for (;;) {
        char got[256] = "";
        FILE *f = fopen(path, "re");
        if (f) {
            size_t n = fread(got, 1, sizeof(got) - 1, f);
            got[n] = '\0';
            (void)fclose(f);
        }
        if (strcmp(got, text) == 0)
            return;
        (void)usleep(1000);
    }
}

static void a_path_that_cannot_be_reopened_keeps_the_old_file(void **state)
{
    (void)state;
    struct place p;
    make_place(&p);
    struct dp_sink *s = open_sink(p.path, 2);
    put(s, "a\n");
    wait_for(p.path, "a\n");
    assert_int_equal(rename(p.path, p.moved), 0);
    assert_int_equal(mkdir(p.path, 0700), 0); /* a folder stands where the file was */
    dp_log_set_fd(-1);
    dp_sink_reopen(s);
    put(s, "b\n");
    wait_for(p.moved, "a\nb\n");
    dp_sink_close(s);
    dp_log_set_fd(2);
    assert_int_equal(rmdir(p.path), 0);
    remove_place(&p);
}

/* A file that may not grow: what went into it counts, the torn line does not, and the next one is whole. */
static void a_full_disk_is_counted_and_spoils_no_later_line(void **state)
{
    (void)state;
    struct place p;
    struct rlimit before, small;
    make_place(&p);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 7;
    struct dp_sink *s = open_sink(p.path, 4);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    dp_log_set_fd(-1);
    put(s, "one\ntwo\nthree\n"); /* "one\ntwo" fits */
    while (dp_sink_lost(s) != 2)
        (void)usleep(1000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    put(s, "four\n");
    wait_for(p.path, "one\ntwo\nfour\n");
    assert_int_equal(dp_sink_lost(s), 2);
    dp_sink_close(s);
    dp_log_set_fd(2);
    remove_place(&p);
}

/* The end does not wait for a reader that never comes. */
static void a_pipe_nobody_reads_does_not_hold_up_the_end(void **state)
{
    (void)state;
    struct place p;
    make_place(&p);
    assert_int_equal(mkfifo(p.path, 0600), 0);
    int reader = open(p.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    struct dp_sink *s = open_sink(p.path, 4);
    dp_log_set_fd(-1);
    for (unsigned i = 0; i < 4; i++) {
        struct dp_sink_chunk *c = dp_sink_take(s);
        assert_non_null(c);
        memset(c->p, 'x', sizeof(c->p));
        c->p[sizeof(c->p) - 1] = '\n';
        c->n = sizeof(c->p);
        c->lines = 1;
        dp_sink_give(s, c);
    }
    dp_sink_close(s);
    dp_log_set_fd(2);
    (void)close(reader);
    remove_place(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_under_load_loses_nothing),
        cmocka_unit_test(chunks_are_bounded_and_come_back),
        cmocka_unit_test(a_file_that_cannot_be_opened_is_told),
        cmocka_unit_test(a_path_that_cannot_be_reopened_keeps_the_old_file),
        cmocka_unit_test(a_full_disk_is_counted_and_spoils_no_later_line),
        cmocka_unit_test(a_pipe_nobody_reads_does_not_hold_up_the_end),
    };
    (void)signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
