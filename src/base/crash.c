/* The handler, and what it needs ready beforehand. */
#include "davenport/base/crash.h"

#include "davenport/base/clock.h"

#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES  4096
#define STACK_BYTES ((size_t)65536)
#define FRAMES      64
#define FILE_MODE   0600
/* A thread that crashes while another one reports, or that waits for the blamed one, waits so long. */
#define OTHERS_MS 3000
/* A report that does not end (nobody reads stderr, a disk hangs) must not keep a dead process, and its sockets, alive. */
#define REPORT_S 5

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGSEGV, "SIGSEGV"},
               {SIGBUS, "SIGBUS"},
               {SIGILL, "SIGILL"},
               {SIGFPE, "SIGFPE"},
               {SIGABRT, "SIGABRT"}};
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static struct {
    char program[96];
    char build[64]; /* hex of the build id; "": none */
    char path[PATH_BYTES];
    struct sigaction before[SIGNALS];
    bool installed;
    void *_Atomic ctx;
    _Atomic(void (*)(void *, long, struct dp_crash_text *)) describe;
} crash;

static atomic_long blamed;
static atomic_flag passed_on =
    ATOMIC_FLAG_INIT; /* to the blamed one: once more would break its report off */
static atomic_flag reporting = ATOMIC_FLAG_INIT;
static atomic_long reporter; /* the thread */

/* The report under way, the reporter's: where it is at hand when the handler itself crashes. */
static struct {
    struct dp_crash_text text;
    int file;
} under_way;

/* ---- text ---- */

void dp_crash_put_span(struct dp_crash_text *t, struct dp_span s, size_t max)
{
    for (size_t i = 0; i < s.n && i < max && t->n < sizeof(t->p); i++)
        t->p[t->n++] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
}

void dp_crash_put(struct dp_crash_text *t, const char *text)
{
    for (; *text && t->n < sizeof(t->p); text++)
        t->p[t->n++] = *text;
}

static void put_number(struct dp_crash_text *t, uint64_t n, unsigned base, unsigned width)
{
    char digits[20];
    unsigned k = 0;
    do {
        digits[k++] = "0123456789abcdef"[n % base];
        n /= base;
    } while ((n > 0 || k < width) && k < sizeof(digits));
    while (k > 0 && t->n < sizeof(t->p))
        t->p[t->n++] = digits[--k];
}

void dp_crash_put_uint(struct dp_crash_text *t, uint64_t n)
{
    put_number(t, n, 10, 1);
}

/* 2026-11-26T22:57:01Z. gmtime_r may take a lock. */
static void put_time(struct dp_crash_text *t, uint64_t s)
{
    /* days since 1970 to a date of the proleptic Gregorian calendar, whose years here begin in March */
    const uint64_t z = s / 86400 + 719468, era = z / 146097, doe = z % 146097;
    const uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    const uint64_t month = mp < 10 ? mp + 3 : mp - 9;
    put_number(t, yoe + era * 400 + (month <= 2), 10, 4);
    dp_crash_put(t, "-");
    put_number(t, month, 10, 2);
    dp_crash_put(t, "-");
    put_number(t, doy - (153 * mp + 2) / 5 + 1, 10, 2);
    dp_crash_put(t, "T");
    put_number(t, s / 3600 % 24, 10, 2);
    dp_crash_put(t, ":");
    put_number(t, s / 60 % 60, 10, 2);
    dp_crash_put(t, ":");
    put_number(t, s % 60, 10, 2);
    dp_crash_put(t, "Z");
}

static void flush(struct dp_crash_text *t, int file)
{
    const int fds[] = {file, 2}; /* stderr may be a pipe that nobody reads any more */
    for (size_t i = 0; i < 2; i++) {
        size_t at = 0;
        while (fds[i] >= 0 && at < t->n) {
            ssize_t n = write(fds[i], t->p + at, t->n - at);
            if (n <= 0)
                break;
            at += (size_t)n;
        }
    }
    t->n = 0;
}

/* ---- the handler ---- */

static long thread_id(void)
{
    return syscall(SYS_gettid);
}

static void wait_for_the_end(void)
{
    const struct timespec pause = {OTHERS_MS / 1000, OTHERS_MS % 1000 * 1000000L};
    (void)nanosleep(&pause, NULL);
}

