/* Faults on purpose: whom they meet, and when they end. */
#include "davenport/core/fault.h"

#include "davenport/core/glob.h"
#include "davenport/core/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(DP_FAULT_REGIONS == DP_MAX_REGIONS, "a fault's region is a view's");

static const char *const names[] = {"none",
#define X(name, word) word,
                                    DP_FAULT_TABLE(X)
#undef X
};

const char *dp_fault_name(enum dp_fault_kind k)
{
    return k <= DP_FAULT_FLAKY ? names[k] : "?";
}

enum dp_fault_kind dp_fault_kind_of(struct dp_span word)
{
    for (unsigned k = DP_FAULT_NONE + 1; k <= DP_FAULT_FLAKY; k++) {
        if (dp_span_eq(word, dp_span_str(names[k])))
            return (enum dp_fault_kind)k;
    }
    return DP_FAULT_NONE;
}

const char *dp_fault_refusal_name(enum dp_fault_refusal r)
{
    static const char *const words[] = {
#define X(name, word) word,
        DP_FAULT_REFUSAL_TABLE(X)
#undef X
    };
    return r <= DP_FAULT_REFUSAL_TOO_LONG ? words[r] : "?";
}

bool dp_fault_add_database(struct dp_fault *f, struct dp_span pattern)
{
    const size_t at = strlen(f->databases);
    if (pattern.n == 0 || at + (at > 0) + pattern.n >= sizeof(f->databases))
        return false;
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] == ',' || (unsigned char)pattern.p[i] < ' ' || pattern.p[i] == 127)
            return false;
    }
    if (at > 0)
        f->databases[at] = ',';
    memcpy(f->databases + at + (at > 0), pattern.p, pattern.n);
    f->databases[at + (at > 0) + pattern.n] = '\0';
    return true;
}

struct dp_span dp_fault_next_database(struct dp_span *rest)
{
    return rest->n > 0 ? dp_span_cut(rest, ',') : (struct dp_span){NULL, 0};
}

const char *dp_fault_words(const struct dp_fault *f, char buf[DP_FAULT_WORDS])
{
    char delay[32] = "", share[48] = "";
    if (f->delay_ms > 0)
        (void)snprintf(delay, sizeof(delay), " by %" PRIu32 " ms", f->delay_ms);
    if (f->share < DP_FAULT_ALL)
        (void)snprintf(share, sizeof(share), ", %.6g %% of attempts",
                       f->share * 100.0 / DP_FAULT_ALL);
    (void)snprintf(buf, DP_FAULT_WORDS, "%s%s%s%s%s", dp_fault_name(f->kind), delay, share,
                   f->databases[0] ? ", databases " : "", f->databases);
    return buf;
}

static bool names_database(const struct dp_fault *f, struct dp_span db)
{
    struct dp_span rest = dp_span_str(f->databases), pattern;
    if (rest.n == 0)
        return true;
    if (db.n == 0)
        return false;
    while ((pattern = dp_fault_next_database(&rest)).n > 0) {
        if (dp_glob_match(pattern, db))
            return true;
    }
    return false;
}

bool dp_fault_meets(const struct dp_fault *f, struct dp_span db, uint64_t chance)
{
    return f->kind != DP_FAULT_NONE && chance % DP_FAULT_ALL < f->share && names_database(f, db);
}

bool dp_fault_meets_probe(const struct dp_fault *f, uint64_t chance)
{
    return f->databases[0] == '\0' && dp_fault_meets(f, (struct dp_span){NULL, 0}, chance);
}

bool dp_fault_same(const struct dp_fault *a, const struct dp_fault *b)
{
    return a->kind == b->kind && a->delay_ms == b->delay_ms && a->share == b->share &&
           strcmp(a->databases, b->databases) == 0;
}

enum dp_fault_refusal dp_faults_begin(struct dp_faults *s, const struct dp_fault_rules *rules,
                                      uint16_t region, const struct dp_fault *f, uint64_t for_ns,
                                      uint64_t now_ns)
{
    if (!rules->allowed)
        return DP_FAULT_REFUSAL_NOT_ALLOWED;
    if (for_ns > rules->max_ns)
        return DP_FAULT_REFUSAL_TOO_LONG;
    s->faults[region] = *f;
    s->until_ns[region] = now_ns + for_ns;
    return DP_FAULT_REFUSAL_NONE;
}

bool dp_faults_end(struct dp_faults *s, uint16_t region)
{
    const bool stood = s->faults[region].kind != DP_FAULT_NONE;
    s->faults[region] = (struct dp_fault){.kind = DP_FAULT_NONE};
    s->until_ns[region] = 0;
    return stood;
}

bool dp_faults_expire(struct dp_faults *s, uint64_t now_ns, uint16_t *region)
{
    for (uint16_t i = 0; i < DP_FAULT_REGIONS; i++) {
        if (now_ns >= s->until_ns[i] && dp_faults_end(s, i)) {
            *region = i;
            return true;
        }
    }
    return false;
}

uint32_t dp_faults_mask(const struct dp_faults *s)
{
    uint32_t mask = 0;
    for (uint16_t i = 0; i < DP_FAULT_REGIONS; i++) {
        if (s->faults[i].kind != DP_FAULT_NONE)
            mask |= UINT32_C(1) << i;
    }
    return mask;
}

void dp_faults_remap(struct dp_faults *s, const uint16_t *map, uint16_t n)
{
    const struct dp_faults old = *s;
    memset(s, 0, sizeof(*s));
    for (uint16_t i = 0; i < n; i++) {
        if (map[i] >= DP_FAULT_REGIONS)
            continue;
        s->faults[map[i]] = old.faults[i];
        s->until_ns[map[i]] = old.until_ns[i];
    }
}
