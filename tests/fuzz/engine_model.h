/* What the engine's clients and regions know, and what must hold for each: the other half of engine.c.
 *
 * Each request is known by its client's address and its target; a region's answer repeats both, as a tag, for its
 * whole body. '<' begins a tag and nothing else: raw bytes of the input have it taken out. */
#ifndef DAVENPORT_TESTS_FUZZ_ENGINE_MODEL_H
#define DAVENPORT_TESTS_FUZZ_ENGINE_MODEL_H

#include "fuzz.h"
#include "support/rig.h"

#define MODEL_CLIENTS 8
#define TAG_BYTES     12 /* "<3:89abcdef>" */

/* Messages of one direction, as they come. */
struct flow {
    struct dp_reader *reader;
    struct dp_arena arena;
    struct dp_head head;
    bool begun, in_body;
    uint64_t body_bytes;
};

struct asked {
    enum dp_method method;
    char tag[TAG_BYTES + 1];
    bool has_query; /* so it may be a feed, which may end before its first line */
};

struct side {
    struct model *model;
    struct rig_peer *peer;
    bool is_client, connected;
    bool ended, broken; /* its own end was told; it was an error */
    bool early;         /* it spoke before it could know all that was asked */
    bool dirty;         /* it sent raw bytes: nobody knows what they mean */
    struct fuzz_text queue;
    size_t queue_at;
    struct flow requests,
        answers;            /* a client's requests are what it sent, a region's what it got */
    size_t got_at;          /* so much of what it got was looked at */
    struct fuzz_text asked; /* struct asked */
    size_t n_asked, n_answered;
    bool answers_over; /* after an answer that ends the connection */
    /* a client's current answer, a region's current request */
    char tag[TAG_BYTES]; /* as far as it came */
    size_t tag_at;       /* TAG_BYTES: not within one */
    uint64_t whole;      /* the body's bytes as its region has them; UINT64_MAX: not known */
};

struct model {
    struct rig rig;
    struct side clients[MODEL_CLIENTS], regions[RIG_PEERS];
    size_t n_clients, n_regions;
    unsigned serial;             /* of requests made here */
    unsigned char seen[1 << 12]; /* by serial: how often a region saw it */
};

void model_client(struct model *m);
void model_request(struct model *m, struct side *c, unsigned k); /* queue request k of a table */
void model_connect(struct side *r, enum dp_err err);
void model_answer(struct side *r, unsigned v);
/* After each order: read what everybody got. */
void model_look(struct model *m);
void model_fini(struct model *m);

void side_queue_raw(struct side *s, struct dp_span raw);
void side_deliver(struct side *s, size_t n);
void side_end(struct side *s, enum dp_err err);
void side_take_all(struct side *s);

#endif
