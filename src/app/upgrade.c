/* The old process's side, and at the end the few words of the new one's. */
#include "app/upgrade.h"

#include "davenport/app/text.h"
#include "davenport/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

/* Names are looked up and files read: far more than that takes, for what hangs. START: until it asks for the state; TAKE: the
 * new one waits so long for it, and the old one for the new one that has it. */
#define CHECK_MS 60000
#define START_MS 120000
#define TAKE_MS  60000
/* The disk has so long: meanwhile nothing can be ordered. */
#define LET_GO_MS 10000

#define ARGS_MAX       8
#define PATH_MAX_BYTES 4096

enum phase { IDLE, CHECKING, STARTING, LETTING_GO, WAITING, REPLACED };

struct dp_upgrade {
    struct dp_upgrade_options opt;
    enum phase phase;
    char program[PATH_MAX_BYTES]; /* "": unknown */
    struct child *child;          /* from CHECKING on; NULL: none */
    uv_timer_t limit;
    uv_poll_t poll; /* of `pair`, from STARTING on */
    int pair;       /* our end; -1: none */
    int said;       /* what the check writes; -1: none */
    unsigned open;  /* handles */
    bool polling, dead;
};

/* Lives until its end was told, also when nobody waits for it any more. */
struct child {
    uv_process_t process;
    struct dp_upgrade *upgrade;
};

static void read_path(struct dp_upgrade *u)
{
    static const char gone[] = " (deleted)"; /* as the kernel says when another has its place */
    ssize_t n = readlink("/proc/self/exe", u->program, sizeof u->program - 1);
    u->program[n > 0 ? n : 0] = '\0';
    size_t length = strlen(u->program);
    if (length > sizeof gone && strcmp(u->program + length - (sizeof gone - 1), gone) == 0) {
        u->program[length - (sizeof gone - 1)] = '\0';
    }
}

static void handle_closed(struct dp_upgrade *u)
{
    if (--u->open == 0 && u->dead) {
        free(u);
    }
}

static void on_handle_closed(uv_handle_t *h)
{
    handle_closed(h->data);
}

static void on_child_closed(uv_handle_t *h)
{
    struct child *child = h->data;
    handle_closed(child->upgrade);
    free(child);
}

static void close_child(struct child *child)
{
    if (child->upgrade->child == child) {
        child->upgrade->child = NULL;
    }
    uv_close((uv_handle_t *)&child->process, on_child_closed);
}

