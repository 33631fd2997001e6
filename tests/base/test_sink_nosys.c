/* The sink when the file refuses: what is in the file is whole lines in their order, and every other one is counted as lost. */
#include "davenport/base/log.h"
#include "davenport/base/sink.h"

#include "support/nosys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LINES 6

static char folder[] = "/tmp/dp-nosys-XXXXXX";
static char path[64], moved[64];

static void give_line(struct dp_sink *s, int i)
{
    struct dp_sink_chunk *c = dp_sink_take(s);
    assert_non_null(c);
    const int n = snprintf(c->p, sizeof(c->p), "line %d\n", i);
    c->n = (size_t)n;
    c->lines = 1;
    dp_sink_give(s, c);
}

/* Lines of the file, which are whole and come after *last. */
static unsigned lines_of(const char *file, int *last)
{
    char line[64];
    unsigned n = 0;
    FILE *f = fopen(file, "re");
    while (f && fgets(line, sizeof(line), f)) {
        int i;
        char end;
        if (sscanf(line, "line %d%c", &i, &end) != 2 || end != '\n' || i <= *last)
            fail_msg("%s: \"%s\"", file, line);
        *last = i;
        n++;
    }
    if (f)
        (void)fclose(f);
    return n;
}

/* The n-th call fails: while lines are written, at a reopening, and at the start, where it is said. */
static bool play(const struct nosys_case *c, unsigned n)
{
    struct dp_sink *s = NULL;
    char why[DP_SINK_WHY];
    int last = -1;
    nosys_at(c->call, n, c->error, 1);
    enum dp_err err = dp_sink_open(path, LINES, 50, &s, why);
    if (err == DP_OK) {
        for (int i = 0; i < LINES; i++) {
            give_line(s, i);
            if (i == LINES / 2) {
                (void)rename(path, moved);
                dp_sink_reopen(s);
            }
        }
        while (dp_sink_lost(s) == 0) { /* all chunks are back: all is written or lost */
            struct dp_sink_chunk *all[LINES];
            unsigned got = 0;
            while (got < LINES && (all[got] = dp_sink_take(s)) != NULL)
                got++;
            for (unsigned k = 0; k < got; k++)
                dp_sink_give(s, all[k]);
            if (got == LINES)
                break;
            (void)usleep(500);
        }
    } else {
        assert_true(c->call == NOSYS_open && why[0] != '\0');
    }
    dp_sink_close(s);
    const bool hit = nosys_happened() > 0;
    nosys_at(c->call, 0, 0, 0);
    unsigned written = lines_of(moved, &last) + lines_of(path, &last);
    if (err == DP_OK && written + (hit && written < LINES ? 1 : 0) != LINES)
        fail_msg("%s %s %u: %u lines", c->name, c->error_name, n, written);
    (void)unlink(path);
    (void)unlink(moved);
    return hit;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    for (struct nosys_case c = {0}; nosys_next(&c);) {
        if (c.call != NOSYS_write && c.call != NOSYS_open)
            continue;
        unsigned n = 1;
        while (play(&c, n))
            assert_true(++n < 50);
        assert_true(n > 1);
    }
}

static int prepare(void **state)
{
    (void)state;
    dp_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/log", folder);
    (void)snprintf(moved, sizeof(moved), "%s/log.1", folder);
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
    return cmocka_run_group_tests_name("sink_nosys", tests, prepare, clean);
}
