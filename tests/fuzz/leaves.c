/* What a region answers when its documents are read: whatever it says, what is told of it has the shape that the audit needs, and
 * the audit's counts agree with each other.
 *
 * Input: the answer of _bulk_get, or a document. The ledger has two writes of one document, a minted one, an attachment, a refused one and one
 * of unknown outcome (tags 0 to 5). */
#include "drill/leaves.h"

#include "davenport/drill/audit.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define A "11111111111111111111111111111111"
#define B "22222222222222222222222222222222"

static void on_document(void *ctx, struct dp_span id, const struct dp_leaf *leaves, size_t n)
{
    size_t winner = n;
    uint32_t tag;
    fuzz_check(n > 0 && strlen(id.p) == id.n, "a name and its leaves");
    for (size_t i = 0; i < n; i++) {
        const struct dp_leaf *l = &leaves[i];
        fuzz_check(l->n_ids > 0 && l->start >= l->n_ids, "no longer than its generation");
        fuzz_check(l->rev.n > l->ids[0].n, "the newest of its history");
        for (size_t k = 0; k < l->n_ids; k++)
            fuzz_check(l->ids[k].p && l->ids[k].n > 0, "digits");
        for (size_t k = 0; k < i; k++)
            fuzz_check(!dp_span_eq(l->rev, leaves[k].rev), "each once");
    }
    (void)dp_audit_is_ours(ctx, id, leaves, n, &winner, &tag);
    fuzz_check(winner < n, "one of them wins");
    dp_audit_document(ctx, 0, id, leaves, n);
}

static void end(struct dp_ledger *l, enum dp_write_kind kind, const char *rev, uint16_t status)
{
    uint32_t tag = dp_ledger_begin(l, kind, 0, 0);
    if (rev)
        fuzz_check(dp_ledger_acknowledged(l, tag, DP_SPAN("minted"), dp_span_str(rev), status, 0,
                                          0) == DP_OK,
                   "acknowledged");
    else
        dp_ledger_failed(l, tag, status, 0, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"here"};
    static const bool read[] = {true};
    const struct dp_ledger_options opt = {.run = "r1", .slots = 1, .max_writes = 6};
    struct dp_ledger *l = dp_ledger_new(&opt);
    fuzz_check(l != NULL, "memory");
    end(l, DP_WRITE_PUT, "1-" A, 201);
    end(l, DP_WRITE_PUT, "2-" B, 201);
    end(l, DP_WRITE_POST, "1-" A, 201);
    end(l, DP_WRITE_ATTACHMENT, "1-" A, 201);
    end(l, DP_WRITE_PUT, NULL, 409);
    end(l, DP_WRITE_POST, NULL, 503);
    const struct dp_audit_options judge = {
        .ledger = l, .regions = names, .n_regions = 1, .alone = size % 2 == 0};
    struct dp_audit *a = dp_audit_new(&judge);
    fuzz_check(a != NULL, "memory");
    char *p = fuzz_copy((const char *)data, size);
    size_t absent = SIZE_MAX;
    enum dp_err err = dp_leaves_read((struct dp_span){p, size}, "r1", on_document, a, &absent);
    fuzz_check(err == DP_OK || err == DP_EINVAL, "read, or not what was asked for");
    fuzz_check(err || absent < size, "counted");
    dp_audit_finish(a, read);
    struct dp_audit_region r;
    struct dp_audit_totals t;
    dp_audit_region(a, 0, &r);
    dp_audit_totals(a, &t);
    fuzz_check(r.present + r.lost == 4, "each acknowledged write is here or lost");
    fuzz_check(t.unknown_present + t.unknown_absent == 1, "and the other is here or not");
    fuzz_check(dp_audit_count(a, DP_FINDING_LOST) == r.lost &&
                   dp_audit_count(a, DP_FINDING_STRANGE) == r.strange &&
                   dp_audit_count(a, DP_FINDING_CONFLICTED) == r.conflicted &&
                   dp_audit_count(a, DP_FINDING_DUPLICATED) == r.duplicated &&
                   dp_audit_count(a, DP_FINDING_DENIED) == r.denied,
               "all that is counted is found");
    size_t n;
    const struct dp_finding *f = dp_audit_findings(a, &n);
    for (size_t i = 0; i < n; i++)
        fuzz_check(memchr(f[i].detail, 0, sizeof(f[i].detail)) != NULL, "a text that ends");
    char rev[DP_LEDGER_REV] = "";
    fuzz_check(!dp_leaves_rev((struct dp_span){p, size}, rev) || strlen(rev) > 2, "a revision");
    free(p);
    dp_audit_free(a);
    dp_ledger_free(l);
    return 0;
}
