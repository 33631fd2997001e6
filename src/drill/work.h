/* What each request of a load is: its text, and what its answer means. No I/O: the load sends and receives.
 *
 * Writes and reads of documents are told to the ledger, which also says which document a slot has and on which revision
 * the next write is to be put. One thread. */
#ifndef DAVENPORT_SRC_DRILL_WORK_H
#define DAVENPORT_SRC_DRILL_WORK_H

#include "davenport/drill/ledger.h"
#include "davenport/drill/load.h"

struct dp_work;

/* A request under way, and what must be known when it ends. */
struct dp_job {
    enum dp_load_kind kind;
    bool reads;
    unsigned n_tags;
    uint32_t tags[DP_LOAD_BULK_ROWS]; /* writes of the ledger's */
    struct dp_ledger_read read;       /* GET: what is to be seen */
    size_t keep_bytes;                /* of the answer's body */
    bool unsettled; /* its refusal leaves open whether the write was done: for dp_work_end */
};

/* base: what stands before every path, "" or "/couch"; authority: for Host. `c` and the texts outlive it.
 * ledger: NULL with c->target. NULL: out of memory. */
DP_MUST_USE struct dp_work *dp_work_new(const struct dp_load_config *c, const char *authority,
                                        const char *base, struct dp_ledger *ledger);
void dp_work_destroy(struct dp_work *w); /* NULL is fine */
/* What one request is at most. */
size_t dp_work_request_bytes(const struct dp_load_config *c);

/* Which kind request k is of: by weights and seed, always the same. */
enum dp_load_kind dp_work_kind(const struct dp_work *w, uint64_t k);
/* Request k begins: its text (head, body), valid until the next call. job->kind: PUT instead of a GET while no document
 * stands. False: the ledger is full. */
DP_MUST_USE bool dp_work_begin(struct dp_work *w, enum dp_load_kind kind, uint64_t k,
                               uint32_t now_ms, struct dp_job *job, struct dp_span request[2]);
/* The first document of a slot. False: the ledger is full. */
DP_MUST_USE bool dp_work_create(struct dp_work *w, uint32_t slot, uint32_t now_ms,
                                struct dp_job *job, struct dp_span request[2]);
/* GET of a path in the database, for followers: "/_changes?…", less than DP_WORK_PATH bytes. */
#define DP_WORK_PATH 3072
void dp_work_get(struct dp_work *w, const char *path, struct dp_span request[2]);

/* It ended: with an answer (failure NONE; body: as much as was kept, cut: there was more), or without. Returns what the load counts it as. */
enum dp_load_failure dp_work_end(struct dp_work *w, struct dp_job *job,
                                 enum dp_load_failure failure, uint16_t status, struct dp_span body,
                                 bool cut, uint8_t region, uint32_t now_ms);

/* The string that is the value of the first member of that name, at any depth; .p == NULL: none, or it has escapes.
 * member: with its quotes. For answers in which nothing else is called so. */
struct dp_span dp_work_member(struct dp_span body, const char *member);

#endif
