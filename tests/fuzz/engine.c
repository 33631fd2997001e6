/* The engine between clients and regions that the input plays: who says what, in which pieces, in which order,
 * who is slow, who goes away, which region fails, how much time passes.
 *
 * Held against models of both sides (engine_model.c): what a region sees is sound HTTP, one request at a time;
 * what a client sees is sound HTTP, an answer for each request in turn, never a byte of another's; a cut answer
 * never passes for a whole one; what must not be sent twice is not. At the end, with nobody doing anything any
 * more, time alone ends every request and connection, and all memory comes back.
 *
 * Input: '0'+regions, a byte of options, then orders of a letter and its operands; a letter that means nothing
 * is passed over. Raw bytes end at '|'. Clients count from the oldest, regions from the newest ('0').
 *
 *   C           a client connects              q c k       request k of a table, queued at a client
 *   Q c raw|    bytes queued at a client       d c s       s of its bytes are delivered
 *   k r e       a dial ends: '0' well          a r v       the answer to what it saw, in form v, queued
 *   A r raw|    bytes queued at a region       u r s       s of its bytes are delivered
 *   e c e, E r e  an end, '0' orderly          f c, F r    takes nothing any more
 *   t c s, T r s  takes s bytes                o c, O r    takes all from now on
 *   x c, X r    writing fails from now on      w t         time passes
 *   v r s       region r gets state s          n e         how dialing fails at once, '0' not
 *   D           the engine drains              g r k       a drill's fault of region r, of kind k; '0' none */
#include "engine_model.h"
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More is refused, so that one order can't bring the rig to its end. */
#define DIALS_MAX 40
/* Longer than all timeouts of an exchange one after another. */
#define SETTLE_MS      900000
#define SETTLE_STEP_MS 5000

struct input {
    const uint8_t *p;
    size_t n;
};

