/* The whole program in one process: sockets, workers, governor and admin server, born and drained. The regions are
 * addresses nobody listens on; what the proxy does with live ones is for the tests of proxy and control. */
#include "davenport/app/config.h"

#include "app/admin_client.h"
#include "app/runtime.h"
#include "app/silence.h"

#include <arpa/inet.h>
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
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

static struct dp_config *configure(const char *admin, unsigned workers)
{
    struct dp_text json = {0};
    struct dp_problems problems;
    struct dp_config *config = NULL;
    dp_text_addf(&json,
                 "{\"listen\":{\"port\":0},\"admin\":{\"listen\":\"%s\"},\"workers\":%u,"
                 "\"regions\":[{\"name\":\"left\",\"url\":\"http://127.0.0.1:1\"},"
                 "{\"name\":\"right\",\"url\":\"http://127.0.0.1:2\"}],"
                 "\"probe\":{\"interval_ms\":50,\"fast_interval_ms\":20,\"fall\":2}}",
                 admin, workers);
    struct dp_config_source source = {.text = dp_text_span(&json)};
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_parse(&source, &problems, &config), DP_OK);
    assert_int_equal(dp_config_resolve(config, true, &problems), DP_OK);
    dp_problems_fini(&problems);
    dp_text_fini(&json);
    return config;
}

/* What the client thread saw; checked by the main thread, for a failed assertion must jump there. */
struct client {
    const struct dp_runtime *runtime;
    char admin[DP_BOUND_TEXT], listen[DP_BOUND_TEXT];
    unsigned readyz, healthz, no_guard, switched, traffic, pipelined;
    bool saw_down, has_events, refused_garbage;
};

/* Asked again where no answer came: the program's own commands give up after seconds, which a busy machine may take. */
static unsigned call(const struct client *c, const char *path, const char *body,
                     struct dp_text *answer)
{
    char why[DP_CLIENT_WHY];
    uint16_t status = 0;
    for (unsigned i = 0; i < 10; i++) {
        dp_text_clear(answer);
        if (dp_admin_call(&(const struct dp_admin_server){.addr = c->admin}, path, body, &status,
                          answer, why) == DP_OK)
            return status;
    }
    return 0;
}

/* Raw bytes to a TCP address; what comes back until it closes. */
static size_t talk(const char *address, const char *bytes, char *answer, size_t cap)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 60}; /* for a hang */
    const char *colon = strrchr(address, ':');
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = 0;
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes)) {
        ssize_t got;
        while (n < cap - 1 && (got = recv(fd, answer + n, cap - 1 - n, 0)) > 0) {
            n += (size_t)got;
        }
    }
    answer[n] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
    return n;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

/* Both regions are dead, and the status says so after a while. */
static bool sees_down(const struct client *c, struct dp_text *answer)
{
    for (int i = 0; i < 10000; i++) {
        if (call(c, "/readyz", NULL, answer) == 503) {
            return call(c, "/status", NULL, answer) == 200 &&
                   count(dp_text_str(answer), "\"health\": \"down\"") == 2;
        }
        (void)usleep(10000);
    }
    return false;
}

static void ask_over_tcp(struct client *c)
{
    char answer[8192];
    (void)talk(c->admin,
               "POST /switch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
               "Content-Length: 17\r\n\r\n{\"region\":\"left\"}",
               answer, sizeof answer);
    c->no_guard = strstr(answer, " 403 ") ? 403 : 0;
    (void)talk(c->admin,
               "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
               "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
               answer, sizeof answer);
    c->pipelined = count(answer, "HTTP/1.1 200 OK");
    (void)talk(c->admin, "\x16\x03\x01 hello\r\n\r\n", answer, sizeof answer);
    c->refused_garbage = strncmp(answer, "HTTP/1.1 400 ", 13) == 0;
    (void)talk(c->listen, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answer,
               sizeof answer);
    c->traffic = strstr(answer, "no_region_available") ? 503 : 0;
}

static void *be_client(void *arg)
{
    struct client *c = arg;
    struct dp_text answer = {0};
    c->saw_down = sees_down(c, &answer);
    c->readyz = call(c, "/readyz", NULL, &answer);
    c->healthz = call(c, "/healthz", NULL, &answer);
    c->switched = call(c, "/switch", "{\"region\":\"right\",\"force\":true}", &answer);
    c->has_events = call(c, "/events", NULL, &answer) == 200 &&
                    strstr(dp_text_str(&answer), "\"event\":\"switch\"") != NULL;
    if (strncmp(c->admin, "unix:", 5) != 0) {
        ask_over_tcp(c);
    }
    dp_text_fini(&answer);
    (void)kill(getpid(), SIGTERM);
    return NULL;
}

