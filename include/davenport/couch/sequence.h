/* What a sequence token of CouchDB says: which update of which shard was seen. Pure; couchdb-facts §3, and 102 recorded
 * tokens in the tests.
 *
 * A token is N, '-' and base64url of an Erlang term, compressed or not: a list with one
 * {node, [first, last], {seq, uuid prefix, epoch node}} a shard, or {node, [first, last], seq} where nothing was read yet.
 * N means nothing. A plain number is a token of CouchDB 1 or of PouchDB. */
#ifndef DAVENPORT_COUCH_SEQUENCE_H
#define DAVENPORT_COUCH_SEQUENCE_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_SEQ_SHARDS 128   /* of one token: more are refused */
#define DP_SEQ_NAME   64    /* bytes of a node's name, likewise */
#define DP_SEQ_UUID   32    /* bytes of a shard's uuid or its prefix */
#define DP_SEQ_TEXT   16384 /* bytes of a token */

struct dp_seq_name {
    uint8_t n;
    char p[DP_SEQ_NAME];
};

struct dp_seq_shard {
    uint32_t first, last; /* of the hashes it holds */
    uint64_t seq;
    struct dp_seq_name node,
        epoch_node; /* epoch_node.n == 0: the token does not say whose count it is */
    uint8_t uuid_n;
    char uuid[DP_SEQ_UUID];
};

struct dp_seq {
    bool plain; /* a number, in shards[0].seq; n is 1 */
    uint16_t n;
    struct dp_seq_shard shards[DP_SEQ_SHARDS];
};

/* Errors: DP_EINVAL (no token), DP_ELIMIT (more than the above), DP_ENOMEM; *out is then undefined. */
DP_MUST_USE enum dp_err dp_seq_parse(struct dp_span token, struct dp_seq *out);

enum dp_seq_order {
    DP_SEQ_AT_OR_PAST, /* all that `mark` has seen, `s` has seen */
    DP_SEQ_BEFORE,     /* not so */
    DP_SEQ_UNKNOWN     /* they count different things, or do not say what */
};

/* Whoever holds `s`: has it seen all that `mark` says? Compared shard by shard: the same range of the same node's file
 * (uuid and epoch), never N. A cluster answers each range from any of its nodes, so UNKNOWN is usual there. */
enum dp_seq_order dp_seq_compare(const struct dp_seq *s, const struct dp_seq *mark);

bool dp_seq_same_name(const struct dp_seq_name *a, const struct dp_seq_name *b);
/* The same count: of the same file, since the same node writes it. Ranges are the caller's. */
bool dp_seq_same_count(const struct dp_seq_shard *a, const struct dp_seq_shard *b);

#endif
