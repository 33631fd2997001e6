/* What helm.h says. The governor's timers and its kick are never run by a loop: their callbacks are called when the
 * virtual clock says so. */
#include "helm.h"

#include "davenport/app/config.h"
#include "davenport/app/problems.h"

#include "control/governor_state.h"
#include "ears.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of traffic somewhere, until its pace there is known as well as it ever will be. */
#define BASELINE (180 * SIM_S)
/* Without any news, until nothing of the last is remembered. */
#define CALM (15 * SIM_S)

static uint64_t mono_ns(void *car)
{
    return ((const struct sim_car *)car)->now;
}

/* A Thursday. */
static int64_t wall_ms(void *car)
{
    return INT64_C(1795651200000) + (int64_t)(((const struct sim_car *)car)->now / SIM_MS);
}

/* Governors need one for their handles; it runs only to close them. One a thread and governor. */
static _Thread_local uv_loop_t own_loop;

/* ---- the configuration ---- */

static struct dp_config *parse(const struct sim_setting *s)
{
    struct dp_text text = {0};
    struct dp_problems problems;
    struct dp_config *out = NULL;
    dp_text_addf(&text, "{%s%s\"regions\":[", s->config, s->config[0] ? "," : "");
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        dp_text_addf(&text, "%s{\"name\":\"r%u\",\"endpoints\":[", r ? "," : "", r);
        for (unsigned i = 0; i < s->nodes; i++)
            dp_text_addf(&text, "%s\"https://n%u.r%u.example\"", i ? "," : "", i, r);
        dp_text_addf(&text, "]}");
    }
    dp_text_addf(&text, "]}");
    dp_problems_init(&problems, "the study's configuration");
    const struct dp_config_source source = {dp_text_span(&text), NULL};
    if (dp_config_parse(&source, &problems, &out) != DP_OK) {
        (void)fprintf(stderr, "%s\n%s", dp_text_str(&text), dp_text_str(&problems.text));
        abort();
    }
    dp_problems_fini(&problems);
    dp_text_fini(&text);
    return out;
}

static void number(struct sim_helm *h, unsigned nodes)
{
    for (unsigned r = 0, at = 0; r < SIM_REGIONS; r++) {
        for (unsigned i = 0; i < nodes; i++, at++) {
            h->place[r * SIM_NODES + i] = at;
            h->endpoint[at] = r * SIM_NODES + i;
            struct dp_endpoint_config *e = &h->control.endpoints[at];
            sim_ears_address(h->endpoint[at], 0, e->port, &e->addrs);
        }
    }
}

void sim_helm_begin(struct sim_car *c, struct sim_helm *h,
                    void (*publish)(void *car, struct dp_view *view))
{
    const char *why;
    if (uv_loop_init(&own_loop) != 0)
        abort();
    h->parsed = parse(c->setting);
    dp_config_control(h->parsed, &h->control);
    dp_config_proxy(h->parsed, &h->proxy);
    number(h, c->setting->nodes);
    h->clock = (struct dp_clock){.mono_ns = mono_ns, .wall_ms = wall_ms, .ctx = c};
    h->traffic = calloc(1, sizeof(*h->traffic));
    if (!h->traffic)
        abort();
    h->workers[0] = h->traffic;
    const struct dp_governor_options opt = {.loop = &own_loop,
                                            .clock = &h->clock,
                                            .config = &h->control,
                                            .publish = publish,
                                            .publish_ctx = c,
                                            .seed = sim_bits(&c->own_random)};
    if (dp_governor_new(&opt, &h->governor, &why) != DP_OK) {
        (void)fprintf(stderr, "no governor: %s\n", why);
        abort();
    }
    dp_governor_start(h->governor, h->workers, 1);
}

void sim_helm_end(struct sim_helm *h)
{
    dp_governor_destroy(h->governor, NULL, NULL);
    (void)uv_run(&own_loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&own_loop) != 0)
        abort();
    free(h->traffic);
    dp_config_destroy(h->parsed);
}

/* ---- what it hears ---- */

void sim_helm_look(struct sim_helm *h)
{
    h->governor->sample.timer_cb(&h->governor->sample);
}

void sim_helm_kick(struct sim_helm *h)
{
    h->governor->kick.async_cb(&h->governor->kick);
}

void sim_helm_probe_due(struct sim_car *c, struct sim_helm *h, unsigned endpoint)
{
    sim_ears_ask(c, h->governor->prober, endpoint, (uint16_t)h->place[endpoint]);
}

void sim_helm_probe_ended(struct sim_car *c, struct sim_helm *h, unsigned endpoint,
                          const struct sim_probe *p)
{
    sim_ears_hear(c, h->governor->prober, endpoint, (uint16_t)h->place[endpoint], p);
}

