/* Steps as commands and requests; commands that are carried out; the guard, which undoes what a dead drill left. */
#include "app/drill_guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct dp_drill_plan plan = {
    .proxy_admin = "127.0.0.1:2",
    .n_regions = 2,
    .regions = {{.name = "left",
                 .stop = "kill left",
                 .start = "start left",
                 .freeze = "stop it",
                 .thaw = "go on",
                 .relay = "unix:/tmp/r"},
                {.name = "right"}},
};

static const char *told(struct dp_drill_step step, bool undo, const char *active)
{
    static char text[512];
    struct dp_act act;
    const struct dp_act_context context = {.active = active, .reason = "drill x", .for_ms = 5000};
    if (!dp_act_of(&plan, &step, undo, &context, &act)) {
        return "nothing";
    }
    (void)snprintf(text, sizeof text, "%s%s %s%s %s%s%s", dp_text_str(&act.command),
                   dp_text_str(&act.method), dp_text_str(&act.addr), dp_text_str(&act.path),
                   dp_text_str(&act.body), act.or_body.n ? " or " : "", dp_text_str(&act.or_body));
    dp_act_fini(&act);
    return text;
}

static void acts_of_steps(void **state)
{
    (void)state;
    struct dp_drill_step s = {.what = DP_DRILL_STOP};
    assert_string_equal(told(s, false, NULL), "kill left  ");
    assert_string_equal(told(s, true, NULL), "start left  ");
    s.what = DP_DRILL_FREEZE;
    assert_string_equal(told(s, false, NULL), "stop it  ");
    assert_string_equal(told(s, true, NULL), "go on  ");
    s = (struct dp_drill_step){.what = DP_DRILL_RUN, .region = DP_DRILL_NO_REGION, .run = "date"};
    assert_string_equal(told(s, false, NULL), "date  ");
    assert_string_equal(told(s, true, NULL), "nothing");
    s = (struct dp_drill_step){.what = DP_DRILL_DARK, .n_databases = 2, .databases = {"a*", "b"}};
    assert_string_equal(
        told(s, false, NULL),
        "POST 127.0.0.1:2/faults {\"region\":\"left\",\"kind\":\"dark\",\"for_ms\":5000,"
        "\"reason\":\"drill x\",\"databases\":[\"a*\",\"b\"]}");
    assert_string_equal(told(s, true, NULL), "DELETE 127.0.0.1:2/faults/left ");
    s = (struct dp_drill_step){.what = DP_DRILL_SLOW, .delay_ms = 800, .share = 0.5};
    assert_string_equal(
        told(s, false, NULL),
        "POST 127.0.0.1:2/faults {\"region\":\"left\",\"kind\":\"slow\",\"for_ms\":5000,"
        "\"reason\":\"drill x\",\"delay_ms\":800,\"share\":0.5}");
    s = (struct dp_drill_step){
        .what = DP_DRILL_RELAY_FAULT, .fault = "{\"kind\":\"reset\"}", .fault_kind = "reset"};
    assert_string_equal(told(s, false, NULL),
                        "PUT unix:/tmp/r/fault {\"kind\":\"reset\",\"for_ms\":5000}");
    assert_string_equal(told(s, true, NULL), "DELETE unix:/tmp/r/fault/reset ");
    s = (struct dp_drill_step){.what = DP_DRILL_SWITCH, .region = 1};
    assert_string_equal(told(s, false, "left"),
                        "POST 127.0.0.1:2/switch {\"region\":\"right\",\"reason\":\"drill x\"}");
    assert_string_equal(
        told(s, true, "left"),
        "POST 127.0.0.1:2/switch {\"region\":\"left\",\"reason\":\"drill x\",\"ttl_s\":1} or "
        "{\"region\":\"right\",\"reason\":\"drill x\",\"ttl_s\":1}");
    s = (struct dp_drill_step){.what = DP_DRILL_DRAIN};
    assert_string_equal(told(s, false, NULL),
                        "POST 127.0.0.1:2/drain {\"region\":\"left\",\"reason\":\"drill x\"}");
    assert_string_equal(told(s, true, NULL),
                        "POST 127.0.0.1:2/resume {\"region\":\"left\",\"reason\":\"drill x\"}");
}

