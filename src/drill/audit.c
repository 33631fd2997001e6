/* The audit. A byte a write and region says what was seen of the write there; the index of tails finds the last write of a slot's
 * document, from which the chain of `parent` leads back to all others. */
#include "davenport/drill/audit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FNV_BASIS UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)
/* So far apart at most are the writes of one _bulk_docs. */
#define BULK_ROWS 1000u

enum {
    HERE = 1, /* its body is on a leaf of its own document */
    HELD = 2, /* its revision is in a history of its own document */
};

struct dp_audit {
    const struct dp_ledger *ledger;
    const char *regions[DP_DRILL_REGIONS_MAX];
    size_t n_regions;
    bool alone;
    char prefix[DP_LEDGER_RUN + 8]; /* of the run's own names */
    size_t prefix_n;
    uint32_t writes;
    uint8_t *flags;    /* [region][write] */
    uint64_t *seen_in; /* [region][write]: a hash of the document that has it; where HERE is set */
    uint32_t *tails;   /* open addressing by slot and life; DP_LEDGER_NONE: an empty place */
    uint32_t tails_n;  /* a power of two */
    uint32_t *posts;   /* the same of acknowledged POSTs, by their documents' names */
    uint32_t posts_n;
    struct dp_audit_region by_region[DP_DRILL_REGIONS_MAX];
    struct dp_audit_totals totals;
    uint64_t counts[DP_FINDING_KINDS];
    size_t kept[DP_FINDING_KINDS], n_findings;
    struct dp_finding findings[DP_FINDING_KINDS * DP_FINDINGS_KEPT];
};

const char *dp_finding_name(enum dp_finding_kind kind)
{
    static const char *const names[] = {
#define NAME(ID, name) name,
        DP_FINDING_TABLE(NAME)
#undef NAME
    };
    return names[kind];
}

/* ---- the indexes ---- */

static uint32_t tail_place(const struct dp_audit *a, uint32_t slot, uint32_t life)
{
    uint64_t h = ((uint64_t)life << 32 | slot) * UINT64_C(0x9E3779B97F4A7C15);
    uint32_t at = (uint32_t)(h >> 32) & (a->tails_n - 1);
    for (; a->tails[at] != DP_LEDGER_NONE; at = (at + 1) & (a->tails_n - 1)) {
        const struct dp_write *w = dp_ledger_write(a->ledger, a->tails[at]);
        if (w->slot == slot && w->life == life)
            break;
    }
    return at;
}

static uint32_t post_place(const struct dp_audit *a, const struct dp_digest *id)
{
    uint32_t at;
    memcpy(&at, id->b, sizeof(at));
    at &= a->posts_n - 1;
    for (; a->posts[at] != DP_LEDGER_NONE; at = (at + 1) & (a->posts_n - 1)) {
        const struct dp_write *w = dp_ledger_write(a->ledger, a->posts[at]);
        if (memcmp(w->id.b, id->b, sizeof(id->b)) == 0)
            break;
    }
    return at;
}

/* Room for twice as many; *size is a power of two. NULL: no memory. */
static uint32_t *make_index(uint32_t entries, uint32_t *size)
{
    for (*size = 16; *size / 2 < entries;)
        *size *= 2;
    uint32_t *index = malloc(*size * sizeof(*index));
    if (index)
        memset(index, 0xFF, *size * sizeof(*index));
    return index;
}

static bool is_acknowledged_post(const struct dp_write *w)
{
    return w->kind == DP_WRITE_POST && w->outcome == DP_WRITE_ACKNOWLEDGED;
}

