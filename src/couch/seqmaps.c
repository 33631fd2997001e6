/* The maps in a table, and snapshots that share what did not change: a map's copy is made when the first snapshot after
 * its change is, and counted by reference. */
#include "davenport/couch/seqmaps.h"

#include "davenport/couch/seqmap.h"
#include "davenport/couch/sequence.h"

#include "couch/seqmaps_table.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A map as workers see it. */
struct dp_seqmaps_copy {
    _Atomic uint32_t refs;
    struct dp_seqmap *map;
    struct dp_seqmaps_names names;
};

/* A map, and what its `from` told last: that changes with every look, the map hardly ever. */
struct seen_map {
    struct dp_seqmaps_copy *copy;
    struct dp_seqlook *look; /* or NULL */
};

struct dp_seqview {
    _Atomic uint32_t refs;
    uint64_t min_age_s;
    size_t n;
    struct seen_map maps[]; /* in the order of their names */
};

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

static void copy_unref(struct dp_seqmaps_copy *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    dp_seqmap_free(c->map);
    free(c);
}

/* ---- names ---- */

struct key {
    struct dp_span database, from, to; /* an empty `to` stands before all others */
};

static int compare(const char *name, struct dp_span s)
{
    const size_t n = strlen(name), least = n < s.n ? n : s.n;
    const int c = least > 0 ? memcmp(name, s.p, least) : 0;
    return c != 0 ? c : (n > s.n) - (n < s.n);
}

static int compare_names(const struct dp_seqmaps_names *names, const struct key *k)
{
    int c = compare(names->database, k->database);
    if (c == 0)
        c = compare(names->from, k->from);
    return c != 0 ? c : compare(names->to, k->to);
}

static bool is_from(const struct dp_seqmaps_names *names, const struct key *k)
{
    return compare(names->from, k->from) == 0 && compare(names->database, k->database) == 0;
}

/* ---- the table ---- */

struct dp_seqmaps *dp_seqmaps_new(const struct dp_seqmaps_config *config)
{
    struct dp_seqmaps *m = calloc(1, sizeof(*m));
    if (m)
        m->config = *config;
    return m;
}

static void entry_fini(struct dp_seqmaps_entry *e)
{
    dp_seqmap_free(e->map);
    copy_unref(e->copy);
    dp_seqlook_unref(e->look);
}

static void remove_at(struct dp_seqmaps *m, size_t i)
{
    entry_fini(&m->entries[i]);
    m->n--;
    memmove(m->entries + i, m->entries + i + 1, (m->n - i) * sizeof(m->entries[0]));
    m->version++;
}

void dp_seqmaps_free(struct dp_seqmaps *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        entry_fini(&m->entries[i]);
    free(m->entries);
    free(m);
}

uint64_t dp_seqmaps_version(const struct dp_seqmaps *m)
{
    return m->version;
}

/* The first that does not stand before these names. */
static size_t place_of(const struct dp_seqmaps *m, const struct key *k)
{
    size_t from = 0, to = m->n;
    while (from < to) {
        const size_t i = from + (to - from) / 2;
        if (compare_names(&m->entries[i].names, k) < 0)
            from = i + 1;
        else
            to = i;
    }
    return from;
}

struct dp_seqmaps_entry *dp_seqmaps_find(const struct dp_seqmaps *m,
                                         const struct dp_seqmaps_mark *mark)
{
    const struct key k = {mark->database, mark->from, mark->to};
    const size_t i = place_of(m, &k);
    return i < m->n && compare_names(&m->entries[i].names, &k) == 0 ? &m->entries[i] : NULL;
}

/* All maps of the database that had no mark for longest, but for `spared`. False: there is none. */
static bool give_up_oldest(struct dp_seqmaps *m, struct dp_span spared)
{
    const struct dp_seqmaps_entry *oldest = NULL;
    char name[DP_SEQMAPS_NAME];
    for (size_t i = 0; i < m->n; i++) {
        const struct dp_seqmaps_entry *e = &m->entries[i];
        if (compare(e->names.database, spared) != 0 &&
            (!oldest || e->confirmed_ms < oldest->confirmed_ms))
            oldest = e;
    }
    if (!oldest)
        return false;
    memcpy(name, oldest->names.database, sizeof(name));
    for (size_t i = m->n; i > 0; i--) {
        if (strcmp(m->entries[i - 1].names.database, name) == 0)
            remove_at(m, i - 1);
    }
    return true;
}

static bool is_first_of_database(const struct dp_seqmaps *m, size_t i)
{
    return i == 0 || strcmp(m->entries[i - 1].names.database, m->entries[i].names.database) != 0;
}

