/* top: a live view of a running proxy. The terminal is taken over while it lasts and given back whatever ends it: a key, a
 * signal, a crash. Between two beats it waits for keys; a question to a proxy that hangs holds keys up for as long as
 * dp_admin_send waits (5 s), never Ctrl-C. */
#include "davenport/base/clock.h"

#include "app/cli_ask.h"
#include "app/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define BEAT_MS     1000
#define EVENTS_PATH "/events?limit=64"
/* The other screen and no cursor; back again. */
#define ENTER "\033[?1049h\033[?25l\033[H\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

static struct termios usual; /* as it was; read by handlers, which is why it is not on the stack */
static volatile sig_atomic_t on; /* the terminal is ours */
static volatile sig_atomic_t stop_wanted, resized;

/* ---- the terminal ---- */

/* May run in a signal's handler. */
static void leave(void)
{
    if (on) {
        on = 0;
        (void)!write(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &usual);
    }
}

static void enter(void)
{
    struct termios quiet = usual;
    quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    on = 1;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    (void)!write(STDOUT_FILENO, ENTER, sizeof ENTER - 1);
}

/* What ends us ends us as it would have, with the terminal given back. */
static void on_end(int number)
{
    leave();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void on_stop(int number)
{
    (void)number;
    stop_wanted = 1;
}

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

static void watch_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV,
                               SIGBUS, SIGFPE,  SIGILL, SIGABRT, SIGPIPE};
    struct sigaction action = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < DP_ARRAY_LEN(ends); i++) {
        (void)sigaction(ends[i], &action, NULL);
    }
    action = (struct sigaction){.sa_handler = on_stop};
    (void)sigaction(SIGTSTP, &action, NULL);
    action.sa_handler = on_resize;
    (void)sigaction(SIGWINCH, &action, NULL);
}

/* Ctrl-Z: the shell gets its terminal as it was, and we ours when we go on. */
static void stop_for_a_while(void)
{
    stop_wanted = 0;
    leave();
    (void)raise(SIGSTOP);
    enter();
}

static void read_size(struct dp_top_frame *f)
{
    struct winsize size;
    resized = 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        f->rows = size.ws_row;
        f->columns = size.ws_col;
    }
}

static bool draw(const struct dp_top_frame *f)
{
    struct dp_text screen = {0};
    struct dp_text out = {0};
    dp_top_text(f, dp_cli_colour(), &screen);
    struct dp_span rest = dp_text_span(&screen);
    dp_text_add(&out, DP_SPAN("\033[H"));
    while (rest.p) { /* each line over the old one, so that nothing flickers */
        dp_text_add(&out, dp_span_cut(&rest, '\n'));
        dp_text_add(&out, rest.p ? DP_SPAN("\033[K\r\n") : DP_SPAN("\033[K\033[J"));
    }
    const bool good = !screen.failed && dp_cli_print(&out);
    dp_text_fini(&screen);
    dp_text_fini(&out);
    return good;
}

/* ---- what is shown ---- */

struct top {
    struct dp_admin_server server;
    struct dp_top_frame frame;
    json_t *now, *before, *events;
    char away[DP_CLIENT_WHY];
};

/* A JSON answer of 200, or NULL and why not. */
static json_t *get(struct top *t, const char *path, char why[DP_CLIENT_WHY])
{
    struct dp_text answer = {0};
    uint16_t status = 0;
    json_t *json = NULL;
    if (dp_admin_call(&t->server, path, NULL, &status, &answer, why) == DP_OK) {
        json = status == 200 ? json_loadb(dp_text_str(&answer), answer.n, 0, NULL) : NULL;
        if (!json) {
            (void)snprintf(why, DP_CLIENT_WHY, "%.128s: it answers %u", t->server.addr,
                           (unsigned)status);
        }
    }
    dp_text_fini(&answer);
    return json;
}

