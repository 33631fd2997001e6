/* Commands are run in a session of their own, so that Ctrl-C ends the drill and not the region that it starts again. */
#include "app/drill_act.h"

#include "app/admin_client.h"
#include "app/json_memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#define LOOK_MS 10

/* Which act ------------------------------------------------------------------------------------- */

static void ask(struct dp_act *out, const char *addr, const char *method, const char *path)
{
    dp_text_add(&out->addr, dp_span_str(addr));
    dp_text_add(&out->method, dp_span_str(method));
    dp_text_add(&out->path, dp_span_str(path));
}

static void ask_proxy(struct dp_act *out, const struct dp_drill_plan *plan, const char *method,
                      const char *path)
{
    ask(out, plan->proxy_admin, method, path);
    if (plan->admin_token_file) {
        dp_text_add(&out->token_file, dp_span_str(plan->admin_token_file));
    }
    if (plan->admin_ca_file) {
        dp_text_add(&out->ca_file, dp_span_str(plan->admin_ca_file));
    }
}

static void dump(json_t *json, struct dp_text *out)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (text) {
        dp_text_add(out, dp_span_str(text));
    } else {
        out->failed = true;
    }
    free(text);
    json_decref(json);
}

static const char *hook_of(const struct dp_drill_plan *plan, const struct dp_drill_step *s,
                           bool undo)
{
    if (s->what == DP_DRILL_RUN) {
        return undo ? s->undo : s->run;
    }
    const struct dp_plan_region *r = &plan->regions[s->region];
    if (s->what == DP_DRILL_STOP) {
        return undo ? r->start : r->stop;
    }
    return undo ? r->thaw : r->freeze;
}

static void fault_of_proxy(const struct dp_drill_plan *plan, const struct dp_drill_step *s,
                           bool undo, const struct dp_act_context *context, struct dp_act *out)
{
    const char *region = plan->regions[s->region].name;
    char path[128];
    if (undo) {
        (void)snprintf(path, sizeof path, "/faults/%.80s", region);
        ask_proxy(out, plan, "DELETE", path);
        out->gone_is_good = true;
        return;
    }
    json_t *body =
        json_pack("{s:s, s:s, s:I, s:s}", "region", region, "kind", dp_drill_do_info(s->what)->word,
                  "for_ms", (json_int_t)context->for_ms, "reason", context->reason);
    if (s->what == DP_DRILL_SLOW) {
        (void)json_object_set_new(body, "delay_ms", json_integer((json_int_t)s->delay_ms));
    }
    if (s->share > 0) {
        (void)json_object_set_new(body, "share", json_real(s->share));
    }
    if (s->n_databases) {
        json_t *databases = json_array();
        for (uint16_t i = 0; i < s->n_databases; i++) {
            (void)json_array_append_new(databases, json_string(s->databases[i]));
        }
        (void)json_object_set_new(body, "databases", databases);
    }
    ask_proxy(out, plan, "POST", "/faults");
    dump(body, &out->body);
}

static void fault_of_relay(const struct dp_drill_plan *plan, const struct dp_drill_step *s,
                           bool undo, const struct dp_act_context *context, struct dp_act *out)
{
    const char *relay = plan->regions[s->region].relay;
    char path[128];
    if (undo) {
        (void)snprintf(path, sizeof path, "/fault/%.80s", s->fault_kind);
        ask(out, relay, "DELETE", path);
        out->gone_is_good = true;
        return;
    }
    json_t *body = json_loads(s->fault, 0, NULL);
    (void)json_object_set_new(body, "for_ms", json_integer((json_int_t)context->for_ms));
    ask(out, relay, "PUT", "/fault");
    dump(body, &out->body);
}

static json_t *switch_to(const char *region, const char *reason)
{
    /* The pin ends by itself: from then on the proxy's own rules decide again. */
    return json_pack("{s:s, s:s, s:i}", "region", region, "reason", reason, "ttl_s", 1);
}

static void order_of(const struct dp_drill_plan *plan, const struct dp_drill_step *s, bool undo,
                     const struct dp_act_context *context, struct dp_act *out)
{
    const char *region = plan->regions[s->region].name;
    if (s->what == DP_DRILL_SWITCH && undo) {
        ask_proxy(out, plan, "POST", "/switch");
        dump(switch_to(context->active ? context->active : region, context->reason), &out->body);
        dump(switch_to(region, context->reason), &out->or_body);
        return;
    }
    const char *path = s->what == DP_DRILL_SWITCH ? "/switch" : undo ? "/resume" : "/drain";
    ask_proxy(out, plan, "POST", path);
    dump(json_pack("{s:s, s:s}", "region", region, "reason", context->reason), &out->body);
}

