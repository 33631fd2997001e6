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
 * AWAIT    the request is out; the final answer has not come, or is kept until it is whole (kept.h)
 * STREAM   committed: the final head went to the client, the body follows
 * SETTLE   the answer is whole and kept: was it an earlier attempt of ours that made it so? (settle.h) Do all regions have
 *          it? (spread.h)
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
#include "davenport/proxy/recent.h"

#include "proxy/conn.h"
#include "proxy/hedge.h"
#include "proxy/hold.h"
#include "proxy/ids.h"
#include "proxy/kept.h"
#include "proxy/origin.h"
#include "proxy/pool.h"
#include "proxy/proof.h"

struct dp_tagging;
struct dp_traced;
struct dp_upstream;

enum dp_phase {
    DP_PHASE_HEAD,
    DP_PHASE_ROUTE,
    DP_PHASE_HOLD,
    DP_PHASE_ACQUIRE,
    DP_PHASE_SEND,
    DP_PHASE_AWAIT,
    DP_PHASE_STREAM,
    DP_PHASE_SETTLE,
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
    const struct dp_rule *rule;  /* by which it is routed */
    struct dp_span named;        /* the region that it names; .p == NULL: none */
    struct dp_span named_prefix; /* by its target, of which this was taken off */
    uint16_t only;               /* that one's number */
    struct dp_tagging *tagging;  /* its answer may carry sequence tokens; NULL: no */
    bool knows_written; /* `written` holds what was written of late of the document that it reads */
    bool rereads;       /* in the region that has that */
    struct dp_recent_write written;
    struct dp_rows *learns; /* what its answer says was written; NULL: nothing is learned */
    bool understood;        /* the head is whole and sound */
    bool request_complete;  /* its last body byte has been read */
    bool gathers;           /* it is sent when its body is there: see minting.h */
    uint64_t body_bytes;    /* decoded, so far */
    struct dp_buf replay;   /* body kept for sending, and for sending again */
    struct dp_ids ids;      /* the same on every attempt; chosen in begin, or when it is refused */
    uint64_t hops_left;     /* Max-Forwards; DP_NO_HOPS: no limit */

    /* its client: see clients.h */
    bool admitted;
    bool renew_session; /* its cookie is to be renewed with the answer */
    const struct dp_client_user
        *user;              /* in the arena; NULL: nobody was asked, or a certificate is enough */
    struct dp_login *login; /* its password is being hashed */
    struct dp_span login_name; /* whose */
    struct dp_list login_node; /* in login->waiters */

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
    uint64_t wrote_ns;    /* of what is not replicated: when the first attempt began; 0: none has */
    bool conn_reused;     /* the attempt's connection had carried a request before */
    bool body_replayable; /* replay holds the whole body so far */
    bool send_failed; /* the region takes no more of the request: its answer or its end comes next
                       */
    bool stale_retry; /* this request already met a stale connection: dial the next one */
    struct dp_held held;

    /* the answer */
    struct dp_head response;
    struct dp_settle *settle; /* in SETTLE, or this one: */
    struct dp_spread *spread;
    struct dp_span missed; /* names of regions that did not take what all should have */
    struct dp_kept *kept;  /* what came of it, until it is whole or begins; NULL: nothing is kept */
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
    char tail[2];         /* last bytes of a feed's body, to the client: is it at a line's end? */
    enum dp_framing out;  /* towards the client */
    uint64_t sent_bytes;  /* of its body, to the client */