void sim_helm_looked_up(struct sim_car *c, struct sim_helm *h, unsigned endpoint, bool good)
{
    sim_ears_name(h->governor->resolver, (uint16_t)h->place[endpoint], endpoint, c->known[endpoint],
                  good);
}

/* ---- quiet time ---- */

static bool window_is_clean(const struct dp_health_state *h)
{
    for (unsigned i = 0; i < DP_HEALTH_SLOTS; i++) {
        if (h->slots[i].bad)
            return false;
    }
    return true;
}

static const struct governor_endpoint *at(const struct sim_helm *h, unsigned endpoint)
{
    return &h->governor->endpoints[h->place[endpoint]];
}

static bool well(const struct governor_endpoint *e)
{
    const struct dp_health_state *h = &e->health;
    return h->health == DP_HEALTH_UP && !h->draining && !h->slow && !governor_on_trial(h) &&
           !h->probes_failed && !h->unanswered && !h->errors && !h->silence.hush &&
           h->silence.spent == 0 && window_is_clean(h) && e->pace.slow_windows == 0;
}

bool sim_helm_settled(const struct sim_car *c, const struct sim_helm *h, unsigned endpoint,
                      bool dark)
{
    const struct governor_endpoint *e = at(h, endpoint);
    const unsigned region = sim_region_of(endpoint);
    uint64_t arrived = c->arrived_at[region] == SIM_NEVER ? 0 : c->arrived_at[region];
    if (c->now <= e->health.since_ns + CALM)
        return false;
    if (dark)
        return e->health.health == DP_HEALTH_DOWN;
    if (c->setting->requests_a_second > 0 && region == c->active && c->now < arrived + BASELINE)
        return false;
    return well(e);
}

bool sim_helm_calm(const struct sim_helm *h)
{
    const struct dp_governor *g = h->governor;
    return !g->doubt.on && g->decision.ramp_from == DP_NO_REGION && !g->decision.open;
}

uint64_t sim_helm_interval(const struct sim_helm *h, unsigned endpoint)
{
    const struct dp_health_config *c = &h->governor->health_config;
    return at(h, endpoint)->health.health == DP_HEALTH_UP ? c->interval_ns : c->fast_ns;
}

uint64_t sim_helm_timed(const struct sim_helm *h)
{
    const struct dp_governor *g = h->governor;
    const struct dp_failover_state *f = &g->failover;
    uint64_t next = g->decision.waiting == DP_NO_REGION ? SIM_NEVER : g->decision.failback_at_ns;
    for (uint16_t i = 0; i < SIM_REGIONS; i++) {
        uint64_t over = f->up_since_ns[i] + dp_failover_hold_ns(f, &g->failover_config, i);
        if (f->unsettled[i] && f->up_since_ns[i] && over < next)
            next = over;
    }
    return next;
}

static void later(uint64_t *at, uint64_t span)
{
    if (*at)
        *at += span;
}

/* What was measured up to now is as if it had gone on being so. */
static void age(struct governor_endpoint *e, uint64_t span)
{
    struct dp_silence *s = &e->health.silence;
    later(&e->pace.baseline_at_ns, span);
    later(&e->pace.window_began_ns, span);
    later(&e->latency_at_ns, span);
    later(&s->asked_ns, span);
    later(&s->life_ns, span);
}

void sim_helm_leaving(struct sim_helm *h)
{
    for (unsigned i = 0; i < h->governor->config->n_endpoints; i++) {
        const struct dp_silence *s = &h->governor->endpoints[i].health.silence;
        h->usual_ns[i] = s->usual_ns;
        h->heard_ns[i] = s->heard_ns;
        h->rate[i] = s->rate;
    }
}

void sim_helm_leapt(struct sim_car *c, struct sim_helm *h, uint64_t span, bool ticked)
{
    struct dp_governor *g = h->governor;
    for (unsigned i = 0; i < g->config->n_endpoints; i++) {
        struct governor_endpoint *e = &g->endpoints[i];
        if (!ticked)
            age(e, span);
        struct dp_silence *s = &e->health.silence;
        s->since_ns = 0; /* the probes under way were taken away */
        s->asked = 0;
        s->usual_ns = h->usual_ns[i];
        s->heard_ns = h->heard_ns[i];
        s->rate = h->rate[i];
        later(&s->heard_ns, span);
        e->health.random = sim_bits(&c->own_random);
        e->health.probe_at_ns = c->probe_at[h->endpoint[i]];
    }
    g->lag.seen_ns = c->now;
}

const struct dp_failover_decision *sim_helm_decision(const struct sim_helm *h)
{
    return &h->governor->decision;
}

uint64_t sim_helm_doubts(const struct sim_helm *h)
{
    return h->governor->doubts;
}
