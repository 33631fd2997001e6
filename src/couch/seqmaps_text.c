/* Maps as a text: a line "davenport-sequence-maps 1 CRC BYTES", the sum in hex and of the bytes behind it, then JSON:
 *
 *   {"maps":[{"database":"orders","from":"eu","to":"us","from_life":"…","to_life":"…","confirmed_ms":1764166866000,
 *             "marks":[{"token":"12-g1AA…","read_ms":1764166866000},…]},…]}
 *
 * The sum is there because a wrong byte within a token would not be seen otherwise, and a wrong token may skip changes. */
#include "davenport/couch/seqmap.h"

#include "couch/seqmaps_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <jansson.h>

#define FIRST_LINE "davenport-sequence-maps 1 %08" PRIx32 " %zu\n"
#define FIRST_MAX  96
#define NS_PER_MS  UINT64_C(1000000)

/* ---- writing: by hand, for jansson that lacks memory may leave something out and say nothing ---- */

struct text {
    char *p;
    size_t n, cap;
    bool failed;
};

static void add(struct text *t, struct dp_span s)
{
    while (!t->failed && t->cap - t->n <= s.n) {
        const size_t cap = t->cap ? 2 * t->cap : 4096;
        char *p = realloc(t->p, cap);
        t->failed = !p;
        if (p) {
            t->p = p;
            t->cap = cap;
        }
    }
    if (t->failed || !t->p)
        return;
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
    t->p[t->n] = '\0';
}

/* "key":"value" with what stands before it. All values are printable (dp_seqmaps_add). */
static void add_text(struct text *t, const char *before_and_key, struct dp_span value)
{
    add(t, dp_span_str(before_and_key));
    add(t, DP_SPAN("\":\""));
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            add(t, DP_SPAN("\\"));
        add(t, (struct dp_span){value.p + i, 1});
    }
    add(t, DP_SPAN("\""));
}

static void add_number(struct text *t, const char *before_and_key, int64_t n)
{
    char digits[24];
    const int k = snprintf(digits, sizeof(digits), "\":%" PRId64, n);
    add(t, dp_span_str(before_and_key));
    add(t, (struct dp_span){digits, (size_t)k});
}

static void add_map(struct text *t, const struct dp_seqmaps_entry *e)
{
    struct dp_seqmap_mark k;
    const char *before = "{\"token";
    add_text(t, "{\"database", dp_span_str(e->names.database));
    add_text(t, ",\"from", dp_span_str(e->names.from));
    add_text(t, ",\"to", dp_span_str(e->names.to));
    add_text(t, ",\"from_life", dp_span_str(e->from_life));
    add_text(t, ",\"to_life", dp_span_str(e->to_life));
    add_number(t, ",\"confirmed_ms", e->confirmed_ms);
    add(t, DP_SPAN(",\"marks\":["));
    for (unsigned i = 0; dp_seqmap_mark(e->map, i, &k); i++) {
        add_text(t, before, k.b);
        add_number(t, ",\"read_ms", (int64_t)(k.read_ns / NS_PER_MS));
        add(t, DP_SPAN("}"));
        before = ",{\"token";
    }
    add(t, DP_SPAN("]}"));
}

static void add_maps(struct text *t, const struct dp_seqmaps *m, struct dp_span database)
{
    bool first = true;
    add(t, DP_SPAN("{\"maps\":["));
    for (size_t i = 0; i < m->n; i++) {
        const struct dp_seqmaps_entry *e = &m->entries[i];
        if ((database.n > 0 && !dp_span_eq(dp_span_str(e->names.database), database)) ||
            dp_seqmap_bytes(e->map) == 0)
            continue;
        if (!first)
            add(t, DP_SPAN(","));
        first = false;
        add_map(t, e);
    }
    add(t, DP_SPAN("]}"));
}

