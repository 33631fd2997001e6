/* The writer's queue and thread.
 *
 *   line(), state() ──► queue ──► [thread] rotate? ─► write ─► fsync ─► state: write, fsync, rename ─► done
 *                         ▲                             │
 *                         └──────── the disk refused: again in a second, from where it stopped
 *
 * `lock` guards the queue, the tickets and the wishes, and is never held over a call to the disk. The file is the
 * thread's own. A line that was cut by an error is closed with a newline and written once more,
 * whole, so that a torn line never spoils its neighbour. */
#include "control/journal_writer.h"

#include "davenport/base/log.h"

#include "control/replace_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#define RETRY_NS (UINT64_C(1000) * 1000 * 1000)
/* How long the end waits for a disk that hangs; then its thread is left behind. */
#define END_MS 5000
#define MODE   0640

struct line {
    struct line *next;
    uint64_t ticket;
    size_t n;
    char p[];
};

struct dp_journal_writer {
    char *path, *state_path, *spare_path; /* spare: the next state while it is written */
    uint64_t max_bytes;
    uint32_t keep;
    void (*saved)(void *ctx);
    void *ctx;
    uv_thread_t thread;

    uv_mutex_t lock;
    uv_cond_t wake, ended_cond;
    struct line *first, **last;
    uint32_t waiting;
    char *state; /* not written yet, or NULL */
    size_t state_bytes;
    uint64_t tickets, done;
    bool reopen, finishing, ending, ended, troubled;
    bool joined; /* there is no thread */

    /* the thread's */
    int fd; /* -1: not open */
    uint64_t size;
    bool regular; /* else it is never rotated */
    bool torn;    /* the file ends within a line */
    bool told;    /* the trouble is in the log */
};

/* ---- the files ---- */

static void trouble(struct dp_journal_writer *w, const char *path, const char *what, int error)
{
    if (!w->told)
        dp_log(DP_LOG_ERROR, "journal_not_written", DP_KV_STR("path", path),
               DP_KV_STR("reason", what),
               DP_KV_STR("error", strerrordesc_np(error))); /* libuv leaks the unknown */
    w->told = true;
}

/* What a pipe or a device does not know is no failure. */
static bool sync_file(int fd)
{
    int r;
    do {
        r = fsync(fd);
    } while (r != 0 && errno == EINTR);
    return r == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

/* Non-blocking matters to a pipe only: nobody may read it. */
static int open_path(struct dp_journal_writer *w)
{
    int fd = open(w->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, MODE);
    struct stat st;
    if (fd < 0) {
        trouble(w, w->path, "open", errno);
        return -1;
    }
    w->size = 0;
    w->torn = false;
    w->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (w->regular && st.st_size > 0) {
        char last;
        w->size = (uint64_t)st.st_size;
        /* who can't know takes it for torn: an empty line spoils nothing */
        w->torn = pread(fd, &last, 1, st.st_size - 1) != 1 || last != '\n';
    }
    dp_sync_folder_of(w->path);
    return fd;
}

static void close_file(struct dp_journal_writer *w)
{
    if (w->fd >= 0)
        (void)close(w->fd);
    w->fd = -1;
}

static void name_of(const struct dp_journal_writer *w, uint32_t index, char *buf, size_t cap)
{
    (void)snprintf(buf, cap, index ? "%s.%u" : "%s", w->path, (unsigned)index);
}

/* path.1 becomes path.2 and so on, path becomes path.1; the oldest goes. */
static void rotate(struct dp_journal_writer *w)
{
    char from[4096], to[4096];
    bool good = true;
    (void)sync_file(w->fd);
    for (uint32_t i = w->keep; i > 0; i--) {
        name_of(w, i - 1, from, sizeof(from));
        name_of(w, i, to, sizeof(to));
        good = (rename(from, to) == 0 || errno == ENOENT) && good;
    }
    if (!good) {
        trouble(w, w->path, "rotate", errno);
        w->size = 0; /* it goes on, and is tried again after as many bytes */
        return;
    }
    close_file(w);
    w->fd = open_path(w);
}

static bool write_all(struct dp_journal_writer *w, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        ssize_t done = write(w->fd, p + at, n - at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            trouble(w, w->path, "write", errno);
            break;
        }
        at += (size_t)done;
        w->size += (uint64_t)done;
    }
    if (at > 0)
        w->torn = p[at - 1] != '\n';
    return at == n;
}

static bool write_line(struct dp_journal_writer *w, const struct line *l)
{
    if (w->fd < 0)
        w->fd = open_path(w);
    if (w->fd >= 0 && w->regular && w->max_bytes && w->size > 0 && w->size + l->n > w->max_bytes)
        rotate(w);
    return w->fd >= 0 && (!w->torn || write_all(w, "\n", 1)) && write_all(w, l->p, l->n);
}

static bool write_state(struct dp_journal_writer *w, const char *p, size_t n)
{
    const int error = dp_replace_file(w->state_path, w->spare_path, MODE, (struct dp_span){p, n});
    if (error != 0)
        trouble(w, w->state_path, "state", error);
    return error == 0;
}

