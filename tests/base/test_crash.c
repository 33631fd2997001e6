/* Crash reports of a process that is another one each time: what they say, where they are, and that the signal takes its
 * course all the same. */
#include "davenport/base/crash.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A sanitizer keeps the signals of faults to itself (its option handle_segv=2), so there only SIGABRT comes to us. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULTS      0
#define SENT_SIGNAL SIGABRT
#define SENT_NAME   "SIGABRT"
#else
#define FAULTS      1
#define SENT_SIGNAL SIGBUS
#define SENT_NAME   "SIGBUS"
#endif

static char folder[] = "/tmp/davenport-crash-XXXXXX";

static void describe(void *ctx, long tid, struct dp_crash_text *out)
{
    dp_crash_put(out, ctx);
    dp_crash_put_uint(out, (uint64_t)tid);
    dp_crash_put(out, "\n");
}

static void (*describing)(void *ctx, long tid, struct dp_crash_text *out) = describe;
static void touch_nothing(void);

static void describe_and_crash(void *ctx, long tid, struct dp_crash_text *out)
{
    describe(ctx, tid, out);
    dp_crash_put(out, "half a l");
    touch_nothing();
    dp_crash_put(out, "ine\n");
}

/* Whoever ends the process does not wait for it; time for the main thread to see it. */
static void describe_while_asked_again(void *ctx, long tid, struct dp_crash_text *out)
{
    (void)kill(getpid(), SIGABRT);
    (void)usleep(200000);
    describe(ctx, tid, out);
}

static atomic_long spinner;

static void *spin(void *arg)
{
    (void)arg;
    (void)prctl(PR_SET_NAME, "spinner", 0, 0, 0);
    dp_crash_thread_begin();
    atomic_store(&spinner, syscall(SYS_gettid));
    for (;;)
        (void)usleep(1000);
    return NULL;
}

static volatile int *nowhere; /* a page that nobody may touch */

static void touch_nothing(void)
{
    *nowhere = 1;
}

static int overflow(volatile int depth)
{
    volatile char room[4096];
    room[depth % 4096] = (char)depth;
    return depth > 100000000 ? room[0] : overflow(depth + 1) + room[depth % 4096];
}

enum way { FAULT, ABORT, SENT, STACK, BLAMED };

static void crash_by(enum way way)
{
    pthread_t thread;
    switch (way) {
    case FAULT:
        touch_nothing();
        break;
    case ABORT:
        abort();
    case SENT:
        (void)kill(getpid(), SENT_SIGNAL);
        break;
    case STACK:
        (void)overflow(1);
        break;
    case BLAMED:
        if (pthread_create(&thread, NULL, spin, NULL) != 0)
            _exit(9);
        while (atomic_load(&spinner) == 0)
            (void)usleep(1000);
        dp_crash_blame(atomic_load(&spinner));
        (void)kill(getpid(), SIGABRT);
        break;
    }
    for (;;)
        (void)usleep(1000);
}

/* What a process that crashes ended by. */
static int status_of(enum way way, int stderr_fd)
{
    int status;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(stderr_fd, 2);
        (void)alarm(60);
        static const int others[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]);
             i++) /* cmocka's, a sanitizer's */
            (void)signal(others[i], SIG_DFL);
        dp_crash_install(&(struct dp_crash_options){
            .program = "test 1.2", .folder = folder, .describe = describing, .ctx = "told by "});
        dp_crash_thread_begin();
        crash_by(way);
        _exit(8);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

/* Crashes; the report that was found afterwards. */
static void crash_anyhow(enum way way, int number, char text[8192])
{
    char path[4096], line[256];
    int null = open("/dev/null", O_WRONLY);
    assert_int_equal(status_of(way, null), number);
    (void)close(null);
    assert_true(dp_crash_found(folder, path, sizeof(path), line, sizeof(line)));
    assert_false(dp_crash_found(folder, line, sizeof(line), line, sizeof(line)));
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, 8191);
    assert_true(n > 0);
    text[n] = '\0';
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_non_null(strstr(text, ", test 1.2\nbuild id "));
    assert_non_null(strstr(text, "told by "));
    assert_non_null(strstr(text, "(+0x")); /* frames */
    assert_non_null(strstr(text, "Z, "));  /* the time */
}

/* The same, whole. */
static void crash(enum way way, int number, char text[8192])
{
    crash_anyhow(way, number, text);
    assert_non_null(strstr(text, "\nend of the report\n"));
}

