/* One connection to an endpoint: dialing, idle in its pool, or leased to one exchange. */
#ifndef DAVENPORT_PROXY_UPSTREAM_H
#define DAVENPORT_PROXY_UPSTREAM_H

#include "davenport/base/addr.h"
#include "davenport/base/err.h"
#include "davenport/base/list.h"
#include "davenport/http/reader.h"
#include "davenport/net/stream.h"
#include "davenport/net/timer.h"

#include "proxy/engine.h"

struct dp_exchange;
struct dp_inquiry;

enum dp_upstream_state {
    DP_UP_DIALING,
    DP_UP_IDLE,
    DP_UP_HANDED,
    DP_UP_LEASED,
    DP_UP_HEDGE,
    DP_UP_INQUIRY,
    DP_UP_CLOSED
};

/* What comes of a connection that met a drill's fault, when it is due. */
enum dp_upstream_due { DP_DUE_READ, DP_DUE_END };

struct dp_upstream {
    struct dp_engine *engine;
    struct dp_pool *pool;
    struct dp_dial *dial;     /* DIALING */
    struct dp_stream *stream; /* from then on; NULL: it never was connected */
    struct dp_addr addr;      /* whom it is connected to */
    struct dp_reader *reader;
    struct dp_list node; /* idle list */
    struct dp_timer timer;
    struct dp_exchange *exchange; /* LEASED, HEDGE */
    struct dp_inquiry *inquiry;   /* INQUIRY */
    struct dp_lease *lease;       /* HANDED, on its way to this lease */
    enum dp_upstream_state state;
    uint32_t epoch;         /* of the pool when it was dialed */
    uint32_t moves;         /* of the pool when its address was last looked at */
    bool used;              /* has carried a request before */
    struct dp_list faulted; /* engine->faulted: at due_ns, by fault.h */
    enum dp_upstream_due due;
    uint64_t due_ns;
};

/* Dial; the pool hears of it through dp_pool_dialed or dp_pool_dial_failed, later. */
enum dp_err dp_upstream_dial(struct dp_pool *pool);
/* Lease → exchange. */
void dp_upstream_attach(struct dp_upstream *up, struct dp_exchange *x);
/* Lease → an exchange that has another one, and: it takes that one's place. */
void dp_upstream_hedge(struct dp_upstream *up, struct dp_exchange *x);
void dp_upstream_adopt(struct dp_upstream *up);
/* Lease → a request of our own. */
void dp_upstream_inquire(struct dp_upstream *up, struct dp_inquiry *q);
/* Bytes have come, the first ones since a request was written behind `mark` of the connection's bytes, in the engine's
 * turn `turn`. True: they lay in the socket before and can't be its answer, for the region sent them behind the one
 * before. That is noticed as long as none of the request could be sent, and in the turn of the loop that sent it, as
 * nothing of it was acknowledged. */
bool dp_upstream_is_stray(const struct dp_upstream *up, uint64_t mark, uint64_t turn);
/* It is as if the region had reset it. LEASED, HEDGE or INQUIRY; it may be closed then. */
void dp_upstream_broke(struct dp_upstream *up);
/* The exchange is done with it. reusable: nothing is left on the wire in either direction. */
void dp_upstream_release(struct dp_upstream *up, bool reusable);
void dp_upstream_close(struct dp_upstream *up);

#endif