static bool make_indexes(struct dp_audit *a)
{
    uint32_t documents = 0, posts = 0;
    for (uint32_t tag = 0; tag < a->writes; tag++) {
        const struct dp_write *w = dp_ledger_write(a->ledger, tag);
        documents += w->kind == DP_WRITE_PUT && w->parent == DP_LEDGER_NONE;
        posts += is_acknowledged_post(w);
    }
    a->tails = make_index(documents, &a->tails_n);
    a->posts = make_index(posts, &a->posts_n);
    if (!a->tails || !a->posts)
        return false;
    for (uint32_t tag = 0; tag < a->writes; tag++) {
        const struct dp_write *w = dp_ledger_write(a->ledger, tag);
        if (w->kind == DP_WRITE_PUT)
            a->tails[tail_place(a, w->slot, w->life)] = tag;
        if (!is_acknowledged_post(w))
            continue;
        uint32_t at = post_place(a, &w->id);
        if (a->posts[at] == DP_LEDGER_NONE) /* a name that was told twice was one write's at most */
            a->posts[at] = tag;
    }
    return true;
}

struct dp_audit *dp_audit_new(const struct dp_audit_options *opt)
{
    struct dp_ledger_counts c;
    assert(opt->n_regions > 0 && opt->n_regions <= DP_DRILL_REGIONS_MAX);
    struct dp_audit *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    dp_ledger_count(opt->ledger, &c);
    a->ledger = opt->ledger;
    a->n_regions = opt->n_regions;
    memcpy(a->regions, opt->regions, opt->n_regions * sizeof(*opt->regions));
    a->alone = opt->alone;
    a->writes = c.writes;
    a->prefix_n =
        (size_t)snprintf(a->prefix, sizeof(a->prefix), "drill-%s-", dp_ledger_run(opt->ledger));
    size_t cells = a->n_regions * a->writes + 1; /* of none at all calloc may give NULL */
    a->flags = calloc(cells, sizeof(*a->flags));
    a->seen_in = calloc(cells, sizeof(*a->seen_in));
    if (!a->flags || !a->seen_in || !make_indexes(a)) {
        dp_audit_free(a);
        return NULL;
    }
    return a;
}

void dp_audit_free(struct dp_audit *a)
{
    if (!a)
        return;
    free(a->flags);
    free(a->seen_in);
    free(a->tails);
    free(a->posts);
    free(a);
}

/* ---- findings ---- */

static void keep(char *out, size_t cap, struct dp_span s)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--; /* not within a character */
    if (n > 0)
        memcpy(out, s.p, n);
    out[n] = '\0';
}

DP_PRINTF(6, 0)
static void find(struct dp_audit *a, enum dp_finding_kind kind, const char *region,
                 struct dp_span document, struct dp_span revision, const char *fmt, va_list args)
{
    a->counts[kind]++;
    if (a->kept[kind] == DP_FINDINGS_KEPT)
        return;
    a->kept[kind]++;
    struct dp_finding *f = &a->findings[a->n_findings++];
    f->kind = kind;
    f->region = region;
    keep(f->document, sizeof(f->document), document);
    keep(f->revision, sizeof(f->revision), revision);
    (void)vsnprintf(f->detail, sizeof(f->detail), fmt, args);
}

void dp_audit_find(struct dp_audit *a, enum dp_finding_kind kind, const char *region,
                   struct dp_span document, struct dp_span revision, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find(a, kind, region, document, revision, fmt, args);
    va_end(args);
}

/* A document that is being judged. */
struct judged {
    struct dp_audit *a;
    size_t region;
    struct dp_span id;
    const struct dp_leaf *leaves;
    size_t n;
};

DP_PRINTF(4, 5)
static void say(const struct judged *j, enum dp_finding_kind kind, struct dp_span rev,
                const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    find(j->a, kind, j->a->regions[j->region], j->id, rev, fmt, args);
    va_end(args);
}

static const char *kind_word(const struct dp_write *w)
{
    static const char *const words[] = {"put", "post", "attachment"};
    return words[w->kind];
}

static const char *outcome_word(const struct dp_write *w)
{
    static const char *const words[] = {"of unknown outcome", "acknowledged", "refused",
                                        "of unknown outcome"};
    return words[w->outcome];
}

/* ---- names ---- */

static bool number(struct dp_span s, uint32_t *out)
{
    uint64_t n;
    if (!s.p || !dp_span_u64(s, &n) || n >= DP_LEDGER_NONE)
        return false;
    *out = (uint32_t)n;
    return true;
}

