/* One request and its answer.
 *
 *            ┌────────── another attempt (retry facts allow) ──────────┐
 *            ▼                                                         │
 *   HEAD ► ROUTE ► ACQUIRE ► SEND ► AWAIT ► STREAM ► DONE              │
 *          ▲   ▼      └────────┴───────┴─────────────────────────► failure
 *          HOLD
 *
 * ROUTE    policy_next on the worker's view says where to
 * HOLD     no region takes it now, one may soon (hold.h)
 * ACQUIRE  wait for a connection of that endpoint's pool
 * SEND     the request goes out; an answer may already come (early response)
 * AWAIT    the request is out, no byte of the final answer has come
 * STREAM   committed: the final head went to the client, the body follows
 * DONE     answered or given up; the connection takes over
 *
 * Facts that decide about another attempt are fields of their own: wrote_any, conn_reused,
 * body_replayable, committed. All on the worker's thread; the exchange lives in its own arena. */
#ifndef DAVENPORT_PROXY_EXCHANGE_H
#define DAVENPORT_PROXY_EXCHANGE_H

#include "davenport/base/arena.h"
#include "davenport/base/buf.h"
#include "davenport/core/outcome.h"
#include "davenport/core/policy.h"
#include "davenport/couch/request.h"
#include "davenport/http/head.h"

#include "proxy/conn.h"
#include "proxy/hedge.h"
#include "proxy/hold.h"
#include "proxy/ids.h"
#include "proxy/pool.h"

struct dp_upstream;

enum dp_phase {
    DP_PHASE_HEAD,
    DP_PHASE_ROUTE,
    DP_PHASE_HOLD,
    DP_PHASE_ACQUIRE,
    DP_PHASE_SEND,
    DP_PHASE_AWAIT,
    DP_PHASE_STREAM,
    DP_PHASE_DONE,
    DP_PHASE_COUNT
};

struct dp_exchange {
    struct dp_arena arena; /* holds this struct too: moved out before it is reset */
    struct dp_engine *engine;
    struct dp_conn *conn;
    enum dp_phase phase;

    /* the request */
    struct dp_head request;
    struct dp_couch_request couch;
    const struct dp_rule *rule; /* by which it is routed */
    bool understood;            /* the head is whole and sound */
    bool request_complete;      /* its last body byte has been read */
    uint64_t body_bytes;        /* decoded, so far */
    struct dp_buf replay;       /* body kept for sending, and for sending again */
    struct dp_ids ids;  /* the same on every attempt; chosen in begin, or when it is refused */
    uint64_t hops_left; /* Max-Forwards; DP_NO_HOPS: no limit */

    /* the attempt */
    struct dp_pinned_view *view;
    struct dp_attempts attempts;
    uint32_t tried_endpoints; /* bit per endpoint that had it */
    bool same_again;          /* the next attempt replaces one that never arrived */
    enum dp_budget_kind paid; /* what this attempt counts against */
    struct dp_timer deadline; /* .fire == NULL: none */
    uint32_t failed_regions;  /* bit per region that failed it once */
    uint16_t endpoint;
    bool placed;            /* counted as under way there */
    bool trial;             /* this attempt tries its endpoint: see core/trial.h */
    struct dp_hedge *hedge; /* beside it, in AWAIT; NULL: none */
    bool hedge_tried;
    struct dp_lease lease;
    struct dp_upstream *up;
    uint64_t sent_ns;     /* when the request began to go out */
    uint64_t sent_turn;   /* of the engine's, when this attempt began */
    uint64_t sent_mark;   /* of the connection's bytes, when this attempt began */
    bool wrote_any;       /* a region may have acted on what it was sent */
    bool wrote_before;    /* wrote_any when this attempt began */
    bool conn_reused;     /* the attempt's connection had carried a request before */
    bool body_replayable; /* replay holds the whole body so far */
    bool send_failed; /* the region takes no more of the request: its answer or its end comes next
                       */
    bool stale_retry; /* this request already met a stale connection: dial the next one */
    struct dp_held held;

    /* the answer */
    struct dp_head response;
    bool committed;
    uint16_t told; /* the final status that the client was told; 0: none yet */
    struct dp_list
        awaited; /* from request_sent until the first byte: engine->awaited, then ->overdue; of an open feed:
                             engine->feeds_ending */
    bool appended;        /* the last piece of the body looks like an error that was appended */
    bool late;            /* the attempt was counted as late */
    bool response_begun;  /* a byte of the answer has come */
    uint8_t interim;      /* 1xx answers so far */
    bool up_paused;       /* reading from the region is stopped: the client is slow */
    bool keep;            /* the client connection may carry another request; told at commit */
    bool feed_ending;     /* to be ended at the next line boundary */
    bool feed_dead;       /* to be ended in any case, for nothing more comes */
    uint64_t feed_end_ns; /* in engine->feeds_ending: when */
    char tail[2];         /* last bytes of a feed's body: is it at a line's end? */
    enum dp_framing out;  /* towards the client */
    uint64_t sent_bytes;  /* of its body, to the client */

