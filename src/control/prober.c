/* One timer for each endpoint, and the probes that are under way.
 *
 * A refused key: CouchDB 3.4 locks a user out for minutes after a few wrong passwords from one
 * address, on /_up too. So after a 401 or 403 the prober asks without its credentials for a while:
 * /_up needs none, and knocking on would harm the application that uses the same account from this
 * host. Where it is the login that was refused, nobody else of us uses the key any more either: see keys.h.
 *
 * What a drill makes of a probe is a result that is held until it is due: a silence is one when its time is up, a slow
 * answer when it would have come. Who is told can't tell it from any other, but by its detail. */
#include "control/prober.h"

#include "davenport/couch/login.h"

#include "control/deep_probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define MAX_ANSWER_BYTES  65536
#define KEYS_HELD_BACK_NS (300 * DP_NS_PER_S)

struct slot;

/* A probe under way. */
struct ask {
    struct slot *slot;
    struct dp_fetch *fetch; /* NULL: this place is free, unless something is held */
    struct dp_probe_result
        *held; /* told at due_ns; with `fetch`, which comes first: room for what it says */
    uint64_t due_ns;
    uint64_t started_ns;
    uint32_t timeout_ms;
    bool without_keys;
};

struct slot {
    struct dp_prober *prober;
    uint16_t endpoint;
    uv_timer_t timer;
    struct ask asks[DP_MAX_ASKS];
    uv_timer_t held; /* the next of `asks` that is due */
    uint64_t due_ns;
    bool waiting; /* due_ns holds a probe that has not begun */
    uint64_t n_started;
    uint64_t no_keys_until_ns; /* 0: credentials are used */
    char *url;
    struct dp_credential *key;
    const struct dp_fetch_tls *tls;
    struct dp_deep_probe deep;
    uint64_t deep_at_ns;     /* not before */
    char ips[DP_ADDRS_TEXT]; /* as dp_fetch_request wants them; "": none */
    uint16_t port;
};

struct dp_prober {
    struct dp_prober_options opt;
    struct dp_fetcher *fetcher;
    unsigned open; /* timers, and the fetcher, that still close */
    bool dead;
    void (*done)(void *ctx);
    void *done_ctx;
    uint16_t n;
    struct slot slots[DP_MAX_ENDPOINTS];
};

static uint64_t now_ns(const struct dp_prober *p)
{
    return dp_clock_mono_ns(p->opt.clock);
}

static void arm(struct slot *s);
static void on_held(uv_timer_t *timer);

static const char *why_dark(enum dp_err err, const struct dp_fetch_result *r, uint32_t timeout_ms,
                            char *buf, size_t cap)
{
    if (err == DP_ETIMEOUT) {
        (void)snprintf(buf, cap, "no answer within %" PRIu32 " ms", timeout_ms);
        return buf;
    }
    if (err == DP_ECONNECT && r->reached)
        return "connection refused";
    return r->detail && r->detail[0] ? r->detail : dp_err_info(err)->reason;
}

static void describe(const struct ask *a, const struct dp_fetch_result *r,
                     struct dp_probe_result *out)
{
    char word[DP_PROBE_WORD], text[64];
    out->kind = dp_probe_classify(DP_LAYER_UP, r->err, r->status, r->body, word);
    out->login_refused =
        r->err == DP_OK && dp_couch_login_said(r->status, r->body) == DP_LOGIN_REFUSED;
    if (r->err != DP_OK)
        (void)snprintf(out->detail, sizeof(out->detail), "%s%s",
                       why_dark(r->err, r, a->timeout_ms, text, sizeof(text)),
                       r->status ? ", after the answer had begun" : "");
    else
        (void)snprintf(out->detail, sizeof(out->detail), "%" PRIu16 "%s%s%s in %.1f ms", r->status,
                       word[0] ? " (" : "", word, word[0] ? ")" : "", (double)r->total_ns / 1e6);
}

/* So that nobody who reads it takes it for the region's doing. */
static void say_drill(struct dp_probe_result *r)
{
    const size_t at = strlen(r->detail);
    (void)snprintf(r->detail + at, sizeof(r->detail) - at, "%s (a drill)",
                   r->err == DP_OK ? ", heard late" : "");
}

static bool uses_key(const struct slot *s)
{
    return s->key && !dp_credential_refused(s->key) && now_ns(s->prober) >= s->no_keys_until_ns;
}