/* What follows drill-RUN-. False: it does not begin so. */
static bool own_name(const struct dp_audit *a, struct dp_span id, struct dp_span *rest)
{
    if (!dp_span_starts(id, (struct dp_span){a->prefix, a->prefix_n}))
        return false;
    *rest = (struct dp_span){id.p + a->prefix_n, id.n - a->prefix_n};
    return true;
}

static bool slot_name(const struct dp_audit *a, struct dp_span id, uint32_t *slot, uint32_t *life)
{
    struct dp_span rest;
    return own_name(a, id, &rest) && number(dp_span_cut(&rest, '.'), slot) && number(rest, life);
}

/* The write that made the document by an attachment; DP_LEDGER_NONE: it is no such name. */
static uint32_t attachment_name(const struct dp_audit *a, struct dp_span id)
{
    struct dp_span rest;
    uint32_t tag;
    if (!own_name(a, id, &rest) || !dp_span_starts(rest, DP_SPAN("a")) ||
        !number((struct dp_span){rest.p + 1, rest.n - 1}, &tag) || tag >= a->writes ||
        dp_ledger_write(a->ledger, tag)->kind != DP_WRITE_ATTACHMENT)
        return DP_LEDGER_NONE;
    return tag;
}

/* Which write a leaf is; DP_LEDGER_NONE: none of the ledger's. */
static uint32_t tag_of(const struct dp_audit *a, struct dp_span id, const struct dp_leaf *leaf)
{
    if (leaf->deleted)
        return DP_LEDGER_NONE;
    if (leaf->has_tag)
        return leaf->tag < a->writes ? leaf->tag : DP_LEDGER_NONE;
    return attachment_name(a, id);
}

bool dp_audit_is_ours(const struct dp_audit *a, struct dp_span id, const struct dp_leaf *leaves,
                      size_t n, size_t *winner, uint32_t *tag)
{
    struct dp_span rest;
    bool ours = own_name(a, id, &rest);
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        const struct dp_leaf *l = &leaves[i], *b = &leaves[best];
        ours = ours || (!l->deleted && l->has_tag);
        /* CouchDB's choice: what is not deleted, then the longest history, then the greatest digits */
        struct dp_span x = l->ids[0], y = b->ids[0];
        int digits = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
        bool greater = digits > 0 || (digits == 0 && x.n > y.n);
        if (l->deleted != b->deleted ? b->deleted
                                     : l->start > b->start || (l->start == b->start && greater))
            best = i;
    }
    *winner = best;
    *tag = tag_of(a, id, &leaves[best]);
    return ours;
}

/* ---- histories ---- */

static bool in_history(const struct dp_leaf *leaf, const struct dp_ledger_rev *rev)
{
    if (rev->generation > leaf->start || leaf->start - rev->generation >= leaf->n_ids)
        return false;
    const struct dp_digest d = dp_digest_of(leaf->ids[leaf->start - rev->generation]);
    return memcmp(d.b, rev->digest.b, sizeof(d.b)) == 0;
}

static bool in_any(const struct judged *j, const struct dp_ledger_rev *rev)
{
    for (size_t i = 0; i < j->n; i++) {
        if (in_history(&j->leaves[i], rev))
            return true;
    }
    return false;
}

/* Older than what the region still knows of some branch. A history of one is none: it was laid there without. */
static bool forgotten(const struct judged *j, uint32_t generation)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct dp_leaf *l = &j->leaves[i];
        if (l->n_ids > 1 && l->start >= l->n_ids && generation <= l->start - l->n_ids)
            return true;
    }
    return false;
}

static uint8_t *flags_of(const struct judged *j, uint32_t tag)
{
    return &j->a->flags[j->region * j->a->writes + tag];
}

/* All acknowledged writes of a slot's document, from the last one back. What its region has forgotten is there if what
 * was written on it is: a revision's digits depend on its parent's. */
