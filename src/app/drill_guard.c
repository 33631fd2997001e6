/* A socket of messages, each one byte of kind, two of id, then the act. */
#include "app/drill_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_BYTES                                                                              \
    (3 *                                                                                           \
     DP_DRILL_TEXT) /* an undo has a title and a command of that size at most, the rest is small */
#define HEAD_BYTES 3
#define TRIES      10
#define PAUSE_MS   1000

enum message {
    HOLD = 'h',
    BEGUN = 'b',
    RELEASE = 'r',
    PREPARES = 'p',
    OWN = 'o',
    OTHERS = 'a', /* another's */
    TIDIED = 't',
    END = 'e'
};

/* The guard's own side --------------------------------------------------------------------------- */

struct held {
    bool there;
    bool begun;     /* and its command has come to an end */
    uint64_t order; /* the latest has the highest */
    struct dp_act undo;
};

struct watch {
    struct dp_guard_duty duty;
    int fd;
    int life_fd; /* closed by the last who holds its other end: the drill, and commands that begin a step */
    uint64_t orders;
    struct held held[DP_DRILL_STEPS];
    bool untidy; /* the database was prepared, and not tidied */
    enum dp_guard_own own[DP_DRILL_REGIONS];
};

static void forget(struct held *h)
{
    if (h->there) {
        dp_act_fini(&h->undo);
        h->there = false;
    }
}

/* What is told of the database. id: a region's place. */
static bool take_database(struct watch *w, char kind, size_t id)
{
    switch (kind) {
    case PREPARES:
    case TIDIED:
        w->untidy = kind == PREPARES;
        return true;
    case OWN:
    case OTHERS:
        if (id < DP_DRILL_REGIONS) {
            w->own[id] = kind == OWN ? DP_OWN_DRILL : DP_OWN_OTHERS;
        }
        return true;
    default:
        return false;
    }
}

/* False: the drill said that all is well. */
static bool take(struct watch *w, struct dp_span message)
{
    struct dp_act act;
    if (message.n < HEAD_BYTES || message.p[0] == END) {
        return false;
    }
    size_t id = (size_t)(unsigned char)message.p[1] << 8 | (unsigned char)message.p[2];
    if (take_database(w, message.p[0], id) || id >= DP_DRILL_STEPS) {
        return true;
    }
    if (message.p[0] == BEGUN) {
        w->held[id].begun = true;
        return true;
    }
    forget(&w->held[id]);
    if (message.p[0] == HOLD &&
        dp_act_read((struct dp_span){message.p + HEAD_BYTES, message.n - HEAD_BYTES}, &act)) {
        w->held[id] = (struct held){.there = true, .order = ++w->orders, .undo = act};
    }
    return true;
}

static struct held *latest(struct watch *w)
{
    struct held *best = NULL;
    for (size_t i = 0; i < DP_DRILL_STEPS; i++) {
        struct held *h = &w->held[i];
        if (h->there && (!best || h->order > best->order)) {
            best = h;
        }
    }
    return best;
}

static void say(const char *what, const char *detail)
{
    char line[DP_ACT_WHY + 64];
    int n = snprintf(line, sizeof line, "davenport: %s%s\n", what, detail);
    /* whoever read stderr may be gone, too */
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) {
        return;
    }
}

static bool is_beginning(const struct watch *w)
{
    for (size_t i = 0; i < DP_DRILL_STEPS; i++) {
        if (w->held[i].there && !w->held[i].begun) {
            return true;
        }
    }
    return false;
}

/* A stop that was under way when the drill died goes on without it. A start must come after it, not between. */
static void wait_for_beginnings(const struct watch *w)
{
    struct pollfd life = {.fd = w->life_fd};
    if (is_beginning(w)) {
        (void)poll(&life, 1,
                   (int)(w->duty.hook_s * 1000)); /* nobody signals a guard: all is ignored */
    }
}

