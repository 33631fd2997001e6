/* The sink: a pool of chunks, a queue, a thread that writes.
 *
 * `lock` guards the lists, the wishes (reopen, ending) and the pool's size, and is never held over a system
 * call that may wait for the file. The file and all that is said about it are the thread's own. */
#include "davenport/base/sink.h"

#include "davenport/base/clock.h"
#include "davenport/base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long one wait for a pipe's reader lasts before the end is looked for. */
#define POLL_MS 100
#define MODE    0640

struct dp_sink {
    char *path; /* NULL: stdout */
    uint32_t max_chunks, linger_ms;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct dp_sink_chunk *free;
    struct dp_sink_chunk *first, **last; /* the queue */
    uint32_t n_chunks;                   /* that exist */
    bool reopen;
    _Atomic uint64_t
        end_by_ns; /* not 0: the end has begun, and what waits for a reader then is lost */

    /* the thread's */
    int fd;
    bool regular;
    bool torn;     /* the file ends within a line */
    bool troubled; /* the last write failed, and was logged */
    _Atomic uint64_t lost;
};

static uint64_t now_ns(void)
{
    return dp_clock_mono_ns(&dp_clock_system);
}

/* ---- the file ---- */

static const char *shown_path(const struct dp_sink *s)
{
    return s->path ? s->path : "-";
}

static void trouble(struct dp_sink *s, const char *what, int error)
{
    if (!s->troubled)
        dp_log(DP_LOG_ERROR, "sink_not_written", DP_KV_STR("path", shown_path(s)),
               DP_KV_STR("reason", what), DP_KV_STR("error", strerrordesc_np(error)));
    s->troubled = true;
}

/* Non-blocking matters to a FIFO only: its reader may come later or never. */
static bool open_file(const struct dp_sink *s, int *fd, bool *regular)
{
    struct stat st;
    int new = s->path ? open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, MODE)
                      : dup(STDOUT_FILENO);
    if (new < 0)
        return false;
    *fd = new;
    *regular = fstat(new, &st) == 0 && S_ISREG(st.st_mode);
    return true;
}

static void reopen_file(struct dp_sink *s)
{
    int fd;
    bool regular;
    if (!s->path)
        return;
    if (!open_file(s, &fd, &regular)) {
        dp_log(DP_LOG_ERROR, "sink_not_reopened", DP_KV_STR("path", s->path),
               DP_KV_STR("error", strerrordesc_np(errno)),
               DP_KV_STR("reason", "lines go on to the file that was open"));
        return;
    }
    (void)close(s->fd);
    s->fd = fd;
    s->regular = regular;
    s->torn = false;
    dp_log(DP_LOG_INFO, "sink_reopened", DP_KV_STR("path", s->path));
}

/* Wait until a pipe takes PIPE_BUF bytes. False when the end does not wait for its reader. */
static bool room(const struct dp_sink *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    for (;;) {
        if (poll(&p, 1, POLL_MS) > 0)
            return true;
        uint64_t end_by_ns = atomic_load_explicit(&s->end_by_ns, memory_order_relaxed);
        if (end_by_ns != 0 && now_ns() > end_by_ns)
            return false;
    }
}

/* Bytes written of n; fewer: *error says why. */
static size_t write_all(const struct dp_sink *s, const char *p, size_t n, int *error)
{
    size_t at = 0;
    while (at < n) {
        size_t piece = n - at;
        if (!s->regular) {
            if (piece > PIPE_BUF)
                piece = PIPE_BUF; /* more could block, whatever poll says */
            if (!room(s)) {
                *error = ETIMEDOUT;
                return at;
            }
        }
        ssize_t done = write(s->fd, p + at, piece);
        if (done >= 0) {
            at += (size_t)done;
        } else if (errno != EINTR && errno != EAGAIN) {
            *error = errno;
            return at;
        }
    }
    return at;
}