/* What all requests to an endpoint have in common. */
static void fill_request(const struct slot *s, struct dp_fetch_request *req)
{
    const struct dp_prober *p = s->prober;
    const struct dp_span none = {NULL, 0};
    *req = (struct dp_fetch_request){
        .headers = uses_key(s) ? dp_credential_text(s->key) : none,
        .connect_timeout_ms = p->opt.timeout_ms,
        .timeout_ms = p->opt.deep_timeout_ms,
        .connect_ips = s->ips[0] ? s->ips : NULL,
        .connect_port = s->port,
        .race_delay_ms = p->opt.race_delay_ms,
        .tls = s->tls,
    };
}

static void fill_deep_request(void *ctx, struct dp_fetch_request *req)
{
    fill_request(ctx, req);
}

static void hold_keys_back(struct slot *s, const struct dp_probe_result *r)
{
    if (r->login_refused && s->key)
        (void)dp_credential_say(s->key, DP_CREDENTIAL_REFUSED);
    if (r->kind == DP_PROBE_CREDENTIALS && s->key && now_ns(s->prober) >= s->no_keys_until_ns)
        s->no_keys_until_ns = now_ns(s->prober) + KEYS_HELD_BACK_NS;
}

bool dp_prober_request(const struct dp_prober *p, uint16_t endpoint, struct dp_fetch_request *out)
{
    const struct slot *s = &p->slots[endpoint];
    fill_request(s, out);
    return !s->key || uses_key(s);
}

void dp_prober_refused(struct dp_prober *p, uint16_t endpoint)
{
    struct slot *s = &p->slots[endpoint];
    if (s->key)
        (void)dp_credential_say(s->key, DP_CREDENTIAL_DOUBTED);
}

static bool on_deep_result(void *ctx, const struct dp_probe_result *r)
{
    struct slot *s = ctx;
    struct dp_prober *p = s->prober;
    hold_keys_back(s, r);
    p->opt.result(p->opt.ctx, s->endpoint, r);
    return !p->dead;
}

/* What did not pass is asked again with the next probe. */
static void on_deep_done(void *ctx, bool passed)
{
    struct slot *s = ctx;
    uint64_t wait_ns = s->prober->opt.deep_interval_ms * DP_NS_PER_MS;
    s->deep_at_ns = passed ? now_ns(s->prober) + wait_ns : 0;
}

/* Without the keys that they need, the deeper layers say nothing new. */
static void go_deeper(struct slot *s)
{
    uint64_t now = now_ns(s->prober);
    if (dp_deep_probe_wanted(&s->deep) && !dp_deep_probe_busy(&s->deep) && now >= s->deep_at_ns &&
        now >= s->no_keys_until_ns && (!s->key || uses_key(s)))
        dp_deep_probe_start(&s->deep);
}

static void tell(struct ask *a, const struct dp_probe_result *r)
{
    struct slot *s = a->slot;
    struct dp_prober *p = s->prober;
    if (!a->without_keys)
        hold_keys_back(s, r);
    p->opt.result(p->opt.ctx, s->endpoint, r);
    if (!p->dead && r->kind == DP_PROBE_OK)
        go_deeper(s);
    if (!p->dead && s->waiting)
        arm(s);
}

/* The time of the next held result. */
static void arm_held(struct slot *s)
{
    uint64_t now = now_ns(s->prober), next_ns = UINT64_MAX;
    for (unsigned i = 0; i < DP_MAX_ASKS; i++) {
        const struct ask *a = &s->asks[i];
        if (a->held && !a->fetch && a->due_ns < next_ns)
            next_ns = a->due_ns;
    }
    uint64_t wait_ns = next_ns > now ? next_ns - now : 0;
    uv_update_time(s->prober->opt.loop);
    if (next_ns != UINT64_MAX)
        (void)uv_timer_start(&s->held, on_held, (wait_ns + DP_NS_PER_MS - 1) / DP_NS_PER_MS, 0);
}

static void on_held(uv_timer_t *timer)
{
    struct slot *s = timer->data;
    struct dp_prober *p = s->prober;
    for (unsigned i = 0; i < DP_MAX_ASKS && !p->dead; i++) {
        struct ask *a = &s->asks[i];
        if (!a->held || a->fetch || a->due_ns > now_ns(p))
            continue;
        struct dp_probe_result r = *a->held;
        free(a->held);
        a->held = NULL;
        r.total_ns = now_ns(p) - a->started_ns;
        tell(a, &r);
    }
    if (!p->dead)
        arm_held(s);
}

