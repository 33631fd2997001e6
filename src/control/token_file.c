/* See token_file.h. */
#include "control/token_file.h"

#include "control/iam.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

struct dp_token_file {
    uv_loop_t *loop;
    const char *path;
    dp_token_file_done done;
    void *ctx;
    uv_work_t work;
    bool busy, dead;
    void (*closed)(void *ctx);
    void *closed_ctx;
    /* the job's */
    const char *why;
    size_t n;
    char text[DP_TOKEN_BYTES_MAX + 64]; /* longer than any token may be */
};

struct dp_token_file *dp_token_file_new(uv_loop_t *loop, const char *path, dp_token_file_done done,
                                        void *ctx)
{
    struct dp_token_file *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->loop = loop;
    f->path = path;
    f->done = done;
    f->ctx = ctx;
    f->work.data = f;
    return f;
}

static void work(uv_work_t *w)
{
    struct dp_token_file *f = w->data;
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for ever */
    f->n = 0;
    f->why = fd < 0 ? strerrordesc_np(errno) : NULL;
    while (fd >= 0 && f->n < sizeof(f->text)) {
        ssize_t got = read(fd, f->text + f->n, sizeof(f->text) - f->n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            f->why = strerrordesc_np(errno);
        if (got <= 0)
            break;
        f->n += (size_t)got;
    }
    if (fd >= 0)
        (void)close(fd);
}

static bool white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void free_file(struct dp_token_file *f)
{
    void (*closed)(void *) = f->closed;
    void *ctx = f->closed_ctx;
    free(f);
    closed(ctx);
}

static void on_done(uv_work_t *w, int status)
{
    struct dp_token_file *f = w->data;
    struct dp_span token = {f->text, f->n};
    (void)status; /* it is never cancelled */
    f->busy = false;
    while (token.n > 0 && white(token.p[token.n - 1]))
        token.n--;
    while (token.n > 0 && white(token.p[0])) {
        token.p++;
        token.n--;
    }
    if (!f->dead)
        f->done(f->ctx, token, f->why);
    explicit_bzero(f->text, sizeof(f->text));
    if (f->dead)
        free_file(f);
}

bool dp_token_file_read(struct dp_token_file *f)
{
    if (f->busy)
        return false;
    f->busy = true;
    (void)uv_queue_work(f->loop, &f->work, work, on_done); /* fails only without a function */
    return true;
}

void dp_token_file_close(struct dp_token_file *f, void (*closed)(void *ctx), void *ctx)
{
    f->dead = true;
    f->closed = closed;
    f->closed_ctx = ctx;
    if (!f->busy)
        free_file(f);
}
