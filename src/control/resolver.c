/* Lookups by name: one slot an endpoint, each with its own timer and at most one lookup under way.
 *
 *   start ──► looking up ──► waiting (refresh_ms, or retry_ms after a failure) ──► looking up ──► … */
#include "control/resolver.h"

#include "davenport/net/lookup.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct slot {
    struct dp_resolver *resolver;
    uint16_t endpoint, port;
    char *host; /* NULL: nothing to do */
    uv_timer_t timer;
    uv_getaddrinfo_t request;
    bool under_way;
};

struct dp_resolver {
    struct dp_resolver_options opt;
    uint16_t n;
    unsigned open; /* timers that still close, lookups that still run */
    bool dead;
    void (*done)(void *ctx);
    void *done_ctx;
    struct slot slots[DP_MAX_ENDPOINTS];
};

static void let_go(struct dp_resolver *r)
{
    if (--r->open > 0)
        return;
    void (*done)(void *) = r->done;
    void *ctx = r->done_ctx;
    for (uint16_t i = 0; i < r->n; i++)
        free(r->slots[i].host);
    free(r);
    if (done)
        done(ctx);
}

static void on_due(uv_timer_t *timer);

static void on_result(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct slot *s = request->data;
    struct dp_resolver *r = s->resolver;
    struct dp_addrs addrs = {0};
    s->under_way = false;
    if (status == 0)
        dp_lookup_collect(list, s->port, &addrs);
    uv_freeaddrinfo(list);
    if (!r->dead) {
        const char *why = status == 0 ? "no address" : uv_strerror(status);
        (void)uv_timer_start(&s->timer, on_due, addrs.n > 0 ? r->opt.refresh_ms : r->opt.retry_ms,
                             0);
        r->opt.result(r->opt.ctx, s->endpoint, &addrs, addrs.n > 0 ? NULL : why);
    }
    let_go(r);
}

static void on_due(uv_timer_t *timer)
{
    struct slot *s = timer->data;
    struct dp_resolver *r = s->resolver;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (s->under_way)
        return;
    s->request.data = s;
    if (uv_getaddrinfo(r->opt.loop, &s->request, on_result, s->host, NULL, &hints) != 0) {
        (void)uv_timer_start(timer, on_due, r->opt.retry_ms, 0); /* out of memory: later */
        return;
    }
    s->under_way = true;
    r->open++;
}

struct dp_resolver *dp_resolver_new(const struct dp_resolver_options *opt,
                                    const struct dp_resolver_target *targets, uint16_t n)
{
    struct dp_resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->opt = *opt;
    for (r->n = 0; r->n < n; r->n++) {
        struct slot *s = &r->slots[r->n];
        const struct dp_resolver_target *t = &targets[r->n];
        *s = (struct slot){.resolver = r, .endpoint = r->n, .port = t->port};
        s->host = t->host ? strdup(t->host) : NULL;
        if (t->host && !s->host)
            goto fail;
    }
    for (uint16_t i = 0; i < n; i++) {
        (void)uv_timer_init(opt->loop, &r->slots[i].timer); /* cannot fail */
        r->slots[i].timer.data = &r->slots[i];
        r->open++;
    }
    r->open++; /* until destroy */
    return r;
fail:
    for (uint16_t i = 0; i < r->n; i++)
        free(r->slots[i].host);
    free(r);
    return NULL;
}

void dp_resolver_start(struct dp_resolver *r)
{
    for (uint16_t i = 0; i < r->n; i++) {
        if (r->slots[i].host)
            (void)uv_timer_start(&r->slots[i].timer, on_due, 0, 0);
    }
}

static void on_closed(uv_handle_t *h)
{
    let_go(((struct slot *)h->data)->resolver);
}

void dp_resolver_destroy(struct dp_resolver *r, void (*done)(void *ctx), void *ctx)
{
    r->dead = true;
    r->done = done;
    r->done_ctx = ctx;
    for (uint16_t i = 0; i < r->n; i++) {
        if (r->slots[i].under_way)
            (void)uv_cancel((uv_req_t *)&r->slots[i]
                                .request); /* fails when it runs already: then it is waited for */
        uv_close((uv_handle_t *)&r->slots[i].timer, on_closed);
    }
    let_go(r);
}
