/* The whole program, its sockets and files, with every system call failing in every way, one after the other: a request is
 * answered or visibly cut, no answer is a wrong one, nobody waits for ever, the next request is served, and nothing turns in
 * circles. */
#include "davenport/app/config.h"

#include "app/runtime.h"
#include "app/silence.h"
#include "support/nosys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CONNECTIONS 64
#define LIMIT_S     60
/* More than one exchange takes of any call. */
#define CALLS_MAX 12

static const char region_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
static const char request[] = "PUT /db/doc HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                              "Content-Length: 2\r\n\r\n{}";
static const char admin_request[] =
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/* ---- the region: a thread that answers ---- */

struct region {
    pthread_t thread;
    int listener;
    uint16_t port;
    _Atomic bool over;
    struct pollfd fds[CONNECTIONS];
    size_t got[CONNECTIONS]; /* bytes of a request so far */
    char last[CONNECTIONS][2048];
    nfds_t n;
};

/* A whole request, or the connection's end. */
static void serve(struct region *r, nfds_t i)
{
    char *text = r->last[i];
    ssize_t n = recv(r->fds[i].fd, text + r->got[i], sizeof(r->last[i]) - 1 - r->got[i], 0);
    if (n <= 0) {
        (void)close(r->fds[i].fd);
        r->n--;
        r->fds[i] = r->fds[r->n];
        r->got[i] = r->got[r->n];
        memcpy(text, r->last[r->n], sizeof(r->last[i]));
        return;
    }
    r->got[i] += (size_t)n;
    text[r->got[i]] = '\0';
    const char *end = strstr(text, "\r\n\r\n");
    if (!end || (strncmp(text, "PUT", 3) == 0 && strlen(end) < 6))
        return;
    (void)send(r->fds[i].fd, region_answer, sizeof(region_answer) - 1, MSG_NOSIGNAL);
    r->got[i] = 0;
}

static void *be_region(void *arg)
{
    struct region *r = arg;
    nosys_pause();
    r->fds[0] = (struct pollfd){.fd = r->listener, .events = POLLIN};
    r->n = 1;
    while (!r->over) {
        if (poll(r->fds, r->n, 50) <= 0)
            continue;
        for (nfds_t i = r->n; i-- > 1;) {
            if (r->fds[i].revents != 0)
                serve(r, i);
        }
        if (r->fds[0].revents != 0 && r->n < CONNECTIONS) {
            r->got[r->n] = 0;
            r->fds[r->n++] =
                (struct pollfd){.fd = accept(r->listener, NULL, NULL), .events = POLLIN};
        }
    }
    while (r->n > 0)
        (void)close(r->fds[--r->n].fd);
    return NULL;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static void start_region(struct region *r)
{
    struct sockaddr_in at = loopback(0);
    socklen_t n = sizeof(at);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(r->listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(r->listener, 64), 0);
    assert_int_equal(getsockname(r->listener, (struct sockaddr *)&at, &n), 0);
    r->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&r->thread, NULL, be_region, r), 0);
}

/* ---- the client: what it saw is judged here, and told to the main thread ---- */

enum seen { SEEN_RIGHT, SEEN_ERROR, SEEN_CUT, SEEN_WRONG, SEEN_NOTHING_FOR_EVER };

struct client {
    uint16_t port, admin;
    bool lasting; /* also what fails for a while */
    unsigned faults, right, errors, cuts;
    char failure[256];
};

static void fail_with(struct client *c, const char *what, const struct nosys_case *f, unsigned n)
{
    if (!c->failure[0])
        (void)snprintf(c->failure, sizeof(c->failure), "%s %s, call %u: %s", f->name, f->error_name,
                       n, what);
}

/* Is it all of an answer with its own length? 408 is an error of ours too: what is read too late came too late. */
static enum seen judge(const char *text, const char *right)
{
    unsigned status = 0, length = 0;
    const char *end = strstr(text, "\r\n\r\n");
    const char *field = strstr(text, "Content-Length: ");
    if (sscanf(text, "HTTP/1.1 %u", &status) != 1 || !end || !field ||
        sscanf(field, "Content-Length: %u", &length) != 1 || strlen(end + 4) < length)
        return SEEN_CUT;
    if (status >= 500 || status == 408)
        return SEEN_ERROR;
    return status == 200 && strcmp(end + 4, right) == 0 ? SEEN_RIGHT : SEEN_WRONG;
}

static enum seen ask(uint16_t port, const char *text, const char *right)
{
    struct sockaddr_in to = loopback(port);
    struct timeval limit = {.tv_sec = LIMIT_S};
    char answer[4096];
    size_t n = 0;
    ssize_t got = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
        send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text)) {
        while (n < sizeof(answer) - 1 &&
               (got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0)) > 0)
            n += (size_t)got;
    }
    bool for_ever = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    answer[n] = '\0';
    if (fd >= 0)
        (void)close(fd);
    return for_ever ? SEEN_NOTHING_FOR_EVER : judge(answer, right);
}

static void note(struct client *c, enum seen seen, const struct nosys_case *f, unsigned n)
{
    c->right += seen == SEEN_RIGHT;
    c->errors += seen == SEEN_ERROR;
    c->cuts += seen == SEEN_CUT;
    if (seen == SEEN_WRONG)
        fail_with(c, "a wrong answer", f, n);
    if (seen == SEEN_NOTHING_FOR_EVER)
        fail_with(c, "no answer and no end", f, n);
}

/* The fault is over: it may take what it had broken, but then all is well. */
static void check_recovered(struct client *c, const struct nosys_case *f, unsigned n)
{
    nosys_at(f->call, 0, 0, 0);
    for (int i = 0; i < 1000; i++) {
        if (ask(c->port, request, "hello") == SEEN_RIGHT &&
            ask(c->admin, admin_request, "{\"status\":\"ok\"}\n") == SEEN_RIGHT)
            return;
        (void)usleep(10000);
    }
    fail_with(c, "not served again", f, n);
}