/* Nobody waits for it any more; on_ended closes it. */
static void kill_child(struct dp_upgrade *u)
{
    if (u->child) {
        (void)uv_process_kill(&u->child->process, SIGKILL);
    }
    u->child = NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/* Whatever belongs to this try. */
static void end_try(struct dp_upgrade *u)
{
    (void)uv_timer_stop(&u->limit);
    if (u->polling) {
        uv_close((uv_handle_t *)&u->poll, on_handle_closed);
    }
    u->polling = false;
    close_fd(&u->pair);
    close_fd(&u->said);
}

static void fail(struct dp_upgrade *u, const char *why)
{
    const bool had_let_go = u->phase == LETTING_GO || u->phase == WAITING;
    end_try(u);
    kill_child(u);
    u->phase = IDLE;
    u->opt.failed(u->opt.ctx, had_let_go, why);
}

/* ---- a process ---- */

static void on_ended(uv_process_t *process, int64_t status, int signal);

/* fds: descriptor i of the new one, -1: none. */
static int spawn(struct dp_upgrade *u, char **args, char **env, const int *fds, size_t n)
{
    uv_stdio_container_t stdio[3 + DP_HANDED_MAX];
    for (size_t i = 0; i < n; i++) {
        stdio[i] = (uv_stdio_container_t){.flags = fds[i] < 0 ? UV_IGNORE : UV_INHERIT_FD,
                                          .data.fd = fds[i]};
    }
    const uv_process_options_t options = {.file = u->program,
                                          .args = args,
                                          .env = env,
                                          .stdio = stdio,
                                          .stdio_count = (int)n,
                                          .exit_cb = on_ended};
    struct child *child = calloc(1, sizeof *child);
    if (!child) {
        return UV_ENOMEM;
    }
    child->upgrade = u;
    child->process.data = child;
    u->child = child;
    u->open++;
    int r = uv_spawn(u->opt.loop, &child->process, &options);
    if (r != 0) { /* it has a handle all the same */
        close_child(child);
    }
    return r;
}

static void on_limit(uv_timer_t *timer)
{
    struct dp_upgrade *u = timer->data;
    fail(u, u->phase == CHECKING ? "the new program's check takes too long"
            : u->phase == LETTING_GO
                ? "journal or state file could not be written in time, for the disk is full or "
                  "hangs; or that of the sequence maps hangs"
                : "the new process is not ready in time; it was ended");
}

/* ---- the check ---- */

static void begin_check(struct dp_upgrade *u)
{
    char check[] = "check", option[] = "-c";
    char *args[ARGS_MAX] = {u->program, check};
    if (u->opt.config_path) {
        args[2] = option;
        args[3] = (char *)(uintptr_t)u->opt.config_path; /* nobody writes there */
    }
    u->said = memfd_create("davenport-check", MFD_CLOEXEC);
    const int fds[] = {-1, u->said, u->said};
    u->phase = CHECKING;
    int r = u->said < 0 ? uv_translate_sys_error(errno) : spawn(u, args, NULL, fds, 3);
    if (r != 0) {
        char why[DP_UPGRADE_WHY];
        (void)snprintf(why, sizeof why, "%.300s: %s", u->program, uv_strerror(r));
        fail(u, why);
        return;
    }
    (void)uv_timer_start(&u->limit, on_limit, CHECK_MS, 0);
}

/* What a person is to read of it: its first lines, as one. */
static void tell_check(struct dp_upgrade *u, int64_t status, int signal)
{
    char why[DP_UPGRADE_WHY];
    char text[DP_UPGRADE_WHY / 2];
    ssize_t n = pread(u->said, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    for (char *c = text; *c; c++) {
        *c = *c == '\n' || *c == '\t' ? ' ' : *c;
    }
    if (signal) {
        (void)snprintf(why, sizeof why, "the new program's check ended by signal %d: %s", signal,
                       text);
    } else {
        (void)snprintf(why, sizeof why, "the new program's check says (exit code %d): %s",
                       (int)status, text);
    }
    fail(u, why);
}

/* ---- the new process ---- */

/* Ours without what is not its own, and with the names of what it inherits; to be freed whole. NULL: out of memory. */
static char **environment(const char *handed)
{
    static const char before[] = DP_HANDED_ENV "=";
    static const char by[] = DP_HANDED_BY_ENV "=";
    static const char *const without[] = {
        "WATCHDOG_PID=", "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", before, by};
    size_t n = 0;
    while (environ[n]) {
        n++;
    }
    const size_t bytes = sizeof before + strlen(handed);
    const size_t by_bytes = sizeof by + 20; /* a number's digits */
    char **env = malloc((n + 3) * sizeof *env + bytes + by_bytes);
    if (!env) {
        return NULL;
    }
    char *ours = (char *)(env + n + 3);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        bool keep = true;
        for (size_t w = 0; w < DP_ARRAY_LEN(without); w++) {
            keep = keep && strncmp(environ[i], without[w], strlen(without[w])) != 0;
        }
        if (keep) {
            env[k++] = environ[i];
        }
    }
    (void)snprintf(ours, bytes, "%s%s", before, handed);
    (void)snprintf(ours + bytes, by_bytes, "%s%ld", by, (long)getpid());
    env[k++] = ours;
    env[k++] = ours + bytes;
    env[k] = NULL;
    return env;
}

/* "traffic:traffic:admin+:before" (app/handed.h), and the descriptors from 3 on. Returns how many there are with the first three. */
static size_t inherited(struct dp_upgrade *u, int pair, int fds[3 + DP_HANDED_MAX],
                        struct dp_text *names)
{
    struct dp_handed_fd all[DP_HANDED_MAX];
    size_t n = u->opt.sockets(u->opt.ctx, all);
    all[n++] = (struct dp_handed_fd){.fd = pair, .kind = DP_HANDED_BEFORE};
    for (int i = 0; i < 3; i++) {
        fds[i] = fcntl(i, F_GETFD) < 0 ? -1 : i;
    }
    for (size_t i = 0; i < n; i++) {
        fds[DP_HANDED_FIRST + i] = all[i].fd;
        dp_text_addf(names, "%s%s%s", i ? ":" : "", dp_handed_name(all[i].kind),
                     all[i].owns_file ? "+" : "");
    }
    return DP_HANDED_FIRST + n;
}

static void on_word(uv_poll_t *poll, int status, int events)
{
    struct dp_upgrade *u = poll->data;
    char word = 0;
    (void)events;
    ssize_t n = status == 0 ? recv(u->pair, &word, 1, MSG_DONTWAIT) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) { /* its end is told by on_ended */
        (void)uv_poll_stop(&u->poll);
    } else if (u->phase == STARTING && word == 't') {
        u->phase = LETTING_GO;
        (void)uv_timer_start(&u->limit, on_limit, LET_GO_MS, 0);
        u->opt.let_go(u->opt.ctx);
    } else if (u->phase == WAITING && word == 'r') {
        const long pid = u->child ? u->child->process.pid : 0;
        end_try(u);
        u->phase = REPLACED;
        if (u->child) {
            close_child(u->child);
        }
        u->opt.replaced(u->opt.ctx, pid);
    } else {
        fail(u, "the new process says what nobody understands");
    }
}

