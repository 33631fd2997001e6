/* See otlp_export.h. */
#include "app/otlp_export.h"

#include "davenport/base/log.h"
#include "davenport/client/fetch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_SPANS        512
#define FLUSH_MS           1000
#define TRIES              5
#define FIRST_PAUSE_MS     1000
#define LONGEST_PAUSE_MS   30000
#define ANSWER_BYTES       65536
#define CONNECT_TIMEOUT_MS 5000
#define INSTANCE_BYTES     384

struct dp_otlp_export {
    struct dp_otlp_config config;
    struct dp_tracing_ring **rings; /* n_rings, a worker's each */
    uint32_t n_rings;
    char instance[INSTANCE_BYTES];
    struct dp_fetcher *fetcher;
    struct dp_fetch *fetch; /* under way; NULL: none */
    uv_timer_t timer; /* while none is: the next batch, or the next try; at the end: its limit */
    struct dp_text body;
    uint32_t spans; /* in `body`; 0: it is sent */
    unsigned tries; /* of it */
    bool troubled;  /* the last batch was not taken, and that was logged */
    bool ending;
    bool open; /* the timer and the fetcher, which the loop closes */
    uint64_t exported, dropped;
};

static void on_timer(uv_timer_t *timer);

static void look_in(struct dp_otlp_export *e, uint64_t ms)
{
    (void)uv_timer_start(&e->timer, on_timer, ms, 0);
}

/* ---- a batch ---- */

/* Some of each ring, so that a busy worker does not keep the others'. */
static uint32_t take_spans(struct dp_otlp_export *e)
{
    const uint32_t share = BATCH_SPANS / e->n_rings > 0 ? BATCH_SPANS / e->n_rings : 1;
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_rings && n < BATCH_SPANS; i++) {
        const struct dp_tracing_span *s;
        for (uint32_t k = 0; k < share && (s = dp_tracing_peek(e->rings[i])) != NULL; k++) {
            if (n == 0) {
                dp_otlp_begin(&e->body, &e->config.resource);
            }
            dp_otlp_span(&e->body, &e->config.resource, s, n == 0);
            dp_tracing_took(e->rings[i]);
            n++;
        }
    }
    return n;
}

static void drop(struct dp_otlp_export *e)
{
    e->dropped += e->spans;
    e->spans = 0;
    e->tries = 0;
    dp_text_clear(&e->body);
}

/* False: there is nothing to be told, or no memory to tell it. */
static bool make_batch(struct dp_otlp_export *e)
{
    dp_text_clear(&e->body);
    e->spans = take_spans(e);
    if (e->spans == 0) {
        return false;
    }
    dp_otlp_end(&e->body);
    if (e->body.failed) {
        drop(e);
        return false;
    }
    return true;
}

/* ---- its way ---- */

static void finish(struct dp_otlp_export *e);
static void go_on(struct dp_otlp_export *e);

/* Its status says so, whatever becomes of the body behind it: sent again, its spans would be there twice. */
static bool is_taken(const struct dp_fetch_result *r)
{
    return r->status >= 200 && r->status < 300;
}

static bool may_try_again(const struct dp_fetch_result *r)
{
    return r->status == 0 || r->status == 429 || r->status == 502 || r->status == 503 ||
           r->status == 504;
}

static void not_taken(struct dp_otlp_export *e, const char *detail, unsigned status)
{
    char why[160];
    if (status > 0) {
        (void)snprintf(why, sizeof why, "it answered %u", status);
    } else {
        (void)snprintf(why, sizeof why, "%s", detail);
    }
    if (!e->troubled) {
        dp_log(DP_LOG_WARN, "spans_not_exported", DP_KV_STR("key", "tracing.endpoint"),
               DP_KV_STR("reason", why));
    }
    e->troubled = true;
}

static void taken(struct dp_otlp_export *e, struct dp_span answer)
{
    uint64_t rejected = dp_otlp_rejected(answer);
    if (rejected > e->spans) {
        rejected = e->spans;
    }
    e->exported += e->spans - rejected;
    e->spans = (uint32_t)rejected;
    drop(e);
    if (e->troubled) {
        dp_log(DP_LOG_INFO, "spans_exported_again", DP_KV_INT("dropped", e->dropped));
    }
    e->troubled = false;
}

static uint64_t pause_ms(const struct dp_otlp_export *e, uint32_t retry_after_s)
{
    const uint64_t ms = retry_after_s > 0 ? retry_after_s * UINT64_C(1000)
                                          : (uint64_t)FIRST_PAUSE_MS << (e->tries - 1);
    return ms < LONGEST_PAUSE_MS ? ms : LONGEST_PAUSE_MS;
}

static void on_done(void *ctx, const struct dp_fetch_result *r)
{
    struct dp_otlp_export *e = ctx;
    e->fetch = NULL;
    if (is_taken(r)) {
        const bool full = e->spans >= BATCH_SPANS / 2;
        taken(e, r->err == DP_OK ? r->body : (struct dp_span){NULL, 0});
        if (e->ending) {
            go_on(e);
        } else {
            look_in(e, full ? 0 : FLUSH_MS);
        }
        return;
    }
    not_taken(e, r->detail, r->status);
    if (e->ending) {
        finish(e);
    } else if (may_try_again(r) && e->tries < TRIES) {
        look_in(e, pause_ms(e, r->retry_after_s));
    } else {
        drop(e);
        look_in(e, FLUSH_MS);
    }
}