static void live(const char *admin, unsigned workers, struct client *c)
{
    struct dp_config *config = configure(admin, workers);
    struct dp_runtime *r = NULL;
    pthread_t thread;
    assert_int_equal(dp_runtime_start(&(struct dp_runtime_options){.config = config}, &r), DP_OK);
    assert_int_equal(dp_runtime_workers(r), workers);
    *c = (struct client){.runtime = r};
    assert_true(snprintf(c->admin, sizeof c->admin, "%s", dp_runtime_admin(r)) > 0);
    assert_true(snprintf(c->listen, sizeof c->listen, "%s", dp_runtime_listen(r)) > 0);
    assert_int_equal(pthread_create(&thread, NULL, be_client, c), 0);
    dp_runtime_run(r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    dp_runtime_destroy(r);
    dp_config_destroy(config);
    assert_true(c->saw_down);
    assert_int_equal(c->readyz, 503);
    assert_int_equal(c->healthz, 200);
    assert_int_equal(c->switched, 200);
    assert_true(c->has_events);
}

static void test_loopback(void **state)
{
    struct client c;
    (void)state;
    live("127.0.0.1:0", 2, &c);
    assert_int_equal(c.no_guard, 403);
    assert_int_equal(c.pipelined,
                     1); /* answered, then closed: pipelining is not worth its code here */
    assert_true(c.refused_garbage);
    assert_int_equal(c.traffic, 503);
}

static void test_unix_socket(void **state)
{
    char folder[] = "/tmp/davenport-test-XXXXXX";
    char admin[64];
    struct client c;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_true(snprintf(admin, sizeof admin, "unix:%s/admin.sock", folder) > 0);
    live(admin, 1, &c);
    assert_int_equal(rmdir(folder), 0); /* the socket is gone */
}

/* A port in use is an error, also where SO_REUSEPORT would have allowed to share it. */
static void test_port_in_use(void **state)
{
    struct dp_config *config = configure("127.0.0.1:0", 2);
    struct dp_runtime *first = NULL;
    struct dp_runtime *second = NULL;
    (void)state;
    assert_int_equal(dp_runtime_start(&(struct dp_runtime_options){.config = config}, &first),
                     DP_OK);
    const char *port = strrchr(dp_runtime_listen(first), ':');
    config->listen_port = strtoul(port + 1, NULL, 10);
    assert_int_equal(dp_runtime_start(&(struct dp_runtime_options){.config = config}, &second),
                     DP_EIO);
    assert_null(second);
    dp_runtime_destroy(first);
    dp_config_destroy(config);
}

/* More clients than the admin server takes: those that wait longest are closed, and it lives on. */
static void test_admin_crowd(void **state)
{
    struct dp_config *config = configure("127.0.0.1:0", 1);
    struct dp_runtime *r = NULL;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client c = {0};
    pthread_t thread;
    int fds[80];
    (void)state;
    assert_int_equal(dp_runtime_start(&(struct dp_runtime_options){.config = config}, &r), DP_OK);
    assert_true(snprintf(c.admin, sizeof c.admin, "%s", dp_runtime_admin(r)) > 0);
    assert_true(snprintf(c.listen, sizeof c.listen, "%s", dp_runtime_listen(r)) > 0);
    to.sin_port = htons((uint16_t)strtoul(strrchr(c.admin, ':') + 1, NULL, 10));
    /* They wait in the backlog until the loop turns: 64 stay, the others are closed… */
    for (size_t i = 0; i < DP_ARRAY_LEN(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
        (void)connect(fds[i], (const struct sockaddr *)&to, sizeof to);
    }
    for (size_t i = 0; i < DP_ARRAY_LEN(fds); i++) {
        (void)close(fds[i]); /* …until they go */
    }
    assert_int_equal(pthread_create(&thread, NULL, be_client, &c), 0);
    dp_runtime_run(r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    dp_runtime_destroy(r);
    dp_config_destroy(config);
    assert_int_equal(c.healthz, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_admin_crowd),
    };
    return cmocka_run_group_tests_name("runtime", tests, silence, NULL);
}
