/* Envoy's rules at their defaults, as its documentation of outlier detection, health checking, priority
 * levels and the panic threshold says; a priority level a region.
 *
 *   outlier detection   5 consecutive 5xx, a failed connection counting as one: ejected for 30 s × how often, at most
 *                       300 s; looked at every 10 s; at most 10 % of the hosts, but one in any case; a passing health
 *                       check ends an ejection (the default since 1.26)
 *   health checks       GET /_up every 2 s, timeout 1 s (both have no default), 3 failures, 2 successes, kept
 *                       connections; 503 counts at once
 *   priorities          the first level takes 1.4 times its healthy share, the next ones the rest; with no healthy host
 *                       panic: the first level as it is
 *   retries             retry_on 5xx, 2 of them, 25 ms and more apart; not told apart by what a request does.
 *                       route timeout 15 s, connect timeout 5 s
 *   names               STRICT_DNS, every 5 s */
#include "rival.h"

#define INTERVAL    (2 * SIM_S)
#define CHECK       (1 * SIM_S)
#define UNHEALTHY   3
#define HEALTHY     2
#define CONSECUTIVE 5
#define EJECTION    (30 * SIM_S)
#define SWEEP       (10 * SIM_S)
#define RETRIES     2
#define BACKOFF_MS  25
#define PROVISION   1.4

struct host {
    bool failed_check, ejected;
    unsigned bad_checks, good_checks, bad, times;
    uint64_t ejected_at, calm_since;
};

struct envoy {
    struct host hosts[SIM_ENDPOINTS];
    unsigned turn;
};

static struct host *host(struct sim_car *c, unsigned endpoint)
{
    return &((struct envoy *)c->state)->hosts[endpoint];
}

static bool healthy(struct sim_car *c, unsigned endpoint)
{
    return !host(c, endpoint)->failed_check && !host(c, endpoint)->ejected;
}

/* What a level takes of the load grows with its healthy share, and is all of it from 1/1.4 on; the next takes the
 * rest. Nobody is healthy: panic. */
static unsigned level(struct sim_car *c)
{
    double left = sim_unit(&c->own_random);
    unsigned first = sim_first_up(c, healthy);
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        double share = PROVISION * sim_up_in(c, r, healthy) / c->setting->nodes;
        if (share > 0 && left < share)
            return r;
        left -= share;
    }
    return first;
}

static void settle(struct sim_car *c, unsigned changed)
{
    unsigned to = sim_first_up(c, healthy);
    host(c, changed)->calm_since = c->now;
    if (!healthy(c, changed))
        sim_left(c, changed);
    to = to == SIM_NOWHERE ? 0 : to;
    sim_move(c, to, to < c->active);
}

static void begin(struct sim_car *c)
{
    sim_begin_checks(c, INTERVAL);
}

static void probe_due(struct sim_car *c, unsigned endpoint)
{
    sim_ask_probe(c, endpoint, host(c, endpoint)->bad_checks > 0, CHECK);
}

static void probe_ended(struct sim_car *c, unsigned endpoint, const struct sim_probe *p)
{
    struct host *h = host(c, endpoint);
    bool was = healthy(c, endpoint);
    if (sim_check_passes(p)) {
        h->bad_checks = 0;
        h->good_checks++;
        if (h->failed_check && h->good_checks >= HEALTHY)
            h->failed_check = false;
        if (!h->failed_check)
            h->ejected = false;
    } else {
        h->good_checks = 0;
        h->bad_checks++;
        if (h->bad_checks >= UNHEALTHY || p->fate.answer == SIM_SAYS_503)
            h->failed_check = true;
    }
    sim_probe_at(c, endpoint, c->now + INTERVAL);
    if (was != healthy(c, endpoint))
        settle(c, endpoint);
}

static void sweep(struct sim_car *c)
{
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++) {
        struct host *h = host(c, e);
        unsigned times = h->times < 10 ? h->times : 10;
        if (h->ejected && c->now >= h->ejected_at + times * EJECTION) {
            h->ejected = false;
            settle(c, e);
        } else if (!h->ejected && h->times > 0) {
            h->times--;
        }
    }
}

static unsigned route(struct sim_car *c, const struct sim_request *q)
{
    unsigned *turn = &((struct envoy *)c->state)->turn, to = level(c);
    (void)q;
    ++*turn;
    return to == SIM_NOWHERE ? sim_next_in(c, 0, NULL, *turn) : sim_next_in(c, to, healthy, *turn);
}

static void answered(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    (void)after;
    host(c, q->endpoint)->bad = 0;
}

static void failed(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    struct host *h = host(c, q->endpoint);
    bool other = false;
    (void)end;
    if (++h->bad < CONSECUTIVE || h->ejected)
        return;
    h->bad = 0;
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++)
        other = other || host(c, e)->ejected;
    if (other)
        return;
    h->ejected = true;
    h->ejected_at = c->now;
    h->times++;
    settle(c, q->endpoint);
}

static uint64_t again(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    if (q->attempts > RETRIES || c->now >= q->arrived + 15 * SIM_S || end == SIM_END_TIMEOUT)
        return SIM_NEVER;
    return (uint64_t)(sim_unit(&c->own_random) * BACKOFF_MS * (double)((1U << q->attempts) - 1) *
                      1e6);
}

static bool settled(struct sim_car *c, unsigned endpoint, bool dark)
{
    const struct host *h = host(c, endpoint);
    return h->failed_check == dark && !h->ejected && h->bad == 0 &&
           (dark || (h->bad_checks == 0 && h->times == 0)) &&
           c->now > h->calm_since + SIM_RIVAL_CALM;
}

static uint64_t interval(struct sim_car *c, unsigned endpoint)
{
    (void)c;
    (void)endpoint;
    return INTERVAL;
}

const struct sim_subject sim_envoy = {
    .name = "envoy",
    .connect_timeout = 5 * SIM_S,
    .answer_timeout = 15 * SIM_S,
    .lookup_every = 5 * SIM_S,
    .tick = SWEEP,
    .state_bytes = sizeof(struct envoy),
    .begin = begin,
    .tick_due = sweep,
    .probe_due = probe_due,
    .probe_ended = probe_ended,
    .route = route,
    .answered = answered,
    .failed = failed,
    .again = again,
    .settled = settled,
    .interval = interval,
};