    /* for the access log; times are 0 without one */
    enum dp_end end;
    enum dp_err reason;
    uint64_t begun_ns;      /* the first byte of the head was read */
    uint64_t queued_ns;     /* in line for a connection since; 0: not in line */
    uint64_t queue_ns;      /* time in line, of the turns that are over */
    uint64_t first_byte_ns; /* how long the region took; or DP_NO_TIME */

    char made[]; /* DP_IDS_LINES_BYTES: what is made for `ids` */
};

/* A request's first byte is there. NULL: out of memory. */
struct dp_exchange *dp_exchange_new(struct dp_conn *c);
/* Frees the exchange and whatever it still holds. */
void dp_exchange_destroy(struct dp_exchange *x);

/* The connection's calls, in this order. */
void dp_exchange_begin(struct dp_exchange *x); /* x->request is whole */
void dp_exchange_body(struct dp_exchange *x, const struct dp_span *spans, size_t n, bool last);
void dp_exchange_route(struct dp_exchange *x); /* what came with the head has been taken in */
void dp_exchange_refuse(struct dp_exchange *x, enum dp_err err); /* answer with our own error */
void dp_exchange_client_gone(struct dp_exchange *x);
void dp_exchange_client_drained(struct dp_exchange *x); /* the client took some of the answer */
/* It sent nothing of its body or took nothing of its answer (EBODYTIMEOUT), or too little (ERATE). */
void dp_exchange_client_timeout(struct dp_exchange *x, enum dp_err err);

/* The upstream connection's calls. */
void dp_exchange_up_read(struct dp_exchange *x, const char *p, size_t n);
void dp_exchange_up_end(struct dp_exchange *x, enum dp_err err);
void dp_exchange_up_drained(struct dp_exchange *x);
void dp_exchange_up_timeout(struct dp_exchange *x);

/* The engine's calls. */
void dp_exchange_view_changed(struct dp_exchange *x, const struct dp_view *view);
void dp_exchange_drain(struct dp_exchange *x);
/* No first byte of the answer for too long: evidence against the region, no end of the attempt. */
void dp_exchange_late(struct dp_exchange *x);
/* None for even longer: another region gets it, if one would take it. Afterwards it is in none of the lists. */
void dp_exchange_overdue(struct dp_exchange *x);

/* Between exchange.c (attempts) and hold.c (the wait for a region). */
/* Go by the worker's view and configuration of now. No attempt may be under way. */
void dp_exchange_follow(struct dp_exchange *x);
void dp_exchange_resume(struct dp_exchange *x);
/* There is no way: say so, or that the outcome of an earlier attempt is unknown. */
void dp_exchange_give_up(struct dp_exchange *x, enum dp_err why);

/* Between exchange.c and hedge.c: let go of the attempt, but not of the hedge. */
void dp_exchange_let_go(struct dp_exchange *x);

/* Between exchange.c (attempts) and relay.c (bytes). */
void dp_exchange_set_phase(struct dp_exchange *x, enum dp_phase phase);
/* The region said 429 and another may have the request: goes on there. False: its answer is the client's. */
bool dp_exchange_declined(struct dp_exchange *x);
/* This attempt is over without an answer: another one, or an error to the client. */
void dp_exchange_attempt_failed(struct dp_exchange *x, enum dp_outcome outcome, enum dp_err err);
void dp_exchange_count(struct dp_exchange *x, enum dp_outcome outcome);
void dp_exchange_count_answer(struct dp_exchange *x, uint16_t status);
/* The answer is whole. up_clean: nothing is left on the region's connection. */
void dp_exchange_finish(struct dp_exchange *x, bool up_clean);
/* The answer that began can't be ended properly: let the client see that. */
void dp_exchange_cut(struct dp_exchange *x);
/* Send the request as far as it is there on x->up. */
void dp_relay_send(struct dp_exchange *x);
/* The same on another connection, of a request that is there as a whole. */
enum dp_err dp_relay_write(struct dp_exchange *x, struct dp_stream *to, uint16_t endpoint);
/* End an open feed: at a line boundary where that can be, else cut. dead: its region sends no more.
 */
void dp_relay_end_feed(struct dp_exchange *x, bool dead);

#endif
