/* HAProxy's rules, as its configuration manual and src/check.c of 2.6 say:
 *
 *   option httpchk GET /_up; default-server inter 2s fastinter 500ms fall 3 rise 2 observe layer7
 *     on-marked-down shutdown-sessions; timeout check 1s; timeout connect 500ms; timeout server 60s
 *   retries 3; option redispatch; retry-on all-retryable-errors; the second and third server are backups
 *
 * A check is on a connection of its own. Between them: inter while fully up or down, fastinter in between. `health`
 * counts as in HAProxy: 0 … rise+fall-1, up from `rise` on. observe layer7 with its default on-error: ten errors in a
 * row hasten the next check. A failed connection is tried again after a turn-around, the last time elsewhere; what is
 * retried is not told apart by what it does. */
#include "subjects.h"

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
    struct server servers[SIM_REGIONS];
};

static struct server *server(struct sim_car *c, unsigned r)
{
    return &((struct haproxy *)c->state)->servers[r];
}

static bool up(const struct server *s)
{
    return s->health >= RISE;
}

static void settle(struct sim_car *c)
{
    unsigned to = SIM_NOWHERE;
    for (unsigned r = SIM_REGIONS; r-- > 0;)
        to = up(server(c, r)) ? r : to;
    sim_move(c, to, c->active == SIM_NOWHERE || to < c->active);
}

static uint64_t interval(struct sim_car *c, unsigned r)
{
    unsigned h = server(c, r)->health;
    return h == 0 || h == RISE + FALL - 1 ? INTER : FAST;
}

static void begin(struct sim_car *c)
{
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        server(c, r)->health = RISE + FALL - 1;
        sim_probe_at(c, r, (uint64_t)(sim_unit(&c->own_random) * (double)INTER));
    }
}

static void probe_due(struct sim_car *c, unsigned r)
{
    sim_ask_probe(c, r, true, CHECK);
}

static void probe_ended(struct sim_car *c, unsigned r, const struct sim_probe *p)
{
    struct server *s = server(c, r);
    bool was_up = up(s);
    bool good = p->fate.answer == SIM_ANSWERED || p->fate.answer == SIM_CUT_SHORT;
    unsigned before = s->health;
    if (good) {
        if (s->health < RISE + FALL - 1 && ++s->health >= RISE)
            s->health = RISE + FALL - 1;
    } else {
        s->health = s->health > RISE ? s->health - 1 : 0;
    }
    s->calm_since = s->health != before ? c->now : s->calm_since;
    sim_probe_at(c, r, c->now + interval(c, r));
    if (was_up == up(s))
        return;
    s->errors = 0;
    settle(c);
    if (was_up)
        sim_leave(c, r, false);
}

static unsigned route(struct sim_car *c, const struct sim_request *q)
{
    bool last = q->attempts == RETRIES;
    if (q->attempts > 0 && !last && up(server(c, q->region)))
        return q->region;
    for (unsigned r = 0; r < SIM_REGIONS; r++) {
        if (up(server(c, r)) && !(last && r == q->region))
            return r;
    }
    return SIM_NOWHERE;
}

static void answered(struct sim_car *c, const struct sim_request *q, uint64_t after)
{
    (void)after;
    server(c, q->region)->errors = 0;
}

static void failed(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    struct server *s = server(c, q->region);
    (void)end;
    if (++s->errors < ERROR_LIMIT)
        return;
    s->errors = 0;
    if (sim_probes_under_way(c, q->region) == 0 && c->probe_at[q->region] > c->now + FAST)
        sim_probe_at(c, q->region, c->now + FAST);
}

static uint64_t again(struct sim_car *c, const struct sim_request *q, enum sim_end end)
{
    if (q->attempts > RETRIES)
        return SIM_NEVER;
    bool same = q->attempts < RETRIES && up(server(c, q->region));
    bool connection = end == SIM_END_REFUSED || end == SIM_END_NO_CONNECTION;
    return connection && same ? TURN_AROUND : 0;
}

static bool settled(struct sim_car *c, unsigned r, bool dark)
{
    const struct server *s = server(c, r);
    return s->health == (dark ? 0 : RISE + FALL - 1) && s->errors == 0 &&
           c->now > s->calm_since + 15 * SIM_S;
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

const struct sim_subject sim_haproxy = {
    .name = "haproxy",
    .connect_timeout = 500 * SIM_MS,
    .answer_timeout = 60 * SIM_S,
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
    .timed = timed,
    .leapt = leapt,
};