static size_t index_of(int number)
{
    size_t i = 0;
    while (i < SIGNALS - 1 && signals[i].number != number)
        i++;
    return i;
}

static void put_head(struct dp_crash_text *t, int number, const siginfo_t *info)
{
    struct timespec now = {0, 0};
    char name[17] = "";
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    dp_crash_put(t, "crash: ");
    dp_crash_put(t, signals[index_of(number)].name);
    if (info->si_code > 0) {
        dp_crash_put(t, " at address 0x");
        put_number(t, (uint64_t)(uintptr_t)info->si_addr, 16, 1);
    } else {
        dp_crash_put(t, " sent by process ");
        dp_crash_put_uint(t, (uint64_t)info->si_pid);
        dp_crash_put(t, " of uid ");
        dp_crash_put_uint(t, info->si_uid);
    }
    dp_crash_put(t, ", ");
    put_time(t, (uint64_t)now.tv_sec);
    dp_crash_put(t, ", ");
    dp_crash_put(t, crash.program);
    dp_crash_put(t, "\nbuild id ");
    dp_crash_put(t, *crash.build ? crash.build : "unknown");
    dp_crash_put(t, ", process ");
    dp_crash_put_uint(t, (uint64_t)getpid());
    dp_crash_put(t, ", thread ");
    dp_crash_put_uint(t, (uint64_t)thread_id());
    dp_crash_put(t, " ");
    dp_crash_put(t, name);
    dp_crash_put(t, "\n");
}

/* What is the most useful comes first, what is the most likely to crash again last: see report_broke_off. */
static void report(int number, const siginfo_t *info)
{
    struct dp_crash_text *t = &under_way.text;
    void *frames[FRAMES];
    const int file =
        *crash.path ? open(crash.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE) : -1;
    under_way.file = file;
    put_head(t, number, info);
    dp_crash_put(t, "backtrace (addr2line -e davenport OFFSET):\n");
    flush(t, file);
    const int n = backtrace(frames, FRAMES);
    backtrace_symbols_fd(frames, n, 2);
    if (file >= 0)
        backtrace_symbols_fd(frames, n, file);
    void (*describe)(void *, long, struct dp_crash_text *) = atomic_load(&crash.describe);
    if (describe)
        describe(atomic_load(&crash.ctx), thread_id(), t);
    dp_crash_put(t, "end of the report\n");
    flush(t, file);
    if (file >= 0)
        (void)close(file);
}

/* It reads what other threads write and what may be broken. What it said so far is not lost. */
static void report_broke_off(int number)
{
    dp_crash_put(&under_way.text, "\nthe report broke off here, by another ");
    dp_crash_put(&under_way.text, signals[index_of(number)].name);
    dp_crash_put(&under_way.text, "\n");
    flush(&under_way.text, under_way.file);
}

static void report_in_time(int number, const siginfo_t *info)
{
    sigset_t late;
    (void)signal(SIGALRM, SIG_DFL);
    (void)sigemptyset(&late);
    (void)sigaddset(&late, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &late, NULL); /* ThreadSanitizer blocks all in a handler */
    (void)alarm(REPORT_S);
    report(number, info);
    (void)alarm(0);
}

static bool was_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    const long culprit = atomic_load(&blamed);
    (void)context;
    if (number == SIGABRT && info->si_code == SI_USER && culprit > 0 && culprit != thread_id()) {
        if (!atomic_flag_test_and_set(&passed_on))
            (void)syscall(SYS_tgkill, getpid(), culprit, SIGABRT);
        wait_for_the_end();
    }
    if (!atomic_flag_test_and_set(&reporting)) {
        atomic_store(&reporter, thread_id());
        report_in_time(number, info);
    } else if (atomic_load(&reporter) != thread_id()) {
        wait_for_the_end();
    } else if (info->si_code == SI_USER) {
        return; /* somebody is impatient: the end is near */
    } else {
        report_broke_off(number);
    }
    /* Again, to whoever had it before us: a fault repeats itself, what was sent is sent. */
    (void)sigaction(number, &crash.before[index_of(number)], NULL);
    if (was_sent(info))
        (void)syscall(SYS_tgkill, getpid(), thread_id(), number);
}

/* ---- readiness ---- */

