/* The conditions of core/gate.h, a judge each. */
#include "davenport/core/gate.h"

#include "davenport/core/window.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

const char *dp_gate_kind_name(enum dp_gate_kind k)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_GATE_TABLE(X)
#undef X
    };
    return k < DP_GATE_COUNT ? names[k] : "?";
}

const char *dp_gate_state_name(enum dp_gate_state s)
{
    static const char *const names[] = {"unknown", "unmet", "met"};
    return s <= DP_GATE_MET ? names[s] : "?";
}

const char *dp_gate_parse(const char *text, unsigned *out)
{
    unsigned asked = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        enum dp_gate_kind kind = DP_GATE_HEALTH;
        while (kind < DP_GATE_COUNT && (strlen(dp_gate_kind_name(kind)) != n ||
                                        strncmp(p, dp_gate_kind_name(kind), n) != 0))
            kind++;
        if (kind == DP_GATE_COUNT)
            return "must be some of health, probes, errors, approval, window and replication, with "
                   "commas between";
        asked |= DP_GATE_BIT(kind);
        p += n;
        if (*p == '\0')
            break;
    }
    *out = asked;
    return NULL;
}

/* ---- judges: `out` may be NULL when nobody asks for words ---- */

DP_PRINTF(2, 3) static void say(char *out, const char *format, ...)
{
    if (!out)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out, DP_GATE_WHY, format, args);
    va_end(args);
}

static enum dp_gate_state when(bool met)
{
    return met ? DP_GATE_MET : DP_GATE_UNMET;
}

static enum dp_gate_state judge_health(const struct dp_gate_facts *f, char *out)
{
    if (f->well_ns == 0)
        say(out, "it is not well; then it must be for %" PRIu64 " s without a break",
            f->hold_ns / NS_PER_S);
    else
        say(out, "well for %" PRIu64 " s without a break, of %" PRIu64 " s", f->well_ns / NS_PER_S,
            f->hold_ns / NS_PER_S);
    return when(f->well_ns > 0 && f->well_ns >= f->hold_ns);
}

static enum dp_gate_state judge_probes(const struct dp_gate_facts *f, char *out)
{
    if (f->probes_asked == 0 || (f->probes_passed < f->probes_asked && !f->probe_trouble)) {
        say(out, "not every probe has been answered yet");
        return DP_GATE_UNKNOWN;
    }
    if (f->probes_passed < f->probes_asked)
        say(out, "%" PRIu32 " of %" PRIu32 " probes pass: %.80s", f->probes_passed, f->probes_asked,
            f->probe_trouble);
    else
        say(out, "every probe passes (%" PRIu32 ")", f->probes_asked);
    return when(f->probes_passed >= f->probes_asked);
}

/* A standby has no requests: none failed then. Nobody counting them is another thing. */
static enum dp_gate_state judge_errors(const struct dp_gate_facts *f, char *out)
{
    if (!f->counted) {
        say(out, "its requests are not counted yet");
        return DP_GATE_UNKNOWN;
    }
    say(out, "%" PRIu64 " of its last %" PRIu64 " requests failed (at most %" PRIu32 " %%)",
        f->failed, f->requests, f->max_failed_percent);
    return when(f->failed * 100 <= f->requests * f->max_failed_percent);
}

static enum dp_gate_state judge_approval(const struct dp_gate_facts *f, char *out)
{
    say(out, f->approved ? "an operator allowed this return"
                         : "no operator has allowed this return (davenport approve)");
    return when(f->approved);
}

static enum dp_gate_state judge_window(const struct dp_gate_facts *f, char *out)
{
    if (f->window_wait_m == DP_NEVER_MIN) {
        say(out, "no window is configured");
        return DP_GATE_UNKNOWN;
    }
    if (f->window_wait_m)
        say(out, "the next window opens in %" PRIu32 " h %" PRIu32 " min", f->window_wait_m / 60,
            f->window_wait_m % 60);
    else
        say(out, "a window is open");
    return when(f->window_wait_m == 0);
}

/* What can't be seen is told as that, also where it is allowed. */
static enum dp_gate_state judge_replication(const struct dp_gate_facts *f, char *out)
{
    const char *word = f->replication_word ? f->replication_word : "nothing was looked at yet";
    switch (f->replication) {
    case DP_GATE_NOT_LOOKED:
        say(out, "%s", word);
        return DP_GATE_UNKNOWN;
    case DP_GATE_BEHIND:
        say(out, "%s", word);
        return DP_GATE_UNMET;
    case DP_GATE_BLIND:
        say(out, "not seen, %s: %.80s",
            f->blind_is_open ? "so the hold decides" : "so an approval is wanted", word);
        return when(f->blind_is_open || f->approved);
    case DP_GATE_ARRIVED:
        say(out, "%s", word);
        return DP_GATE_MET;
    }
    return DP_GATE_UNKNOWN;
}

static enum dp_gate_state judge(enum dp_gate_kind kind, const struct dp_gate_facts *f, char *out)
{
    switch (kind) {
    case DP_GATE_HEALTH:
        return judge_health(f, out);
    case DP_GATE_PROBES:
        return judge_probes(f, out);
    case DP_GATE_ERRORS:
        return judge_errors(f, out);
    case DP_GATE_APPROVAL:
        return judge_approval(f, out);
    case DP_GATE_WINDOW:
        return judge_window(f, out);
    case DP_GATE_REPLICATION:
        return judge_replication(f, out);
    case DP_GATE_COUNT:
        break;
    }
    return DP_GATE_UNKNOWN;
}

unsigned dp_gate_unmet(const struct dp_gate_facts *f, unsigned asked)
{
    unsigned unmet = 0;
    for (enum dp_gate_kind k = DP_GATE_HEALTH; k < DP_GATE_COUNT; k++) {
        if ((asked & DP_GATE_BIT(k)) && judge(k, f, NULL) != DP_GATE_MET)
            unmet |= DP_GATE_BIT(k);
    }
    return unmet;
}

void dp_gate_judge(const struct dp_gate_facts *f, unsigned asked, struct dp_gate *out)
{
    memset(out, 0, sizeof(*out));
    for (enum dp_gate_kind k = DP_GATE_HEALTH; k < DP_GATE_COUNT; k++) {
        if (!(asked & DP_GATE_BIT(k)))
            continue;
        struct dp_gate_condition *c = &out->conditions[out->n++];
        c->kind = k;
        c->state = judge(k, f, c->why);
    }
}
