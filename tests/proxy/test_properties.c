/* What must hold of the engine whatever happens, on long random histories (fixed seeds): clients come and go, dials
 * succeed, fail and hang, regions answer, refuse, break off and say nothing, views come, time passes. The test keeps its own,
 * simpler account: of what each region was sent, by the number in its path, and of when each request came.
 *
 *   budgets are never overspent; no request waits past its deadline; nothing is sent where the view does not allow it; a POST
 *   is never sent twice; every request comes to an end, and nothing is left behind (rig_fini) */
#include "support/random.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HISTORIES 600
#define EVENTS    150
#define REGIONS   3
#define CLIENTS   40
#define DIALS     (RIG_PEERS / 2) /* from then on dials fail at once */

/* One request, as the test sees it: client i asks for /db/doc-i-. */
struct account {
    bool post;
    uint64_t came_ns;
    unsigned since; /* the event at which it came, or was sent last */
    uint32_t sent;  /* heads that regions got, all together */
    uint32_t seen;  /* bit per region */
    bool
        reused; /* the last one went on a connection that had been used: if that was stale, the next is free */
};

/* One connection to a region. */
struct line {
    size_t read;    /* of what it got */
    bool asks;      /* it has a request without an answer */
    bool elsewhere; /* which is its client's first at this region, after another had it */
};

struct world {
    struct rig rig;
    struct random random;
    struct account requests[RIG_PEERS];
    struct line lines[RIG_PEERS];
    enum dp_route_state before[REGIONS]; /* by the view, when the event began */
    uint32_t spent[DP_BUDGET_COUNT];
    uint64_t active, most_active;
    unsigned event;
    unsigned usable[REGIONS]; /* the last event at which the view allowed it */
    /* of all histories, so that the test can't pass for want of events */
    uint64_t failovers, retries, deadlines, held, views;
};

static uint64_t active_now(const struct world *w)
{
    return dp_counter_get(&w->rig.traffic.requests_active) -
           dp_counter_get(&w->rig.traffic.feeds_active);
}

static unsigned region_of(const struct rig_peer *p)
{
    return (unsigned)(p->ip[strlen(p->ip) - 1] - '0');
}

/* ---- histories ---- */

static void begin(struct world *w, unsigned seed)
{
    struct dp_proxy_config *c = &w->rig.config;
    struct random *r = &w->random;
    r->x = seed * 7919 + 1;
    rig_init(&w->rig, REGIONS);
    memset(w->requests, 0, sizeof(w->requests));
    memset(w->lines, 0, sizeof(w->lines));
    memset(w->spent, 0, sizeof(w->spent));
    w->event = 0;
    c->hold_ms = chance(r, 30) ? 0 : 100 + below(r, 6000);
    c->hold_requests = 1 + below(r, 20);
    c->hold_bytes = 200 + below(r, 5000);
    c->hold_release_per_s = 1 + below(r, 500);
    c->request_timeout_ms = chance(r, 25) ? 0 : 200 + below(r, 20000);
    c->connect_timeout_ms = 100 + below(r, 3000);
    c->answer_timeout_ms = 100 + below(r, 10000);
    c->try_timeout_ms = chance(r, 50) ? 0 : 100 + below(r, 3000);
    c->waiting_timeout_ms = 100 + below(r, 3000);
    c->max_upstream = 1 + below(r, 16);
    c->max_waiting = below(r, 8);
    c->budgets[DP_BUDGET_RETRY] = (struct dp_budget_config){below(r, 60), below(r, 4)};
    c->budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){below(r, 60), below(r, 6)};
    for (unsigned i = 0; i < REGIONS; i++)
        w->rig.view->endpoints[i].late_ms = chance(r, 50) ? 0 : 100 + below(r, 2000);
    rig_start(&w->rig);
}

static const char *method_of(struct random *r, bool *post)
{
    static const char *const methods[] = {"GET", "GET", "PUT", "DELETE", "POST"};
    const char *m = methods[below(r, 5)];
    *post = m[0] == 'P' && m[1] == 'O';
    return m;
}

static void a_client_asks(struct world *w)
{
    struct rig *r = &w->rig;
    const size_t n = r->n_clients;
    char text[160];
    if (n >= CLIENTS)
        return;
    struct account *a = &w->requests[n];
    const char *method = method_of(&w->random, &a->post);
    const bool body = method[0] == 'P';
    (void)snprintf(text, sizeof(text), "%s /db/%sdoc-%zu- HTTP/1.1\r\nHost: a\r\n%s\r\n%s", method,
                   a->post ? "_design/d/_update/f/" : "", n, body ? "Content-Length: 2\r\n" : "",
                   body ? "{}" : "");
    struct rig_peer *p = rig_client(r);
    a->came_ns = r->now_ns;
    a->since = w->event;
    w->most_active = w->active + 1;
    if (!p->closed && p->reading)
        rig_send(p, text);
}

