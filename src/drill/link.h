/* A connection to what is under load that is kept up: it is dialed again when it ended. It carries one request at a time.
 *
 *   DOWN ──► DIALING ──► FREE ◄──► BUSY
 *    └──────────◄──────────┴────────┘      dialed again, RETRY_MS later where it was of no use
 *
 * One thread. Callbacks never run within a call to the link, but for `free` within dp_link_tend (a Unix socket stands at once). */
#ifndef DAVENPORT_SRC_DRILL_LINK_H
#define DAVENPORT_SRC_DRILL_LINK_H

#include "davenport/base/addr.h"
#include "davenport/drill/load.h"
#include "davenport/net/tcp.h"
#include "davenport/net/tls.h"

#include "drill/answer.h"

struct dp_link;

struct dp_link_events {
    void (*free)(struct dp_link *l); /* it stands: a request may be sent */
    void (*body)(struct dp_link *l, struct dp_span part);
    /* The answer to the request is whole: l->answer. The link is free if it is, else it goes down later. */
    void (*answered)(struct dp_link *l);
    /* It went down. state: what it was; BUSY: there will be no answer. */
    void (*lost)(struct dp_link *l, int state, enum dp_load_failure why);
};

/* What the links of one load share. */
struct dp_link_net {
    struct dp_net net;
    struct dp_chunk_pool chunks;
    const char *unix_path; /* NULL: addresses */
    struct dp_addrs addrs;
    unsigned next;                              /* address to dial */
    bool stood;                                 /* one was reached: it is `next` */
    struct dp_tls *tls;                         /* NULL: none */
    const char *field;                          /* of answers: dp_answer_init */
    unsigned streams;                           /* that have not closed */
    void (*closed)(struct dp_link_net *shared); /* one has; NULL: nobody asks */
};

enum dp_link_state { DP_LINK_DOWN, DP_LINK_DIALING, DP_LINK_FREE, DP_LINK_BUSY };

struct dp_link {
    const struct dp_link_events *events;
    struct dp_link_net *shared;
    struct dp_stream *stream;
    enum dp_link_state state;
    bool leaving; /* FREE in name only: the server ends it */
    bool served;  /* it carried an answer: when it ends it is dialed again at once */
    uint64_t dial_at_ns;
    uint64_t sent_ns; /* BUSY: when the request was */
    struct dp_answer answer;
};

void dp_link_init(struct dp_link *l, struct dp_link_net *shared,
                  const struct dp_link_events *events);
/* Dial if it is down and its time has come. */
void dp_link_tend(struct dp_link *l, uint64_t now_ns);
/* FREE only. Returns false when it broke instead: it is down, and `lost` is not called. */
DP_MUST_USE bool dp_link_send(struct dp_link *l, const struct dp_span *request, size_t n,
                              uint64_t now_ns);
/* Down, until it is tended to. No callback. */
void dp_link_drop(struct dp_link *l, uint64_t now_ns);

#endif
