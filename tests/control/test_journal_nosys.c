/* The journal's writer when the disk refuses: every line is on the disk in the end, whole, in order, and nobody was told so before
 * it was. */
#include "davenport/base/log.h"

#include "control/journal_writer.h"
#include "support/nosys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINES 4

static char folder[] = "/tmp/dp-nosys-XXXXXX";
static char path[64], state_path[64], rotated[64];

static void read_file(const char *file, char *buf, size_t cap)
{
    FILE *f = fopen(file, "re");
    size_t n = f ? fread(buf, 1, cap - 1, f) : 0;
    buf[n] = '\0';
    if (f)
        (void)fclose(f);
}

/* Is line i in it, whole? */
static bool has_line(const char *text, int i)
{
    char line[32];
    (void)snprintf(line, sizeof(line), "{\"line\":%d}\n", i);
    const char *at = strstr(text, line);
    return at && (at == text || at[-1] == '\n');
}

static bool has_lines(int from, int to)
{
    char now[4096], before[4096];
    read_file(path, now, sizeof(now));
    read_file(rotated, before, sizeof(before));
    bool all = true;
    for (int i = from; i <= to; i++)
        all = all && (has_line(now, i) || has_line(before, i));
    return all;
}

static uint64_t write_line(struct dp_journal_writer *w, int i)
{
    char line[32];
    const int n = snprintf(line, sizeof(line), "{\"line\":%d}\n", i);
    uint64_t ticket = dp_journal_writer_line(w, (struct dp_span){line, (size_t)n});
    assert_true(ticket > 0);
    return ticket;
}

static void await(struct dp_journal_writer *w, uint64_t ticket, const struct nosys_case *c)
{
    for (int i = 0; dp_journal_writer_done(w) < ticket; i++) {
        if (i > 6000)
            fail_msg("%s %s: never on the disk", c->name, c->error_name);
        (void)usleep(5000);
    }
}

/* One case: a line that is on the disk already, then lines and a state while the call fails. */
static void play(const struct nosys_case *c)
{
    const struct dp_journal_files files = {
        .path = path, .state_path = state_path, .max_bytes = 40, .keep = 1};
    struct dp_journal_writer *w = dp_journal_writer_new(&files, NULL, NULL);
    char state[64];
    assert_non_null(w);
    await(w, write_line(w, 0), c);
    nosys_at(c->call, 1, c->error, 1);
    uint64_t ticket = 0;
    for (int i = 1; i <= LINES; i++) { /* each told done is there: 40 bytes have room for three */
        ticket = write_line(w, i);
        await(w, ticket, c);
        if (!has_lines(i, i))
            fail_msg("%s %s: line %d was told to be on the disk", c->name, c->error_name, i);
    }
    await(w, dp_journal_writer_state(w, DP_SPAN("{\"state\":1}")), c);
    read_file(state_path, state, sizeof(state));
    assert_string_equal(state, "{\"state\":1}");
    nosys_at(c->call, 0, 0, 0);
    dp_journal_writer_end(w);
    (void)unlink(path);
    (void)unlink(rotated);
    (void)unlink(state_path);
}

static void every_call_may_fail(void **state)
{
    (void)state;
    nosys_pause(); /* the writer's thread is meant */
    for (struct nosys_case c = {0}; nosys_next(&c);) {
        if (c.call == NOSYS_write || c.call == NOSYS_open || c.call == NOSYS_fsync ||
            c.call == NOSYS_rename || c.call == NOSYS_pread)
            play(&c);
    }
    nosys_resume();
}

static int prepare(void **state)
{
    (void)state;
    dp_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/journal", folder);
    (void)snprintf(rotated, sizeof(rotated), "%s/journal.1", folder);
    (void)snprintf(state_path, sizeof(state_path), "%s/state", folder);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_may_fail)};
    return cmocka_run_group_tests_name("journal_nosys", tests, prepare, clean);
}
