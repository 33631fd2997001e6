/* The judge of replica.h. */
#include "davenport/core/replica.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *dp_replica_data_name(enum dp_replica_data d)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_REPLICA_DATA_TABLE(X)
#undef X
    };
    return d <= DP_REPLICA_SAME ? names[d] : "?";
}

const char *dp_replica_run_name(enum dp_replica_run r)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_REPLICA_RUN_TABLE(X)
#undef X
    };
    return r <= DP_REPLICA_RUN_RUNNING ? names[r] : "?";
}

const char *dp_replica_verdict_name(enum dp_replica_verdict v)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_REPLICA_VERDICT_TABLE(X)
#undef X
    };
    return v <= DP_REPLICA_VERDICT_READY ? names[v] : "?";
}

void dp_replica_init(struct dp_replica_way *w)
{
    *w = (struct dp_replica_way){.failures = -1};
}

/* It may be a document's id, of whatever bytes, and is cut: what is left must be text in JSON all the same. */
static void keep_word(char out[DP_REPLICA_WORD], const char *word)
{
    (void)snprintf(out, DP_REPLICA_WORD, "%s", word ? word : "");
    for (char *c = out; *c; c++) {
        if (*c < ' ' || *c > '~')
            *c = '?';
    }
}

void dp_replica_compared(struct dp_replica_way *w, const struct dp_replica_found *f,
                         uint64_t now_ns)
{
    bool same = f->data == DP_REPLICA_SAME;
    w->data = f->data;
    w->at_ns = now_ns;
    w->missing = f->data == DP_REPLICA_BEHIND ? f->missing : 0;
    w->more = f->data == DP_REPLICA_BEHIND && f->more;
    w->in_row = !same ? 0 : w->in_row < UINT32_MAX ? w->in_row + 1 : w->in_row;
    if (same && f->began_ns > w->same_ns)
        w->same_ns = f->began_ns;
    keep_word(w->word, f->word);
}

void dp_replica_job_said(struct dp_replica_way *w, enum dp_replica_run run, int64_t failures,
                         const char *word, uint64_t now_ns)
{
    w->run = run;
    w->run_at_ns = now_ns;
    keep_word(w->run_word, word);
    /* A job that began anew counts from nothing: then any is one more. */
    if (failures > 0 && w->failures >= 0 && failures != w->failures)
        w->refused_ns = now_ns;
    if (failures >= 0)
        w->failures = failures;
}

/* ---- the verdict ---- */

struct finding {
    enum dp_replica_verdict verdict;
    char why[DP_REPLICA_WORD + 32];
};
_Static_assert(DP_CANARY_WORD <= DP_REPLICA_WORD, "a canary's word has its place in a finding");

DP_PRINTF(2, 3)
static struct finding find(enum dp_replica_verdict v, const char *format, ...)
{
    struct finding f = {.verdict = v};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f.why, sizeof(f.why), format, args);
    va_end(args);
    return f;
}

static bool is_known(uint64_t at_ns, uint64_t fresh_ns, uint64_t since_ns, uint64_t now_ns)
{
    return at_ns != 0 && at_ns >= since_ns && now_ns - at_ns <= fresh_ns;
}

static bool known(uint64_t at_ns, const struct dp_replica_config *c, uint64_t since_ns,
                  uint64_t now_ns)
{
    return is_known(at_ns, c->fresh_ns, since_ns, now_ns);
}

static struct finding judge_data(const struct dp_replica_way *w, const struct dp_replica_config *c,
                                 uint64_t since_ns, uint64_t now_ns)
{
    if (!known(w->at_ns, c, since_ns, now_ns))
        return find(DP_REPLICA_VERDICT_WAIT, "not compared yet");
    switch (w->data) {
    case DP_REPLICA_UNKNOWN:
        return find(DP_REPLICA_VERDICT_WAIT, "not known: %s", w->word[0] ? w->word : "no answer");
    case DP_REPLICA_DENIED:
        return find(DP_REPLICA_VERDICT_BLIND, "can't be compared: %s", w->word);
    case DP_REPLICA_ABSENT:
        return find(DP_REPLICA_VERDICT_SHUT, "is not there");
    case DP_REPLICA_BEHIND:
        return find(DP_REPLICA_VERDICT_SHUT, "%s%" PRIu64 " document%s missing%s%.60s",
                    w->more ? "at least " : "", w->missing, w->missing == 1 ? " is" : "s are",
                    w->word[0] ? ", such as " : "", w->word);
    case DP_REPLICA_SAME:
        break;
    }
    if (w->same_ns < since_ns)
        return find(DP_REPLICA_VERDICT_WAIT, "not compared yet");
    if (w->in_row < c->samples)
        return find(DP_REPLICA_VERDICT_WAIT, "the same %" PRIu32 " of %" PRIu32 " times in a row",
                    w->in_row, c->samples);
    return find(DP_REPLICA_VERDICT_READY, "the same %" PRIu32 " times in a row", w->in_row);
}

