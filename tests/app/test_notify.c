/* What a service manager hears: the socket is the test's, the program is whole, in one process. */
#include "davenport/app/config.h"
#include "davenport/base/attr.h"

#include "app/notify.h"
#include "app/runtime.h"
#include "app/silence.h"

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
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_S 60

/* A manager's socket under this name; "@…" is abstract. */
static int listen_at(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = LIMIT_S};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    memcpy(at.sun_path, name, strlen(name));
    if (name[0] == '@') {
        at.sun_path[0] = '\0';
    }
    assert_int_equal(bind(fd, (const struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static const char *hear(int fd, char text[1024])
{
    ssize_t n = recv(fd, text, 1023, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_datagrams(void **state)
{
    char name[64];
    char text[1024];
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_false(dp_notify_wanted());
    dp_notify("READY=1"); /* nobody */
    (void)snprintf(name, sizeof name, "@davenport-test-%d", (int)getpid());
    int fd = listen_at(name);
    dp_notify("STATUS=%s\nX=%d", "all is well", 7);
    assert_string_equal(hear(fd, text), "STATUS=all is well\nX=7");
    dp_notify_end();
    assert_false(dp_notify_wanted());
    (void)close(fd);
    char folder[] = "/tmp/davenport-notify-XXXXXX";
    assert_non_null(mkdtemp(folder));
    (void)snprintf(name, sizeof name, "%s/socket", folder);
    fd = listen_at(name);
    dp_notify("READY=1");
    assert_string_equal(hear(fd, text), "READY=1");
    (void)close(fd);
    dp_notify("READY=1"); /* told in the log, no more */
    assert_int_equal(setenv("NOTIFY_SOCKET", "nowhere", 1), 0);
    dp_notify("READY=1");
    dp_notify_end();
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_watchdog_is_asked_of_us(void **state)
{
    char pid[32];
    (void)state;
    assert_int_equal(setenv("NOTIFY_SOCKET", "@x", 1), 0);
    assert_int_equal(dp_notify_watchdog_us(), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "3000000", 1), 0);
    assert_int_equal(dp_notify_watchdog_us(), 3000000);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_int_equal(dp_notify_watchdog_us(), 0);
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(dp_notify_watchdog_us(), 3000000);
    assert_int_equal(setenv("WATCHDOG_USEC", "soon", 1), 0);
    assert_int_equal(dp_notify_watchdog_us(), 0);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    dp_notify_end();
}

/* The manager, on a thread of its own: each step waits for its word, then causes the next. */
struct manager {
    int fd;
    unsigned step;
    char ready[1024], last[1024];
};

static bool hears(struct manager *m, const char *word)
{
    do {
        (void)hear(m->fd, m->last);
    } while (m->last[0] && strncmp(m->last, word, strlen(word)) != 0);
    return m->last[0] != '\0';
}

static void *be_manager(void *arg)
{
    static const char *const words[] = {"READY=1",     "WATCHDOG=1", "WATCHDOG=1",
                                        "RELOADING=1", "READY=1",    "STOPPING=1"};
    struct manager *m = arg;
    for (m->step = 0; m->step < DP_ARRAY_LEN(words) && hears(m, words[m->step]); m->step++) {
        if (m->step == 0) {
            memcpy(m->ready, m->last, sizeof m->ready);
        } else if (m->step == 2) {
            (void)kill(getpid(), SIGHUP);
        } else if (m->step == 4) {
            (void)kill(getpid(), SIGTERM);
        }
    }
    if (m->step < DP_ARRAY_LEN(words)) {
        (void)kill(getpid(), SIGTERM);
    }
    return NULL;
}

static struct dp_config *configure(void)
{
    static const char json[] = "{\"listen\":{\"port\":0},\"admin\":{\"listen\":\"127.0.0.1:0\"},"
                               "\"workers\":2,\"regions\":[{\"name\":\"left\",\"url\":"
                               "\"http://127.0.0.1:1\"}]}";
    struct dp_config_source source = {.text = {json, sizeof json - 1}};
    struct dp_problems problems;
    struct dp_config *config = NULL;
    dp_problems_init(&problems, "f");
    assert_int_equal(dp_config_parse(&source, &problems, &config), DP_OK);
    assert_int_equal(dp_config_resolve(config, true, &problems), DP_OK);
    dp_problems_fini(&problems);
    return config;
}

static void test_a_life(void **state)
{
    struct dp_config *config = configure();
    struct manager m = {0};
    struct dp_runtime *r = NULL;
    pthread_t thread;
    char name[64];
    char pid[64];
    (void)state;
    (void)snprintf(name, sizeof name, "@davenport-life-%d", (int)getpid());
    m.fd = listen_at(name);
    assert_int_equal(setenv("WATCHDOG_USEC", "200000", 1), 0);
    assert_int_equal(dp_runtime_start(&(struct dp_runtime_options){.config = config}, &r), DP_OK);
    assert_int_equal(pthread_create(&thread, NULL, be_manager, &m), 0);
    dp_runtime_run(r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    dp_runtime_destroy(r);
    dp_config_destroy(config);
    (void)close(m.fd);
    (void)unsetenv("WATCHDOG_USEC");
    dp_notify_end();
    assert_int_equal(m.step, 6);
    (void)snprintf(pid, sizeof pid, "\nMAINPID=%d\n", (int)getpid());
    assert_non_null(strstr(m.ready, pid));
    assert_non_null(strstr(m.ready, "STATUS=Traffic goes to left; 1 of 1 regions serve"));
    /* 30 s of draining, and a little */
    assert_non_null(strstr(m.last, "EXTEND_TIMEOUT_USEC=40000000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_watchdog_is_asked_of_us),
        cmocka_unit_test(test_a_life),
    };
    return cmocka_run_group_tests_name("notify", tests, silence, NULL);
}