static void keep_bounds(struct dp_seqmaps *m, struct dp_span newest)
{
    for (;;) {
        size_t databases = 0, bytes = 0;
        for (size_t i = 0; i < m->n; i++) {
            databases += is_first_of_database(m, i);
            bytes += dp_seqmap_bytes(m->entries[i].map);
        }
        if (databases <= m->config.databases && bytes <= DP_SEQMAPS_BYTES)
            return;
        if (!give_up_oldest(m, newest))
            return;
    }
}

static void set_text(char *out, size_t cap, struct dp_span s)
{
    (void)snprintf(out, cap, "%.*s", (int)(s.n < cap ? s.n : cap - 1), s.p ? s.p : "");
}

/* An empty map, at its place in the table. */
static struct dp_seqmaps_entry *new_entry(struct dp_seqmaps *m, const struct dp_seqmaps_mark *mark)
{
    const struct key k = {mark->database, mark->from, mark->to};
    const size_t i = place_of(m, &k);
    struct dp_seqmap *map = dp_seqmap_new(m->config.marks, m->config.min_age_ms * NS_PER_MS);
    struct dp_seqmaps_entry *more = realloc(m->entries, (m->n + 1) * sizeof(*more));
    if (more)
        m->entries = more;
    if (!map || !more) {
        dp_seqmap_free(map);
        return NULL;
    }
    struct dp_seqmaps_entry *e = &m->entries[i];
    memmove(e + 1, e, (m->n++ - i) * sizeof(*e));
    *e = (struct dp_seqmaps_entry){.map = map};
    set_text(e->names.database, sizeof(e->names.database), k.database);
    set_text(e->names.from, sizeof(e->names.from), k.from);
    set_text(e->names.to, sizeof(e->names.to), k.to);
    return e;
}

static void changed(struct dp_seqmaps *m, struct dp_seqmaps_entry *e)
{
    copy_unref(e->copy);
    e->copy = NULL;
    m->version++;
}

static bool life_differs(const char *known, struct dp_span life)
{
    char text[DP_SEQMAPS_LIFE];
    set_text(text, sizeof(text), life);
    return *known && *text && strcmp(known, text) != 0;
}

/* A life that is told is taken for the present one; true: it is another than before. */
static bool begins_anew(struct dp_seqmaps_entry *e, const struct dp_seqmaps_mark *k)
{
    const bool anew =
        life_differs(e->from_life, k->from_life) || life_differs(e->to_life, k->to_life);
    if (k->from_life.n > 0)
        set_text(e->from_life, sizeof(e->from_life), k->from_life);
    if (k->to_life.n > 0)
        set_text(e->to_life, sizeof(e->to_life), k->to_life);
    return anew;
}

/* Names and tokens of CouchDB's are so, and JSON takes them as they are, but for quotes and backslashes. */
static bool is_printable(struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    }
    return true;
}

static enum dp_err check(const struct dp_seqmaps_mark *k)
{
    if (k->token.n == 0 || k->database.n == 0 || k->from.n == 0 || k->to.n == 0 || k->read_ms <= 0)
        return DP_EINVAL;
    if (k->token.n > DP_SEQ_TEXT || k->database.n >= DP_SEQMAPS_NAME ||
        k->from.n >= DP_SEQMAPS_NAME || k->to.n >= DP_SEQMAPS_NAME)
        return DP_ELIMIT;
    return is_printable(k->token) && is_printable(k->database) && is_printable(k->from) &&
                   is_printable(k->to) && is_printable(k->from_life) && is_printable(k->to_life)
               ? DP_OK
               : DP_EINVAL;
}

enum dp_err dp_seqmaps_add(struct dp_seqmaps *m, const struct dp_seqmaps_mark *k)
{
    enum dp_err err = check(k);
    bool is_new = false;
    if (err != DP_OK)
        return err;
    struct dp_seqmaps_entry *e = dp_seqmaps_find(m, k);
    if (!e)
        e = new_entry(m, k);
    if (!e)
        return DP_ENOMEM;
    if (begins_anew(e, k)) {
        dp_seqmap_forget(e->map);
        dp_seqlook_unref(e->look);
        e->look = NULL;
        changed(m, e);
    }
    err = dp_seqmap_add(e->map, k->token, (uint64_t)k->read_ms * NS_PER_MS, &is_new);
    if (err != DP_OK)
        return err; /* an empty map stays: it says nothing */
    if (k->read_ms > e->confirmed_ms)
        e->confirmed_ms = k->read_ms;
    if (is_new) {
        changed(m, e);
        keep_bounds(m, k->database);
    }
    return DP_OK;
}

void dp_seqmaps_forget(struct dp_seqmaps *m, struct dp_span database, struct dp_span region)
{
    for (size_t i = m->n; i > 0; i--) {
        const struct dp_seqmaps_names *names = &m->entries[i - 1].names;
        if (compare(names->database, database) == 0 &&
            (compare(names->from, region) == 0 || compare(names->to, region) == 0))
            remove_at(m, i - 1);
    }
}

