/* What a drill's load wrote and what it was told of it; what it read, and what its followers were told. The checker
 * (checker.h) holds the regions against it afterwards.
 *
 * A write is known by its tag: its number, from 0. Its document's body has {"drill":RUN,"tag":TAG}, so what stands in a region
 * afterwards can be traced to the one write that was ordered. A write ends once:
 *   acknowledged  it was answered so, with a revision: it must be there, for ever
 *   refused       4xx: it must not be there
 *   unknown       5xx, no answer, half an answer: it may be there, once
 *
 * Writes of documents with a name of their own go to slots: 0 … slots - 1. A slot has one document at a time and one write under
 * way at most; each write is on the revision that the last one was told. So no conflict can be the writer's doing. A document
 * whose last write was not acknowledged is left alone for ever: the slot goes on with a new one.
 *
 * One thread. Memory is taken as it is needed, up to the bounds of the options; then begin gives DP_LEDGER_NONE.
 * Times are ms since the drill's start. */
#ifndef DAVENPORT_DRILL_LEDGER_H
#define DAVENPORT_DRILL_LEDGER_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_LEDGER_NONE      UINT32_MAX
#define DP_LEDGER_NO_REGION UINT8_MAX

#define DP_LEDGER_RUN   24 /* with its NUL */
#define DP_LEDGER_ID    64 /* a document's name, with its NUL */
#define DP_LEDGER_REV   48 /* with its NUL */
#define DP_LEDGER_BODY  80 /* the members of a body, with their NUL */
#define DP_LEDGER_FEEDS 256

enum dp_write_kind {
    DP_WRITE_PUT,        /* of a slot's document: PUT /{db}/{id}, or a row of _bulk_docs with _id */
    DP_WRITE_POST,       /* without a name: POST /{db}, or a row of _bulk_docs without _id */
    DP_WRITE_ATTACHMENT, /* PUT /{db}/{id}/{any name}: makes a document of its own, which has no members but the attachment */
    DP_WRITE_KINDS
};

enum dp_write_outcome { DP_WRITE_OPEN, DP_WRITE_ACKNOWLEDGED, DP_WRITE_REFUSED, DP_WRITE_UNKNOWN };

/* 32 hex digits as bytes; of any other text a hash. */
struct dp_digest {
    uint8_t b[16];
};

struct dp_ledger_rev {
    uint32_t generation; /* 0: none */
    struct dp_digest digest;
};

struct dp_write {
    uint32_t slot, life; /* of PUT: which document; life counts the slot's documents */
    uint32_t parent; /* the tag of the write that it is on; DP_LEDGER_NONE: it makes its document */
    uint32_t begun_ms, ended_ms;
    struct dp_ledger_rev rev; /* when acknowledged */
    struct dp_digest id;      /* of POST, when acknowledged: its document's name */
    uint16_t status;          /* of the answer; 0: none */
    uint8_t kind, outcome;    /* enum dp_write_kind, enum dp_write_outcome */
    uint8_t region;           /* who answered, by the caller's numbers */
};

struct dp_ledger_options {
    const char *
        run; /* letters and digits, fewer than DP_LEDGER_RUN: unlike every other run's in the same database */
    uint32_t slots;      /* at least 1 */
    uint32_t max_writes; /* 64 bytes each */
    uint32_t max_rows;   /* different rows that a feed is told; 16 to 32 bytes each */
};

struct dp_ledger_counts {
    uint32_t writes, open, acknowledged, refused, unknown;
    uint64_t reads, stale_reads;
    bool full; /* a write or a row found no room: what comes now is not judged */
};

struct dp_ledger;

/* NULL: no memory, or the run's name is none. */
DP_MUST_USE struct dp_ledger *dp_ledger_new(const struct dp_ledger_options *opt);
void dp_ledger_free(struct dp_ledger *l);

const char *dp_ledger_run(const struct dp_ledger *l);
void dp_ledger_count(const struct dp_ledger *l, struct dp_ledger_counts *out);
size_t dp_ledger_bytes(const struct dp_ledger *l); /* memory that it holds */

/* ---- writes ---- */

/* A write begins: its tag. DP_LEDGER_NONE: the slot (PUT only, else it is not looked at) has one under way, or there
 * is no room. */
DP_MUST_USE uint32_t dp_ledger_begin(struct dp_ledger *l, enum dp_write_kind kind, uint32_t slot,
                                     uint32_t now_ms);