static void as_a_message(void **state)
{
    struct dp_act act;
    struct dp_act back;
    struct dp_text message = {0};
    (void)state;
    const struct dp_drill_step s = {.what = DP_DRILL_SWITCH, .region = 1};
    const struct dp_act_context context = {.active = "left", .reason = "drill x"};
    assert_true(dp_act_of(&plan, &s, true, &context, &act));
    dp_act_write(&act, &message);
    for (size_t n = 0; n < message.n; n++) { /* cut anywhere it is none */
        assert_false(dp_act_read((struct dp_span){message.p, n}, &back));
    }
    assert_true(dp_act_read(dp_text_span(&message), &back));
    assert_string_equal(dp_text_str(&back.addr), dp_text_str(&act.addr));
    assert_string_equal(dp_text_str(&back.body), dp_text_str(&act.body));
    assert_string_equal(dp_text_str(&back.or_body), dp_text_str(&act.or_body));
    dp_act_fini(&back);
    dp_act_fini(&act);
    dp_text_fini(&message);
}

/* ---- carried out ---- */

static char folder[] = "/tmp/davenport-drill-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static bool run(const char *command, uint64_t hook_s, char why[DP_ACT_WHY])
{
    struct dp_act act = {0};
    why[0] = '\0';
    dp_text_add(&act.command, dp_span_str(command));
    dp_text_add(&act.title, DP_SPAN("the command of x"));
    bool good = dp_act_run(&act, hook_s, STDERR_FILENO, -1, why);
    dp_act_fini(&act);
    return good;
}

static void commands(void **state)
{
    char why[DP_ACT_WHY];
    (void)state;
    assert_true(run("exit 0", 10, why));
    assert_false(run("exit 3", 10, why));
    assert_string_equal(why, "the command of x: exit status 3");
    assert_false(run("kill -9 $$", 10, why));
    assert_string_equal(why, "the command of x: died of signal 9");
    assert_false(run("sleep 600", 1, why));
    assert_string_equal(why, "the command of x: was killed: it took longer than hook_s, 1");
    /* What this process ignores, a region that it starts does not. */
    void (*before)(int) = signal(SIGINT, SIG_IGN);
    assert_false(run("kill -INT $$", 10, why));
    assert_string_equal(why, "the command of x: died of signal 2");
    (void)signal(SIGINT, before);
    /* what it leaves behind does not hold it up */
    assert_true(run("sleep 600 & echo $! >/dev/null; kill $!", 10, why));
}

static void nobody_answers(void **state)
{
    char why[DP_ACT_WHY];
    struct dp_act act = {0};
    (void)state;
    dp_text_add(&act.method, DP_SPAN("DELETE"));
    dp_text_add(&act.addr, DP_SPAN("unix:/nonexistent"));
    dp_text_add(&act.path, DP_SPAN("/fault"));
    assert_false(dp_act_run(&act, 1, STDERR_FILENO, -1, why));
    assert_non_null(strstr(why, "unix:/nonexistent"));
    dp_act_fini(&act);
}

/* ---- the guard ---- */

static void hold(struct dp_guard *g, uint16_t id, const char *word)
{
    struct dp_act act = {0};
    dp_text_addf(&act.command, "echo %s >>%s/told", word, folder);
    assert_true(dp_guard_hold(g, id, &act));
    dp_act_fini(&act);
}

static void tidies(void *ctx, const enum dp_guard_own own[DP_DRILL_REGIONS])
{
    static const char *const words[] = {"unknown", "own", "another's"};
    char path[64];
    (void)snprintf(path, sizeof path, "%s/told", (const char *)ctx);
    FILE *f = fopen(path, "a");
    if (f) {
        (void)fprintf(f, "tidy: %s, %s, %s\n", words[own[0]], words[own[1]], words[own[2]]);
        (void)fclose(f);
    }
}

/* A drill in a process of its own; its guard is its child, so this one waits for both by the pipe that both hold. */
static const char *drill(void (*body)(struct dp_guard *g))
{
    static char text[256];
    char path[64];
    int fds[2];
    char byte;
    (void)snprintf(path, sizeof path, "%s/told", folder);
    (void)unlink(path);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct dp_guard g;
        (void)close(fds[0]);
        if (!freopen("/dev/null", "w", stderr)) {
            _exit(9);
        }
        const struct dp_guard_duty duty = {
            .hook_s = 10, .log_fd = STDERR_FILENO, .tidy = tidies, .ctx = folder};
        if (!dp_guard_start(&g, &duty)) {
            _exit(1);
        }
        body(&g);
        _exit(0);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    (void)close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    FILE *f = fopen(path, "r");
    text[0] = '\0';
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        (void)fclose(f);
    }
    return text;
}