void dp_seqmaps_look(struct dp_seqmaps *m, struct dp_span database, struct dp_span region,
                     struct dp_span token, int64_t asked_ms, uint64_t asked_ns)
{
    const struct key k = {.database = database, .from = region};
    struct dp_seq told;
    if (asked_ms <= 0 || dp_seq_parse(token, &told) != DP_OK)
        return;
    for (size_t i = place_of(m, &k); i < m->n && is_from(&m->entries[i].names, &k); i++) {
        struct dp_seqmaps_entry *e = &m->entries[i];
        struct dp_seqlook *l = dp_seqlook_new(e->look, &told, (uint64_t)asked_ms / 1000, asked_ns);
        if (!l)
            continue;
        dp_seqlook_unref(e->look);
        e->look = l;
        m->looks++;
    }
}

uint64_t dp_seqmaps_looks(const struct dp_seqmaps *m)
{
    return m->looks;
}

bool dp_seqmaps_row(const struct dp_seqmaps *m, size_t i, struct dp_seqmaps_row *out)
{
    struct dp_seqmap_mark k;
    if (i >= m->n)
        return false;
    const struct dp_seqmaps_entry *e = &m->entries[i];
    *out = (struct dp_seqmaps_row){e->names.database, e->names.from, e->names.to, 0, 0, 0,
                                   e->confirmed_ms};
    for (; dp_seqmap_mark(e->map, out->marks, &k); out->marks++) {
        out->newest_ms = (int64_t)(k.read_ns / NS_PER_MS);
        if (out->marks == 0)
            out->oldest_ms = out->newest_ms;
    }
    return true;
}

/* ---- snapshots ---- */

static struct dp_seqmaps_copy *copy_of(struct dp_seqmaps_entry *e)
{
    if (e->copy)
        return e->copy;
    struct dp_seqmaps_copy *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->map = dp_seqmap_copy(e->map);
    if (!c->map) {
        free(c);
        return NULL;
    }
    atomic_init(&c->refs, 1);
    c->names = e->names;
    e->copy = c;
    return c;
}

struct dp_seqview *dp_seqmaps_view(struct dp_seqmaps *m)
{
    struct dp_seqview *v = calloc(1, sizeof(*v) + m->n * sizeof(struct seen_map));
    if (!v)
        return NULL;
    atomic_init(&v->refs, 1);
    v->min_age_s = m->config.min_age_ms / 1000;
    for (; v->n < m->n; v->n++) {
        struct dp_seqmaps_entry *e = &m->entries[v->n];
        struct dp_seqmaps_copy *c = copy_of(e);
        if (!c) {
            dp_seqview_unref(v);
            return NULL;
        }
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
        v->maps[v->n] = (struct seen_map){c, e->look ? dp_seqlook_ref(e->look) : NULL};
    }
    return v;
}

struct dp_seqview *dp_seqview_ref(struct dp_seqview *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void dp_seqview_unref(struct dp_seqview *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < v->n; i++) {
        copy_unref(v->maps[i].copy);
        dp_seqlook_unref(v->maps[i].look);
    }
    free(v);
}

/* As place_of. */
static size_t place_in(const struct dp_seqview *v, const struct key *k)
{
    size_t from = 0, to = v->n;
    while (from < to) {
        const size_t i = from + (to - from) / 2;
        if (compare_names(&v->maps[i].copy->names, k) < 0)
            from = i + 1;
        else
            to = i;
    }
    return from;
}

struct dp_span dp_seqview_translate(const struct dp_seqview *v, struct dp_span database,
                                    struct dp_span from, struct dp_span to, uint64_t caught_up_s,
                                    uint64_t now_s)
{
    const struct dp_span nothing = {NULL, 0};
    const struct key k = {database, from, to};
    /* who says that it caught up in time to come has a clock that is wrong by more than is allowed for */
    if (!v || caught_up_s == 0 || caught_up_s > now_s + v->min_age_s)
        return nothing;
    const size_t i = place_in(v, &k);
    return i < v->n && compare_names(&v->maps[i].copy->names, &k) == 0
               ? dp_seqmap_translate(v->maps[i].copy->map, caught_up_s * NS_PER_S)
               : nothing;
}

const struct dp_seqlook *dp_seqview_look(const struct dp_seqview *v, struct dp_span database,
                                         struct dp_span region)
{
    const struct key k = {.database = database, .from = region};
    if (!v)
        return NULL;
    for (size_t i = place_in(v, &k); i < v->n && is_from(&v->maps[i].copy->names, &k); i++) {
        if (v->maps[i].look) /* a map that is new has none yet */
            return v->maps[i].look;
    }
    return NULL;
}
