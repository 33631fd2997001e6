/* What the checker found, as a drill's result has it. */
#include "davenport/drill/checker.h"

#include "drill/checker_state.h"

#include <jansson.h>

static json_t *regions(const struct dp_checker *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->opt.n_regions; i++) {
        struct dp_audit_region r;
        dp_audit_region(c->audit, i, &r);
        json_t *one = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
                                c->regions[i].at->name, "read", (int)c->regions[i].read,
                                "documents", (json_int_t)r.documents, "present",
                                (json_int_t)r.present, "lost", (json_int_t)r.lost, "duplicated",
                                (json_int_t)r.duplicated, "conflicted", (json_int_t)r.conflicted,
                                "denied", (json_int_t)r.denied, "strange", (json_int_t)r.strange);
        if (!one || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *feeds(const struct dp_checker *c)
{
    struct dp_feed_counts f;
    json_t *list = json_array();
    for (uint32_t i = 0; dp_ledger_feed_count(c->opt.ledger, i, &f); i++) {
        json_t *one =
            json_pack("{s:s, s:I, s:I, s:I}", "kind", f.kind, "rows", (json_int_t)f.rows,
                      "redelivered", (json_int_t)f.redelivered, "missed", (json_int_t)c->missed[i]);
        if (!one || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *findings(const struct dp_checker *c)
{
    size_t n;
    const struct dp_finding *f = dp_audit_findings(c->audit, &n);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", dp_finding_name(f[i].kind),
                                "document", f[i].document, "revision", f[i].revision, "region",
                                f[i].region, "detail", f[i].detail);
        if (!one || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* How many there are of each kind, listed or not. */
static json_t *found(const struct dp_checker *c)
{
    json_t *counts = json_object();
    for (unsigned k = 0; k < DP_FINDING_KINDS; k++) {
        uint64_t n = dp_audit_count(c->audit, (enum dp_finding_kind)k);
        if (json_object_set_new(counts, dp_finding_name((enum dp_finding_kind)k),
                                json_integer((json_int_t)n)) != 0) {
            json_decref(counts);
            return NULL;
        }
    }
    return counts;
}

json_t *dp_checker_json(const struct dp_checker *c)
{
    struct dp_ledger_counts w;
    struct dp_audit_totals t;
    size_t kept;
    uint64_t all = 0;
    dp_ledger_count(c->opt.ledger, &w);
    dp_audit_totals(c->audit, &t);
    (void)dp_audit_findings(c->audit, &kept);
    for (unsigned k = 0; k < DP_FINDING_KINDS; k++)
        all += dp_audit_count(c->audit, (enum dp_finding_kind)k);
    json_t *converged = c->converged_s < 0 ? json_null() : json_real(c->converged_s);
    return json_pack("{s:I, s:I, s:I, s:{s:I, s:I, s:I}, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:I}",
                     "writes", (json_int_t)w.writes, "acknowledged", (json_int_t)w.acknowledged,
                     "refused", (json_int_t)w.refused, "unknown", "present",
                     (json_int_t)t.unknown_present, "absent", (json_int_t)t.unknown_absent,
                     "diverged", (json_int_t)t.unknown_diverged, "converged_s", converged, "reads",
                     (json_int_t)w.reads, "stale_reads", (json_int_t)w.stale_reads, "regions",
                     regions(c), "feeds", feeds(c), "found", found(c), "findings", findings(c),
                     "left_out", (json_int_t)(all - kept));
}