static void look(struct top *t)
{
    char why[DP_CLIENT_WHY];
    json_t *status = get(t, "/status", t->away);
    t->frame.away = status ? NULL : t->away;
    if (status) {
        json_decref(t->before);
        t->before = t->now;
        t->now = status;
        json_t *events = get(t, EVENTS_PATH, why);
        if (events) {
            json_decref(t->events);
            t->events = events;
        }
    }
    t->frame.now = t->now;
    t->frame.before = t->before;
    t->frame.events = t->events;
}

static uint64_t now_ms(void)
{
    return dp_clock_mono_ns(&dp_clock_system) / DP_NS_PER_MS;
}

/* Keys until `until`: false on q, or when there are none any more. *look_now: space. */
static bool read_keys(struct top *t, uint64_t until, bool *look_now)
{
    for (;;) {
        const uint64_t now = now_ms();
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        char key = 0;
        if (now >= until) {
            return true;
        }
        const int ready = poll(&in, 1, (int)(until - now));
        if (ready < 0 && errno == EINTR) {
            return true; /* another size, or Ctrl-Z */
        }
        if (ready <= 0) {
            continue;
        }
        if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q') {
            return false;
        }
        if (key == 's') {
            t->frame.sort = (enum dp_top_sort)((t->frame.sort + 1) % DP_TOP_SORTS);
            return true;
        }
        *look_now = key == ' ';
        if (*look_now) {
            return true;
        }
    }
}

static int show(struct top *t)
{
    bool good = true;
    uint64_t next = now_ms() + BEAT_MS;
    if (tcgetattr(STDIN_FILENO, &usual) != 0) {
        dp_cli_error("top: the terminal: %s", strerror(errno));
        return DP_EXIT_FAILED;
    }
    read_size(&t->frame);
    watch_signals();
    enter();
    for (bool more = true; more && good;) {
        bool look_now = false;
        good = draw(&t->frame);
        more = good && read_keys(t, next, &look_now);
        if (stop_wanted) {
            stop_for_a_while();
        }
        if (resized) {
            read_size(&t->frame);
        }
        if (more && (look_now || now_ms() >= next)) {
            look(t);
            next = now_ms() + BEAT_MS;
        }
    }
    leave();
    return good ? DP_EXIT_OK : DP_EXIT_FAILED;
}

/* A line a second; without `rounds` until it is ended. */
static int print_lines(struct top *t, uint64_t rounds)
{
    for (uint64_t i = 1;; i++) {
        struct dp_text line = {0};
        dp_top_json(&t->frame, &line);
        const bool good = t->frame.away || dp_cli_print(&line);
        dp_text_fini(&line);
        if (!good || i == rounds) {
            return good ? DP_EXIT_OK : DP_EXIT_FAILED;
        }
        (void)poll(NULL, 0, BEAT_MS);
        look(t);
    }
}

int dp_cli_top(const struct dp_cli_call *call)
{
    const bool json = dp_cli_value(call, "json") != NULL;
    const char *count = dp_cli_value(call, "count");
    const char *term = getenv("TERM");
    struct dp_text addr = {0};
    struct top t = {.frame = {.rows = 24, .columns = 80}};
    uint64_t rounds = 0;
    if (count && (!json || !dp_span_u64(dp_span_str(count), &rounds) || rounds == 0)) {
        dp_cli_error("top: --count takes how many lines --json prints");
        return DP_EXIT_USAGE;
    }
    if (!json &&
        (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0)) {
        dp_cli_error("top: needs a terminal; without one: davenport top --json, or davenport "
                     "status --watch");
        return DP_EXIT_USAGE;
    }
    if (!dp_cli_admin(call, &addr, &t.server)) {
        dp_text_fini(&addr);
        return DP_EXIT_FAILED;
    }
    /* The first question is told as those of other commands, before the terminal is touched. */
    int code = dp_cli_ask(&t.server, "/status", NULL, &t.now);
    if (code == DP_EXIT_OK) {
        t.frame.now = t.now;
        t.events = get(&t, EVENTS_PATH, t.away);
        t.frame.events = t.events;
        code = json ? print_lines(&t, rounds) : show(&t);
    }
    json_decref(t.now);
    json_decref(t.before);
    json_decref(t.events);
    dp_text_fini(&addr);
    return code;
}
