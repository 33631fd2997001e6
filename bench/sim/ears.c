/* What stands in for src/control/prober.c and resolver.c: the same calls, on the simulation's probes and names. A probe
 * that may not begin because DP_MAX_ASKS are under way begins as soon as one ends. */
#include "ears.h"

#include "control/governor_state.h"

#include <stdlib.h>

struct dp_prober {
    struct dp_prober_options opt;
    bool waits[DP_MAX_ENDPOINTS];
};

struct dp_resolver {
    struct dp_resolver_options opt;
    uint16_t ports[DP_MAX_ENDPOINTS];
};

/* A governor makes its ears for itself, and its publish_ctx is the sidecar. */
static struct sim_helm *helm_of(const struct dp_governor *g, struct sim_car **car)
{
    *car = g->opt.publish_ctx;
    return (*car)->state; /* it is the first in the subject's state */
}

/* ---- probes ---- */

struct dp_prober *dp_prober_new(const struct dp_prober_options *opt,
                                const struct dp_probe_target *targets, uint16_t n)
{
    struct dp_prober *p = calloc(1, sizeof(*p));
    (void)targets;
    (void)n;
    if (!p)
        abort();
    p->opt = *opt;
    return p;
}

void dp_prober_set(struct dp_prober *p, uint16_t endpoint, uint64_t at_ns)
{
    struct sim_car *c;
    const struct sim_helm *h = helm_of(p->opt.ctx, &c);
    p->waits[endpoint] = false;
    sim_probe_at(c, h->endpoint[endpoint], at_ns);
}

void dp_prober_move(struct dp_prober *p, uint16_t endpoint, const struct dp_addrs *addrs)
{
    (void)p;
    (void)endpoint;
    (void)addrs;
}

void dp_prober_trust(struct dp_prober *p, uint16_t endpoint, const struct dp_fetch_tls *tls)
{
    (void)p;
    (void)endpoint;
    (void)tls;
}

void dp_prober_key(struct dp_prober *p, uint16_t endpoint, struct dp_credential *key)
{
    (void)p;
    (void)endpoint;
    (void)key;
}

bool dp_prober_request(const struct dp_prober *p, uint16_t endpoint, struct dp_fetch_request *out)
{
    (void)p;
    (void)endpoint;
    (void)out;
    return false; /* replication is not watched here */
}

void dp_prober_refused(struct dp_prober *p, uint16_t endpoint)
{
    (void)p;
    (void)endpoint;
}

void dp_prober_destroy(struct dp_prober *p, void (*done)(void *ctx), void *ctx)
{
    free(p);
    if (done)
        done(ctx);
}

void sim_ears_ask(struct sim_car *c, struct dp_prober *p, unsigned endpoint, uint16_t number)
{
    p->waits[number] = sim_probes_under_way(c, endpoint) >= DP_MAX_ASKS;
    if (p->waits[number])
        return;
    uint32_t patience_ms = p->opt.asked(p->opt.ctx, number);
    sim_ask_probe(c, endpoint, ++c->asked[endpoint] % 2 == 1, patience_ms * SIM_MS);
}

/* What a probe of the real prober brings, as far as anything is decided by it. */
static const struct {
    enum dp_probe_kind kind;
    enum dp_err err;
    uint16_t status;
} meanings[] = {
    [SIM_ANSWERED] = {DP_PROBE_OK, DP_OK, 200},
    [SIM_CUT_SHORT] = {DP_PROBE_OK, DP_OK, 200},
    [SIM_DRAINING] = {DP_PROBE_DRAINING, DP_OK, 404},
    [SIM_SAYS_503] = {DP_PROBE_UNHEALTHY, DP_OK, 503},
    [SIM_REFUSES] = {DP_PROBE_DARK, DP_ECONNECT, 0},
    [SIM_SILENT] = {DP_PROBE_DARK, DP_ETIMEOUT, 0},
};

void sim_ears_hear(struct sim_car *c, struct dp_prober *p, unsigned endpoint, uint16_t number,
                   const struct sim_probe *probe)
{
    const enum sim_answer answer = probe->fate.answer;
    const uint64_t took = c->now - probe->started;
    const struct dp_probe_result r = {
        .kind = meanings[answer].kind,
        .err = meanings[answer].err,
        .status = meanings[answer].status,
        .reused = !probe->fresh,
        .reached = answer != SIM_SILENT || (probe->fresh && !probe->fate.disconnected),
        .started_ns = probe->started,
        .total_ns = took,
        .connect_ns = probe->fresh && answer != SIM_SILENT ? took / 2 : 0,
    };
    if (p->waits[number])
        sim_ears_ask(c, p, endpoint, number);
    p->opt.result(p->opt.ctx, number, &r);
}

/* ---- names ---- */

struct dp_resolver *dp_resolver_new(const struct dp_resolver_options *opt,
                                    const struct dp_resolver_target *targets, uint16_t n)
{
    struct dp_resolver *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->opt = *opt;
    for (uint16_t i = 0; i < n; i++)
        r->ports[i] = targets[i].port;
    return r;
}

void dp_resolver_start(struct dp_resolver *r)
{
    (void)r; /* the simulation's lookups go on by themselves */
}

void dp_resolver_destroy(struct dp_resolver *r, void (*done)(void *ctx), void *ctx)
{
    free(r);
    if (done)
        done(ctx);
}

void sim_ears_name(struct dp_resolver *r, uint16_t number, unsigned endpoint, unsigned address,
                   bool good)
{
    struct dp_addrs addrs = {0};
    if (good)
        sim_ears_address(endpoint, address, r->ports[number], &addrs);
    r->opt.result(r->opt.ctx, number, &addrs, good ? "" : "temporary failure");
}

void sim_ears_address(unsigned endpoint, unsigned address, uint16_t port, struct dp_addrs *out)
{
    char ip[DP_ADDR_TEXT];
    (void)snprintf(ip, sizeof(ip), "10.%u.%u.1", endpoint, address);
    if (!dp_addrs_add(out, ip, port))
        abort();
}