static void undo_all(struct watch *w)
{
    struct held *h;
    wait_for_beginnings(w);
    while ((h = latest(w))) {
        char why[DP_ACT_WHY] = "";
        bool good = false;
        for (int i = 0; i < TRIES && !good; i++) {
            if (i > 0) {
                (void)poll(NULL, 0, PAUSE_MS);
            }
            good = dp_act_run(&h->undo, w->duty.hook_s, w->duty.log_fd, -1, why);
        }
        if (!good) {
            say("NOT undone: ", why);
        }
        forget(h);
    }
}

static void take_over(struct watch *w)
{
    bool tidies = w->untidy && w->duty.tidy;
    if (!latest(w) && !tidies) {
        return;
    }
    say("the drill died; its guard undoes what it began", "");
    undo_all(w);
    if (tidies) {
        w->duty.tidy(w->duty.ctx, w->own);
    }
    say("the guard is done", "");
}

DP_NORETURN static void watch(struct watch *w)
{
    static char message[MESSAGE_BYTES];
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    sigset_t none;
    for (size_t i = 0; i < DP_ARRAY_LEN(ignored); i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    for (;;) {
        ssize_t n = recv(w->fd, message, sizeof message, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n > 0) {
            if (!take(w, (struct dp_span){message, (size_t)n})) {
                break;
            }
            continue;
        }
        take_over(w);
        break;
    }
    _exit(0);
}

/* The drill's side --------------------------------------------------------------------------------- */

bool dp_guard_start(struct dp_guard *g, const struct dp_guard_duty *duty)
{
    int fds[2];
    int life[2];
    *g = (struct dp_guard){.fd = -1, .life_fd = -1};
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        errno = ENOMEM;
        return false;
    }
    w->duty = *duty;
    if (pipe2(life, O_CLOEXEC) != 0) {
        free(w);
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        (void)close(life[0]);
        (void)close(life[1]);
        free(w);
        return false;
    }
    /* No signal may reach it before it ignores them. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        (void)close(life[1]);
        w->fd = fds[1];
        w->life_fd = life[0];
        watch(w);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    free(w);
    (void)close(fds[1]);
    (void)close(life[0]);
    if (pid < 0) {
        (void)close(fds[0]);
        (void)close(life[1]);
        return false;
    }
    *g = (struct dp_guard){.fd = fds[0], .life_fd = life[1], .pid = pid};
    return true;
}

static bool tell(const struct dp_guard *g, enum message kind, uint16_t id, const struct dp_act *act)
{
    struct dp_text text = {0};
    const char head[HEAD_BYTES] = {(char)kind, (char)(unsigned char)(id >> 8),
                                   (char)(unsigned char)(id & 0xff)};
    dp_text_add(&text, (struct dp_span){head, sizeof head});
    if (act) {
        dp_act_write(act, &text);
    }
    ssize_t n = -1;
    if (!text.failed && text.n <= MESSAGE_BYTES) {
        do {
            n = send(g->fd, text.p, text.n, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
    }
    bool good = n >= 0 && (size_t)n == text.n;
    dp_text_fini(&text);
    return good;
}

bool dp_guard_prepares(struct dp_guard *g)
{
    return tell(g, PREPARES, 0, NULL);
}

void dp_guard_prepared(struct dp_guard *g, uint16_t region, bool own)
{
    (void)tell(g, own ? OWN : OTHERS, region, NULL);
}

void dp_guard_tidied(struct dp_guard *g)
{
    (void)tell(g, TIDIED, 0, NULL);
}

bool dp_guard_hold(struct dp_guard *g, uint16_t id, const struct dp_act *undo)
{
    return tell(g, HOLD, id, undo);
}

void dp_guard_begun(struct dp_guard *g, uint16_t id)
{
    (void)tell(g, BEGUN, id, NULL);
}

void dp_guard_release(struct dp_guard *g, uint16_t id)
{
    /* a guard that is gone holds nothing */
    (void)tell(g, RELEASE, id, NULL);
}

void dp_guard_end(struct dp_guard *g)
{
    int status;
    if (g->pid <= 0) {
        return;
    }
    (void)tell(g, END, 0, NULL);
    (void)close(g->fd);
    (void)close(g->life_fd);
    while (waitpid(g->pid, &status, 0) < 0 && errno == EINTR) {
    }
    *g = (struct dp_guard){.fd = -1, .life_fd = -1};
}
