/* The relay as a whole: its listener, and its faults over time. */
#include "davenport/drill/relay.h"

#include "davenport/base/clock.h"
#include "davenport/net/acceptor.h"
#include "davenport/net/listener.h"

#include "drill/relay_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG   511
#define REOPEN_MS 100

static void on_accepted(void *ctx, int fd)
{
    dp_relay_pair_take(ctx, fd);
}

/* Listen, on the port that we have or on one of the kernel's choice. */
static enum dp_err listen_again(struct dp_relay *r, const char **why)
{
    static const struct dp_acceptor_events events = {.accepted = on_accepted};
    int fd;
    enum dp_err err = dp_listen_tcp(r->ip, r->port, 0, &fd, &r->port, why);
    if (err == DP_OK) {
        err = dp_acceptor_new(r->loop, fd, BACKLOG, &events, r, &r->acceptor, why);
        if (err != DP_OK) {
            (void)close(fd);
        }
    }
    return err;
}

static void arm(struct dp_relay *r);

static void reopen(struct dp_relay *r)
{
    const char *why = "";
    if (r->acceptor || r->faults.on[DP_RELAY_REFUSE]) {
        return;
    }
    bool told = r->reopening;
    r->reopening = listen_again(r, &why) != DP_OK;
    if (r->reopening && !told && r->options.trouble) {
        r->options.trouble(r->options.ctx, why);
    }
}

static void all_pairs(struct dp_relay *r, void (*act)(struct dp_relay_pair *pair))
{
    struct dp_list *next;
    for (struct dp_list *n = r->pairs.next; n != &r->pairs; n = next) {
        next = n->next;
        act(dp_relay_pair_of(n));
    }
}

static void on_time(uv_timer_t *timer)
{
    struct dp_relay *r = timer->data;
    unsigned ended = dp_relay_faults_expire(&r->faults, dp_clock_mono_ns(&dp_clock_system));
    reopen(r);
    if (ended) {
        all_pairs(r, dp_relay_pair_changed);
    }
    arm(r);
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS && r->options.healed; kind++) {
        if (ended >> kind & 1U) {
            r->options.healed(r->options.ctx, (enum dp_relay_fault_kind)kind);
        }
    }
}

static void arm(struct dp_relay *r)
{
    uint64_t now_ns = dp_clock_mono_ns(&dp_clock_system);
    uint64_t next_ns = dp_relay_faults_next(&r->faults);
    uint64_t ms = REOPEN_MS;
    if (next_ns != UINT64_MAX) {
        uint64_t until_ms =
            next_ns > now_ns ? (next_ns - now_ns + DP_NS_PER_MS - 1) / DP_NS_PER_MS : 0;
        ms = r->reopening && until_ms > REOPEN_MS ? REOPEN_MS : until_ms;
    } else if (!r->reopening) {
        (void)uv_timer_stop(&r->timer);
        return;
    }
    uv_update_time(r->loop);
    (void)uv_timer_start(&r->timer, on_time, ms, 0);
}

enum dp_err dp_relay_new(uv_loop_t *loop, const struct dp_relay_options *options,
                         struct dp_relay **out, const char **why)
{
    struct dp_relay *r = calloc(1, sizeof *r);
    char *buffer = malloc(DP_RELAY_READ_BYTES);
    enum dp_err err = DP_ENOMEM;
    *why = dp_err_info(DP_ENOMEM)->reason;
    if (r && buffer) {
        r->loop = loop;
        r->options = *options;
        r->port = options->port;
        r->random = dp_random_of(options->seed);
        r->buffer = buffer;
        (void)snprintf(r->ip, sizeof r->ip, "%s", options->ip);
        dp_list_init(&r->pairs);
        err = listen_again(r, why);
    }
    if (err != DP_OK) {
        free(buffer);
        free(r);
        return err;
    }
    (void)uv_timer_init(loop, &r->timer); /* cannot fail */
    r->timer.data = r;
    *out = r;
    return DP_OK;
}

uint16_t dp_relay_port(const struct dp_relay *r)
{
    return r->port;
}

static void reset_pair(struct dp_relay_pair *pair)
{
    dp_relay_pair_end(pair, true);
}

static void half_to_server(struct dp_relay_pair *pair)
{
    dp_relay_pair_half(pair, DP_RELAY_TO_SERVER);
}

static void half_to_client(struct dp_relay_pair *pair)
{
    dp_relay_pair_half(pair, DP_RELAY_TO_CLIENT);
}

void dp_relay_break(struct dp_relay *r, const struct dp_relay_fault *fault, uint64_t for_ms)
{
    uint64_t now_ns = dp_clock_mono_ns(&dp_clock_system);
    if (fault->kind == DP_RELAY_HALF_OPEN) { /* a moment, not a state */
        all_pairs(r, fault->ways[DP_RELAY_TO_SERVER] ? half_to_server : half_to_client);
        return;
    }
    dp_relay_faults_set(&r->faults, fault, for_ms, now_ns);
    if (fault->kind == DP_RELAY_RESET) {
        r->stats.reset += r->stats.open;
        all_pairs(r, reset_pair);
    } else if (fault->kind == DP_RELAY_REFUSE) {
        dp_acceptor_close(r->acceptor, NULL);
        r->acceptor = NULL;
    }
    all_pairs(r, dp_relay_pair_changed);
    arm(r);
}

bool dp_relay_heal(struct dp_relay *r, enum dp_relay_fault_kind kind)
{
    bool was = dp_relay_faults_heal(&r->faults, kind);
    reopen(r);
    all_pairs(r, dp_relay_pair_changed);
    arm(r);
    return was;
}

const struct dp_relay_faults *dp_relay_faults(const struct dp_relay *r)
{
    return &r->faults;
}

const struct dp_relay_stats *dp_relay_stats(const struct dp_relay *r)
{
    return &r->stats;
}

void dp_relay_gone(struct dp_relay *r)
{
    if (!r->going || r->open_handles > 0 || !dp_list_empty(&r->pairs)) {
        return;
    }
    void (*done)(void *ctx) = r->done;
    void *ctx = r->done_ctx;
    free(r->buffer);
    free(r);
    if (done) {
        done(ctx);
    }
}

static void on_handle_closed(uv_handle_t *h)
{
    struct dp_relay *r = h->data;
    r->open_handles--;
    dp_relay_gone(r);
}

static void on_listener_closed(void *ctx)
{
    struct dp_relay *r = ctx;
    r->open_handles--;
    dp_relay_gone(r);
}

static void end_pair(struct dp_relay_pair *pair)
{
    dp_relay_pair_end(pair, false);
}

void dp_relay_destroy(struct dp_relay *r, void (*done)(void *ctx), void *ctx)
{
    r->going = true;
    r->done = done;
    r->done_ctx = ctx;
    r->open_handles = 1;
    if (r->acceptor) {
        r->open_handles++;
        dp_acceptor_close(r->acceptor, on_listener_closed);
    }
    uv_close((uv_handle_t *)&r->timer, on_handle_closed);
    all_pairs(r, end_pair);
}
