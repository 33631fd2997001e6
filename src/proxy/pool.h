/* Connections to one endpoint: idle ones (newest first), those being dialed, and the requests that
 * wait in line.
 *
 *     dial ──► (idle) ⇄ leased ──► closed
 *
 * A lease is asked for in two steps, so that no callback ever runs inside a call: dp_pool_take
 * gives an idle connection at once or nothing; dp_pool_wait stands in line and answers later. */
#ifndef DAVENPORT_PROXY_POOL_H
#define DAVENPORT_PROXY_POOL_H

#include "davenport/base/err.h"
#include "davenport/base/list.h"
#include "davenport/core/view.h"
#include "davenport/net/timer.h"

#include "proxy/race.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_engine;
struct dp_upstream;

struct dp_pool {
    struct dp_engine *engine;
    uint16_t endpoint;
    uint32_t epoch; /* connections from before it are not used again */
    uint32_t moves; /* how often the addresses changed */
    struct dp_addr_book book;
    struct dp_list idle;    /* dp_upstream.node, most recently used first */
    struct dp_list waiters; /* dp_lease.node, first come first served */
    uint32_t n_idle, n_dialing, n_open, n_waiters;
    uint32_t most; /* connections, and so requests under way */
};

struct dp_lease {
    struct dp_list node; /* in waiters or in the engine's handoffs */
    struct dp_timer timer;
    struct dp_pool *pool;   /* NULL: not waiting */
    struct dp_upstream *up; /* handed over, on its way */
    enum dp_err err;        /* or what became of it */
    /* Exactly once unless canceled; up is leased (dp_upstream_begin it), or NULL and err says why:
     * ECONNECT, ETLS, ETIMEOUT (dialing failed), ENOMEM (we could not even dial), ELINE (the line did not
     * move), ECLOSED (it closed on its way here). */
    void (*done)(struct dp_lease *lease, struct dp_upstream *up, enum dp_err err);
};

void dp_pool_init(struct dp_pool *p, struct dp_engine *e, uint16_t endpoint,
                  const struct dp_view_endpoint *view);
/* A new view: connections that must not be used again are closed, now or when they come back: all of them after a
 * new epoch, those to addresses that are no longer the endpoint's after a move. */
void dp_pool_adopt(struct dp_pool *p, const struct dp_view_endpoint *view);

/* An idle connection, or NULL. */
struct dp_upstream *dp_pool_take(struct dp_pool *p);

void dp_lease_init(struct dp_lease *l,
                   void (*done)(struct dp_lease *, struct dp_upstream *, enum dp_err));
/* Stand in line; dials when the pool may grow. DP_ELIMIT when the line is full, DP_ECONNECT when
 * dialing fails at once. */
enum dp_err dp_pool_wait(struct dp_pool *p, struct dp_lease *l);
/* Would one of the two be heard now? */
bool dp_pool_has_room(const struct dp_pool *p);
/* dp_pool_take or dp_pool_wait: the lease is completed later in either case. */
enum dp_err dp_pool_lease(struct dp_pool *p, struct dp_lease *l);
/* The lease, which waits for nothing, is completed later with `err`. */
void dp_pool_deny(struct dp_pool *p, struct dp_lease *l, enum dp_err err);
void dp_lease_cancel(struct dp_lease *l); /* idempotent */

/* From upstream.c: a dial succeeded; a used connection may be used again; a connection is gone. */
void dp_pool_dialed(struct dp_pool *p, struct dp_upstream *up);
void dp_pool_dial_failed(struct dp_pool *p, enum dp_err err);
void dp_pool_put(struct dp_pool *p, struct dp_upstream *up);
void dp_pool_gone(struct dp_pool *p);
/* From dial.c: how an address did. */
void dp_pool_address_worked(struct dp_pool *p, const struct dp_addr *a);
void dp_pool_address_failed(struct dp_pool *p, const struct dp_addr *a);

/* Close all idle connections: the endpoint failed, moved, or we are stopping. */
void dp_pool_purge(struct dp_pool *p);

/* Once in a while: dial when fewer than pool_warm connections are ready, so that a failover does not begin with
 * handshakes. */
void dp_pool_keep_warm(struct dp_pool *p);

/* From upstream.c: the connection that was on its way to this lease closed. */
void dp_lease_lost(struct dp_lease *l);
/* From dp_engine_turn. */
void dp_lease_complete(struct dp_lease *l);

#endif