static int start(struct dp_upgrade *u, int pair)
{
    char serve[] = "serve", config[] = "-c", port_file[] = "--port-file";
    char *args[ARGS_MAX] = {u->program, serve};
    size_t n_args = 2;
    int fds[3 + DP_HANDED_MAX];
    struct dp_text names = {0};
    if (u->opt.config_path) {
        args[n_args++] = config;
        args[n_args++] = (char *)(uintptr_t)u->opt.config_path;
    }
    if (u->opt.port_file) {
        args[n_args++] = port_file;
        args[n_args++] = (char *)(uintptr_t)u->opt.port_file;
    }
    const size_t n = inherited(u, pair, fds, &names);
    char **env = names.failed ? NULL : environment(dp_text_str(&names));
    int r = env ? spawn(u, args, env, fds, n) : UV_ENOMEM;
    free(env);
    dp_text_fini(&names);
    return r;
}

/* A head that says how much follows, so that another version can leave it aside. */
struct heirloom_head {
    uint32_t version, bytes;
};
#define HEIRLOOM_VERSION 1
#define HEIRLOOM_MAX     65536

/* Far less than the pair holds, so this never waits. */
static bool send_heirloom(struct dp_upgrade *u)
{
    struct {
        struct heirloom_head head;
        struct dp_heirloom heirloom;
    } message;
    memset(&message, 0, sizeof message);
    message.head = (struct heirloom_head){HEIRLOOM_VERSION, sizeof message.heirloom};
    if (!u->opt.heirloom(u->opt.ctx, &message.heirloom)) {
        message.head.version = 0;
    }
    bool sent = send(u->pair, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
                (ssize_t)sizeof message;
    explicit_bzero(&message, sizeof message);
    return sent;
}

static void begin_start(struct dp_upgrade *u)
{
    int pair[2];
    int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0
                ? 0
                : uv_translate_sys_error(errno);
    u->phase = STARTING;
    if (r == 0) {
        u->pair = pair[0];
        r = uv_poll_init(u->opt.loop, &u->poll, u->pair);
        u->polling = r == 0;
        u->open += u->polling;
        u->poll.data = u;
        r = r ? r : send_heirloom(u) ? 0 : UV_EIO;
        r = r ? r : start(u, pair[1]);
        (void)close(pair[1]);
    }
    if (r != 0) {
        fail(u, uv_strerror(r));
        return;
    }
    (void)uv_poll_start(&u->poll, UV_READABLE, on_word);
    (void)uv_timer_start(&u->limit, on_limit, START_MS, 0);
}

static void on_ended(uv_process_t *process, int64_t status, int signal)
{
    struct child *child = process->data;
    struct dp_upgrade *u = child->upgrade;
    char why[DP_UPGRADE_WHY];
    const enum phase phase = u->phase;
    const bool of_this_try = u->child == child;
    close_child(child);
    if (!of_this_try) {
        return;
    }
    if (phase == CHECKING && status == 0 && signal == 0) {
        (void)uv_timer_stop(&u->limit);
        close_fd(&u->said);
        begin_start(u);
    } else if (phase == CHECKING) {
        tell_check(u, status, signal);
    } else {
        (void)snprintf(why, sizeof why,
                       "the new process ended before it was ready (%s %d); its log says why",
                       signal ? "signal" : "exit code", signal ? signal : (int)status);
        fail(u, why);
    }
}

/* ---- */

struct dp_upgrade *dp_upgrade_new(const struct dp_upgrade_options *opt)
{
    struct dp_upgrade *u = calloc(1, sizeof *u);
    if (!u) {
        return NULL;
    }
    u->opt = *opt;
    u->pair = u->said = -1;
    (void)uv_timer_init(opt->loop, &u->limit);
    u->limit.data = u;
    u->open = 1;
    read_path(u);
    return u;
}

bool dp_upgrade_under_way(const struct dp_upgrade *u)
{
    return u->phase != IDLE;
}

void dp_upgrade_begin(struct dp_upgrade *u)
{
    if (u->opt.config_path && strcmp(u->opt.config_path, "-") == 0) {
        u->opt.failed(u->opt.ctx, false,
                      "the configuration came from stdin and can't be read again");
    } else if (getpid() == 1) {
        u->opt.failed(u->opt.ctx, false,
                      "this is process 1 of a container, which ends with it: start another one");
    } else if (!*u->program) {
        u->opt.failed(u->opt.ctx, false, "the path of the program is not known (/proc)");
    } else {
        begin_check(u);
    }
}

void dp_upgrade_let_go(struct dp_upgrade *u)
{
    if (!u || u->phase != LETTING_GO) {
        return; /* it ended meanwhile */
    }
    u->phase = WAITING;
    (void)uv_timer_start(&u->limit, on_limit, TAKE_MS, 0);
    if (send(u->pair, "y", 1, MSG_NOSIGNAL) != 1) {
        fail(u, "the new process does not listen any more");
    }
}

void dp_upgrade_cancel(struct dp_upgrade *u)
{
    if (u && (u->phase == CHECKING || u->phase == STARTING || u->phase == LETTING_GO)) {
        fail(u, "this process was told to end");
    }
}

bool dp_upgrade_waits(const struct dp_upgrade *u)
{
    return u && u->phase == WAITING;
}

void dp_upgrade_destroy(struct dp_upgrade *u)
{
    if (!u) {
        return;
    }
    u->dead = true;
    end_try(u);
    kill_child(u);
    uv_close((uv_handle_t *)&u->limit, on_handle_closed);
}

/* ---- the new process ---- */

/* All of it, within TAKE_MS of silence. */
static bool receive(int fd, void *p, size_t n)
{
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    size_t at = 0;
    while (at < n) {
        ssize_t got = poll(&waits, 1, TAKE_MS) > 0 ? recv(fd, (char *)p + at, n - at, 0) : 0;
        if (got <= 0) {
            return false;
        }
        at += (size_t)got;
    }
    return true;
}

bool dp_upgrade_inherit(int before, struct dp_heirloom *out)
{
    struct heirloom_head head;
    char byte;
    if (!receive(before, &head, sizeof head)) {
        return false;
    }
    if (head.version == HEIRLOOM_VERSION && head.bytes == sizeof *out) {
        return receive(before, out, sizeof *out) && out->ticket_keys.n <= DP_TLS_TICKET_KEYS;
    }
    for (uint32_t i = 0; i < head.bytes && i < HEIRLOOM_MAX && receive(before, &byte, 1); i++) {
    }
    return false;
}

enum dp_err dp_upgrade_take_state(int before)
{
    struct pollfd p = {.fd = before, .events = POLLIN};
    char word;
    if (send(before, "t", 1, MSG_NOSIGNAL) != 1) {
        return DP_OK; /* nobody is there: then nobody writes */
    }
    for (int waited_ms = 0; waited_ms < TAKE_MS; waited_ms += 1000) {
        if (poll(&p, 1, 1000) > 0 && recv(before, &word, 1, MSG_DONTWAIT) >= 0) {
            return DP_OK;
        }
    }
    return DP_ETIMEOUT;
}

void dp_upgrade_ready(int before)
{
    (void)send(before, "r", 1, MSG_NOSIGNAL);
    (void)close(before);
}
