/* Envoy's rules at their defaults, as its documentation of outlier detection, health checking, priority
 * levels and the panic threshold says; a priority level a region.
 *
 *   outlier detection   5 consecutive 5xx, a failed connection counting as one: ejected for 30 s × how often, at most
 *                       300 s; looked at every 10 s; at most 10 % of the hosts, but one in any case; a passing health
 *                       check ends an ejection (the default since 1.26)
 *   health checks       GET /_up every 2 s, timeout 1 s (both have no default), 3 failures, 2 successes, kept
 *                       connections; 503 counts at once
 *   priorities          the first level with a healthy host takes all; with none, panic: the first level as it is
 *   retries             retry_on 5xx, 2 of them, 25 ms and more apart; not told apart by what a request does.
 *                       route timeout 15 s, connect timeout 5 s */
#include "subjects.h"

#define INTERVAL    (2 * SIM_S)
#define CHECK       (1 * SIM_S)
#define UNHEALTHY   3
#define HEALTHY     2
#define CONSECUTIVE 5
#define EJECTION    (30 * SIM_S)
#define SWEEP       (10 * SIM_S)
#define RETRIES     2
#define BACKOFF_MS  25

struct host {
    bool failed_check, ejected;
    unsigned bad_checks, good_checks, bad, times;
    uint64_t ejected_at, calm_since;
};

struct envoy {
    struct host hosts[SIM_REGIONS];
};

static struct host *host(struct sim_car *c, unsigned r)
{
    return &((struct envoy *)c->state)->hosts[r];
}

static bool healthy(const struct host *h)
{
    return !h->failed_check && !h->ejected;
}

static unsigned best(struct sim_car *c)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        if (healthy(host(c, r)))
            return r;
    }
    return 0; /* panic */
}

static void settle(struct sim_car *c, unsigned changed)
{
    host(c, changed)->calm_since = c->now;
    unsigned to = best(c);
    sim_move(c, to, to < c->active);
}

static void begin(struct sim_car *c)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++)
        sim_probe_at(c, r, (uint64_t)(sim_unit(&c->own_random) * (double)INTERVAL));
}

static void probe_due(struct sim_car *c, unsigned r)
{
    sim_ask_probe(c, r, host(c, r)->bad_checks > 0, CHECK);
}

static void probe_ended(struct sim_car *c, unsigned r, const struct sim_probe *p)
{
    struct host *h = host(c, r);
    bool was = healthy(h);
    if (p->fate.answer == SIM_ANSWERED || p->fate.answer == SIM_CUT_SHORT) {
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
    sim_probe_at(c, r, c->now + INTERVAL);
    if (was != healthy(h))
        settle(c, r);
}

static void sweep(struct sim_car *c)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        struct host *h = host(c, r);
        unsigned times = h->times < 10 ? h->times : 10;
        if (h->ejected && c->now >= h->ejected_at + times * EJECTION) {
            h->ejected = false;
            settle(c, r);
        } else if (!h->ejected && h->times > 0) {
            h->times--;
        }
    }
}

static unsigned route(struct sim_car *c, const struct sim_request *q)
{
    (void)q;
    return best(c);
}

static void answered(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    (void)after;
    host(c, q->region)->bad = 0;
}

static void failed(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    struct host *h = host(c, q->region);
    bool other = false;
    (void)end;
    if (++h->bad < CONSECUTIVE || h->ejected)
        return;
    h->bad = 0;
    for (unsigned r = 0; r < SIM_REGIONS; r++)
        other = other || host(c, r)->ejected;
    if (other)
        return;
    h->ejected = true;
    h->ejected_at = c->now;
    h->times++;
    settle(c, q->region);
}

static uint64_t again(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    if (q->attempts > RETRIES || c->now >= q->arrived + 15 * SIM_S || end == SIM_END_TIMEOUT)
        return SIM_NEVER;
    return (uint64_t)(sim_unit(&c->own_random) * BACKOFF_MS * (double)((1U << q->attempts) - 1) *
                      1e6);
}

static bool settled(struct sim_car *c, unsigned r, bool dark)
{
    const struct host *h = host(c, r);
    return h->failed_check == dark && !h->ejected && h->bad == 0 &&
           (dark || (h->bad_checks == 0 && h->times == 0)) && c->now > h->calm_since + 15 * SIM_S;
}

static uint64_t interval(struct sim_car *c, unsigned r)
{
    (void)c;
    (void)r;
    return INTERVAL;
}

static uint64_t timed(struct sim_car *c)
{
    (void)c;
    return SIM_NEVER;
}

static void leapt(struct sim_car *c, uint64_t from)
{
    (void)c;
    (void)from;
}

const struct sim_subject sim_envoy = {
    .name = "envoy",
    .connect_timeout = 5 * SIM_S,
    .answer_timeout = 15 * SIM_S,
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
    .timed = timed,
    .leapt = leapt,
};
