/* Sequence tokens that say which region they are from. A token of one region means nothing in another, and
 * CouchDB answers a foreign one with a silent start from zero (couchdb-facts §3). So on its way out a token gets its
 * region's tag, "12-g1AAA…" becomes "12-g1AAA…~eu-de", and on its way in it is taken apart again. '~' is in no token
 * of CouchDB's, and needs no encoding in a query.
 *
 * The tagger rewrites an answer's body as it passes: constant memory, any cut between bytes, no JSON tree. It touches
 * the values of certain keys at certain depths only, so a document that has a "seq" of its own keeps it. Numbers
 * (CouchDB 1, PouchDB) become strings, null stays. What is no JSON passes unchanged, or as JSON would: a
 * tagger judges nobody. Pure. */
#ifndef DAVENPORT_COUCH_TOKEN_H
#define DAVENPORT_COUCH_TOKEN_H

#include "davenport/base/span.h"
#include "davenport/couch/scan.h"

#include <stdbool.h>

/* Which answers carry tokens, and where:
 *   CHANGES   _changes and _db_updates, normal and longpoll: {"results":[{"seq":…}],"last_seq":…}
 *   LINES     the same, continuous: {"seq":…} a line, {"last_seq":…} at the end
 *   EVENTS    the same, eventsource: data: {"seq":…}, then id: "…"
 *   TOP       {"update_seq":…}: a database, _all_docs, a view, _find
 *   NESTED    {"results":[{"update_seq":…}]} of …/queries, [{"info":{"update_seq":…}}] of _dbs_info */
enum dp_tokens {
    DP_TOKENS_NONE,
    DP_TOKENS_CHANGES,
    DP_TOKENS_LINES,
    DP_TOKENS_EVENTS,
    DP_TOKENS_TOP,
    DP_TOKENS_NESTED,
    DP_TOKENS_COUNT
};

#define DP_TAG_MAX 64 /* a tag's bytes; region names fit */
/* The output's room is at least so much, or nothing moves. */
#define DP_TAGGER_ROOM (DP_TAG_MAX + 8)

struct dp_tagger {
    enum dp_tokens kind;
    unsigned char state; /* enum state of token.c */
    struct dp_scan scan;
    size_t tag_n;
    char tag[DP_TAG_MAX + 2]; /* '~', the tag, and the quote that ends a number's string */
    uint64_t tagged;          /* tokens so far */
};

/* tag: 1 to DP_TAG_MAX bytes of a-z, 0-9 and '-'. */
void dp_tagger_init(struct dp_tagger *t, enum dp_tokens kind, struct dp_span tag);
/* Take up to n bytes from p, write up to cap (>= DP_TAGGER_ROOM) bytes to out. *used: how many were taken; returns how
 * many were written. Less than all is taken only when out is full: call again with the rest. What was taken is
 * written at once: nothing is kept for later, so a feed's line is never held up. */
size_t dp_tagger_run(struct dp_tagger *t, const char *p, size_t n, size_t *used, char *out,
                     size_t cap);
/* After the last byte of the body: what must still be written, at most DP_TAGGER_ROOM bytes (a number that ended
 * with it). */
size_t dp_tagger_finish(struct dp_tagger *t, char *out);

/* A token as a client sends it, quoted or not (`since="12-g1~eu"` is as good as without). tag: empty if it
 * has none; then token is what came, unchanged. */
struct dp_token {
    struct dp_span token; /* without tag; with the quotes' first only if there is no tag */
    struct dp_span tag;
};
struct dp_token dp_token_split(struct dp_span text);

#endif