bool dp_act_of(const struct dp_drill_plan *plan, const struct dp_drill_step *step, bool undo,
               const struct dp_act_context *context, struct dp_act *out)
{
    const char *hook;
    unsigned refused = dp_json_memory_refused();
    *out = (struct dp_act){0};
    dp_text_add(&out->title, undo ? DP_SPAN("the undo of ") : DP_SPAN("the command of "));
    dp_text_add(&out->title, dp_span_str(step->name));
    switch (dp_drill_do_info(step->what)->means) {
    case DP_DRILL_HOOK:
        hook = hook_of(plan, step, undo);
        if (!hook) {
            dp_act_fini(out);
            return false;
        }
        dp_text_add(&out->command, dp_span_str(hook));
        break;
    case DP_DRILL_FAULT:
        fault_of_proxy(plan, step, undo, context, out);
        break;
    case DP_DRILL_RELAY:
        fault_of_relay(plan, step, undo, context, out);
        break;
    case DP_DRILL_ORDER:
        order_of(plan, step, undo, context, out);
        break;
    }
    /* jansson leaves out what it had no memory for */
    out->body.failed = out->body.failed || dp_json_memory_refused() != refused;
    return true;
}

void dp_act_fini(struct dp_act *a)
{
    dp_text_fini(&a->command);
    dp_text_fini(&a->addr);
    dp_text_fini(&a->token_file);
    dp_text_fini(&a->ca_file);
    dp_text_fini(&a->method);
    dp_text_fini(&a->path);
    dp_text_fini(&a->body);
    dp_text_fini(&a->or_body);
    dp_text_fini(&a->title);
}

/* Carried out ------------------------------------------------------------------------------------ */

/* 0, or an errno. */
static int spawn(const char *command, int log_fd, int life_fd, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t all_default;
    sigset_t none;
    char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)command, NULL};
    int code = posix_spawn_file_actions_init(&files);
    if (code != 0) {
        return code;
    }
    code = posix_spawnattr_init(&attr);
    if (code != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return code;
    }
    (void)sigfillset(&all_default);
    (void)sigemptyset(&none);
    code = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    code = code ? code : posix_spawn_file_actions_adddup2(&files, log_fd, STDOUT_FILENO);
    code = code ? code : posix_spawn_file_actions_adddup2(&files, log_fd, STDERR_FILENO);
    if (life_fd >= 0) { /* to itself: so it stays open */
        code = code ? code : posix_spawn_file_actions_adddup2(&files, life_fd, life_fd);
    }
    code = code ? code : posix_spawnattr_setsigdefault(&attr, &all_default);
    code = code ? code : posix_spawnattr_setsigmask(&attr, &none);
    code =
        code ? code
             : posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
                                                       POSIX_SPAWN_SETSIGMASK));
    code = code ? code : posix_spawn(pid, "/bin/sh", &files, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return code;
}

static bool explain(char why[DP_ACT_WHY], const struct dp_act *a, const char *what, int n)
{
    (void)snprintf(why, DP_ACT_WHY, "%.160s: %.80s %d", dp_text_str(&a->title), what, n);
    return false;
}

static bool run_command(const struct dp_act *a, uint64_t hook_s, int log_fd, int life_fd,
                        char why[DP_ACT_WHY])
{
    pid_t pid;
    int status = 0;
    int code = spawn(dp_text_str(&a->command), log_fd, life_fd, &pid);
    if (code != 0) {
        return explain(why, a, "cannot be run, errno", code);
    }
    for (uint64_t ms = 0;; ms += LOOK_MS) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return explain(why, a, "cannot be waited for, errno", errno);
        }
        if (ms >= hook_s * 1000) {
            (void)kill(-pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
            }
            return explain(why, a, "was killed: it took longer than hook_s,", (int)hook_s);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    if (WIFSIGNALED(status)) {
        return explain(why, a, "died of signal", WTERMSIG(status));
    }
    return WEXITSTATUS(status) == 0 || explain(why, a, "exit status", WEXITSTATUS(status));
}