static void on_answer(void *ctx, const struct dp_fetch_result *r)
{
    struct ask *a = ctx;
    struct slot *s = a->slot;
    struct dp_probe_result out = {.layer = DP_LAYER_UP,
                                  .err = r->err,
                                  .status = r->err == DP_OK ? r->status : 0,
                                  .reused = r->reused,
                                  .connected = r->connected,
                                  .reached = r->reached,
                                  .without_keys = a->without_keys,
                                  .started_ns = a->started_ns,
                                  .total_ns = r->total_ns,
                                  .connect_ns = r->reused ? 0 : r->connect_ns,
                                  .tls_ns = r->reused ? 0 : r->tls_ns};
    a->fetch = NULL;
    describe(a, r, &out);
    if (a->held) {
        *a->held = out;
        say_drill(a->held);
        arm_held(s);
        return;
    }
    tell(a, &out);
}

static struct ask *free_ask(struct slot *s)
{
    for (unsigned i = 0; i < DP_MAX_ASKS; i++) {
        if (!s->asks[i].fetch && !s->asks[i].held)
            return &s->asks[i];
    }
    return NULL;
}

/* What comes of a probe without its being sent: it is heard at `due_ns`. */
static void hold_failure(struct ask *a, enum dp_err err, uint64_t due_ns)
{
    const struct dp_fetch_result none = {.err = err};
    *a->held = (struct dp_probe_result){.layer = DP_LAYER_UP,
                                        .err = err,
                                        .without_keys = a->without_keys,
                                        .started_ns = a->started_ns};
    a->held->reached = err != DP_ETIMEOUT;
    a->held->connected = err == DP_ECLOSED;
    describe(a, &none, a->held);
    say_drill(a->held);
    a->due_ns = due_ns;
    arm_held(a->slot);
}

/* A drill has it fare so. True: it is not sent at all. */
static bool meet(struct ask *a, const struct dp_fault *f)
{
    a->held = malloc(sizeof(*a->held));
    if (!a->held)
        return false;
    const uint64_t over_ns = a->started_ns + a->timeout_ms * DP_NS_PER_MS;
    switch (f->kind) {
    case DP_FAULT_SLOW:
        a->due_ns = a->started_ns + f->delay_ms * DP_NS_PER_MS;
        if (a->due_ns < over_ns)
            return false;
        hold_failure(a, DP_ETIMEOUT, over_ns);
        return true;
    case DP_FAULT_NONE:
    case DP_FAULT_DARK:
        hold_failure(a, DP_ETIMEOUT, over_ns);
        return true;
    case DP_FAULT_REFUSED:
        hold_failure(a, DP_ECONNECT, a->started_ns);
        return true;
    case DP_FAULT_FLAKY:
        hold_failure(a, DP_ECLOSED, a->started_ns);
        return true;
    }
    return true;
}

static void start(struct slot *s, struct ask *a)
{
    struct dp_prober *p = s->prober;
    s->waiting = false;
    a->slot = s;
    a->started_ns = now_ns(p);
    s->n_started++;
    a->without_keys = s->key && !uses_key(s);
    a->timeout_ms = p->opt.asked ? p->opt.asked(p->opt.ctx, s->endpoint) : p->opt.timeout_ms;
    const struct dp_fault *fault = p->opt.fault ? p->opt.fault(p->opt.ctx, s->endpoint) : NULL;
    if (fault && meet(a, fault))
        return;
    struct dp_fetch_request req;
    fill_request(s, &req);
    req.url = s->url;
    req.connect_timeout_ms = a->timeout_ms;
    req.timeout_ms = a->timeout_ms;
    req.max_body_bytes = MAX_ANSWER_BYTES;
    req.fresh_connection = s->n_started % 2 == 1;
    if (dp_fetch_start(p->fetcher, &req, on_answer, a, &a->fetch) == DP_OK)
        return;
    /* No memory: that says nothing of the region. Later, unless health wants it sooner or later than that. */
    a->fetch = NULL;
    free(a->held);
    a->held = NULL;
    if (!s->waiting)
        dp_prober_set(p, s->endpoint, a->started_ns + a->timeout_ms * DP_NS_PER_MS);
}

static void on_due(uv_timer_t *timer)
{
    struct slot *s = timer->data;
    struct ask *a = s->waiting ? free_ask(s) : NULL;
    if (a)
        start(s, a);
}

static void arm(struct slot *s)
{
    uint64_t now = now_ns(s->prober);
    uint64_t wait_ns = s->due_ns > now ? s->due_ns - now : 0;
    uv_update_time(s->prober->opt.loop);
    (void)uv_timer_start(&s->timer, on_due, (wait_ns + DP_NS_PER_MS - 1) / DP_NS_PER_MS, 0);
}