static struct rig_peer *any(struct world *w, struct rig_peer **peers, size_t n)
{
    return n > 0 ? peers[below(&w->random, (uint32_t)n)] : NULL;
}

static void a_client_goes(struct world *w)
{
    struct rig_peer *p = any(w, w->rig.clients, w->rig.n_clients);
    if (p && !p->closed && p->reading)
        rig_end(p, chance(&w->random, 50) ? DP_OK : DP_ECLOSED);
}

static void a_dial_ends(struct world *w)
{
    struct rig_peer *p = any(w, w->rig.regions, w->rig.n_regions);
    if (p && !p->closed && !p->reading && p->got_bytes == 0)
        rig_connect(p, chance(&w->random, 70) ? DP_OK : DP_ECONNECT);
}

static void a_region_speaks(struct world *w)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 404 Object Not Found\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        "HTTP/1.1 2",
    };
    struct rig_peer *p = any(w, w->rig.regions, w->rig.n_regions);
    if (!p || p->closed || !p->reading)
        return;
    struct line *l = &w->lines[0];
    for (size_t i = 0; i < w->rig.n_regions; i++)
        l = w->rig.regions[i] == p ? &w->lines[i] : l;
    if (l->asks && chance(&w->random, 75)) {
        l->asks = false;
        rig_send(p, answers[below(&w->random, chance(&w->random, 60) ? 3 : 7)]);
    } else {
        l->asks = false;
        rig_end(p, chance(&w->random, 50) ? DP_OK : DP_ECLOSED);
    }
}

static void a_view_comes(struct world *w)
{
    struct random *r = &w->random;
    const struct dp_view *v = w->rig.view;
    uint16_t endpoint = (uint16_t)below(r, REGIONS), active = DP_NO_REGION;
    enum dp_route_state state = (enum dp_route_state)(chance(r, 50) ? 0 : below(r, 3));
    for (uint16_t i = 0; i < REGIONS; i++) {
        enum dp_route_state s = i == endpoint ? state : v->regions[i].state;
        if (s == DP_ROUTE_OK && (active == DP_NO_REGION || chance(r, 50)))
            active = i;
    }
    w->views++;
    rig_publish(&w->rig, endpoint, state, active);
}

static void time_passes(struct world *w)
{
    rig_pass(&w->rig, below(&w->random, chance(&w->random, 80) ? 200 : 4000));
}

/* ---- the account ---- */

/* The number in a path, or -1. */
static long number_at(const char *head)
{
    const char *doc = strstr(head, "/doc-");
    const char *end = strstr(head, " HTTP/1.1\r\n");
    return doc && end && doc < end ? strtol(doc + 5, NULL, 10) : -1;
}

static void note_head(struct world *w, size_t i, const char *head)
{
    struct rig_peer *p = w->rig.regions[i];
    const unsigned region = region_of(p);
    const long number = number_at(head);
    assert_true(number >= 0 && number < CLIENTS);
    struct account *a = &w->requests[number];
    /* It may have been on its way there, in line or by a dial, when the region was barred. */
    if (w->usable[region] < a->since)
        fail_msg("request %ld was sent to region %u, which is %s", number, region,
                 dp_route_state_name(w->before[region]));
    if (a->post && a->sent > 0)
        fail_msg("POST %ld was sent twice", number);
    w->lines[i].asks = true;
    w->lines[i].elsewhere = a->sent > 0 && !(a->seen >> region & 1) && !a->reused;
    a->reused = w->lines[i].read > 0;
    a->since = w->event;
    a->sent++;
    a->seen |= 1U << region;
}

/* Heads that have come whole since the last look. */
static void read_lines(struct world *w)
{
    for (size_t i = 0; i < w->rig.n_regions; i++) {
        const struct rig_peer *p = w->rig.regions[i];
        struct line *l = &w->lines[i];
        const char *head = p->got + l->read, *end;
        while ((end = strstr(head, "\r\n\r\n")) != NULL) {
            note_head(w, i, head);
            head = end + 4;
            if (strncmp(head, "{}", 2) == 0)
                head += 2;
            l->read = (size_t)(head - p->got);
        }
        if (p->closed)
            l->asks = false;
    }
}