/* What the answer says against it. */
static void reason_of(const struct dp_act *a, uint16_t status, const struct dp_text *answer,
                      char why[DP_ACT_WHY])
{
    json_t *json = json_loadb(dp_text_str(answer), answer->n, 0, NULL);
    const char *word = json_string_value(json_object_get(json, "error"));
    const char *reason = json_string_value(json_object_get(json, "reason"));
    (void)snprintf(why, DP_ACT_WHY, "%.8s %.64s%.40s: %u%s%.64s%s%.120s", dp_text_str(&a->method),
                   dp_text_str(&a->addr), dp_text_str(&a->path), (unsigned)status, word ? " " : "",
                   word ? word : "", reason ? ": " : "", reason ? reason : "");
    json_decref(json);
}

/* True: it was carried out. *final: a rule refused it that time does not change. */
static bool call(const struct dp_act *a, const struct dp_text *body, bool *final,
                 char why[DP_ACT_WHY])
{
    struct dp_text answer = {0};
    uint16_t status = 0;
    bool good = false;
    const struct dp_admin_server server = {
        .addr = dp_text_str(&a->addr),
        .token_file = a->token_file.n ? dp_text_str(&a->token_file) : NULL,
        .ca_file = a->ca_file.n ? dp_text_str(&a->ca_file) : NULL};
    *final = false;
    if (dp_admin_send(&server, dp_text_str(&a->method), dp_text_str(&a->path),
                      body->n ? dp_text_str(body) : NULL, &status, &answer, why) == DP_OK) {
        good = (status >= 200 && status < 300) || (status == 404 && a->gone_is_good);
        *final = status == 409 && !strstr(dp_text_str(&answer), "\"error\":\"dwell\"");
        if (!good) {
            reason_of(a, status, &answer, why);
        }
    }
    dp_text_fini(&answer);
    return good;
}

#define PARTS 9

static struct dp_text *part(struct dp_act *a, size_t i)
{
    struct dp_text *const parts[PARTS] = {&a->command, &a->addr,    &a->token_file,
                                          &a->ca_file, &a->method,  &a->path,
                                          &a->body,    &a->or_body, &a->title};
    return parts[i];
}

/* Half an act must not be carried out. */
static bool is_whole(const struct dp_act *a)
{
    struct dp_act copy = *a;
    for (size_t i = 0; i < PARTS; i++) {
        if (part(&copy, i)->failed) {
            return false;
        }
    }
    return true;
}

bool dp_act_run(const struct dp_act *a, uint64_t hook_s, int log_fd, int life_fd,
                char why[DP_ACT_WHY])
{
    static_assert(DP_ACT_WHY >= DP_CLIENT_WHY, "room for what the client says");
    bool final;
    if (!is_whole(a)) {
        (void)snprintf(why, DP_ACT_WHY, "out of memory");
        return false;
    }
    if (a->command.n) {
        return run_command(a, hook_s, log_fd, life_fd, why);
    }
    return call(a, &a->body, &final, why) ||
           (final && a->or_body.n && call(a, &a->or_body, &final, why));
}

/* As a message ------------------------------------------------------------------------------------ */

void dp_act_write(const struct dp_act *a, struct dp_text *out)
{
    struct dp_act copy = *a;
    dp_text_addf(out, "%c", a->gone_is_good ? '1' : '0');
    for (size_t i = 0; i < PARTS; i++) {
        dp_text_add(out, dp_text_span(part(&copy, i)));
        dp_text_add(out, (struct dp_span){"", 1});
    }
    out->failed = out->failed || !is_whole(a);
}

bool dp_act_read(struct dp_span message, struct dp_act *out)
{
    *out = (struct dp_act){0};
    if (message.n < 1) {
        return false;
    }
    out->gone_is_good = message.p[0] == '1';
    struct dp_span rest = {message.p + 1, message.n - 1};
    for (size_t i = 0; i < PARTS; i++) {
        const char *end = rest.n ? memchr(rest.p, '\0', rest.n) : NULL;
        if (!end) {
            dp_act_fini(out);
            return false;
        }
        size_t n = (size_t)(end - rest.p);
        dp_text_add(part(out, i), (struct dp_span){rest.p, n});
        rest = (struct dp_span){end + 1, rest.n - n - 1};
    }
    return true;
}