static void note_held(const struct judged *j, uint32_t slot, uint32_t life)
{
    bool child = false;
    uint32_t tag = j->a->tails[tail_place(j->a, slot, life)];
    while (tag != DP_LEDGER_NONE) {
        const struct dp_write *w = dp_ledger_write(j->a->ledger, tag);
        uint8_t *flags = flags_of(j, tag);
        bool held = (*flags & HERE) != 0;
        if (w->outcome == DP_WRITE_ACKNOWLEDGED) {
            held = in_any(j, &w->rev) || (child && forgotten(j, w->rev.generation));
            *flags |= held ? HELD : 0;
        }
        child = held;
        tag = w->parent;
    }
}

/* ---- leaves ---- */

static void judge_parent(const struct judged *j, const struct dp_leaf *leaf,
                         const struct dp_write *w)
{
    char ordered[DP_LEDGER_REV] = "nothing";
    struct dp_ledger_rev there = {0}, want = {0};
    if (w->parent != DP_LEDGER_NONE) {
        want = dp_ledger_write(j->a->ledger, w->parent)->rev;
        (void)dp_ledger_rev_text(&want, ordered);
    }
    if (leaf->n_ids > 1)
        there = (struct dp_ledger_rev){leaf->start - 1, dp_digest_of(leaf->ids[1])};
    bool same = want.generation == 0 ? leaf->start == 1 : dp_ledger_rev_eq(&there, &want);
    if (same)
        return;
    if (leaf->n_ids > 1)
        say(j, DP_FINDING_STRANGE, leaf->rev, "on %u-%.*s, not on %s as ordered", leaf->start - 1,
            (int)(leaf->ids[1].n < 40 ? leaf->ids[1].n : 40), leaf->ids[1].p, ordered);
    else
        say(j, DP_FINDING_STRANGE, leaf->rev, "without a history, not on %s as ordered", ordered);
}

static uint64_t name_hash(struct dp_span id)
{
    uint64_t h = FNV_BASIS;
    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * FNV_PRIME;
    return h;
}

/* Rows of _bulk_docs without _id can be told apart by their order only, and pouchdb-server does not keep it: so writes
 * of one bulk may have been told each other's names. */
static bool are_of_one_bulk(const struct dp_audit *a, uint32_t one, uint32_t other)
{
    uint32_t apart = one > other ? one - other : other - one;
    const struct dp_write *x = dp_ledger_write(a->ledger, one);
    const struct dp_write *y = dp_ledger_write(a->ledger, other);
    return apart < BULK_ROWS && x->begun_ms == y->begun_ms && x->ended_ms == y->ended_ms;
}

/* The acknowledged POST whose answer had this document's name. */
static uint32_t post_of(const struct dp_audit *a, struct dp_span id)
{
    const struct dp_digest d = dp_digest_of(id);
    return a->posts[post_place(a, &d)];
}

/* May this write's body stand in this document? */
static bool is_its_document(const struct judged *j, uint32_t tag, const struct dp_write *w)
{
    uint32_t slot, life;
    switch ((enum dp_write_kind)w->kind) {
    case DP_WRITE_PUT:
        return slot_name(j->a, j->id, &slot, &life) && slot == w->slot && life == w->life;
    case DP_WRITE_ATTACHMENT:
        return attachment_name(j->a, j->id) == tag;
    case DP_WRITE_POST: {
        uint32_t told = post_of(j->a, j->id);
        return told == DP_LEDGER_NONE ? w->outcome != DP_WRITE_ACKNOWLEDGED
                                      : told == tag || are_of_one_bulk(j->a, told, tag);
    }
    case DP_WRITE_KINDS:
        break;
    }
    return false;
}

/* Its second place, if it is one. */
static bool is_twice(const struct judged *j, uint32_t tag, const struct dp_leaf *leaf)
{
    uint64_t *in = &j->a->seen_in[j->region * j->a->writes + tag];
    uint8_t *flags = flags_of(j, tag);
    if (*flags & HERE) {
        say(j, DP_FINDING_DUPLICATED, leaf->rev, "write %u is %s", tag,
            *in == name_hash(j->id) ? "on two branches" : "in another document too");
        return true;
    }
    *flags |= HERE;
    *in = name_hash(j->id);
    return false;
}

