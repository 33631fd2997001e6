/* The ledger: writes in chunks, so that none moves and no growth copies what is there; slots; one set of hashes a feed. */
#include "davenport/drill/ledger.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_WRITES 16384u
#define FNV_BASIS    UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME    UINT64_C(0x100000001B3)
#define FIRST_ROWS   1024u

struct slot {
    uint32_t life; /* of the document that the next write is of */
    uint32_t
        last; /* the tag of the last acknowledged write of that one; NONE: it is not there yet */
    uint32_t floor; /* of the last acknowledged write of any: what is read */
    bool busy;      /* a write is under way */
};

/* Open addressing, never more than half full; 0 is an empty place. */
struct feed {
    uint64_t *told;
    uint32_t size, used; /* size: a power of two, or 0 */
    struct dp_feed_counts counts;
};

struct dp_ledger {
    char run[DP_LEDGER_RUN];
    uint32_t n_slots, max_writes, max_rows, n_chunks, n_feeds;
    struct dp_ledger_counts counts;
    struct slot *slots;
    struct dp_write **chunks; /* n_chunks of them, each NULL until it is needed */
    struct feed *feeds;
    size_t bytes;
    struct dp_stale_read stale[DP_LEDGER_STALE_KEPT];
    size_t n_stale;
};

static bool run_is_good(const char *run)
{
    size_t n = strlen(run);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)run[i]))
            return false;
    }
    return n > 0 && n < DP_LEDGER_RUN;
}

struct dp_ledger *dp_ledger_new(const struct dp_ledger_options *opt)
{
    assert(opt->slots > 0);
    if (!run_is_good(opt->run))
        return NULL;
    struct dp_ledger *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    memcpy(l->run, opt->run, strlen(opt->run) + 1);
    l->n_slots = opt->slots;
    l->max_writes = opt->max_writes < DP_LEDGER_NONE ? opt->max_writes : DP_LEDGER_NONE - 1;
    l->max_rows = opt->max_rows;
    l->n_chunks = l->max_writes / CHUNK_WRITES + 1;
    l->slots = calloc(l->n_slots, sizeof(*l->slots));
    l->chunks = calloc(l->n_chunks, sizeof(struct dp_write *));
    l->feeds = calloc(DP_LEDGER_FEEDS, sizeof(*l->feeds));
    if (!l->slots || !l->chunks || !l->feeds) {
        dp_ledger_free(l);
        return NULL;
    }
    for (uint32_t i = 0; i < l->n_slots; i++)
        l->slots[i].last = l->slots[i].floor = DP_LEDGER_NONE;
    l->bytes = sizeof(*l) + l->n_slots * sizeof(*l->slots) +
               l->n_chunks * sizeof(struct dp_write *) + DP_LEDGER_FEEDS * sizeof(*l->feeds);
    return l;
}

void dp_ledger_free(struct dp_ledger *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; l->chunks && i < l->n_chunks; i++)
        free(l->chunks[i]);
    for (uint32_t i = 0; l->feeds && i < l->n_feeds; i++)
        free(l->feeds[i].told);
    free(l->chunks);
    free(l->feeds);
    free(l->slots);
    free(l);
}

const char *dp_ledger_run(const struct dp_ledger *l)
{
    return l->run;
}

void dp_ledger_count(const struct dp_ledger *l, struct dp_ledger_counts *out)
{
    *out = l->counts;
}

size_t dp_ledger_bytes(const struct dp_ledger *l)
{
    return l->bytes;
}

/* ---- texts ---- */