/* What is spent may outlast the requests that allowed for it; but no more is spent than they allow. */
static void check_budgets(struct world *w)
{
    const struct dp_engine *e = &w->rig.engine;
    uint64_t elsewhere = 0;
    for (size_t i = 0; i < w->rig.n_regions; i++)
        elsewhere += w->lines[i].asks && w->lines[i].elsewhere;
    for (unsigned k = DP_BUDGET_RETRY; k < DP_BUDGET_COUNT; k++) {
        const struct dp_budget_config *c = &w->rig.config.budgets[k];
        const uint64_t share = w->most_active * c->percent / 100;
        const uint64_t limit = share > c->least ? share : c->least;
        if (e->spent[k] > w->spent[k] && e->spent[k] > limit)
            fail_msg("budget %u: %u spent of %llu, with %llu requests", k, e->spent[k],
                     (unsigned long long)limit, (unsigned long long)w->most_active);
        w->retries += k == DP_BUDGET_RETRY && e->spent[k] > w->spent[k];
        w->failovers += k == DP_BUDGET_FAILOVER && e->spent[k] > w->spent[k];
        w->spent[k] = e->spent[k];
    }
    /* Of either: a dial may have failed there before, which the test does not count. */
    const uint32_t paid = e->spent[DP_BUDGET_RETRY] + e->spent[DP_BUDGET_FAILOVER];
    if (elsewhere > paid)
        fail_msg("%llu requests wait elsewhere than they began, %u are paid for",
                 (unsigned long long)elsewhere, paid);
}

static bool is_told(const struct rig_peer *p)
{
    return p->got_bytes > 0 || p->closed;
}

static void check_deadlines(struct world *w)
{
    const uint64_t limit_ms = w->rig.config.request_timeout_ms;
    for (size_t i = 0; limit_ms > 0 && i < w->rig.n_clients; i++) {
        const uint64_t due = w->requests[i].came_ns + (limit_ms + 2 * DP_TICK_MS) * DP_NS_PER_MS;
        if (w->rig.now_ns > due && !is_told(w->rig.clients[i]))
            fail_msg("request %zu was told nothing by its deadline of %llu ms", i,
                     (unsigned long long)limit_ms);
    }
}

static void one_event(struct world *w)
{
    static void (*const events[])(struct world *) = {
        a_client_asks, a_client_asks,   a_client_goes,   a_dial_ends, a_dial_ends,
        a_dial_ends,   a_region_speaks, a_region_speaks, time_passes, a_view_comes};
    w->event++;
    for (unsigned i = 0; i < REGIONS; i++) {
        w->before[i] = w->rig.view->endpoints[i].state;
        w->usable[i] = w->before[i] == DP_ROUTE_OK ? w->event : w->usable[i];
    }
    w->active = w->most_active = active_now(w);
    w->rig.dial_error = w->rig.n_regions >= DIALS ? DP_ECONNECT : DP_OK;
    events[below(&w->random, DP_ARRAY_LEN(events))](w);
    for (unsigned i = 0; i < REGIONS; i++)
        w->usable[i] = w->rig.view->endpoints[i].state == DP_ROUTE_OK ? w->event : w->usable[i];
    read_lines(w);
    check_budgets(w);
    check_deadlines(w);
}

/* Nothing happens any more but time: whoever is left is told something, or had the beginning of an answer. */
static void all_come_to_an_end(struct world *w)
{
    w->rig.dial_error = DP_ECONNECT;
    for (unsigned i = 0; i < 90; i++)
        rig_pass(&w->rig, 1000);
    for (size_t i = 0; i < w->rig.n_clients; i++) {
        if (!is_told(w->rig.clients[i]))
            fail_msg("request %zu never came to an end", i);
    }
}

static void every_history_keeps_the_rules(void **state)
{
    static struct world w;
    (void)state;
    for (unsigned seed = 0; seed < HISTORIES; seed++) {
        begin(&w, seed);
        for (unsigned i = 0; i < EVENTS; i++)
            one_event(&w);
        all_come_to_an_end(&w);
        w.deadlines += dp_counter_get(&w.rig.traffic.deadlines);
        w.held += dp_counter_get(&w.rig.traffic.hold_total);
        rig_fini(&w.rig);
    }
    /* They were not idle ones. */
    assert_true(w.failovers > HISTORIES && w.retries > HISTORIES / 4);
    assert_true(w.deadlines > HISTORIES / 4 && w.held > HISTORIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_history_keeps_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