/* The program's note NT_GNU_BUILD_ID, in hex. */
static void read_notes(const char *p, size_t n)
{
    while (n >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, p, sizeof(note));
        const size_t name = (note.n_namesz + 3U) & ~3U, bytes = (note.n_descsz + 3U) & ~3U;
        const size_t whole = sizeof(note) + name + bytes;
        if (whole > n)
            return;
        const unsigned char *id = (const unsigned char *)p + sizeof(note) + name;
        if (note.n_type == NT_GNU_BUILD_ID) {
            for (size_t i = 0; i < note.n_descsz && 2 * i + 2 < sizeof(crash.build); i++)
                (void)snprintf(crash.build + 2 * i, 3, "%02x", id[i]);
            return;
        }
        p += whole;
        n -= whole;
    }
}

static int on_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_NOTE)
            read_notes((const char *)(uintptr_t)(info->dlpi_addr + h->p_vaddr), h->p_memsz);
    }
    return 1; /* the first one is the program */
}

void dp_crash_install(const struct dp_crash_options *opt)
{
    void *frames[2];
    (void)snprintf(crash.program, sizeof(crash.program), "%s", opt->program);
    crash.path[0] = '\0';
    if (opt->folder && snprintf(crash.path, sizeof(crash.path), "%s/%s", opt->folder,
                                DP_CRASH_FILE) >= (int)sizeof(crash.path))
        crash.path[0] = '\0';
    atomic_store(&crash.ctx, opt->ctx);
    atomic_store(&crash.describe, opt->describe);
    if (crash.installed)
        return;
    crash.installed = true;
    (void)dl_iterate_phdr(on_object, NULL);
    (void)backtrace(frames, 2); /* loads the unwinder, which the handler can't */
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i].number, &action, &crash.before[i]);
}

void dp_crash_forget(void)
{
    atomic_store(&crash.describe, NULL);
}

void dp_crash_blame(long tid)
{
    atomic_store(&blamed, tid);
}

/* A sanitizer has stacks of its own, which it takes back by itself. */
static _Thread_local stack_t stack_before;
static _Thread_local void *stack_ours;

void dp_crash_thread_begin(void)
{
    void *p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const stack_t stack = {.ss_sp = p, .ss_size = STACK_BYTES};
    if (p == MAP_FAILED)
        return; /* then an overflow has no report */
    if (sigaltstack(&stack, &stack_before) == 0)
        stack_ours = p;
    else
        (void)munmap(p, STACK_BYTES);
}

void dp_crash_thread_end(void)
{
    if (!stack_ours)
        return;
    (void)sigaltstack(&stack_before, NULL);
    (void)munmap(stack_ours, STACK_BYTES);
    stack_ours = NULL;
}

/* ---- the next process ---- */

static bool read_line(const char *path, char *line, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, line, cap - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return fd >= 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Names have the time in them, at a fixed length: the first by name are the oldest. */
static void remove_old(const char *folder)
{
    char names[64][32];
    size_t n = 0;
    DIR *dir = opendir(folder);
    const struct dirent *e;
    while (dir && n < 64 && (e = readdir(dir))) {
        if (strncmp(e->d_name, "crash-", 6) == 0 && strlen(e->d_name) < sizeof(names[0]))
            (void)snprintf(names[n++], sizeof(names[0]), "%.31s", e->d_name);
    }
    if (dir)
        (void)closedir(dir);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i + DP_CRASH_KEEP < n; i++) {
        char path[PATH_BYTES];
        if (snprintf(path, sizeof(path), "%s/%s", folder, names[i]) < (int)sizeof(path))
            (void)unlink(path);
    }
}

bool dp_crash_found(const char *folder, char *path, size_t path_cap, char *line, size_t line_cap)
{
    char fresh[PATH_BYTES];
    struct stat st;
    if (snprintf(fresh, sizeof(fresh), "%s/%s", folder, DP_CRASH_FILE) >= (int)sizeof(fresh) ||
        stat(fresh, &st) != 0 || !read_line(fresh, line, line_cap))
        return false;
    if (snprintf(path, path_cap, "%s/crash-%010lld.txt", folder, (long long)st.st_mtime) >=
            (int)path_cap ||
        rename(fresh, path) != 0)
        (void)snprintf(path, path_cap, "%s", fresh);
    remove_old(folder);
    return true;
}