static unsigned next(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

/* An operand: '0' to '9' and what follows them in ASCII. */
static unsigned digit(struct input *in)
{
    return (next(in) - '0') & 63U;
}

static struct dp_span raw(struct input *in)
{
    const struct dp_span s = {(const char *)in->p, in->n};
    const uint8_t *end = in->n > 0 ? memchr(in->p, '|', in->n) : NULL;
    const size_t n = end ? (size_t)(end - in->p) : in->n;
    in->p += n + (end ? 1 : 0);
    in->n -= n + (end ? 1 : 0);
    return (struct dp_span){s.p, n};
}

static size_t size_operand(struct input *in)
{
    static const size_t sizes[] = {SIZE_MAX, 1, 2, 3, 5, 16, 100, 1000, 20000, 65536};
    return sizes[digit(in) % DP_ARRAY_LEN(sizes)];
}

static enum dp_err error_operand(struct input *in)
{
    static const enum dp_err errors[] = {DP_OK, DP_ECONNECT, DP_ETIMEOUT, DP_ETLS, DP_ENOMEM};
    return errors[digit(in) % DP_ARRAY_LEN(errors)];
}

static struct side *client_operand(struct model *m, struct input *in)
{
    const unsigned i = digit(in);
    return m->n_clients > 0 ? &m->clients[i % m->n_clients] : NULL;
}

static struct side *region_operand(struct model *m, struct input *in)
{
    const unsigned i = digit(in);
    return m->n_regions > 0 ? &m->regions[m->n_regions - 1 - i % m->n_regions] : NULL;
}

/* Orders that mean the same to either side; the letter in lower case. */
static void side_order(struct side *s, char letter, struct input *in)
{
    switch (letter) {
    case 'd': {
        const size_t n = size_operand(in);
        if (s)
            side_deliver(s, n);
        return;
    }
    case 'e': {
        const enum dp_err err = digit(in) == 0 ? DP_OK : DP_ERESET;
        if (s)
            side_end(s, err);
        return;
    }
    case 'f':
        if (s)
            s->peer->full = true;
        return;
    case 't': {
        const size_t n = size_operand(in);
        if (s && s->peer->full && s->connected)
            rig_take(s->peer, n);
        return;
    }
    case 'o':
        if (s)
            side_take_all(s);
        return;
    case 'x':
        if (s)
            s->peer->write_error = DP_ERESET;
        return;
    default: /* no such letter */
        return;
    }
}

static void client_order(struct model *m, char letter, struct input *in)
{
    struct side *c = client_operand(m, in);
    if (letter == 'q') {
        const unsigned k = digit(in);
        if (c)
            model_request(m, c, k);
    } else if (letter == 'Q') {
        const struct dp_span s = raw(in);
        if (c)
            side_queue_raw(c, s);
    } else {
        side_order(c, letter, in);
    }
}

static void region_order(struct model *m, char letter, struct input *in)
{
    struct side *r = region_operand(m, in);
    if (letter == 'k') {
        const enum dp_err err = error_operand(in);
        if (r)
            model_connect(r, err);
    } else if (letter == 'a') {
        const unsigned v = digit(in);
        if (r)
            model_answer(r, v);
    } else if (letter == 'A') {
        const struct dp_span s = raw(in);
        if (r)
            side_queue_raw(r, s);
    } else if (letter == 'u') {
        side_order(r, 'd', in);
    } else {
        side_order(r, (char)(letter - 'A' + 'a'), in);
    }
}

static void world_order(struct model *m, char letter, struct input *in)
{
    static const uint32_t times[] = {50, 500, 1000, 2000, 5000, 15000, 20000, 30000, 60000, 90000};
    struct rig *r = &m->rig;
    switch (letter) {
    case 'C':
        model_client(m);
        return;
    case 'w':
        rig_wait(r, times[digit(in) % DP_ARRAY_LEN(times)]);
        return;
    case 'n':
        r->dial_error = error_operand(in);
        return;
    case 'v': {
        const unsigned region = digit(in), state = digit(in);
        rig_publish(r, (uint16_t)(region % r->view->n_regions), (enum dp_route_state)(state % 3),
                    (uint16_t)(state / 3 % r->view->n_regions));
        return;
    }
    case 'g': {
        const unsigned region = digit(in), kind = digit(in) % 6;
        const struct dp_fault f = {
            .kind = kind == 5 ? DP_FAULT_DARK : (enum dp_fault_kind)kind,
            .delay_ms = kind == DP_FAULT_SLOW ? 700 : 0,
            .share = kind == 5 ? DP_FAULT_ALL / 2 : DP_FAULT_ALL,
        };
        rig_fault(r, (uint16_t)(region % r->view->n_regions), kind == DP_FAULT_NONE ? NULL : &f);
        return;
    }
    case 'D':
        dp_engine_drain(&r->engine);
        rig_turn(r);
        return;
    default: /* no such letter */
        return;
    }
}

static void order(struct model *m, struct input *in)
{
    const char letter = (char)next(in);
    if (letter == '\0')
        return;
    if (strchr("qQdeftox", letter))
        client_order(m, letter, in);
    else if (strchr("kaAuEFTOX", letter))
        region_order(m, letter, in);
    else
        world_order(m, letter, in);
    model_look(m);
}

static void configure(struct dp_proxy_config *c, unsigned bits)
{
    if ((bits & 1) != 0) { /* small */
        c->max_head_bytes = 300;
        c->max_target_bytes = 60;
        c->max_headers = 6;
        c->replay_body_bytes = 40;
        c->max_body_bytes = 1000;
        c->whole_answer_bytes = 12;
    }
    if ((bits & 2) != 0) { /* tight */
        c->max_upstream = 1;
        c->max_waiting = 2;
        c->max_connections = 3;
        c->pool_max_idle = 1;
        c->max_requests = 3;
        c->min_bytes_per_s = 5;
        c->rate_window_ms = 2000;
        c->whole_answer_bytes = (bits & 1) != 0 ? 12 : 0;
    }
    if ((bits & 4) != 0)
        c->max_buffer_chunks = 4;
    c->pool_warm = (bits & 8) != 0 ? 1 : 0;
    c->tags_sequences = c->tells_region = c->tells_attempts = (bits & 8) != 0;
    if ((bits & 16) != 0) {
        c->hold_ms = 5000;
        c->hold_requests = 3;
        c->hold_bytes = 2000;
        c->hold_release_per_s = 20;
    }
    if ((bits & 32) != 0) { /* impatient */
        c->try_timeout_ms = 1000;
        c->request_timeout_ms = 12000;
        c->budgets[DP_BUDGET_RETRY] = (struct dp_budget_config){20, 1};
        c->budgets[DP_BUDGET_FAILOVER] = (struct dp_budget_config){0, 2};
        c->feed_spread_ms = 2000;
        c->feed_ends_on_move = true;
        c->feed_grace_ms = 1000;
        c->hedge_percent = 100;
    }
}

/* Nobody does anything any more: time ends it all. */
static void settle(struct model *m)
{
    m->rig.dial_error = DP_OK;
    for (uint32_t ms = 0; ms < SETTLE_MS; ms += SETTLE_STEP_MS) {
        if (m->n_regions > DIALS_MAX)
            m->rig.dial_error = DP_ECONNECT;
        rig_wait(&m->rig, SETTLE_STEP_MS);
        model_look(m);
        if (dp_counter_get(&m->rig.traffic.client_connections_open) == 0)
            break;
    }
    fuzz_check(dp_counter_get(&m->rig.traffic.requests_active) == 0, "every request ends in time");
    fuzz_check(dp_counter_get(&m->rig.traffic.client_connections_open) == 0,
               "every client's connection ends in time");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    /* The rig's asserts are cmocka's, which looks for a test to end. */
    return setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    static struct model m;
    if (size < 2)
        return 0;
    m = (struct model){0};
    rig_init(&m.rig, 1 + digit(&in) % 3);
    configure(&m.rig.config, digit(&in));
    for (uint16_t i = 0; i < m.rig.view->n_endpoints && m.rig.config.hedge_percent > 0; i++)
        m.rig.view->endpoints[i].usual_ms = 200;
    rig_start(&m.rig);
    while (in.n > 0 && m.rig.n_regions < DIALS_MAX)
        order(&m, &in);
    settle(&m);
    model_fini(&m);
    return 0;
}
