/* Revisions: N-digits. */
#include "davenport/couch/rev.h"

#define FNV_BASIS UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)

bool dp_rev_parse(struct dp_span text, struct dp_rev *out)
{
    uint64_t generation;
    struct dp_rev rev = {0, FNV_BASIS};
    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"')
        text = (struct dp_span){text.p + 1, text.n - 2};
    struct dp_span rest = text;
    if (!text.p || !dp_span_u64(dp_span_cut(&rest, '-'), &generation) || !rest.p || rest.n == 0 ||
        generation == 0 || generation > UINT32_MAX)
        return false;
    for (size_t i = 0; i < rest.n; i++) {
        if ((unsigned char)rest.p[i] <= ' ' || rest.p[i] == '"')
            return false;
        rev.digits = (rev.digits ^ (unsigned char)rest.p[i]) * FNV_PRIME;
    }
    rev.generation = (uint32_t)generation;
    *out = rev;
    return true;
}

bool dp_rev_covers(const struct dp_rev *read, const struct dp_rev *written)
{
    return read->generation > written->generation ||
           (read->generation == written->generation && read->digits == written->digits);
}

/* ---- rows ---- */

void dp_rows_init(struct dp_rows *r, bool bulk)
{
    *r = (struct dp_rows){.at_depth = bulk ? 2 : 1};
}

static void begin_string(struct dp_rows *r)
{
    r->in_string = true;
    r->plain = true;
    r->n = 0;
    if (r->depth != r->at_depth)
        r->member = 0;
}

/* A name has ended: is it one of ours? */
static char member_of(const struct dp_rows *r)
{
    if (!r->plain || r->depth != r->at_depth)
        return 0;
    if (r->n == 2 && r->name[0] == 'i' && r->name[1] == 'd')
        return 'i';
    return r->n == 3 && r->name[0] == 'r' && r->name[1] == 'e' && r->name[2] == 'v' ? 'r' : 0;
}

static void end_string(struct dp_rows *r)
{
    r->in_string = false;
    if (r->is_key)
        r->member = member_of(r);
    else if (r->member == 'i')
        r->id_n = r->plain && r->n <= DP_ROW_ID ? r->n : 0;
    else if (r->member == 'r')
        r->rev_n = r->plain && r->n <= DP_ROW_REV ? r->n : 0;
}

static void in_string(struct dp_rows *r, char c)
{
    if (!r->escaped && c == '"') {
        end_string(r);
        return;
    }
    r->plain = r->plain && c != '\\';
    r->escaped = !r->escaped && c == '\\';
    if (r->is_key && r->n < sizeof(r->name))
        r->name[r->n] = c;
    else if (!r->is_key && r->member == 'i' && r->n < DP_ROW_ID)
        r->id[r->n] = c;
    else if (!r->is_key && r->member == 'r' && r->n < DP_ROW_REV)
        r->rev[r->n] = c;
    r->n++;
}

/* True: a row ends. */
static bool step(struct dp_rows *r, char c)
{
    switch (c) {
    case '"':
        begin_string(r);
        return false;
    case '{':
    case '[':
        r->depth++;
        r->is_key = c == '{';
        r->member = 0;
        if (r->depth == r->at_depth)
            r->id_n = r->rev_n = 0;
        return false;
    case '}':
    case ']':
        r->is_key = false;
        r->member = 0;
        return r->depth-- == r->at_depth && c == '}';
    case ',':
        r->is_key = r->depth == r->at_depth; /* deeper ones do not matter */
        r->member = 0;
        return false;
    case ':':
        r->is_key = false;
        return false;
    default:
        return false;
    }
}

bool dp_rows_next(struct dp_rows *r, const char *p, size_t n, size_t *used, struct dp_row *out)
{
    for (size_t i = 0; i < n; i++) {
        if (r->in_string) {
            in_string(r, p[i]);
            continue;
        }
        if (!step(r, p[i]) || r->id_n == 0 ||
            !dp_rev_parse((struct dp_span){r->rev, r->rev_n}, &out->rev))
            continue;
        out->id = (struct dp_span){r->id, r->id_n};
        *used = i + 1;
        return true;
    }
    *used = n;
    return false;
}

/* ---- the key ---- */

static uint64_t add_decoded(uint64_t h, struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const int byte = c != '%' ? -1 : dp_span_percent((struct dp_span){s.p + i, s.n - i});
        if (byte >= 0) {
            c = (unsigned char)byte;
            i += 2;
        }
        h = (h ^ c) * FNV_PRIME;
    }
    return h;
}

static uint64_t add(uint64_t h, struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * FNV_PRIME;
    return h;
}

uint64_t dp_rev_key(struct dp_span db, struct dp_span doc, bool encoded, uint64_t seed)
{
    uint64_t h = add_decoded(FNV_BASIS ^ seed, db);
    h = (h ^ 0xFF) * FNV_PRIME; /* in no UTF-8 */
    h = encoded ? add_decoded(h, doc) : add(h, doc);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    return h ^ (h >> 33);
}