    /* what it took: for metrics, the access log and traces */
    enum dp_end end;
    enum dp_err reason;
    enum dp_phase reached;    /* the last phase but DONE */
    struct dp_traced *traced; /* its trace is recorded; NULL: it is not */
    bool hedge_won;           /* the answer is a hedge's */
    uint64_t head_ns;         /* from the first byte of the head to its last; or DP_NO_TIME */
    uint64_t begun_ns;        /* the first byte of the head was read */
    /* What the proxy itself adds: from the last bytes of the request read until they are written to a region, and from
     * the last bytes of the answer read until they are written to the client. Waiting is no part of it, neither for
     * others (a region, a connection to it, the client) nor on purpose (HOLD); what an attempt took that failed is not either. */
    uint64_t own_ns;        /* of it, what is over */
    uint64_t busy_ns;       /* it is the proxy's turn since; 0: it waits */
    uint64_t heard_turn;    /* of the engine's, when more of the request was read last */
    uint64_t queued_ns;     /* in line for a connection since; 0: not in line */
    uint64_t queue_ns;      /* time in line, of the turns that are over */
    uint64_t first_byte_ns; /* how long the region took; or DP_NO_TIME */

    char made[]; /* DP_IDS_LINES_BYTES: what is made for `ids` */
};

/* How its client reaches us, and its region through us. */
static inline struct dp_origin dp_exchange_origin(const struct dp_exchange *x)
{
    return (struct dp_origin){x->request.authority, x->named_prefix, x->engine->client_tls};
}

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
/* Has a reload taken this endpoint out since the exchange began? By the view in which it did. */
bool dp_exchange_left_out(const struct dp_exchange *x, uint16_t endpoint,
                          const struct dp_view *view);
void dp_exchange_drain(struct dp_exchange *x);
/* The connection ends with this answer. A feed of lines ends within so long; one that is one text is left to its end, for cut
 * off it would be lost. */
void dp_exchange_retire(struct dp_exchange *x, uint64_t within_ms);
/* No first byte of the answer for too long: evidence against the region, no end of the attempt. */
void dp_exchange_late(struct dp_exchange *x);
/* None for even longer: another region gets it, if one would take it. Afterwards it is in none of the lists. */
void dp_exchange_overdue(struct dp_exchange *x);

/* Between exchange.c (attempts) and hold.c (the wait for a region). */
/* Go by the worker's view and configuration of now. No attempt may be under way. */
void dp_exchange_follow(struct dp_exchange *x);
void dp_exchange_resume(struct dp_exchange *x);
/* Answer without a region: an error; or with DP_OK what `own` says; without that what an OPTIONS is told that was to come no
 * further. No attempt may be under way. The exchange is gone. */
struct dp_own_answer {
    struct dp_span body;   /* JSON; .p == NULL: as `err` says */
    struct dp_span fields; /* more of the head, "Name: value\r\n" each */
};
void dp_exchange_answer_ourselves(struct dp_exchange *x, enum dp_err err,
                                  const struct dp_own_answer *own); /* NULL is fine */
/* There is no way: say so, or that the outcome of an earlier attempt is unknown. */
void dp_exchange_give_up(struct dp_exchange *x, enum dp_err why);

/* Between exchange.c and hedge.c: let go of the attempt, but not of the hedge. */
void dp_exchange_let_go(struct dp_exchange *x);

/* It is the proxy's turn from now on: something that was waited for has come. */
static inline void dp_exchange_busy(struct dp_exchange *x)
{
    x->busy_ns = dp_clock_mono_ns(x->engine->clock);
}
/* More of the request was read: of what one turn of the loop brought the beginning counts. */
static inline void dp_exchange_heard(struct dp_exchange *x)
{
    if (x->heard_turn == x->engine->turns)
        return;
    x->heard_turn = x->engine->turns;
    dp_exchange_busy(x);
}
/* It is others' turn. */
static inline void dp_exchange_waits(struct dp_exchange *x, uint64_t now_ns)
{
    x->own_ns += x->busy_ns ? now_ns - x->busy_ns : 0;
    x->busy_ns = 0;
}

/* Between exchange.c (attempts), relay.c (the bytes of the request) and answer.c (those of the answer). */
const char *dp_exchange_phase_name(const struct dp_exchange *x); /* "await" */
void dp_exchange_set_phase(struct dp_exchange *x, enum dp_phase phase);
/* May what failed now be sent again, by what it is and by what was sent of it? */
bool dp_exchange_may_retry(const struct dp_exchange *x);
/* And would another region take it? */
bool dp_exchange_has_elsewhere(struct dp_exchange *x);
/* The region said 429 and another may have the request: goes on there. False: its answer is the client's. */
bool dp_exchange_declined(struct dp_exchange *x);
/* An answer of status 401 or 403, and as much of its body as is there: does it refuse our name or password? Then nobody
 * uses it there any more. */
