/* HAProxy's rules, as its configuration manual and src/check.c of 2.6 say:
 *
 *   option httpchk GET /_up; default-server inter 2s fastinter 500ms fall 3 rise 2 observe layer7
 *     on-marked-down shutdown-sessions; timeout check 1s; timeout connect 500ms; timeout server 60s
 *   retries 3; option redispatch; retry-on all-retryable-errors; the other regions' servers are backups, option allbackups,
 *   resolvers with hold valid 10s
 *
 * A check is on a connection of its own. Between them: inter while fully up or down, fastinter in between. `health`
 * counts as in HAProxy: 0 … rise+fall-1, up from `rise` on. observe layer7 with its default on-error: ten errors in a
 * row hasten the next check. A failed connection is tried again after a turn-around, the last time elsewhere; what is
 * retried is not told apart by what it does. */
#include "rival.h"

#define RISE        2
#define FALL        3
#define INTER       (2 * SIM_S)
#define FAST        (500 * SIM_MS)
#define CHECK       (1 * SIM_S)
#define TURN_AROUND (500 * SIM_MS)
#define RETRIES     3
#define ERROR_LIMIT 10

struct server {
    unsigned health, errors;
    uint64_t calm_since;
};

struct haproxy {
    struct server servers[SIM_ENDPOINTS];
    unsigned turn;
};

static struct server *server(struct sim_car *c, unsigned endpoint)
{
    return &((struct haproxy *)c->state)->servers[endpoint];
}

static bool up(struct sim_car *c, unsigned endpoint)
{
    return server(c, endpoint)->health >= RISE;
}

static uint64_t interval(struct sim_car *c, unsigned endpoint)
{
    unsigned h = server(c, endpoint)->health;
    return h == 0 || h == RISE + FALL - 1 ? INTER : FAST;
}

static void begin(struct sim_car *c)
{
    for (unsigned e = 0; e < SIM_ENDPOINTS; e++)
        server(c, e)->health = RISE + FALL - 1;
    sim_begin_checks(c, INTER);
}

static void probe_due(struct sim_car *c, unsigned endpoint)
{
    sim_ask_probe(c, endpoint, true, CHECK);
}

static void probe_ended(struct sim_car *c, unsigned endpoint, const struct sim_probe *p)
{
    struct server *s = server(c, endpoint);
    bool was_up = up(c, endpoint);
    unsigned before = s->health;
    if (sim_check_passes(p)) {
        if (s->health < RISE + FALL - 1 && ++s->health >= RISE)
            s->health = RISE + FALL - 1;
    } else {
        s->health = s->health > RISE ? s->health - 1 : 0;
    }
    s->calm_since = s->health != before ? c->now : s->calm_since;
    sim_probe_at(c, endpoint, c->now + interval(c, endpoint));
    if (was_up == up(c, endpoint))
        return;
    s->errors = 0;
    unsigned to = sim_first_up(c, up);
    sim_move(c, to, c->active == SIM_NOWHERE || to < c->active);
    if (!was_up)
        return;
    sim_left(c, endpoint);
    c->idle[endpoint] = 0;
    sim_leave(c, endpoint, false);
}

/* The last try goes elsewhere, if there is an elsewhere. */
static unsigned route(struct sim_car *c, const struct sim_request *q)
{
    struct haproxy *h = c->state;
    bool last = q->attempts == RETRIES;
    if (q->attempts > 0 && !last && up(c, q->endpoint))
        return q->endpoint;
    h->turn++;
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        for (unsigned i = 0; i < c->setting->nodes; i++) {
            unsigned e = r * SIM_NODES + (h->turn + i) % c->setting->nodes;
            if (up(c, e) && !(last && e == q->endpoint))
                return e;
        }
    }
    return SIM_NOBODY;
}

static void answered(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    (void)after;
    server(c, q->endpoint)->errors = 0;
}

static void failed(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    struct server *s = server(c, q->endpoint);
    (void)end;
    if (++s->errors < ERROR_LIMIT)
        return;
    s->errors = 0;
    if (sim_probes_under_way(c, q->endpoint) == 0 && c->probe_at[q->endpoint] > c->now + FAST)
        sim_probe_at(c, q->endpoint, c->now + FAST);
}

static uint64_t again(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    if (q->attempts > RETRIES)
        return SIM_NEVER;
    bool same = q->attempts < RETRIES && up(c, q->endpoint);
    bool connection = end == SIM_END_REFUSED || end == SIM_END_NO_CONNECTION;
    return connection && same ? TURN_AROUND : 0;
}

static bool settled(struct sim_car *c, unsigned endpoint, bool dark)
{
    const struct server *s = server(c, endpoint);
    return s->health == (dark ? 0 : RISE + FALL - 1) && s->errors == 0 &&
           c->now > s->calm_since + SIM_RIVAL_CALM;
}

const struct sim_subject sim_haproxy = {
    .name = "haproxy",
    .connect_timeout = 500 * SIM_MS,
    .answer_timeout = 60 * SIM_S,
    .lookup_every = 10 * SIM_S,
    .state_bytes = sizeof(struct haproxy),
    .begin = begin,
    .probe_due = probe_due,
    .probe_ended = probe_ended,
    .route = route,
    .answered = answered,
    .failed = failed,
    .again = again,
    .settled = settled,
    .interval = interval,
};
