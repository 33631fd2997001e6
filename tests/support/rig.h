/* A worker's engine on a test's desk: clients and regions are stream doubles that the test plays by
 * hand, time is the test's own. Nothing happens unless the test makes it happen, so every order of
 * events can be tried. */
#ifndef DAVENPORT_TESTS_SUPPORT_RIG_H
#define DAVENPORT_TESTS_SUPPORT_RIG_H

#include "davenport/net/stream.h"

#include "proxy/engine.h"

#include <stdbool.h>
#include <stddef.h>

#define RIG_PEERS 256

/* One stream, seen from the other side. */
struct rig_peer {
    struct dp_stream stream; /* first */
    struct rig *rig;
    char *got; /* what the engine wrote and the peer took, NUL ended */
    size_t got_bytes;
    size_t waiting_bytes; /* written, not yet taken: as if the socket were full */
    char *waiting;
    bool full;                    /* takes nothing until rig_take */
    bool reading;                 /* the engine reads from it */
    bool closed, reset, finished; /* by the engine: closed, with a reset, its side shut down */
    bool told_closed;             /* on_close was delivered */
    enum dp_err write_error;      /* what the next write returns */
    size_t unacked;               /* of what it took: as if it were still in our kernel */
    uint64_t written, reached; /* bytes by the engine; of them the peer's kernel has had so many */
    char ip[DP_ADDR_TEXT];     /* regions: whom the engine dialed */
};

struct rig {
    struct dp_engine engine;
    struct dp_proxy_config config;
    struct dp_clock clock;
    uint64_t now_ns;
    struct dp_traffic traffic;
    struct dp_view *view;
    uint32_t pause; /* of the views that rig_publish makes */
    unsigned kicks;
    struct dp_access_config access;      /* before rig_start */
    struct dp_address_limit *addresses;  /* before rig_start; the test's own */
    struct dp_recent *recent;            /* likewise */
    struct dp_tracing_ring *spans;       /* likewise */
    struct dp_checkpoints *checkpoints;  /* likewise */
    bool client_tls;                     /* clients come by TLS; before rig_start */
    enum dp_err dial_error;              /* what the next dial returns at once */
    struct dp_login_limit *logins;       /* before rig_start; the test's own */
    struct dp_hash_job *jobs[RIG_PEERS]; /* being hashed: done at the next turn, unless hash_slow */
    size_t n_jobs, hashed;
    bool hash_slow;
    enum dp_err hash_error; /* what the next job meets */
    struct rig_peer *clients[RIG_PEERS], *regions[RIG_PEERS];
    size_t n_clients, n_regions;
};

/* An engine with `n` regions "r0" (active), "r1", …, sane limits; change rig->config before
 * rig_start. */
void rig_init(struct rig *r, unsigned n);
void rig_start(struct rig *r);
/* Ends all, checks that nothing is left. */
void rig_fini(struct rig *r);

struct rig_peer *rig_client_from(struct rig *r, const char *address);
struct rig_peer *rig_client(struct rig *r); /* from 192.0.2.7 */
/* The newest connection the engine dialed; fails the test when there are not exactly `count` in
 * all. */
struct rig_peer *rig_dialed(struct rig *r, size_t count);
void rig_connect(struct rig_peer *p, enum dp_err err);
/* rig_client, its request sent, the region's connection made. */
struct rig_peer *rig_request(struct rig *r, const char *request, struct rig_peer **region);

/* Bytes from the peer, in pieces of `step` (0: all at once). Stops when the engine closed. */
void rig_send_bytes(struct rig_peer *p, const char *bytes, size_t n, size_t step);
void rig_send(struct rig_peer *p, const char *text);
void rig_end(struct rig_peer *p, enum dp_err err);
/* A full peer takes n more bytes. */
void rig_take(struct rig_peer *p, size_t n);
/* Forget what was got so far. */
void rig_clear(struct rig_peer *p);

/* Let time pass; timers fire, deferred things happen. */
void rig_wait(struct rig *r, uint32_t ms);
/* The same in steps, as a loop that is well sees it. */
void rig_pass(struct rig *r, uint32_t ms);
void rig_turn(struct rig *r);
/* A new view: the same with one endpoint's state and the active region changed. */
void rig_publish(struct rig *r, uint16_t endpoint, enum dp_route_state state, uint16_t active);
/* A new view: the same with a drill's fault of one region; NULL: with none of it any more. */
void rig_fault(struct rig *r, uint16_t region, const struct dp_fault *f);

#endif
