/* See link.h. A stream that was let go of is counted until its close callback: the links outlive it. */
#include "drill/link.h"

#include "davenport/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#define RETRY_MS UINT64_C(100)

static void on_body(struct dp_answer *a, struct dp_span part)
{
    struct dp_link *l = DP_CONTAINER_OF(a, struct dp_link, answer);
    l->events->body(l, part);
}

void dp_link_init(struct dp_link *l, struct dp_link_net *shared,
                  const struct dp_link_events *events)
{
    *l = (struct dp_link){.events = events, .shared = shared};
    dp_answer_init(&l->answer, shared->field, on_body);
}

void dp_link_drop(struct dp_link *l, uint64_t now_ns)
{
    if (l->stream) {
        dp_stream_close(l->stream, l->state == DP_LINK_BUSY);
        l->stream = NULL;
    }
    l->state = DP_LINK_DOWN;
    l->leaving = false;
    l->dial_at_ns = now_ns + RETRY_MS * DP_NS_PER_MS;
}

static void lose(struct dp_link *l, enum dp_load_failure why)
{
    int state = (int)l->state;
    uint64_t now_ns = uv_hrtime();
    dp_link_drop(l, now_ns);
    if (l->served && state == DP_LINK_FREE) {
        l->dial_at_ns = now_ns;
    }
    l->events->lost(l, (int)state, why);
}

static void on_connect(void *owner, enum dp_err err)
{
    struct dp_link *l = owner;
    if (err != DP_OK) {
        struct dp_link_net *shared = l->shared;
        if (!shared->stood && shared->addrs.n > 0) {
            shared->next = (shared->next + 1) % shared->addrs.n;
        }
        lose(l, DP_LOAD_FAILED_CLOSED);
        return;
    }
    l->shared->stood = true;
    l->state = DP_LINK_FREE;
    dp_stream_read_start(l->stream);
    l->events->free(l);
}

static void whole(struct dp_link *l)
{
    l->state = DP_LINK_FREE;
    l->leaving = !l->answer.keep_alive;
    l->served = true;
    l->events->answered(l);
}

static void on_read(void *owner, const char *p, size_t n)
{
    struct dp_link *l = owner;
    if (l->state != DP_LINK_BUSY) { /* nobody asked for it */
        lose(l, DP_LOAD_FAILED_ANSWER);
        return;
    }
    switch (dp_answer_take(&l->answer, p, n)) {
    case DP_ANSWER_MORE:
        return;
    case DP_ANSWER_BAD:
        lose(l, DP_LOAD_FAILED_ANSWER);
        return;
    case DP_ANSWER_WHOLE:
        whole(l);
        return;
    }
}

static void on_end(void *owner, enum dp_err err)
{
    struct dp_link *l = owner;
    if (l->state == DP_LINK_BUSY && err == DP_OK &&
        dp_answer_end(&l->answer) == DP_ANSWER_WHOLE) { /* a body that ends with its connection */
        l->answer.keep_alive = false;
        whole(l);
    }
    if (l->stream) {
        lose(l, DP_LOAD_FAILED_CLOSED);
    }
}

static void on_drain(void *owner)
{
    (void)owner; /* a request waits in the stream until it is out */
}

static void on_close(void *owner)
{
    struct dp_link *l = owner;
    struct dp_link_net *shared = l->shared;
    shared->streams--;
    if (shared->closed) {
        shared->closed(shared);
    }
}

static const struct dp_stream_events stream_events = {on_connect, on_read, on_end, on_drain,
                                                      on_close};

static enum dp_err dial_unix(struct dp_link *l)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct dp_link_net *shared = l->shared;
    struct dp_stream *s = NULL;
    size_t n = strlen(shared->unix_path);
    if (n >= sizeof(address.sun_path)) {
        return DP_EINVAL;
    }
    memcpy(address.sun_path, shared->unix_path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return DP_ECONNECT;
    }
    /* It stands at once or not at all: a Unix socket knows no waiting but for a full backlog. */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return DP_ECONNECT;
    }
    enum dp_err err = dp_tcp_open(&shared->net, fd, &stream_events, l, &s);
    if (err == DP_OK && shared->tls) {
        err = dp_tls_connect(shared->tls, s, &stream_events, l, &s);
    }
    l->stream = err == DP_OK ? s : NULL;
    return err;
}

static enum dp_err dial(struct dp_link *l)
{
    struct dp_link_net *shared = l->shared;
    if (shared->unix_path) {
        return dial_unix(l);
    }
    const struct dp_addr *to = &shared->addrs.at[shared->next % shared->addrs.n];
    return shared->tls ? dp_tls_dial(shared->tls, &shared->net, to->ip, to->port, &stream_events, l,
                                     &l->stream)
                       : dp_tcp_dial(&shared->net, to->ip, to->port, &stream_events, l, &l->stream);
}

void dp_link_tend(struct dp_link *l, uint64_t now_ns)
{
    if (l->state != DP_LINK_DOWN || now_ns < l->dial_at_ns) {
        return;
    }
    if (dial(l) != DP_OK) {
        dp_link_drop(l, now_ns);
        return;
    }
    l->shared->streams++;
    l->served = false;
    l->state = DP_LINK_DIALING;
    if (l->shared->unix_path && !l->shared->tls) {
        on_connect(l, DP_OK);
    }
}

bool dp_link_send(struct dp_link *l, const struct dp_span *request, size_t n, uint64_t now_ns)
{
    assert(l->state == DP_LINK_FREE && !l->leaving);
    l->state = DP_LINK_BUSY;
    l->sent_ns = now_ns;
    dp_answer_expect(&l->answer);
    if (dp_stream_write(l->stream, request, n) != DP_OK) {
        dp_link_drop(l, now_ns);
        return false;
    }
    return true;
}
