/* Between trace.c (one document) and trace_bulk.c (many). */
#ifndef DAVENPORT_SRC_COUCH_TRACE_DOCUMENT_H
#define DAVENPORT_SRC_COUCH_TRACE_DOCUMENT_H

#include "davenport/couch/trace.h"

#include <jansson.h>

enum dp_same {
    DP_DIFFERENT,
    DP_SAME,
    DP_SAME_BUT_DATA /* as far as it can be seen: bytes of attachments are not there */
};

/* generation: of the revision that `theirs` is. */
enum dp_same dp_trace_same(json_t *mine, json_t *theirs, json_int_t generation);
/* One leaf, with its history. parent.n == 0: it was to be new. */
enum dp_trace_verdict dp_trace_leaf(json_t *mine, json_t *leaf, struct dp_span parent,
                                    struct dp_trace_found *f);
/* The best of [{"ok":leaf} …]. attachment: or NULL. */
enum dp_trace_verdict dp_trace_best(const json_t *leaves, json_t *mine, struct dp_span parent,
                                    const struct dp_trace_ask *attachment,
                                    struct dp_trace_found *out);
/* Is `parent` in none of [{"ok":leaf} …] and their histories? Without a parent: false. */
bool dp_trace_leaves_lack(const json_t *leaves, struct dp_span parent);
bool dp_trace_parent(struct dp_span asked, const json_t *mine, struct dp_span *out);
/* NULL: it is no object or array. */
json_t *dp_trace_read(struct dp_span text);

#endif
