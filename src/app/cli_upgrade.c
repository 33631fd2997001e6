/* `davenport upgrade`: SIGUSR2 to the process that answers, and what comes of it. The signal is the permission: who may send it
 * is the process's own user or root, on its machine. No admin address starts a program. */
#include "davenport/base/clock.h"
#include "davenport/base/span.h"

#include "app/admin_client.h"
#include "app/cli.h"
#include "app/cli_ask.h"
#include "app/instance.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

/* More than the old process gives the new one: CHECK_MS + START_MS + LET_GO_MS + TAKE_MS of upgrade.c are 250 s. */
#define WAIT_MS  270000
#define EVERY_US 100000

struct look {
    long pid;
    char instance[DP_INSTANCE_TEXT];
    char version[64];
};

static void read_status(const json_t *answer, struct look *out)
{
    const char *version = json_string_value(json_object_get(answer, "version"));
    const char *instance = json_string_value(json_object_get(answer, "instance"));
    out->pid = (long)json_integer_value(json_object_get(answer, "pid"));
    (void)snprintf(out->instance, sizeof out->instance, "%s", instance ? instance : "");
    (void)snprintf(out->version, sizeof out->version, "%s", version ? version : "?");
}

/* The answer of `path`, or NULL: in the moment of taking over the old process closes what it has not answered yet. */
static json_t *try_get(const struct dp_admin_server *server, const char *path)
{
    struct dp_text answer = {0};
    char why[DP_CLIENT_WHY];
    uint16_t status = 0;
    json_t *json = NULL;
    if (dp_admin_call(server, path, NULL, &status, &answer, why) == DP_OK && status == 200) {
        json = json_loadb(dp_text_str(&answer), answer.n, 0, NULL);
    }
    dp_text_fini(&answer);
    return json;
}

/* How many upgrades were refused by now, and why the last one was. -1: it was not told. */
static int refusals(const struct dp_admin_server *server, struct dp_text *why)
{
    json_t *events = try_get(server, "/events");
    int n = events ? 0 : -1;
    size_t i;
    json_t *event;
    json_array_foreach (events, i, event) {
        const char *name = json_string_value(json_object_get(event, "event"));
        const char *detail = json_string_value(json_object_get(event, "detail"));
        if (name && strcmp(name, "upgrade_refused") == 0) {
            n++;
            dp_text_clear(why);
            dp_text_add(why, dp_span_str(detail ? detail : ""));
        }
    }
    json_decref(events);
    return n;
}

static bool is_davenport(long pid)
{
    char path[64];
    char target[4096];
    (void)snprintf(path, sizeof path, "/proc/%ld/exe", pid);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) {
        return errno == EACCES; /* another user's: the signal will tell */
    }
    target[n] = '\0';
    const char *name = strrchr(target, '/');
    return name && strncmp(name, "/davenport", 10) == 0;
}

/* A pid is one of this machine only, and of this container; and what listens there may tell any. A version before this one
 * does not tell which process it is: then the program's name has to do. */
static bool is_here(const struct look *look)
{
    char instance[DP_INSTANCE_TEXT];
    return *look->instance
               ? dp_instance_of(look->pid, instance) && dp_instance_same(instance, look->instance)
               : is_davenport(look->pid);
}

static bool ask_process(const struct look *before)
{
    const long pid = before->pid;
    if (pid <= 1 || !is_here(before)) {
        dp_cli_error("process %ld, which answers there, is none of this machine: run this "
                     "where the proxy runs",
                     pid);
        return false;
    }
    if (kill((pid_t)pid, SIGUSR2) != 0) {
        dp_cli_error("SIGUSR2 to process %ld: %s%s", pid, strerror(errno),
                     errno == EPERM ? "; run this as the proxy's user, or as root" : "");
        return false;
    }
    return true;
}

static void tell_done(const struct look *before, const struct look *now, bool json,
                      struct dp_text *out)
{
    if (json) {
        json_t *root = json_pack("{s:b, s:I, s:s, s:I, s:s}", "upgraded", 1, "pid",
                                 (json_int_t)now->pid, "version", now->version, "pid_before",
                                 (json_int_t)before->pid, "version_before", before->version);
        dp_text_json(out, root, JSON_INDENT(2));
        json_decref(root);
    } else {
        dp_text_addf(out,
                     "upgraded: process %ld (%s) took over from %ld (%s), which finishes what it "
                     "has begun\n",
                     now->pid, now->version, before->pid, before->version);
    }
}

static int wait_for_it(const struct dp_admin_server *server, const struct look *before, int refused,
                       bool json)
{
    const uint64_t by = dp_clock_mono_ns(&dp_clock_system) + WAIT_MS * DP_NS_PER_MS;
    struct dp_text why = {0};
    struct dp_text text = {0};
    struct look now;
    int code = DP_EXIT_UNREACHABLE;
    for (bool going = true; going && dp_clock_mono_ns(&dp_clock_system) < by;) {
        (void)usleep(EVERY_US);
        json_t *status = try_get(server, "/status");
        if (!status) {
            continue;
        }
        read_status(status, &now);
        json_decref(status);
        if (now.pid != before->pid) {
            tell_done(before, &now, json, &text);
            code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
            going = false;
        } else if (refusals(server, &why) > refused) {
            dp_cli_error("refused, process %ld stays the service: %s", before->pid,
                         dp_text_str(&why));
            code = DP_EXIT_REFUSED;
            going = false;
        }
    }
    if (code == DP_EXIT_UNREACHABLE) {
        dp_cli_error("nobody at %s tells how it ended: see the log of process %ld", server->addr,
                     before->pid);
    }
    dp_text_fini(&why);
    dp_text_fini(&text);
    return code;
}

int dp_cli_upgrade(const struct dp_cli_call *call)
{
    struct dp_text addr = {0};
    struct dp_text why = {0};
    struct dp_admin_server server;
    struct look before;
    json_t *status = NULL;
    int code = DP_EXIT_FAILED;
    if (dp_cli_admin(call, &addr, &server)) {
        code = dp_cli_ask(&server, "/status", NULL, &status);
    }
    if (code == DP_EXIT_OK) {
        read_status(status, &before);
        const int refused = refusals(&server, &why);
        code = refused >= 0 && ask_process(&before)
                   ? wait_for_it(&server, &before, refused, dp_cli_value(call, "json") != NULL)
                   : DP_EXIT_FAILED;
    }
    json_decref(status);
    dp_text_fini(&why);
    dp_text_fini(&addr);
    return code;
}