static uint32_t lines_in(const char *p, size_t n)
{
    uint32_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

/* A line that was cut by an error is closed by a newline of its own, so that it spoils no other. */
static void write_chunk(struct dp_sink *s, const struct dp_sink_chunk *c)
{
    int error = 0;
    size_t done = 0;
    if (!s->torn || write_all(s, "\n", 1, &error) == 1) {
        s->torn = false;
        done = write_all(s, c->p, c->n, &error);
    }
    if (done == c->n) {
        if (s->troubled)
            dp_log(DP_LOG_INFO, "sink_written_again", DP_KV_STR("path", shown_path(s)),
                   DP_KV_INT("lost_lines", dp_sink_lost(s)));
        s->troubled = false;
        return;
    }
    s->torn = s->torn || (done > 0 && c->p[done - 1] != '\n');
    uint32_t lost = c->lines - lines_in(c->p, done);
    (void)atomic_fetch_add_explicit(&s->lost, lost, memory_order_relaxed);
    trouble(s, "write", error);
}

/* ---- the thread ---- */

static void put_free(struct dp_sink *s, struct dp_sink_chunk *c)
{
    c->next = s->free;
    s->free = c;
}

/* All that waits, then the wish to reopen: so it comes behind what was given before it, and no load delays it. */
static void *run(void *arg)
{
    struct dp_sink *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->first && !s->reopen &&
               atomic_load_explicit(&s->end_by_ns, memory_order_relaxed) == 0)
            (void)pthread_cond_wait(&s->wake, &s->lock);
        struct dp_sink_chunk *c = s->first;
        bool reopen = s->reopen;
        s->first = NULL;
        s->last = &s->first;
        s->reopen = false;
        if (!c && !reopen)
            break;
        while (c) {
            struct dp_sink_chunk *next = c->next;
            (void)pthread_mutex_unlock(&s->lock);
            write_chunk(s, c);
            (void)pthread_mutex_lock(&s->lock);
            put_free(s, c);
            c = next;
        }
        if (reopen) {
            (void)pthread_mutex_unlock(&s->lock);
            reopen_file(s);
            (void)pthread_mutex_lock(&s->lock);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- calls of other threads ---- */

struct dp_sink_chunk *dp_sink_take(struct dp_sink *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct dp_sink_chunk *c = s->free;
    bool may_grow = !c && s->n_chunks < s->max_chunks;
    if (c)
        s->free = c->next;
    if (may_grow)
        s->n_chunks++;
    (void)pthread_mutex_unlock(&s->lock);
    if (may_grow) {
        c = malloc(sizeof(*c));
        if (!c) {
            (void)pthread_mutex_lock(&s->lock);
            s->n_chunks--;
            (void)pthread_mutex_unlock(&s->lock);
        }
    }
    if (c) {
        c->next = NULL;
        c->n = 0;
        c->lines = 0;
    }
    return c;
}

void dp_sink_give(struct dp_sink *s, struct dp_sink_chunk *c)
{
    assert(c->n <= DP_SINK_CHUNK_BYTES);
    (void)pthread_mutex_lock(&s->lock);
    if (c->n == 0) {
        put_free(s, c);
    } else {
        c->next = NULL;
        *s->last = c;
        s->last = &c->next;
    }
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_cond_signal(&s->wake);
}

void dp_sink_reopen(struct dp_sink *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->reopen = true;
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_cond_signal(&s->wake);
}

uint64_t dp_sink_lost(const struct dp_sink *s)
{
    return atomic_load_explicit(&s->lost, memory_order_relaxed);
}

/* ---- life ---- */

static void sink_free(struct dp_sink *s)
{
    while (s->free) {
        struct dp_sink_chunk *c = s->free;
        s->free = c->next;
        free(c);
        s->n_chunks--;
    }
    assert(s->n_chunks == 0);
    if (s->fd >= 0)
        (void)close(s->fd);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}

enum dp_err dp_sink_open(const char *path, uint32_t chunks, uint32_t linger_ms,
                         struct dp_sink **out, char why[DP_SINK_WHY])
{
    struct dp_sink *s = calloc(1, sizeof(*s));
    (void)snprintf(why, DP_SINK_WHY, "out of memory");
    if (!s)
        return DP_ENOMEM;
    s->fd = -1;
    s->max_chunks = chunks;
    s->linger_ms = linger_ms;
    s->last = &s->first;
    (void)pthread_mutex_init(&s->lock, NULL); /* neither can fail with default attributes */
    (void)pthread_cond_init(&s->wake, NULL);
    if (strcmp(path, "-") != 0 && !(s->path = strdup(path))) {
        sink_free(s);
        return DP_ENOMEM;
    }
    int error = open_file(s, &s->fd, &s->regular) ? 0 : errno;
    if (error == 0)
        error = pthread_create(&s->thread, NULL, run, s);
    if (error != 0) {
        (void)snprintf(why, DP_SINK_WHY, "%s", strerrordesc_np(error));
        sink_free(s);
        return DP_EIO;
    }
    why[0] = '\0';
    *out = s;
    return DP_OK;
}

void dp_sink_close(struct dp_sink *s)
{
    if (!s)
        return;
    (void)pthread_mutex_lock(&s->lock);
    uint64_t by = now_ns() + s->linger_ms * DP_NS_PER_MS;
    atomic_store_explicit(&s->end_by_ns, by, memory_order_relaxed);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_join(s->thread, NULL);
    sink_free(s);
}