static void dies(struct dp_guard *g)
{
    hold(g, 0, "zero");
    hold(g, 127, "last");
    hold(g, 5, "five");
    dp_guard_release(g, 127);
    (void)kill(getpid(), SIGKILL);
}

/* Killed by the very command that begins the step, which goes on: what undoes it has to wait. */
static void dies_in_between(struct dp_guard *g)
{
    char why[DP_ACT_WHY];
    struct dp_act act = {0};
    hold(g, 0, "zero");
    dp_guard_begun(g, 0);
    hold(g, 1, "one");
    dp_text_addf(&act.command, "kill -9 $PPID; sleep 0.5; echo begun >>%s/told", folder);
    if (dp_act_run(&act, 10, STDERR_FILENO, g->life_fd, why)) {
        hold(g, 2, "it lives on");
    }
}

/* What a command leaves behind holds nobody up once it is over itself. */
static void leaves_something_behind(struct dp_guard *g)
{
    char why[DP_ACT_WHY];
    struct dp_act act = {0};
    hold(g, 0, "zero");
    dp_text_addf(&act.command,
                 "cd %s; (for i in $(seq 80); do [ -s told ] && break; sleep 0.1; done; echo late "
                 ">>told) &",
                 folder);
    if (!dp_act_run(&act, 10, STDERR_FILENO, g->life_fd, why)) {
        hold(g, 2, why);
    }
    dp_guard_begun(g, 0);
    dp_act_fini(&act);
    (void)kill(getpid(), SIGKILL);
}

static void leaves_a_database(struct dp_guard *g)
{
    if (!dp_guard_prepares(g)) {
        hold(g, 1, "no guard");
    }
    dp_guard_prepared(g, 0, true);
    dp_guard_prepared(g, 1, false);
    hold(g, 0, "zero");
    (void)kill(getpid(), SIGKILL);
}

static void tidied_up(struct dp_guard *g)
{
    if (!dp_guard_prepares(g)) {
        hold(g, 1, "no guard");
    }
    dp_guard_prepared(g, 0, true);
    dp_guard_tidied(g);
    (void)kill(getpid(), SIGKILL);
}

static void ends_well(struct dp_guard *g)
{
    hold(g, 0, "zero");
    dp_guard_release(g, 0);
    dp_guard_end(g);
}

static void was_interrupted(struct dp_guard *g)
{
    hold(g, 3, "three");
    (void)kill(g->pid, SIGINT);
    (void)kill(g->pid, SIGTERM);
    (void)kill(g->pid, SIGHUP);
}

static void the_guard_undoes_what_the_dead_left(void **state)
{
    (void)state;
    assert_string_equal(drill(dies), "five\nzero\n");
    assert_string_equal(drill(dies_in_between), "begun\none\nzero\n");
    assert_string_equal(drill(leaves_something_behind), "zero\nlate\n");
    assert_string_equal(drill(leaves_a_database), "zero\ntidy: own, another's, unknown\n");
    assert_string_equal(drill(tidied_up), "");
    assert_string_equal(drill(ends_well), "");
    assert_string_equal(drill(was_interrupted), "three\n");
}

static void a_guard_that_is_gone_is_noticed(void **state)
{
    struct dp_guard g;
    struct dp_act act = {0};
    int status;
    (void)state;
    const struct dp_guard_duty duty = {.hook_s = 1, .log_fd = STDERR_FILENO};
    assert_true(dp_guard_start(&g, &duty));
    assert_int_equal(kill(g.pid, SIGKILL), 0);
    assert_int_equal(waitpid(g.pid, &status, 0), g.pid);
    dp_text_add(&act.command, DP_SPAN("true"));
    assert_false(dp_guard_hold(&g, 1, &act));
    dp_act_fini(&act);
    (void)close(g.fd);
    (void)close(g.life_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acts_of_steps),
        cmocka_unit_test(as_a_message),
        cmocka_unit_test(commands),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(the_guard_undoes_what_the_dead_left),
        cmocka_unit_test(a_guard_that_is_gone_is_noticed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