static void judge_leaf(const struct judged *j, const struct dp_leaf *leaf)
{
    struct dp_audit_region *r = &j->a->by_region[j->region];
    uint64_t strange = j->a->counts[DP_FINDING_STRANGE];
    uint32_t tag = tag_of(j->a, j->id, leaf);
    const struct dp_write *w = tag < j->a->writes ? dp_ledger_write(j->a->ledger, tag) : NULL;
    if (!w) {
        say(j, DP_FINDING_STRANGE, leaf->rev,
            leaf->deleted ? "nobody deleted it" : "nobody wrote it");
    } else if (!is_its_document(j, tag, w)) {
        if (w->kind == DP_WRITE_POST) {
            r->duplicated++;
            say(j, DP_FINDING_DUPLICATED, leaf->rev, "write %u made another document", tag);
        } else {
            say(j, DP_FINDING_STRANGE, leaf->rev, "write %u is of another document", tag);
        }
    } else if (is_twice(j, tag, leaf)) {
        r->duplicated++;
    } else {
        if (w->outcome == DP_WRITE_REFUSED) {
            r->denied++;
            say(j, DP_FINDING_DENIED, leaf->rev, "%s %u was answered %u, and is there",
                kind_word(w), tag, w->status);
        }
        judge_parent(j, leaf, w);
    }
    r->strange += (uint32_t)(j->a->counts[DP_FINDING_STRANGE] - strange);
}

static void tell_conflict(const struct judged *j)
{
    char text[128];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < j->n && at < sizeof(text); i++) {
        const struct dp_leaf *l = &j->leaves[i];
        uint32_t tag = tag_of(j->a, j->id, l);
        const char *what = "of nobody";
        if (l->deleted)
            what = "deleted";
        else if (tag != DP_LEDGER_NONE)
            what = outcome_word(dp_ledger_write(j->a->ledger, tag));
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s (%s)", i ? ", " : "",
                               (int)(l->rev.n < 12 ? l->rev.n : 12), l->rev.p, what);
    }
    say(j, DP_FINDING_CONFLICTED, j->leaves[0].rev, "%zu branches: %s", j->n, text);
}

void dp_audit_document(struct dp_audit *a, size_t region, struct dp_span id,
                       const struct dp_leaf *leaves, size_t n)
{
    const struct judged j = {a, region, id, leaves, n};
    struct dp_audit_region *r = &a->by_region[region];
    size_t winner;
    uint32_t tag, slot, life;
    assert(region < a->n_regions && n > 0);
    if (!dp_audit_is_ours(a, id, leaves, n, &winner, &tag)) {
        if (a->alone && !dp_span_starts(id, DP_SPAN("_design/"))) {
            r->strange++;
            say(&j, DP_FINDING_STRANGE, leaves[winner].rev, "nobody wrote it");
        }
        return;
    }
    r->documents++;
    for (size_t i = 0; i < n; i++)
        judge_leaf(&j, &leaves[i]);
    if (n > 1) {
        r->conflicted++;
        tell_conflict(&j);
    }
    if (slot_name(a, id, &slot, &life)) {
        note_held(&j, slot, life);
        return;
    }
    tag = attachment_name(a, id);
    if (tag == DP_LEDGER_NONE)
        tag = post_of(a, id);
    if (tag != DP_LEDGER_NONE && in_any(&j, &dp_ledger_write(a->ledger, tag)->rev))
        *flags_of(&j, tag) |= HELD;
}

/* ---- the end ---- */

static void tell_lost(struct dp_audit *a, size_t region, uint32_t tag)
{
    const struct dp_write *w = dp_ledger_write(a->ledger, tag);
    char id[DP_LEDGER_ID], rev[DP_LEDGER_REV];
    size_t n = dp_ledger_id(a->ledger, tag, id);
    for (size_t i = 0; w->kind == DP_WRITE_POST && i < sizeof(w->id.b); i++)
        n += (size_t)snprintf(id + n, sizeof(id) - n, "%02x", w->id.b[i]);
    size_t rev_n = dp_ledger_rev_text(&w->rev, rev);
    dp_audit_find(a, DP_FINDING_LOST, a->regions[region], (struct dp_span){id, n},
                  (struct dp_span){rev, rev_n}, "%s %u, answered %u at %u.%03u s", kind_word(w),
                  tag, w->status, w->ended_ms / 1000, w->ended_ms % 1000);
}

