/* What the parts of the admin server share: its state, and a connection's. */
#ifndef DAVENPORT_SRC_APP_ADMIN_STATE_H
#define DAVENPORT_SRC_APP_ADMIN_STATE_H

#include "davenport/base/arena.h"
#include "davenport/base/buf.h"
#include "davenport/base/list.h"
#include "davenport/http/reader.h"
#include "davenport/net/acceptor.h"
#include "davenport/net/tcp.h"
#include "davenport/net/tls.h"

#include "app/admin.h"
#include "app/admin_live.h"

#include <uv.h>

#define ADMIN_HEAD_BYTES 1024
#define ADMIN_PEER_TEXT  64

enum admin_phase {
    ADMIN_HEAD,
    ADMIN_BODY,
    ADMIN_SAVE,
    ADMIN_RELOAD,
    ADMIN_WRITE,
    ADMIN_STREAM,
    ADMIN_LINGER,
    ADMIN_CLOSED
};

struct dp_admin {
    struct dp_net net;
    struct dp_chunk_pool chunks;
    struct dp_admin_source source;
    struct dp_acceptor *acceptor;
    struct dp_tls *tls; /* NULL: none is spoken */
    bool tcp;
    bool listening;
    struct dp_live live; /* where there is a feed */
    uv_timer_t tick;     /* its */
    bool ticking;        /* until that is closed */
    bool hurried;        /* it is set for SOON_MS */
    struct dp_text events;
    struct dp_list conns;
    unsigned n_conns;
    void (*done)(void *ctx); /* set: we are going away */
    void *done_ctx;
    char scratch[DP_READ_BYTES];
};

struct admin_conn {
    struct dp_list node;
    struct dp_admin *admin;
    struct dp_stream *stream;
    uv_timer_t timer;
    unsigned open; /* stream and timer, not yet closed */
    enum admin_phase phase;
    bool keep_alive;
    char peer[ADMIN_PEER_TEXT];
    struct dp_reader *reader;
    struct dp_arena arena;
    struct dp_head head;
    struct dp_text body; /* of the request */
    struct dp_admin_answer answer;
    char answer_head[ADMIN_HEAD_BYTES];
};

/* admin.c: one request, one answer. */
void admin_close(struct admin_conn *c);
/* The answer's head, into c->answer_head. 0: it does not fit. */
size_t admin_write_head(struct admin_conn *c);
void admin_send(struct admin_conn *c);

/* admin_follow.c: answers that go on. */
void admin_begin_stream(struct admin_conn *c);
/* Who follow the live feed. */
unsigned admin_count_watchers(struct dp_admin *a);
/* Where there is a live feed: from now on it is told what changed. */
void admin_start_feed(struct dp_admin *a);

#endif