static struct finding judge_canary(const struct dp_canary *canary,
                                   const struct dp_replica_config *c, uint64_t since_ns,
                                   uint64_t now_ns)
{
    if (canary->denied)
        return find(DP_REPLICA_VERDICT_BLIND, "no canary can be sent: %s", canary->word);
    if (dp_canary_overdue(canary, c->canary_ns))
        return find(DP_REPLICA_VERDICT_SHUT, "a canary does not come through for %" PRIu64 " ms",
                    (canary->missed_ns - canary->out_ns) / 1000000);
    if (!is_known(canary->came_ns, c->canary_fresh_ns, since_ns, now_ns))
        return find(DP_REPLICA_VERDICT_WAIT, "no canary has come through yet%s%s",
                    canary->word[0] ? ": " : "", canary->word);
    if (canary->took_ns > c->canary_ns)
        return find(DP_REPLICA_VERDICT_SHUT, "the last canary took %" PRIu64 " ms",
                    canary->took_ns / 1000000);
    return find(DP_REPLICA_VERDICT_READY, "a canary took %" PRIu64 " ms",
                canary->took_ns / 1000000);
}

static struct finding judge_run(const struct dp_replica_way *w, const struct dp_replica_config *c,
                                uint64_t since_ns, uint64_t now_ns)
{
    bool seen = known(w->run_at_ns, c, since_ns, now_ns);
    if (seen && w->run == DP_REPLICA_RUN_TROUBLED)
        return find(DP_REPLICA_VERDICT_SHUT, "its replication does not run: %s", w->run_word);
    if (w->refused_ns && now_ns - w->refused_ns <= c->flat_ns)
        return find(DP_REPLICA_VERDICT_SHUT, "documents were refused lately (%" PRId64 " in all)",
                    w->failures);
    if (c->canary_ns)
        return judge_canary(&w->canary, c, since_ns, now_ns);
    if (!seen || w->run == DP_REPLICA_RUN_UNASKED)
        return find(DP_REPLICA_VERDICT_WAIT, "its replication was not asked yet");
    if (w->run == DP_REPLICA_RUN_UNSEEN)
        return find(DP_REPLICA_VERDICT_BLIND, "its replication can't be seen: %s", w->run_word);
    return find(DP_REPLICA_VERDICT_READY, "its replication runs");
}

/* The lower, the more it weighs. */
static int weight(enum dp_replica_verdict v)
{
    static const int weights[] = {
        [DP_REPLICA_VERDICT_SHUT] = 0,
        [DP_REPLICA_VERDICT_WAIT] = 1,
        [DP_REPLICA_VERDICT_BLIND] = 2,
        [DP_REPLICA_VERDICT_READY] = 3,
    };
    return weights[v];
}

void dp_replica_judge(const struct dp_replica_way *way, const struct dp_replica_way *back,
                      const struct dp_replica_config *c, uint64_t since_ns, uint64_t now_ns,
                      struct dp_replica_answer *out)
{
    const struct finding found[] = {
        judge_data(way, c, since_ns, now_ns),
        judge_data(back, c, since_ns, now_ns),
        judge_run(way, c, since_ns, now_ns),
        judge_run(back, c, since_ns, now_ns),
    };
    size_t worst = 0;
    for (size_t i = 1; i < sizeof(found) / sizeof(found[0]); i++) {
        if (weight(found[i].verdict) < weight(found[worst].verdict))
            worst = i;
    }
    out->verdict = found[worst].verdict;
    out->back = worst % 2 == 1;
    memcpy(out->why, found[worst].why, sizeof(out->why));
}