void dp_prober_set(struct dp_prober *p, uint16_t endpoint, uint64_t at_ns)
{
    struct slot *s = &p->slots[endpoint];
    if (p->dead || (s->waiting && s->due_ns == at_ns))
        return;
    s->due_ns = at_ns;
    s->waiting = true;
    if (free_ask(s))
        arm(s);
}

static void set_addrs(struct slot *s, const struct dp_addrs *a)
{
    size_t at = 0;
    s->ips[0] = '\0';
    s->port = a->n ? a->at[0].port : 0; /* all have the URL's */
    for (uint16_t i = 0; i < a->n; i++) {
        int n = snprintf(s->ips + at, sizeof(s->ips) - at, "%s%s", i ? "," : "", a->at[i].ip);
        at += n > 0 ? (size_t)n : 0; /* room for all: see DP_ADDRS_TEXT */
    }
}

void dp_prober_move(struct dp_prober *p, uint16_t endpoint, const struct dp_addrs *addrs)
{
    set_addrs(&p->slots[endpoint], addrs);
}

void dp_prober_trust(struct dp_prober *p, uint16_t endpoint, const struct dp_fetch_tls *tls)
{
    p->slots[endpoint].tls = tls;
}

void dp_prober_key(struct dp_prober *p, uint16_t endpoint, struct dp_credential *key)
{
    struct slot *s = &p->slots[endpoint];
    if (s->key == key)
        return;
    dp_credential_unref(s->key);
    s->key = dp_credential_ref(key);
    s->no_keys_until_ns = 0;
}

/* Life. */

static void slot_free(struct slot *s)
{
    dp_credential_unref(s->key);
    for (unsigned i = 0; i < DP_MAX_ASKS; i++)
        free(s->asks[i].held);
    dp_deep_probe_fini(&s->deep);
    free(s->url);
}

static void closed(struct dp_prober *p)
{
    if (--p->open)
        return;
    void (*done)(void *) = p->done;
    void *ctx = p->done_ctx;
    for (uint16_t i = 0; i < p->n; i++)
        slot_free(&p->slots[i]);
    free(p);
    if (done)
        done(ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct slot *s = h->data;
    closed(s->prober);
}

static void on_fetcher_closed(void *ctx)
{
    closed(ctx);
}

static bool slot_init(struct slot *s, struct dp_prober *p, uint16_t i,
                      const struct dp_probe_target *t)
{
    s->prober = p;
    s->endpoint = i;
    set_addrs(s, &t->addrs);
    int n = (int)strlen(t->url);
    while (n > 0 && t->url[n - 1] == '/')
        n--;
    if (asprintf(&s->url, "%.*s%s", n, t->url, t->path) < 0) {
        s->url = NULL;
        return false;
    }
    if (!dp_deep_probe_init(&s->deep, t))
        return false;
    s->deep.clock = p->opt.clock;
    s->deep.base = fill_deep_request;
    s->deep.result = on_deep_result;
    s->deep.done = on_deep_done;
    s->deep.ctx = s;
    s->tls = t->tls;
    s->key = dp_credential_ref(t->key);
    return true;
}

struct dp_prober *dp_prober_new(const struct dp_prober_options *opt,
                                const struct dp_probe_target *targets, uint16_t n)
{
    struct dp_prober *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->opt = *opt;
    for (p->n = 0; p->n < n; p->n++) {
        if (!slot_init(&p->slots[p->n], p, p->n, &targets[p->n])) {
            p->n++;
            goto fail;
        }
    }
    p->fetcher = dp_fetcher_new(opt->loop);
    if (!p->fetcher)
        goto fail;
    p->open = 1;
    for (uint16_t i = 0; i < n; i++) {
        p->slots[i].deep.fetcher = p->fetcher;
        (void)uv_timer_init(opt->loop, &p->slots[i].timer); /* cannot fail */
        (void)uv_timer_init(opt->loop, &p->slots[i].held);
        p->slots[i].timer.data = p->slots[i].held.data = &p->slots[i];
        p->open += 2;
    }
    return p;
fail:
    for (uint16_t i = 0; i < p->n; i++)
        slot_free(&p->slots[i]);
    free(p);
    return NULL;
}

void dp_prober_destroy(struct dp_prober *p, void (*done)(void *ctx), void *ctx)
{
    p->dead = true;
    p->done = done;
    p->done_ctx = ctx;
    for (uint16_t i = 0; i < p->n; i++) {
        uv_close((uv_handle_t *)&p->slots[i].timer, on_timer_closed);
        uv_close((uv_handle_t *)&p->slots[i].held, on_timer_closed);
    }
    dp_fetcher_destroy(p->fetcher, on_fetcher_closed, p);
}
