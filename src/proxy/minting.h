/* Ids for documents that come without, before the first byte of their request is sent: then every attempt sends the
 * same documents, and the request may go to another region as a PUT may (couchdb-facts §2).
 *
 *   head of POST /{db} or _bulk_docs ──JSON, plain or gzip──► gathers ──body whole──► minted: may be sent again
 *          │ anything else                                      │ longer than limits.replay_body_bytes
 *          ▼                                                    ▼
 *   passes as it came, and is sent once ◄───────────────────────┘ (also what can't be read: the region says why)
 *
 * A search that goes on from a bookmark which names its region (couch/bookmark.h) is gathered likewise: the tag is taken off,
 * and says where the search goes.
 *
 * The request goes out when its body is there, so that it has an exact length; the region could not do anything
 * earlier anyway. On the worker's thread. */
#ifndef DAVENPORT_SRC_PROXY_MINTING_H
#define DAVENPORT_SRC_PROXY_MINTING_H

#include "davenport/couch/mint.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_engine;
struct dp_exchange;

/* CouchDB's "sequential" ids: 26 digits of chance, then a serial that climbs in steps of chance. Ids of one worker sort
 * near each other, which a region's tree likes; nobody else's can be guessed from them. */
#define DP_MINT_PREFIX_BYTES 26
struct dp_mint_state {
    char prefix[DP_MINT_PREFIX_BYTES];
    uint32_t serial; /* 0: no prefix yet */
};
/* A dp_mint_fn; ctx is the engine. */
void dp_mint_next(void *ctx, char id[DP_ID_BYTES]);

/* The head is known: x->gathers says whether the body is to be gathered. */
void dp_minting_begin(struct dp_exchange *x);
/* Of a request that gathers: is it ready to be sent? Afterwards it gathers no more. False also where there was no memory:
 * then the exchange is over. */
bool dp_minting_ready(struct dp_exchange *x);

#endif