bool dp_exchange_login_said(struct dp_exchange *x, uint16_t endpoint, uint16_t status,
                            struct dp_span body);
/* The region refused our name or password: nobody uses it there any more, and the request goes elsewhere or is told so.
 * `body`: as much as is there. False: the answer is about something else, and the client's. */
bool dp_exchange_login_refused(struct dp_exchange *x, struct dp_span body);
/* Can a request go to that endpoint's region by what it must carry there? */
static inline bool dp_exchange_has_key(const struct dp_view *v, uint16_t endpoint)
{
    const struct dp_view_region *r = &v->regions[v->endpoints[endpoint].region];
    return !r->injected || (r->credential && !dp_credential_refused(r->credential));
}
struct dp_proof dp_exchange_proof(const struct dp_exchange *x, uint16_t endpoint);
/* The region's answer is older than what its client may have written: goes on in the region that has that. */
void dp_exchange_reread(struct dp_exchange *x);
/* This attempt is over without an answer: another one, or an error to the client. */
void dp_exchange_attempt_failed(struct dp_exchange *x, enum dp_outcome outcome, enum dp_err err);
/* The region that was asked last; NULL: none was. Of one that has left the configuration since: as the view calls it. */
const char *dp_exchange_region(const struct dp_exchange *x);
void dp_exchange_count(struct dp_exchange *x, enum dp_outcome outcome);
void dp_exchange_count_answer(struct dp_exchange *x, uint16_t status);
/* The attempt is over, its answer whole: what finish does first, before the client has all of it, and then. */
void dp_exchange_answered(struct dp_exchange *x, bool up_clean);
void dp_exchange_done(struct dp_exchange *x);
/* The answer is whole. up_clean: nothing is left on the region's connection. */
void dp_exchange_finish(struct dp_exchange *x, bool up_clean);
/* No more comes: what has come reaches the client, then its connection closes. */
void dp_exchange_close(struct dp_exchange *x);
/* No more comes, and what has come is whole to the client: its connection goes on as the answer's head said. */
void dp_exchange_ended(struct dp_exchange *x);
/* The answer that began can't be ended properly: let the client see that. */
void dp_exchange_cut(struct dp_exchange *x);
/* For how long its region may be silent: that long, or on a feed as long as feeds may. */
static inline enum dp_wait dp_exchange_silence(const struct dp_exchange *x, enum dp_wait otherwise)
{
    return x->couch.feed != DP_FEED_NONE ? DP_WAIT_FEED : otherwise;
}
/* Send the request as far as it is there on x->up. */
void dp_relay_send(struct dp_exchange *x);
/* The same on another connection, of a request that is there as a whole. */
enum dp_err dp_relay_write(struct dp_exchange *x, struct dp_stream *to, uint16_t endpoint);
/* The head of a request of ours to this endpoint, as the client's own would be; .p == NULL: out of memory. */
struct dp_span dp_relay_head(struct dp_exchange *x, const struct dp_head *h, uint16_t endpoint);
/* x->response is the head of an answer, all of its body is here; its attempt is over. Takes the body over, ends the
 * exchange. */
void dp_answer_whole(struct dp_exchange *x, struct dp_buf *body);
/* An answer is kept: shall it be any longer? The exchange may be over then. */
void dp_answer_look(struct dp_exchange *x);
/* Pass on what there is of it. */
void dp_answer_begin(struct dp_exchange *x);
/* End an open feed: behind a whole line where that can be, else cut. dead: its region sends no more, so no line's end is
 * waited for; nor is it where its connection broke. */
void dp_relay_end_feed(struct dp_exchange *x, bool dead);

#endif