static void settle_unknown(struct dp_audit *a, uint32_t tag, const bool *read)
{
    size_t here = 0, asked = 0;
    const char *example = "";
    for (size_t r = 0; r < a->n_regions; r++) {
        bool is = (a->flags[r * a->writes + tag] & HERE) != 0;
        asked += read[r];
        here += read[r] && is;
        if (read[r] && !is)
            example = a->regions[r];
    }
    if (asked == 0)
        return;
    if (here == asked) {
        a->totals.unknown_present++;
    } else if (here == 0) {
        a->totals.unknown_absent++;
    } else {
        char id[DP_LEDGER_ID];
        size_t n = dp_ledger_id(a->ledger, tag, id);
        a->totals.unknown_diverged++;
        dp_audit_find(a, DP_FINDING_DIVERGED, example, (struct dp_span){id, n}, DP_SPAN(""),
                      "%s %u, of unknown outcome, is not here, but in %zu other regions",
                      kind_word(dp_ledger_write(a->ledger, tag)), tag, here);
    }
}

static void tell_stale(struct dp_audit *a)
{
    size_t n;
    struct dp_ledger_counts c;
    const struct dp_stale_read *s = dp_ledger_stale(a->ledger, &n);
    dp_ledger_count(a->ledger, &c);
    for (size_t i = 0; i < n; i++) {
        char id[DP_LEDGER_ID], rev[DP_LEDGER_REV];
        size_t id_n = dp_ledger_id(a->ledger, s[i].floor, id);
        size_t rev_n = dp_ledger_rev_text(&dp_ledger_write(a->ledger, s[i].floor)->rev, rev);
        char gave[24] = "that it is not there";
        if (s[i].generation)
            (void)snprintf(gave, sizeof(gave), "generation %u", s[i].generation);
        dp_audit_find(a, DP_FINDING_STALE, "", (struct dp_span){id, id_n},
                      (struct dp_span){rev, rev_n},
                      "a read at %u.%03u s gave %s, after this had been acknowledged",
                      s[i].now_ms / 1000, s[i].now_ms % 1000, gave);
    }
    a->counts[DP_FINDING_STALE] = c.stale_reads;
    if (c.full)
        dp_audit_find(a, DP_FINDING_UNREAD, "", DP_SPAN(""), DP_SPAN(""),
                      "the ledger had no room for all that was written or told");
}

void dp_audit_finish(struct dp_audit *a, const bool *read)
{
    for (uint32_t tag = 0; tag < a->writes; tag++) {
        if (dp_ledger_write(a->ledger, tag)->outcome == DP_WRITE_REFUSED)
            continue;
        if (dp_ledger_write(a->ledger, tag)->outcome != DP_WRITE_ACKNOWLEDGED) {
            settle_unknown(a, tag, read);
            continue;
        }
        for (size_t r = 0; r < a->n_regions; r++) {
            bool held = (a->flags[r * a->writes + tag] & HELD) != 0;
            a->by_region[r].present += held;
            if (!held && read[r]) {
                a->by_region[r].lost++;
                tell_lost(a, r, tag);
            }
        }
    }
    tell_stale(a);
}

void dp_audit_region(const struct dp_audit *a, size_t region, struct dp_audit_region *out)
{
    *out = a->by_region[region];
}

void dp_audit_totals(const struct dp_audit *a, struct dp_audit_totals *out)
{
    *out = a->totals;
}

uint64_t dp_audit_count(const struct dp_audit *a, enum dp_finding_kind kind)
{
    return a->counts[kind];
}

const struct dp_finding *dp_audit_findings(const struct dp_audit *a, size_t *n)
{
    *n = a->n_findings;
    return a->findings;
}