/* The new file is opened before the old one is let go: if that fails, the old one is kept. */
static void reopen_file(struct dp_journal_writer *w)
{
    int fd = open_path(w); /* on failure nothing else has changed */
    if (fd < 0 && w->fd >= 0)
        return;
    close_file(w);
    w->fd = fd;
}

/* ---- the thread ---- */

/* Lines up to this one are on the disk. */
static void forget_through(struct dp_journal_writer *w, const struct line *last)
{
    w->done = last->ticket;
    for (bool more = true; more;) {
        struct line *l = w->first;
        more = l != last;
        w->first = l->next;
        w->waiting--;
        free(l);
    }
    if (!w->first)
        w->last = &w->first;
}

/* Write what is queued, in order, and sync it: only then it leaves the queue. After a sync that failed nobody knows what of it
 * is on the disk, so it is written once more: a line twice is better than none. False: the disk refused, and the rest is still
 * queued. Called and left with the lock held. */
static bool write_queue(struct dp_journal_writer *w)
{
    bool good = true;
    const struct line *last = NULL;  /* written */
    const struct line *l = w->first; /* ours to read: only this thread removes */
    while (good && l) {
        uv_mutex_unlock(&w->lock);
        good = write_line(w, l);
        uv_mutex_lock(&w->lock);
        if (good) {
            last = l;
            l = l->next;
        }
    }
    if (!last)
        return good;
    uv_mutex_unlock(&w->lock);
    bool synced = sync_file(w->fd);
    if (!synced)
        trouble(w, w->path, "fsync", errno);
    uv_mutex_lock(&w->lock);
    if (synced)
        forget_through(w, last);
    return good && synced;
}

static bool write_newest_state(struct dp_journal_writer *w)
{
    uint64_t ticket = w->tickets;
    char *state = w->state;
    size_t n = w->state_bytes;
    if (!state)
        return true;
    if (w->first) /* what came meanwhile goes first */
        return true;
    w->state = NULL;
    uv_mutex_unlock(&w->lock);
    bool good = write_state(w, state, n);
    uv_mutex_lock(&w->lock);
    if (good)
        w->done = ticket;
    if (!good && !w->state) {
        w->state = state;
        w->state_bytes = n;
    } else {
        free(state);
    }
    return good;
}

static bool work(struct dp_journal_writer *w)
{
    bool reopen = w->reopen;
    bool good = write_queue(w) && write_newest_state(w);
    if (reopen) {
        w->reopen = false;
        uv_mutex_unlock(&w->lock);
        reopen_file(w);
        uv_mutex_lock(&w->lock);
    }
    w->troubled = !good;
    if (good && w->told) {
        dp_log(DP_LOG_INFO, "journal_written_again", DP_KV_STR("path", w->path));
        w->told = false;
    }
    return good;
}

static bool has_work(const struct dp_journal_writer *w)
{
    return w->first || w->state || w->reopen;
}

/* By the time that there is more it may be another one's, or moved, and what was wrong with it over. Called and left with the
 * lock held. */
static void let_go_of_file(struct dp_journal_writer *w)
{
    uv_mutex_unlock(&w->lock);
    close_file(w);
    uv_mutex_lock(&w->lock);
}

static void run(void *arg)
{
    struct dp_journal_writer *w = arg;
    uv_mutex_lock(&w->lock);
    for (;;) {
        while (!has_work(w) && !w->ending && !w->finishing)
            uv_cond_wait(&w->wake, &w->lock);
        if (!has_work(w) && w->fd < 0)
            break;
        if (!has_work(w)) {
            let_go_of_file(w);
            continue; /* there may be more meanwhile, or another wish */
        }
        bool good = work(w);
        void (*saved)(void *) = w->saved; /* the end may take it away once the lock is let go */
        if (saved) {
            uv_mutex_unlock(&w->lock);
            saved(w->ctx);
            uv_mutex_lock(&w->lock);
        }
        if (good)
            continue;
        let_go_of_file(w);
        if (w->ending)
            break;
        (void)uv_cond_timedwait(&w->wake, &w->lock, RETRY_NS);
    }
    if (w->waiting)
        dp_log(DP_LOG_ERROR, "journal_lost", DP_KV_STR("path", w->path),
               DP_KV_INT("lines", w->waiting), DP_KV_STR("reason", "the end came first"));
    w->ended = true;
    void (*saved)(void *) = w->ending ? NULL : w->saved;
    uv_cond_signal(&w->ended_cond);
    uv_mutex_unlock(&w->lock);
    if (saved)
        saved(w->ctx);
}

/* ---- calls of other threads ---- */

uint64_t dp_journal_writer_line(struct dp_journal_writer *w, struct dp_span text)
{
    struct line *l = malloc(sizeof(*l) + text.n);
    uint64_t ticket = 0;
    if (!l)
        return 0;
    l->next = NULL;
    l->n = text.n;
    memcpy(l->p, text.p, text.n);
    uv_mutex_lock(&w->lock);
    if (w->waiting < DP_JOURNAL_QUEUE) {
        ticket = l->ticket = ++w->tickets;
        *w->last = l;
        w->last = &l->next;
        w->waiting++;
        l = NULL;
    }
    uv_mutex_unlock(&w->lock);
    uv_cond_signal(&w->wake);
    free(l);
    return ticket;
}