static uint64_t hash(uint64_t h, struct dp_span s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * FNV_PRIME;
    return h;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct dp_digest dp_digest_of(struct dp_span text)
{
    struct dp_digest d;
    for (size_t i = 0; text.n == 32 && i < 16; i++) {
        int high = nibble(text.p[2 * i]), low = nibble(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            break;
        d.b[i] = (uint8_t)(high << 4 | low);
        if (i == 15)
            return d;
    }
    const uint64_t h[2] = {hash(FNV_BASIS, text), hash(~FNV_BASIS, text)};
    memcpy(d.b, h, sizeof(d.b));
    return d;
}

bool dp_ledger_rev_parse(struct dp_span text, struct dp_ledger_rev *out)
{
    uint64_t generation;
    struct dp_span rest = text;
    if (!text.p || !dp_span_u64(dp_span_cut(&rest, '-'), &generation) || !rest.p || rest.n == 0 ||
        generation == 0 || generation > UINT32_MAX)
        return false;
    *out = (struct dp_ledger_rev){(uint32_t)generation, dp_digest_of(rest)};
    return true;
}

bool dp_ledger_rev_eq(const struct dp_ledger_rev *a, const struct dp_ledger_rev *b)
{
    return a->generation == b->generation && memcmp(a->digest.b, b->digest.b, 16) == 0;
}

size_t dp_ledger_rev_text(const struct dp_ledger_rev *rev, char out[DP_LEDGER_REV])
{
    int at = snprintf(out, DP_LEDGER_REV, "%u-", rev->generation);
    for (size_t i = 0; i < sizeof(rev->digest.b); i++)
        at += snprintf(out + at, DP_LEDGER_REV - (size_t)at, "%02x", rev->digest.b[i]);
    return (size_t)at;
}

/* ---- writes ---- */

static struct dp_write *write_of(const struct dp_ledger *l, uint32_t tag)
{
    assert(tag < l->counts.writes);
    return &l->chunks[tag / CHUNK_WRITES][tag % CHUNK_WRITES];
}

const struct dp_write *dp_ledger_write(const struct dp_ledger *l, uint32_t tag)
{
    return write_of(l, tag);
}

static bool make_room(struct dp_ledger *l)
{
    struct dp_write **chunk = &l->chunks[l->counts.writes / CHUNK_WRITES];
    if (l->counts.writes < l->max_writes && !*chunk) {
        *chunk = malloc(CHUNK_WRITES * sizeof(**chunk));
        l->bytes += *chunk ? CHUNK_WRITES * sizeof(**chunk) : 0;
    }
    if (l->counts.writes == l->max_writes || !*chunk)
        l->counts.full = true;
    return !l->counts.full;
}

uint32_t dp_ledger_begin(struct dp_ledger *l, enum dp_write_kind kind, uint32_t slot,
                         uint32_t now_ms)
{
    struct slot *s = kind == DP_WRITE_PUT ? &l->slots[slot] : NULL;
    assert(!s || slot < l->n_slots);
    if ((s && s->busy) || !make_room(l))
        return DP_LEDGER_NONE;
    uint32_t tag = l->counts.writes++;
    *write_of(l, tag) = (struct dp_write){
        .slot = s ? slot : DP_LEDGER_NONE,
        .life = s ? s->life : 0,
        .parent = s ? s->last : DP_LEDGER_NONE,
        .begun_ms = now_ms,
        .ended_ms = now_ms,
        .kind = (uint8_t)kind,
        .outcome = DP_WRITE_OPEN,
        .region = DP_LEDGER_NO_REGION,
    };
    l->counts.open++;
    if (s)
        s->busy = true;
    return tag;
}

size_t dp_ledger_id(const struct dp_ledger *l, uint32_t tag, char out[DP_LEDGER_ID])
{
    const struct dp_write *w = write_of(l, tag);
    int n = 0;
    out[0] = '\0';
    switch ((enum dp_write_kind)w->kind) {
    case DP_WRITE_PUT:
        n = snprintf(out, DP_LEDGER_ID, "drill-%s-%05u.%u", l->run, w->slot, w->life);
        break;
    case DP_WRITE_ATTACHMENT:
        n = snprintf(out, DP_LEDGER_ID, "drill-%s-a%u", l->run, tag);
        break;
    case DP_WRITE_POST:
    case DP_WRITE_KINDS:
        break;
    }
    return (size_t)n;
}

size_t dp_ledger_parent(const struct dp_ledger *l, uint32_t tag, char out[DP_LEDGER_REV])
{
    const struct dp_write *w = write_of(l, tag);
    out[0] = '\0';
    return w->parent == DP_LEDGER_NONE ? 0 : dp_ledger_rev_text(&write_of(l, w->parent)->rev, out);
}

size_t dp_ledger_body(const struct dp_ledger *l, uint32_t tag, char out[DP_LEDGER_BODY])
{
    return (size_t)snprintf(out, DP_LEDGER_BODY, "\"drill\":\"%s\",\"tag\":%u", l->run, tag);
}

static struct dp_write *end(struct dp_ledger *l, uint32_t tag, uint16_t status, uint8_t region,
                            uint32_t now_ms)
{
    struct dp_write *w = write_of(l, tag);
    assert(w->outcome == DP_WRITE_OPEN);
    w->status = status;
    w->region = region;
    w->ended_ms = now_ms;
    l->counts.open--;
    return w;
}

/* What a document was told to be is not certain, or it is not ours to change: a new one takes its place. */
static void leave_alone(struct slot *s)
{
    s->life++;
    s->last = DP_LEDGER_NONE;
}

static void fail(struct dp_ledger *l, struct dp_write *w, bool refused)
{
    w->outcome = refused ? DP_WRITE_REFUSED : DP_WRITE_UNKNOWN;
    l->counts.refused += refused;
    l->counts.unknown += !refused;
    if (w->kind == DP_WRITE_PUT) {
        l->slots[w->slot].busy = false;
        leave_alone(&l->slots[w->slot]);
    }
}

enum dp_err dp_ledger_acknowledged(struct dp_ledger *l, uint32_t tag, struct dp_span id,
                                   struct dp_span rev, uint16_t status, uint8_t region,
                                   uint32_t now_ms)
{
    struct dp_write *w = end(l, tag, status, region, now_ms);
    if (!dp_ledger_rev_parse(rev, &w->rev) || (w->kind == DP_WRITE_POST && id.n == 0)) {
        fail(l, w, false);
        return DP_EINVAL;
    }
    w->outcome = DP_WRITE_ACKNOWLEDGED;
    l->counts.acknowledged++;
    if (w->kind == DP_WRITE_POST)
        w->id = dp_digest_of(id);
    if (w->kind == DP_WRITE_PUT) {
        struct slot *s = &l->slots[w->slot];
        s->busy = false;
        s->last = s->floor = tag;
    }
    return DP_OK;
}

void dp_ledger_failed(struct dp_ledger *l, uint32_t tag, uint16_t status, uint8_t region,
                      uint32_t now_ms)
{
    struct dp_write *w = end(l, tag, status, region, now_ms);
    fail(l, w, status >= 400 && status < 500);
}

/* ---- reads ---- */

bool dp_ledger_read_begin(const struct dp_ledger *l, uint32_t slot, struct dp_ledger_read *out)
{
    assert(slot < l->n_slots);
    uint32_t floor = l->slots[slot].floor;
    if (floor == DP_LEDGER_NONE)
        return false;
    out->slot = slot;
    out->floor = floor;
    out->id_n = dp_ledger_id(l, floor, out->id);
    return true;
}

bool dp_ledger_read_end(struct dp_ledger *l, const struct dp_ledger_read *r, struct dp_span rev,
                        uint8_t region, uint32_t now_ms)
{
    struct dp_ledger_rev seen = {0};
    if (rev.n > 0 && !dp_ledger_rev_parse(rev, &seen))
        return false;
    l->counts.reads++;
    /* Another revision of the same generation is a rival: a conflict, which the checker finds, and not an older state. */
    if (seen.generation >= write_of(l, r->floor)->rev.generation)
        return false;
    l->counts.stale_reads++;
    if (l->n_stale < DP_LEDGER_STALE_KEPT) {
        l->stale[l->n_stale++] = (struct dp_stale_read){
            .floor = r->floor, .now_ms = now_ms, .generation = seen.generation, .region = region};
    }
    return true;
}

const struct dp_stale_read *dp_ledger_stale(const struct dp_ledger *l, size_t *n)
{
    *n = l->n_stale;
    return l->stale;
}

/* ---- followers ---- */

uint32_t dp_ledger_feed(struct dp_ledger *l, const char *kind)
{
    if (l->n_feeds == DP_LEDGER_FEEDS)
        return DP_LEDGER_NONE;
    struct feed *f = &l->feeds[l->n_feeds];
    *f = (struct feed){.counts.first_write = l->counts.writes};
    (void)snprintf(f->counts.kind, sizeof(f->counts.kind), "%s", kind);
    return l->n_feeds++;
}

static uint64_t row_key(struct dp_span id, struct dp_span rev)
{
    uint64_t h = hash(hash(hash(FNV_BASIS, id), (struct dp_span){"\n", 1}), rev);
    h ^= h >> 32; /* FNV's low bits alone are weak */
    return h ? h : 1;
}

/* Where it is, or would be. */
static uint32_t place(const struct feed *f, uint64_t key)
{
    uint32_t at = (uint32_t)key & (f->size - 1);
    while (f->told[at] && f->told[at] != key)
        at = (at + 1) & (f->size - 1);
    return at;
}

static bool grow(struct dp_ledger *l, struct feed *f)
{
    if (f->used < f->size / 2)
        return true;
    struct feed bigger = *f;
    bigger.size = f->size ? f->size * 2 : FIRST_ROWS;
    bigger.told = calloc(bigger.size, sizeof(*bigger.told));
    if (!bigger.told)
        return false;
    for (uint32_t i = 0; i < f->size; i++) {
        if (f->told[i])
            bigger.told[place(&bigger, f->told[i])] = f->told[i];
    }
    free(f->told);
    l->bytes += (bigger.size - f->size) * sizeof(*f->told);
    *f = bigger;
    return true;
}

void dp_ledger_row(struct dp_ledger *l, uint32_t feed, struct dp_span id, struct dp_span rev)
{
    assert(feed < l->n_feeds);
    struct feed *f = &l->feeds[feed];
    uint64_t key = row_key(id, rev);
    f->counts.rows++;
    if (f->size && f->told[place(f, key)]) {
        f->counts.redelivered++;
        return;
    }
    if (f->used == l->max_rows || !grow(l, f)) {
        f->counts.full = l->counts.full = true;
        return;
    }
    f->told[place(f, key)] = key;
    f->used++;
}

bool dp_ledger_told(const struct dp_ledger *l, uint32_t feed, struct dp_span id, struct dp_span rev)
{
    assert(feed < l->n_feeds);
    const struct feed *f = &l->feeds[feed];
    return f->size && f->told[place(f, row_key(id, rev))];
}

bool dp_ledger_feed_count(const struct dp_ledger *l, uint32_t feed, struct dp_feed_counts *out)
{
    if (feed >= l->n_feeds)
        return false;
    *out = l->feeds[feed].counts;
    return true;
}
