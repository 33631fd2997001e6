/* Sequence tokens on their way through (couch/token.h): out with the name of their region, in without it, and only to the
 * region that they are of. docs/sequences.md says why.
 *
 *   request   since=12-g1…~eu-de.1764166866 ──► pinned to eu-de: since=12-g1…
 *                └── eu-de can't take it: foreign_sequence says whether it is translated, begins anew, or is refused
 *   answer    "seq":"12-g1…" ──► unpacked if it is compressed ──► "seq":"12-g1…~eu-de.1764166866"
 *
 * A feed that stays open: what the region told of the database meanwhile (couch/renewal.h) is held against a row now and then,
 * so that rows say how far their reader has come since.
 *
 * Of a request whose answer may carry tokens there is one of these, in the exchange's arena; no other request pays more than
 * a look. Memory is constant: what a read brought is rewritten into one buffer of the worker's and written from there. A
 * client that does not take it stops that: what is left of the read, compressed as it came, waits in chunks. Then the
 * answer is *behind*, and its end waits too. On the worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_TAGGING_H
#define DAVENPORT_SRC_PROXY_TAGGING_H

#include "davenport/base/buf.h"
#include "davenport/couch/reading.h"
#include "davenport/couch/renewal.h"
#include "davenport/couch/token.h"
#include "davenport/couch/unpack.h"
#include "davenport/http/reader.h"

#include "proxy/forward.h"

struct dp_exchange;

/* Bytes of the buffer that is written from: a read, with its tags. */
#define DP_TAGGED_BYTES 327680

/* What a region was asked with. */
struct dp_asked {
    uint16_t endpoint;
    struct dp_token token;
    const char *fate; /* for the answer's head; NULL: it was its own region's, or none */
};

struct dp_tagging {
    /* the request */
    struct dp_reading reading;
    struct dp_token since; /* what came, decoded; .tag.n == 0: it names no region */
    bool by_header;        /* in Last-Event-ID, not in the query */
    bool in_body;          /* a bookmark, and the body that is sent has none of its tag */
    bool
        anywhere; /* a bookmark that is good in every region: its tag is taken off, and that is all */
    uint16_t pin; /* the number of its region; DP_NO_REGION: there is none of that name */
    /* its attempts */
    struct dp_asked asked[2]; /* of the last two endpoints: no more have it at a time */
    unsigned last;            /* of them, the one that was asked last */
    uint64_t asked_s;         /* when the first attempt was sent, since 1970; 0: none yet */
    /* the answer */
    bool rewrites;
    struct dp_unpack *unpack; /* NULL: it is not compressed */
    struct dp_tagger tagger;
    struct dp_renewal renewal; /* of a feed that stays open */
    uint64_t look_at_ns; /* when the region's look is held against a row next; UINT64_MAX: never */
    struct dp_buf rest;  /* of a read, not yet rewritten */
    bool spoilt; /* it was compressed, wrongly so: what was made of it is not to be trusted */
    bool behind;
    bool clean;        /* behind, at the end: nothing stood behind the body */
    enum dp_read read; /* behind: what comes after the rest */
};

/* The head of a request is there: x->tagging is made if its answer may carry tokens. Errors: DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_tagging_begin(struct dp_exchange *x);
/* The bookmark that came in the body: text, which lives as long as the exchange. True: it is to be sent without its tag,
 * which is *bare. */
bool dp_tagging_bookmark(struct dp_exchange *x, struct dp_span text, struct dp_span *bare);
/* x->view is another one: regions may have other numbers. */
void dp_tagging_follow(struct dp_exchange *x);
/* What the request to this endpoint says otherwise than the client did. Errors: DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_tagging_ask(struct dp_exchange *x, uint16_t endpoint,
                                       struct dp_forward_request *f);
/* The answer of x->endpoint begins: is it rewritten, and what does its head say then? Errors: DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_tagging_answer(struct dp_exchange *x, struct dp_forward_response *f);
void dp_tagging_end(struct dp_exchange *x);

/* Pieces of a body that is rewritten. */
struct dp_tag_input {
    const struct dp_span *spans;
    size_t k;
    bool last;    /* the body ends behind them */
    size_t taken; /* bytes, so far; 0 at first */
    size_t at, offset;
};

enum dp_tagged {
    DP_TAGGED_ALL,  /* all is taken, and all that comes of it is in *out */
    DP_TAGGED_MORE, /* *out is full: there is more to come */
    DP_TAGGED_BAD   /* it is compressed, and wrongly so */
};

/* *out: in the worker's buffer, valid until the next call. */
enum dp_tagged dp_tagging_run(struct dp_exchange *x, struct dp_tag_input *in, struct dp_span *out);
/* What was not taken waits. Errors: DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_tagging_put_off(struct dp_exchange *x, const struct dp_tag_input *in);

#endif