char *dp_seqmaps_write(const struct dp_seqmaps *m, struct dp_span database, size_t *n)
{
    struct text body = {NULL, 0, 0, false}, all = {NULL, 0, 0, false};
    char first[FIRST_MAX];
    add_maps(&body, m, database);
    if (!body.failed) {
        const uint32_t sum = (uint32_t)crc32_z(0, (const unsigned char *)body.p, body.n);
        const int k = snprintf(first, sizeof(first), FIRST_LINE, sum, body.n);
        add(&all, (struct dp_span){first, (size_t)k});
        add(&all, (struct dp_span){body.p, body.n});
    }
    free(body.p);
    if (body.failed || all.failed) {
        free(all.p);
        return NULL;
    }
    *n = all.n;
    return all.p;
}

/* ---- reading ---- */

static struct dp_span text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? (struct dp_span){json_string_value(v), json_string_length(v)}
                             : (struct dp_span){"", 0};
}

static bool life_fits(const char *known, struct dp_span told)
{
    return !*known || told.n == 0 || dp_span_eq(dp_span_str(known), told);
}

/* Are the database's lives in these regions those that are known here? */
static bool lives_fit(const struct dp_seqmaps_entry *e, const struct dp_seqmaps_mark *k)
{
    return life_fits(e->from_life, k->from_life) && life_fits(e->to_life, k->to_life);
}

static enum dp_err read_map(struct dp_seqmaps *m, const json_t *map)
{
    struct dp_seqmaps_mark k = {.database = text_of(map, "database"),
                                .from = text_of(map, "from"),
                                .to = text_of(map, "to"),
                                .from_life = text_of(map, "from_life"),
                                .to_life = text_of(map, "to_life")};
    const int64_t confirmed_ms = json_integer_value(json_object_get(map, "confirmed_ms"));
    struct dp_seqmaps_entry *e = dp_seqmaps_find(m, &k);
    const json_t *mark;
    size_t i;
    if (e && !lives_fit(e, &k))
        return DP_OK;
    json_array_foreach (json_object_get(map, "marks"), i, mark) {
        k.token = text_of(mark, "token");
        k.read_ms = json_integer_value(json_object_get(mark, "read_ms"));
        if (dp_seqmaps_add(m, &k) == DP_ENOMEM)
            return DP_ENOMEM; /* what is no mark is left out */
    }
    e = dp_seqmaps_find(m, &k);
    if (e && confirmed_ms > e->confirmed_ms)
        e->confirmed_ms = confirmed_ms;
    return DP_OK;
}

/* Behind the first line, if all is there and as it was written; NULL span: *why. */
static struct dp_span body_of(struct dp_span text, const char **why)
{
    char first[FIRST_MAX], want[FIRST_MAX];
    const char *end = text.n > 0 ? memchr(text.p, '\n', text.n) : NULL;
    const size_t n = end ? (size_t)(end - text.p) + 1 : 0;
    *why = "it is not of this kind or of a version that is not known";
    if (n == 0 || n >= sizeof(first))
        return (struct dp_span){NULL, 0};
    memcpy(first, text.p, n);
    first[n] = '\0';
    const struct dp_span body = {text.p + n, text.n - n};
    if (strncmp(first, FIRST_LINE, strcspn(FIRST_LINE, "%")) != 0)
        return (struct dp_span){NULL, 0};
    *why = "it was cut or changed";
    const uint32_t sum = (uint32_t)crc32_z(0, (const unsigned char *)body.p, body.n);
    (void)snprintf(want, sizeof(want), FIRST_LINE, sum, body.n);
    return strcmp(first, want) == 0 ? body : (struct dp_span){NULL, 0};
}

enum dp_err dp_seqmaps_read(struct dp_seqmaps *m, struct dp_span database, struct dp_span text,
                            const char **why)
{
    const struct dp_span body = body_of(text, why);
    enum dp_err err = DP_OK;
    const json_t *map;
    size_t i;
    if (!body.p)
        return DP_EINVAL;
    json_t *root = json_loadb(body.p, body.n, 0, NULL);
    if (!root) {
        *why = "it is no JSON, or memory is out"; /* jansson does not tell them apart */
        return DP_EINVAL;
    }
    json_array_foreach (json_object_get(root, "maps"), i, map) {
        if (err == DP_OK && (database.n == 0 || dp_span_eq(text_of(map, "database"), database)))
            err = read_map(m, map);
    }
    json_decref(root);
    return err;
}