static enum dp_err send_batch(struct dp_otlp_export *e)
{
    char field[DP_OTLP_FIELD_BYTES + 3] = "";
    int n = 0;
    if (e->config.field) {
        n = snprintf(field, sizeof field, "%s\r\n", e->config.field);
    }
    const struct dp_fetch_request request = {
        .method = "POST",
        .url = e->config.endpoint,
        .headers = {field, n > 0 ? (size_t)n : 0},
        .body = dp_text_span(&e->body),
        .content_type = "application/json",
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = e->config.timeout_ms,
        .max_body_bytes = ANSWER_BYTES,
        .tls = e->config.tls,
    };
    e->tries++;
    enum dp_err err = dp_fetch_start(e->fetcher, &request, on_done, e, &e->fetch);
    explicit_bzero(field, sizeof field);
    return err;
}

/* Send what there is: the batch that waits, else a new one. At the end: close when there is none. */
static void go_on(struct dp_otlp_export *e)
{
    if (e->spans > 0 || make_batch(e)) {
        const enum dp_err err = send_batch(e);
        if (err == DP_OK) {
            return;
        }
        not_taken(e, dp_err_info(err)->reason, 0);
        drop(e);
    }
    if (e->ending) {
        finish(e);
    } else {
        look_in(e, FLUSH_MS);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct dp_otlp_export *e = timer->data;
    if (e->ending) {
        finish(e);
    } else {
        go_on(e);
    }
}

/* ---- life ---- */

static void closed(void *ctx)
{
    struct dp_otlp_export *e = ctx;
    e->open = false;
}

/* What is left; there is nobody whom the counter could be told any more. */
static void drop_rest(struct dp_otlp_export *e)
{
    const uint64_t before = e->dropped;
    drop(e);
    for (uint32_t i = 0; i < e->n_rings; i++) {
        while (dp_tracing_peek(e->rings[i])) {
            dp_tracing_took(e->rings[i]);
            e->dropped++;
        }
    }
    if (e->dropped > before) {
        dp_log(DP_LOG_WARN, "spans_lost", DP_KV_STR("key", "tracing.endpoint"),
               DP_KV_INT("spans", e->dropped - before),
               DP_KV_STR("reason", "the process ended before the collector took them"));
    }
}

static void finish(struct dp_otlp_export *e)
{
    drop_rest(e);
    dp_fetcher_destroy_with(e->fetcher, &e->timer, closed, e);
}

static void name_instance(struct dp_otlp_export *e, const char *listen)
{
    char host[256];
    if (gethostname(host, sizeof host) != 0) {
        host[0] = '\0';
    }
    host[sizeof host - 1] = '\0';
    if (snprintf(e->instance, sizeof e->instance, "%s/%s", host, listen) < 0) {
        e->instance[0] = '\0';
    }
}

/* What a configuration says, and who we are, which none does. */
void dp_otlp_export_follow(struct dp_otlp_export *e, const struct dp_otlp_config *config)
{
    e->config = *config;
    e->config.resource.instance = e->instance;
}

static bool make_rings(struct dp_otlp_export *e, uint32_t n, uint32_t queue)
{
    e->rings = calloc(n, sizeof(struct dp_tracing_ring *));
    for (; e->rings && e->n_rings < n; e->n_rings++) {
        e->rings[e->n_rings] = dp_tracing_ring_new(queue);
        if (!e->rings[e->n_rings]) {
            return false;
        }
    }
    return e->rings != NULL;
}

enum dp_err dp_otlp_export_new(uv_loop_t *loop, const struct dp_otlp_config *config, uint32_t n,
                               uint32_t queue, const char *listen, struct dp_otlp_export **out)
{
    struct dp_otlp_export *e = calloc(1, sizeof *e);
    if (!e) {
        return DP_ENOMEM;
    }
    if (!make_rings(e, n, queue) || !(e->fetcher = dp_fetcher_new(loop))) {
        dp_otlp_export_free(e);
        return DP_ENOMEM;
    }
    name_instance(e, listen);
    dp_otlp_export_follow(e, config);
    (void)uv_timer_init(loop, &e->timer); /* cannot fail */
    e->timer.data = e;
    e->open = true;
    look_in(e, FLUSH_MS);
    *out = e;
    return DP_OK;
}

struct dp_tracing_ring *dp_otlp_export_ring(const struct dp_otlp_export *e, uint32_t worker)
{
    return e ? e->rings[worker] : NULL;
}

void dp_otlp_export_end(struct dp_otlp_export *e, uint64_t within_ms)
{
    if (!e || e->ending) {
        return;
    }
    e->ending = true;
    look_in(e, within_ms);
    if (!e->fetch) {
        go_on(e);
    }
}

void dp_otlp_export_free(struct dp_otlp_export *e)
{
    if (!e) {
        return;
    }
    assert(!e->open);
    for (uint32_t i = 0; i < e->n_rings; i++) {
        dp_tracing_ring_free(e->rings[i]);
    }
    free(e->rings);
    dp_text_fini(&e->body);
    free(e);
}

uint64_t dp_otlp_exported(const struct dp_otlp_export *e)
{
    return e ? e->exported : 0;
}

uint64_t dp_otlp_dropped(const struct dp_otlp_export *e)
{
    return e ? e->dropped : 0;
}