uint64_t dp_journal_writer_state(struct dp_journal_writer *w, struct dp_span text)
{
    char *copy = malloc(text.n);
    if (!copy || !w->state_path) {
        free(copy);
        return 0;
    }
    memcpy(copy, text.p, text.n);
    uv_mutex_lock(&w->lock);
    free(w->state);
    w->state = copy;
    w->state_bytes = text.n;
    uint64_t ticket = ++w->tickets;
    uv_mutex_unlock(&w->lock);
    uv_cond_signal(&w->wake);
    return ticket;
}

uint64_t dp_journal_writer_done(struct dp_journal_writer *w)
{
    uv_mutex_lock(&w->lock);
    uint64_t done = w->done;
    uv_mutex_unlock(&w->lock);
    return done;
}

uint32_t dp_journal_writer_waiting(struct dp_journal_writer *w, bool *troubled)
{
    uv_mutex_lock(&w->lock);
    uint32_t waiting = w->waiting;
    *troubled = w->troubled;
    uv_mutex_unlock(&w->lock);
    return waiting;
}

void dp_journal_writer_reopen(struct dp_journal_writer *w)
{
    uv_mutex_lock(&w->lock);
    w->reopen = true;
    uv_mutex_unlock(&w->lock);
    uv_cond_signal(&w->wake);
}

/* ---- life ---- */

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    char *text = malloc(n + m + 1);
    if (!text)
        return NULL;
    memcpy(text, a, n);
    memcpy(text + n, b, m + 1);
    return text;
}

static void writer_free(struct dp_journal_writer *w)
{
    while (w->first) {
        struct line *next = w->first->next;
        free(w->first);
        w->first = next;
    }
    assert(w->fd < 0); /* the thread's end closed it */
    uv_cond_destroy(&w->wake);
    uv_cond_destroy(&w->ended_cond);
    uv_mutex_destroy(&w->lock);
    free(w->state);
    free(w->path);
    free(w->state_path);
    free(w->spare_path);
    free(w);
}

struct dp_journal_writer *dp_journal_writer_new(const struct dp_journal_files *files,
                                                void (*saved)(void *ctx), void *ctx)
{
    struct dp_journal_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    assert(files->keep > 0 || files->max_bytes == 0);
    w->fd = -1;
    w->last = &w->first;
    w->max_bytes = files->max_bytes;
    w->keep = files->keep;
    w->saved = saved;
    w->ctx = ctx;
    /* None of these fails with default attributes on Linux. */
    (void)uv_mutex_init(&w->lock);
    (void)uv_cond_init(&w->wake);
    (void)uv_cond_init(&w->ended_cond);
    w->path = join(files->path, "");
    bool good = w->path != NULL;
    if (files->state_path) {
        w->state_path = join(files->state_path, "");
        w->spare_path = join(files->state_path, ".new");
        good = good && w->state_path && w->spare_path;
    }
    if (!good || uv_thread_create(&w->thread, run, w) != 0) {
        writer_free(w);
        return NULL;
    }
    return w;
}

void dp_journal_writer_finish(struct dp_journal_writer *w)
{
    uv_mutex_lock(&w->lock);
    w->finishing = true;
    uv_mutex_unlock(&w->lock);
    uv_cond_signal(&w->wake);
}

bool dp_journal_writer_finished(struct dp_journal_writer *w)
{
    uv_mutex_lock(&w->lock);
    bool finished = w->ended;
    uv_mutex_unlock(&w->lock);
    return finished;
}

bool dp_journal_writer_resume(struct dp_journal_writer *w)
{
    uv_mutex_lock(&w->lock);
    w->finishing = false;
    bool ended = w->ended;
    uv_mutex_unlock(&w->lock);
    if (!ended)
        return true;
    if (!w->joined)
        (void)uv_thread_join(&w->thread);
    w->ended = false;
    w->joined = uv_thread_create(&w->thread, run, w) != 0;
    w->ended = w->joined;
    return !w->joined;
}

void dp_journal_writer_end(struct dp_journal_writer *w)
{
    if (!w)
        return;
    uint64_t by = uv_hrtime() + END_MS * UINT64_C(1000000);
    uv_mutex_lock(&w->lock);
    w->ending = true;
    uv_cond_signal(&w->wake);
    for (uint64_t now = uv_hrtime(); !w->ended && now < by; now = uv_hrtime())
        (void)uv_cond_timedwait(&w->ended_cond, &w->lock, by - now);
    bool ended = w->ended;
    if (!ended)
        w->saved = NULL; /* who would be told goes */
    uv_mutex_unlock(&w->lock);
    if (!ended) { /* its memory stays with it: the process ends anyway */
        dp_log(DP_LOG_ERROR, "journal_lost", DP_KV_STR("path", w->path),
               DP_KV_STR("reason", "the disk does not answer"));
        return;
    }
    if (!w->joined)
        (void)uv_thread_join(&w->thread);
    writer_free(w);
}