/* Of a write under way. The name of its document, "" of a POST; the revision that it is to be put on, "" when it makes
 * its document; and what its body must have: "drill":"RUN","tag":N without braces. Lengths without the NUL. */
size_t dp_ledger_id(const struct dp_ledger *l, uint32_t tag, char out[DP_LEDGER_ID]);
size_t dp_ledger_parent(const struct dp_ledger *l, uint32_t tag, char out[DP_LEDGER_REV]);
size_t dp_ledger_body(const struct dp_ledger *l, uint32_t tag, char out[DP_LEDGER_BODY]);

/* It ended. With an answer of success that has no revision to be read (DP_EINVAL), it is unknown. id: as answered. */
enum dp_err dp_ledger_acknowledged(struct dp_ledger *l, uint32_t tag, struct dp_span id,
                                   struct dp_span rev, uint16_t status, uint8_t region,
                                   uint32_t now_ms);
/* Refused (4xx) or unknown: all else. status: of the answer, or of its row; 0: no whole answer. */
void dp_ledger_failed(struct dp_ledger *l, uint32_t tag, uint16_t status, uint8_t region,
                      uint32_t now_ms);

/* tag < counts.writes; valid until dp_ledger_free, and changes when the write ends. */
const struct dp_write *dp_ledger_write(const struct dp_ledger *l, uint32_t tag);

/* ---- reads ---- */

struct dp_ledger_read {
    uint32_t slot;
    uint32_t floor; /* the tag of the last acknowledged write of the document as the read begins */
    char id[DP_LEDGER_ID];
    size_t id_n;
};

/* A read of a slot's document begins. False: nothing was acknowledged of it yet. */
DP_MUST_USE bool dp_ledger_read_begin(const struct dp_ledger *l, uint32_t slot,
                                      struct dp_ledger_read *out);
/* It was answered: with this revision, or rev.n == 0: 404. True: it is stale, older than what had been acknowledged as
 * it began. A revision that is none counts as no read. */
bool dp_ledger_read_end(struct dp_ledger *l, const struct dp_ledger_read *r, struct dp_span rev,
                        uint8_t region, uint32_t now_ms);

#define DP_LEDGER_STALE_KEPT 1024 /* the first ones, for people */
struct dp_stale_read {
    uint32_t floor, now_ms;
    uint32_t generation; /* 0: 404 */
    uint8_t region;
};
/* The first of them; *n at most DP_LEDGER_STALE_KEPT. */
const struct dp_stale_read *dp_ledger_stale(const struct dp_ledger *l, size_t *n);

/* ---- followers ---- */

/* A follower of _changes (style=main_only): its number; kind is kept as text, at most 15 bytes of it. Writes that began before
 * this call it need not be told: its place (since) is to be one from before the call, or from before any write.
 * DP_LEDGER_NONE: no memory, or more than DP_LEDGER_FEEDS. */
DP_MUST_USE uint32_t dp_ledger_feed(struct dp_ledger *l, const char *kind);
/* It was told a row and has taken it: what was cut off with its answer, and so asked for again, is not told twice.
 * id: decoded, as in JSON without escapes; rev: the row's first. */
void dp_ledger_row(struct dp_ledger *l, uint32_t feed, struct dp_span id, struct dp_span rev);
/* Was it told this one? */
bool dp_ledger_told(const struct dp_ledger *l, uint32_t feed, struct dp_span id,
                    struct dp_span rev);

struct dp_feed_counts {
    char kind[16];
    uint64_t rows, redelivered;
    uint32_t first_write; /* the tag of the first write that it is to be told */
    bool
        full; /* rows found no room: `redelivered` is a lower bound, and what is missed can't be told */
};
/* False: there is no such feed. */
bool dp_ledger_feed_count(const struct dp_ledger *l, uint32_t feed, struct dp_feed_counts *out);

/* ---- texts ---- */

struct dp_digest dp_digest_of(struct dp_span text);
/* False, *out untouched: it is none. */
DP_MUST_USE bool dp_ledger_rev_parse(struct dp_span text, struct dp_ledger_rev *out);
bool dp_ledger_rev_eq(const struct dp_ledger_rev *a, const struct dp_ledger_rev *b);
size_t dp_ledger_rev_text(const struct dp_ledger_rev *rev, char out[DP_LEDGER_REV]);

#endif