/* The process ends, by the second signal, and all that the report had to say until then is in it. */
static void test_report_that_crashes(void **state)
{
    char text[8192];
    (void)state;
    if (!FAULTS)
        return;
    nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true((const volatile void *)nowhere != MAP_FAILED);
    describing = describe_and_crash;
    crash_anyhow(ABORT, SIGSEGV, text);
    assert_memory_equal(text, "crash: SIGABRT sent", 19);
    assert_non_null(strstr(text, "\nhalf a l\nthe report broke off here, by another SIGSEGV\n"));
    crash_anyhow(FAULT, SIGSEGV, text);
    assert_non_null(strstr(text, "\nhalf a l\nthe report broke off here, by another SIGSEGV\n"));
    describing = describe;
}

static void test_faults(void **state)
{
    char text[8192], sender[64];
    (void)state;
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    nowhere = page;
    if (FAULTS) {
        crash(FAULT, SIGSEGV, text);
        (void)snprintf(sender, sizeof(sender), "crash: SIGSEGV at address %p, 20", page);
        assert_memory_equal(text, sender, strlen(sender));
    }
    assert_int_equal(munmap(page, 4096), 0);
    crash(ABORT, SIGABRT, text);
    assert_memory_equal(text, "crash: SIGABRT sent by process ", 31);
    crash(SENT, SENT_SIGNAL, text);
    assert_memory_equal(text, "crash: " SENT_NAME " sent by process ",
                        strlen("crash: " SENT_NAME " sent by process "));
    (void)snprintf(sender, sizeof(sender), " of uid %u, ", (unsigned)getuid());
    assert_non_null(strstr(text, sender));
}

/* The handler has a stack of its own. */
static void test_overflow(void **state)
{
    char text[8192];
    (void)state;
    if (!FAULTS)
        return;
    crash(STACK, SIGSEGV, text);
    assert_memory_equal(text, "crash: SIGSEGV at address 0x", 28);
}

/* A watchdog ends the process; the report is the stalled thread's. */
static void test_blame(void **state)
{
    char text[8192];
    (void)state;
    crash(BLAMED, SIGABRT, text);
    assert_memory_equal(text, "crash: SIGABRT sent by process ", 31);
    assert_non_null(strstr(text, " spinner\n"));
    describing = describe_while_asked_again;
    crash(BLAMED, SIGABRT, text);
    describing = describe;
    assert_non_null(strstr(text, " spinner\n"));
}

/* It ends all the same, and the file has how the report begins. */
static void test_nobody_reads_stderr(void **state)
{
    static const char zeros[4096];
    char path[4096], line[256];
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(ends[1], zeros, sizeof(zeros)) > 0) {
    }
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    assert_int_equal(status_of(ABORT, ends[1]), SIGALRM);
    assert_true(dp_crash_found(folder, path, sizeof(path), line, sizeof(line)));
    assert_memory_equal(line, "crash: SIGABRT sent by process ", 31);
    assert_int_equal(unlink(path), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void put_file(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, "crash: x\nmore\n", 14), 14);
    (void)close(fd);
}

static bool exists(const char *name)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return stat(path, &st) == 0;
}

static void test_old_reports_go(void **state)
{
    static const char *const old[] = {"crash-0000000001.txt", "crash-0000000002.txt",
                                      "crash-0000000003.txt", "crash-0000000004.txt",
                                      "crash-0000000005.txt"};
    char path[4096], line[256];
    (void)state;
    for (size_t i = 0; i < 5; i++)
        put_file(old[i]);
    put_file(DP_CRASH_FILE);
    put_file("other.txt");
    assert_true(dp_crash_found(folder, path, sizeof(path), line, sizeof(line)));
    assert_string_equal(line, "crash: x");
    assert_false(exists(old[0]));
    for (size_t i = 1; i < 5; i++) {
        assert_true(exists(old[i]));
        char name[256];
        (void)snprintf(name, sizeof(name), "%s/%s", folder, old[i]);
        assert_int_equal(unlink(name), 0);
    }
    assert_true(exists("other.txt"));
    assert_int_equal(unlink(path), 0);
}

static void test_text(void **state)
{
    struct dp_crash_text t = {0};
    (void)state;
    dp_crash_put_span(&t, (struct dp_span){"a\nb\x80 c", 6}, 5);
    dp_crash_put(&t, " ");
    dp_crash_put_uint(&t, UINT64_MAX);
    assert_int_equal(t.n, 26);
    assert_memory_equal(t.p, "a?b?  18446744073709551615", 26);
    for (unsigned i = 0; i < 500; i++)
        dp_crash_put(&t, "what does not fit");
    assert_int_equal(t.n, sizeof(t.p));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[256];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/other.txt", folder);
    (void)unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_report_that_crashes),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_blame),
        cmocka_unit_test(test_nobody_reads_stderr),
        cmocka_unit_test(test_old_reports_go),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("crash", tests, make_folder, remove_folder);
}
