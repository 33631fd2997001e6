/* Sequence tokens that say which region they are from. A token of one region means nothing in another, and
 * CouchDB answers a foreign one with a silent start from zero (couchdb-facts §3). So on its way out a token gets its
 * region's tag, "12-g1AAA…" becomes "12-g1AAA…~eu-de", and on its way in it is taken apart again. '~' is in no token
 * of CouchDB's, and needs no encoding in a query.
 *
 * A tag also says when whoever holds the token had caught up with the region, where that is known:
 * "12-g1AAA…~eu-de.1764166866", in seconds since 1970. By then it had been told of every document that the region held,
 * or had begun behind it of its own will; from that follows where it may go on in another region (docs/sequences.md has
 * the proof). What a client was told stays told, so all tokens of an answer inherit the time of the one that was sent; a
 * last_seq behind which nothing was left has the time at which the request was sent.
 *
 * A second time, "12-g1AAA…~eu-de.1764166866.1764166800", is of such a last_seq only: since then its holder asked from
 * one to the next. Nodes of a region lag behind each other: who came to a place in the middle of an answer may have
 * it from a node that was ahead, and a node that is behind then knows of nothing left. So the first time is raised only when
 * the run is older than that may be.
 *
 * The tagger rewrites an answer's body as it passes: constant memory, any cut between bytes, no JSON tree. It touches
 * the values of certain keys at certain depths only, so a document that has a "seq" of its own keeps it. Numbers
 * (CouchDB 1, PouchDB) become strings, null stays. What is no JSON passes unchanged, or as JSON would: a
 * tagger judges nobody. Pure. */
#ifndef DAVENPORT_COUCH_TOKEN_H
#define DAVENPORT_COUCH_TOKEN_H

#include "davenport/base/span.h"
#include "davenport/couch/renewal.h"
#include "davenport/couch/scan.h"

#include <stdbool.h>

/* Which answers carry tokens, and where:
 *   CHANGES   _changes and _db_updates, normal and longpoll: {"results":[{"seq":…}],"last_seq":…}
 *   LINES     the same, continuous: {"seq":…} a line, {"last_seq":…} at the end
 *   EVENTS    the same, eventsource: data: {"seq":…}, then id: "…"
 *   TOP       {"update_seq":…}: a database, _all_docs, a view, _find
 *   NESTED    {"results":[{"update_seq":…}]} of …/queries, [{"info":{"update_seq":…}}] of _dbs_info
 *   BOOKMARK  {"bookmark":…}: a search's or _find's (couch/bookmark.h); "nil" stays */
enum dp_tokens {
    DP_TOKENS_NONE,
    DP_TOKENS_CHANGES,
    DP_TOKENS_LINES,
    DP_TOKENS_EVENTS,
    DP_TOKENS_TOP,
    DP_TOKENS_NESTED,
    DP_TOKENS_BOOKMARK,
    DP_TOKENS_COUNT
};

#define DP_TAG_MAX 64 /* a region's name in a tag; all of them fit */
#define DP_TAG_TEXT                                                                                \
    (1 + DP_TAG_MAX + 2 * (1 + 20) + 1) /* ~name.seconds.seconds, and a number's closing quote */
/* The output's room is at least so much, or nothing moves. */
#define DP_TAGGER_ROOM (DP_TAG_TEXT + 24)

/* What a token says of time: seconds since 1970; 0: nothing. */
struct dp_token_time {
    uint64_t caught_up_s;
    uint64_t run_s; /* since when its holder asked from one whole answer to the next */
};

/* What the tags of an answer may say. */
struct dp_token_times {
    struct dp_token_time before; /* of tokens in the midst, by the one that was sent */
    struct dp_token_time
        whole; /* of the last_seq of an answer that left nothing out; run_s == 0: that proves nothing */
    uint64_t
        limit; /* rows that were asked for, UINT64_MAX: all. Counts where a region tells no "pending" */
};

struct dp_tag {
    unsigned n; /* without the quote */
    char text[DP_TAG_TEXT];
};

/* What the next row that passes is held against (couch/renewal.h): once, then renewal is NULL. Set between two runs, for
 * one. */
struct dp_tagger_look {
    struct dp_renewal *renewal;
    const struct dp_seqlook *look;
    uint64_t now_ns;
};

struct dp_tagger {
    enum dp_tokens kind;
    unsigned char state;  /* enum state of token.c */
    unsigned char role;   /* of the key that was found: enum role of token.c */
    unsigned char ahead;  /* bytes of what follows a last_seq that are known, and not yet written */
    unsigned char region; /* bytes of its name */
    struct dp_scan scan;
    struct dp_token_times times;
    struct dp_tag tag, whole; /* with times.before; with times.whole */
    uint64_t tagged;          /* tokens so far */
    uint64_t rows;
    struct dp_tagger_look look;
    const char
        *token; /* within a run: where the one begins that is passing; NULL: in an earlier run */
};

/* region: 1 to DP_TAG_MAX bytes of a-z, 0-9 and '-'. times: NULL for none. */
void dp_tagger_init(struct dp_tagger *t, enum dp_tokens kind, struct dp_span region,
                    const struct dp_token_times *times);
/* Take up to n bytes from p, write up to cap (>= DP_TAGGER_ROOM) bytes to out. *used: how many were taken; returns how
 * many were written. Less than all is taken only when out is full: call again with the rest. What was taken is
 * written at once, so a feed's line is never held up: only of `","pending":0`, behind a last_seq, a cut piece
 * waits for the rest. */
size_t dp_tagger_run(struct dp_tagger *t, const char *p, size_t n, size_t *used, char *out,
                     size_t cap);
/* After the last byte of the body: what must still be written, at most DP_TAGGER_ROOM bytes (a number that ended
 * with it, or what waited). */
size_t dp_tagger_finish(struct dp_tagger *t, char *out);

/* A token as a client sends it, quoted or not (`since="12-g1~eu"` is as good as without). tag: empty if it
 * has none; then token is what came, unchanged. */
struct dp_token {
    struct dp_span token; /* without tag; with the quotes' first only if there is no tag */
    struct dp_span tag;   /* the region's name */
    struct dp_token_time time;
};
struct dp_token dp_token_split(struct dp_span text);

#endif
