/* Giving documents an id before they are sent. A document without _id gets one from whichever server reads it, so
 * sent twice it becomes two documents (couchdb-facts §2). With an id put in here, once, every attempt sends the same
 * bytes, and the second is a conflict at worst. An id is no part of what a revision is made of.
 *
 * The minter sees the body of POST /{db} or _bulk_docs pass: constant memory, any cut. A document that ends without a
 * member "_id" (however its name is escaped) gets one as its last; nothing else changes, member order included. What
 * is no JSON stays the region's to refuse. Pure. */
#ifndef DAVENPORT_COUCH_MINT_H
#define DAVENPORT_COUCH_MINT_H

#include "davenport/couch/scan.h"

#include <stddef.h>
#include <stdint.h>

enum dp_mint {
    DP_MINT_DOCUMENT, /* the body is a document */
    DP_MINT_BULK      /* {"docs":[document, …]} */
};

#define DP_ID_BYTES 32 /* an id is so many hexadecimal digits, as CouchDB's own */
/* The output's room is at least so much, or nothing moves. */
#define DP_MINTER_ROOM 48

/* Write the next id: DP_ID_BYTES bytes, never the same twice, not guessed by others' minting. */
typedef void (*dp_mint_fn)(void *ctx, char id[DP_ID_BYTES]);

struct dp_minter {
    struct dp_scan scan;
    unsigned depth;  /* of brackets around a document's members */
    bool named;      /* the open document has an _id */
    bool unsettled;  /* the last thing seen was the string "_id": a name, or a value */
    bool members;    /* or at least one member */
    bool ready;      /* `id` was made and not yet put in: there was no room */
    uint64_t minted; /* ids so far */
    dp_mint_fn make;
    void *ctx;
    char id[DP_ID_BYTES];
};

void dp_minter_init(struct dp_minter *m, enum dp_mint kind, dp_mint_fn make, void *ctx);
/* As dp_tagger_run, with DP_MINTER_ROOM. */
size_t dp_minter_run(struct dp_minter *m, const char *p, size_t n, size_t *used, char *out,
                     size_t cap);

#endif