static uint64_t ms_of(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The n-th call of each kind fails, then those behind it work. */
static void one_by_one(struct client *c)
{
    for (struct nosys_case f = {0}; nosys_next(&f);) {
        for (unsigned n = 1, hit = 1; hit && n <= CALLS_MAX && !c->failure[0]; n++) {
            nosys_at(f.call, n, f.error, 1);
            note(c, ask(c->port, request, "hello"), &f, n);
            note(c, ask(c->admin, admin_request, "{\"status\":\"ok\"}\n"), &f, n);
            hit = nosys_happened();
            c->faults += hit;
            check_recovered(c, &f, n);
        }
    }
}

/* All of them fail for a while, with somebody waiting: no loop may turn at full speed meanwhile. */
static void all_at_once(struct client *c)
{
    static const enum nosys_call calls[] = {NOSYS_accept4, NOSYS_socket, NOSYS_connect,
                                            NOSYS_read,    NOSYS_writev, NOSYS_write,
                                            NOSYS_send,    NOSYS_sendmsg};
    for (struct nosys_case f = {0}; nosys_next(&f) && !c->failure[0];) {
        bool wanted = false;
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
            wanted = wanted || calls[i] == f.call;
        if (!wanted || f.error == EAGAIN || f.error == EINTR) /* those are asked again by right */
            continue;
        struct sockaddr_in to = loopback(c->port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        nosys_at(f.call, 1, f.error, NOSYS_EVER);
        const uint64_t cpu = ms_of(CLOCK_PROCESS_CPUTIME_ID), wall = ms_of(CLOCK_MONOTONIC);
        if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
            (void)send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
        (void)usleep(400000);
        const uint64_t passed = ms_of(CLOCK_MONOTONIC) - wall; /* 400, or far more */
        if (ms_of(CLOCK_PROCESS_CPUTIME_ID) - cpu > passed * 3 / 8)
            fail_with(c, "it spins", &f, 1);
        (void)close(fd);
        check_recovered(c, &f, 1);
    }
}

static void *be_client(void *arg)
{
    struct client *c = arg;
    const struct nosys_case none = {.name = "none", .error_name = "of them"};
    nosys_pause();
    check_recovered(c, &none, 0); /* it runs */
    one_by_one(c);
    if (c->lasting)
        all_at_once(c);
    (void)kill(getpid(), SIGTERM);
    return NULL;
}

/* ---- the program ---- */

static struct dp_config *configure(uint16_t region, const char *folder, unsigned idle)
{
    struct dp_text json = {0};
    struct dp_problems problems;
    struct dp_config *config = NULL;
    dp_text_addf(
        &json,
        "{\"listen\":{\"port\":0},\"admin\":{\"listen\":\"127.0.0.1:0\"},\"workers\":1,"
        "\"regions\":[{\"name\":\"one\",\"url\":\"http://127.0.0.1:%u\"}],"
        "\"journal\":{\"path\":\"%s/journal\"},\"access_log\":{\"path\":\"%s/access\"},"
        "\"probe\":{\"interval_ms\":1000,\"fast_interval_ms\":100,\"fall\":100,\"rise\":1},"
        "\"traffic\":{\"failures\":1000,\"window_requests\":0,\"late_ms\":0},"
        "\"limits\":{\"upstream_idle\":%u,\"upstream_warm\":0},"
        "\"timeouts\":{\"connect_ms\":500,\"answer_ms\":1000,\"head_ms\":1000,\"body_ms\":1000}}",
        region, folder, folder, idle);
    struct dp_config_source source = {.text = dp_text_span(&json)};
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_parse(&source, &problems, &config), DP_OK);
    assert_int_equal(dp_config_resolve(config, true, &problems), DP_OK);
    dp_problems_fini(&problems);
    dp_text_fini(&json);
    return config;
}

static uint16_t port_of(const char *bound)
{
    return (uint16_t)strtoul(strrchr(bound, ':') + 1, NULL, 10);
}

/* idle: unused connections to the region that are kept. */
static void play(unsigned idle, bool lasting)
{
    char folder[] = "/tmp/dp-nosys-XXXXXX", command[64];
    struct region *region = calloc(1, sizeof(*region));
    struct client client = {.lasting = lasting};
    struct dp_runtime *r = NULL;
    pthread_t thread;
    assert_non_null(region);
    assert_non_null(mkdtemp(folder));
    start_region(region);
    struct dp_config *config = configure(region->port, folder, idle);
    assert_int_equal(dp_runtime_start(&(struct dp_runtime_options){.config = config}, &r), DP_OK);
    client.port = port_of(dp_runtime_listen(r));
    client.admin = port_of(dp_runtime_admin(r));
    assert_int_equal(pthread_create(&thread, NULL, be_client, &client), 0);
    dp_runtime_run(r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    dp_runtime_destroy(r);
    dp_config_destroy(config);
    region->over = true;
    assert_int_equal(pthread_join(region->thread, NULL), 0);
    free(region);
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    print_message("%u faults: %u right answers, %u errors, %u cut\n", client.faults, client.right,
                  client.errors, client.cuts);
    if (client.failure[0])
        fail_msg("%s", client.failure);
    assert_true(client.faults > 50);
}

static void with_kept_connections(void **state)
{
    (void)state;
    play(8, true);
}

static void with_a_new_connection_each_time(void **state)
{
    (void)state;
    play(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_kept_connections),
        cmocka_unit_test(with_a_new_connection_each_time),
    };
    return cmocka_run_group_tests_name("runtime_nosys", tests, silence, NULL);
}
