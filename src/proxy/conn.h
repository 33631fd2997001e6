/* One client connection: reads requests one after another, lends itself to one exchange at a time.
 *
 *   PREFACE, where a load balancer tells who comes
 *     ▼
 *   IDLE ──byte──► HEAD ──head whole──► EXCHANGE ──answered──► IDLE
 *     │              │ bad head            │ must close
 *     ▼              ▼                     ▼
 *   CLOSED ◄──────── LINGER (what waits goes out, our side finishes, the rest of the input is discarded) */
#ifndef DAVENPORT_PROXY_CONN_H
#define DAVENPORT_PROXY_CONN_H

#include "davenport/base/buf.h"
#include "davenport/base/list.h"
#include "davenport/http/reader.h"
#include "davenport/net/stream.h"
#include "davenport/net/tcp.h"
#include "davenport/net/timer.h"

#include "proxy/engine.h"
#include "proxy/patience.h"

#include <string.h>

struct dp_exchange;
struct dp_proxy_header;

#define DP_PEER_TEXT 48

enum dp_conn_state {
    DP_CONN_PREFACE,
    DP_CONN_IDLE,
    DP_CONN_HEAD,
    DP_CONN_EXCHANGE,
    DP_CONN_LINGER,
    DP_CONN_CLOSED
};

struct dp_conn {
    struct dp_engine *engine;
    struct dp_stream *stream;
    struct dp_reader *reader; /* HEAD, EXCHANGE */
    struct dp_list node;      /* engine->conns */
    struct dp_timer timer;
    struct dp_exchange *exchange;    /* HEAD, EXCHANGE */
    struct dp_proxy_header *preface; /* PREFACE */
    struct dp_buf ahead;             /* input that came before its turn (pipelining) */
    enum dp_conn_state state;
    struct dp_patience patience; /* with its body, or while it takes an answer */
    uint32_t requests;           /* begun so far */
    uint32_t place;              /* in engine->addresses; or DP_NO_PLACE */
    bool in_read;                /* on_input is on the stack: it goes on by itself */
    bool held;                   /* the exchange wants no more of the body now */
    bool paused;                 /* reading is stopped: held, or too much is ahead */
    bool peer_done;              /* the client finished its side */
    bool turned_away;            /* past a limit: only its answer is still going out */
    bool wrote;                  /* documents, by a rule that is sticky by connection */
    uint16_t kept;           /* the region of its requests by such a rule; DP_NO_REGION: none yet */
    uint64_t key;            /* its own, for the policy */
    char peer[DP_PEER_TEXT]; /* an address, or DP_PEER_UNIX */
};

extern const struct dp_stream_events dp_conn_events;

/* What is past a limit may try again after. */
#define DP_RETRY_SOON_S 1

/* Takes the stream over in every case; its owner becomes the connection. NULL: out of memory or
 * over a limit, the stream is being closed (with a 503 or 429 first where that is possible). */
struct dp_conn *dp_conn_new(struct dp_engine *e, struct dp_stream *stream, const char *peer);

/* What X-Forwarded-For tells of it. Whoever comes through a Unix socket is on this host, as is whoever comes from its
 * loopback address: that is what a region is told, for CouchDB counts failed logins by address. */
static inline const char *dp_conn_address(const struct dp_conn *c)
{
    return strcmp(c->peer, DP_PEER_UNIX) == 0 ? "127.0.0.1" : c->peer;
}

/* Between conn.c (a connection's life) and admission.c (how it begins). */
void dp_conn_init(struct dp_conn *c, struct dp_engine *e, struct dp_stream *stream);
void dp_conn_idle(struct dp_conn *c);
void dp_conn_close(struct dp_conn *c, bool reset);
void dp_conn_lost(struct dp_conn *c); /* its stream is another's by now: free it */
/* Our answer is out or on its way; the client may still be sending. Closing now could reset the
 * connection and take the answer with it, so finish our side and wait for theirs, for a while. */
void dp_conn_linger(struct dp_conn *c);
/* Bytes of a PROXY header, and what stands behind it. The connection may be gone when it returns. */
void dp_conn_preface(struct dp_conn *c, const char *p, size_t n);
/* It will not come: close. */
void dp_conn_no_preface(struct dp_conn *c, const char *why);

/* The exchange's calls. */
void dp_conn_hold(struct dp_conn *c, bool hold); /* stop or go on reading the body */
/* The answer is complete. keep: the connection may carry another request. The exchange is freed. */
void dp_conn_exchange_done(struct dp_conn *c, bool keep);
/* Let go at once, what waits to be written is dropped. The exchange is freed. */
void dp_conn_abort(struct dp_conn *c, bool reset);

/* This request is its last one. */
bool dp_conn_spent(const struct dp_conn *c);
/* From patience.c: the client moved too little within a window. */
void dp_conn_too_slow(struct dp_conn *c);

/* The engine's calls. */
void dp_conn_drain(struct dp_conn *c);

#endif
