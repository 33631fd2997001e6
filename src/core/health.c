/* The state machine of core/health.h: an event first moves counters, then a table of rules, first
 * match wins, says whether the counters amount to another state. */
#include "davenport/core/health.h"

#include <string.h>

enum meaning { ALIVE, FAILED, DRAIN, NOTHING };

static const struct {
    const char *name;
    enum meaning meaning;
} kinds[] = {
#define X(name, label, meaning) {label, meaning},
    DP_PROBE_KIND_TABLE(X)
#undef X
};

const char *dp_probe_kind_name(enum dp_probe_kind k)
{
    return k < DP_PROBE_KIND_COUNT ? kinds[k].name : "?";
}

const char *dp_probe_layer_name(enum dp_probe_layer l)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_PROBE_LAYER_TABLE(X)
#undef X
    };
    return l < DP_LAYER_COUNT ? names[l] : "?";
}

bool dp_probe_kind_alive(enum dp_probe_kind k)
{
    return k < DP_PROBE_KIND_COUNT && (kinds[k].meaning == ALIVE || kinds[k].meaning == DRAIN);
}

const char *dp_health_name(enum dp_health h)
{
    static const char *const names[] = {"unknown", "up", "suspect", "down"};
    return h <= DP_HEALTH_DOWN ? names[h] : "?";
}

const char *dp_health_signal_name(enum dp_health_signal s)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_HEALTH_SIGNAL_TABLE(X)
#undef X
    };
    return s < DP_HEALTH_SIGNAL_COUNT ? names[s] : "?";
}

/* Counters saturate: they are compared with thresholds, and a wrap would forgive. */
static uint32_t add(uint32_t a, uint64_t b)
{
    return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

void dp_health_traffic_add(struct dp_health_traffic *t, enum dp_outcome o, uint64_t n)
{
    /* A 5xx may be the request's own doing; any other bad outcome is the endpoint's. */
    bool ambiguous = o == DP_OUTCOME_SERVER_ERROR;
    switch (dp_outcome_verdict(o)) {
    case DP_VERDICT_OK:
        t->good = add(t->good, n);
        break;
    case DP_VERDICT_BAD:
        if (ambiguous)
            t->errors = add(t->errors, n);
        else
            t->unanswered = add(t->unanswered, n);
        break;
    case DP_VERDICT_NONE:
        break;
    }
}

/* xorshift64*: good enough to keep a thousand probers apart, and the same everywhere. */
static uint64_t next_random(uint64_t *x)
{
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return *x * UINT64_C(2685821657736338717);
}

static uint64_t with_jitter(uint64_t span_ns, uint32_t percent, uint64_t *random)
{
    uint64_t reach = span_ns / 100 * (percent > 100 ? 100 : percent);
    if (reach == 0)
        return span_ns;
    return span_ns - reach + next_random(random) % (2 * reach + 1);
}

void dp_health_init(struct dp_health_state *s, const struct dp_health_config *c, uint64_t now_ns,
                    uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    s->random = seed ? seed : UINT64_C(0x9E3779B97F4A7C15);
    s->since_ns = now_ns;
    s->probe_at_ns = now_ns;
    if (c->jitter_percent && c->fast_ns)
        s->probe_at_ns += next_random(&s->random) % c->fast_ns / 4;
}

void dp_health_presume_down(struct dp_health_state *s)
{
    s->health = DP_HEALTH_DOWN;
}

/* Rules: whether the counters amount to it, and the evidence for people. */

static bool evidence(struct dp_health_change *why, enum dp_health_signal signal, uint32_t count,
                     uint32_t threshold)
{
    if (count < threshold || threshold == 0)
        return false;
    why->signal = signal;
    why->count = count;
    why->threshold = threshold;
    return true;
}

typedef bool rule(const struct dp_health_state *s, const struct dp_health_config *c,
                  uint64_t now_ns, struct dp_health_change *why);

static bool probes_condemn(const struct dp_health_state *s, const struct dp_health_config *c,
                           uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    uint32_t no = c->silent ? s->probes_failed - s->probes_silent : s->probes_failed;
    return evidence(why, DP_HEALTH_SIGNAL_PROBES_FAILED, no, c->fall);
}

static bool silence_condemns(const struct dp_health_state *s, const struct dp_health_config *c,
                             uint64_t now_ns, struct dp_health_change *why)
{
    /* The row's first has had its whole time, so none was given less than that to no purpose. */
    if (s->silence.since_ns && now_ns < s->silence.since_ns + c->timeout_ns)
        return false;
    /* never fewer than of those that say no */
    uint32_t enough = c->silent == 0 || c->silent > c->fall ? c->silent : c->fall;
    return evidence(why, DP_HEALTH_SIGNAL_SILENT, s->probes_failed, enough);
}

static bool hush_condemns(const struct dp_health_state *s, const struct dp_health_config *c,
                          uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    uint32_t enough = c->silent < DP_HUSH_PROBES ? c->silent : DP_HUSH_PROBES;
    return s->silence.hush && evidence(why, DP_HEALTH_SIGNAL_HUSH, s->probes_silent, enough);
}

static bool deep_counts(const struct dp_health_state *s, uint32_t threshold,
                        struct dp_health_change *why)
{
    for (unsigned l = DP_LAYER_UP + 1; l < DP_LAYER_COUNT; l++) {
        if (evidence(why, DP_HEALTH_SIGNAL_DEEP_FAILED, s->deep[l].failed, threshold)) {
            why->layer = (enum dp_probe_layer)l;
            why->probe = s->deep[l].last;
            return true;
        }
    }
    return false;
}

static bool deep_condemns(const struct dp_health_state *s, const struct dp_health_config *c,
                          uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    return deep_counts(s, c->fall, why);
}

static bool deep_suspects(const struct dp_health_state *s, const struct dp_health_config *c,
                          uint64_t now_ns, struct dp_health_change *why)
{
    (void)c;
    (void)now_ns;
    return deep_counts(s, 1, why);
}

static bool probes_see_it(const struct dp_health_state *s)
{
    struct dp_health_change unused = {0};
    return s->probe_failing || deep_counts(s, 1, &unused);
}

static bool region_condemns(const struct dp_health_state *s, const struct dp_health_config *c,
                            uint64_t now_ns, struct dp_health_change *why)
{
    (void)c;
    (void)now_ns;
    return s->region.given && evidence(why,
                                       s->region.rate ? DP_HEALTH_SIGNAL_REGION_RATE
                                                      : DP_HEALTH_SIGNAL_REGION_UNANSWERED,
                                       s->region.count, s->region.threshold);
}

static bool trial_fails(const struct dp_health_state *s, const struct dp_health_config *c,
                        uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    if (!s->trial || s->carries)
        return false;
    return evidence(why, DP_HEALTH_SIGNAL_TRIAL_FAILED, s->unanswered, 1) ||
           evidence(why, DP_HEALTH_SIGNAL_TRIAL_FAILED, s->errors, c->trial_requests);
}

static bool trial_passes(const struct dp_health_state *s, const struct dp_health_config *c,
                         uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    return s->trial && !probes_see_it(s) &&
           evidence(why, DP_HEALTH_SIGNAL_TRIAL_PASSED, s->trial_good, c->trial_requests);
}

uint64_t dp_health_tried_at_ns(const struct dp_health_state *s, const struct dp_health_config *c)
{
    uint64_t hold = s->trial_hold_ns > c->traffic_hold_ns ? s->trial_hold_ns : c->traffic_hold_ns;
    bool by_requests = s->health == DP_HEALTH_DOWN && (s->proved || s->doubted_by_traffic);
    return by_requests ? s->last_bad_ns + (s->proved ? hold : c->traffic_hold_ns) : 0;
}

static bool trial_begins(const struct dp_health_state *s, const struct dp_health_config *c,
                         uint64_t now_ns, struct dp_health_change *why)
{
    return s->proved && now_ns >= dp_health_tried_at_ns(s, c) && !probes_see_it(s) &&
           evidence(why, DP_HEALTH_SIGNAL_TRIAL_BEGUN, s->probes_passed, c->rise);
}

static bool unanswered_condemn(const struct dp_health_state *s, const struct dp_health_config *c,
                               uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    return evidence(why, DP_HEALTH_SIGNAL_UNANSWERED, s->unanswered, c->traffic_failures);
}

static bool errors_condemn(const struct dp_health_state *s, const struct dp_health_config *c,
                           uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    return s->probe_failing && evidence(why, DP_HEALTH_SIGNAL_ERRORS, add(s->unanswered, s->errors),
                                        c->traffic_failures);
}

static bool share_condemns(const struct dp_health_state *s, const struct dp_health_config *c,
                           uint64_t now_ns, struct dp_health_change *why)
{
    uint64_t good = 0, bad = 0;
    (void)now_ns;
    for (unsigned i = 0; i < DP_HEALTH_SLOTS; i++) {
        good += s->slots[i].good;
        bad += s->slots[i].bad;
    }
    uint64_t all = good + bad;
    if (c->window_requests == 0 || all < c->window_requests)
        return false;
    return evidence(why, DP_HEALTH_SIGNAL_FAILURE_RATE, add(0, bad),
                    add(0, (all * c->window_percent + 99) / 100));
}

static bool probe_suspects(const struct dp_health_state *s, const struct dp_health_config *c,
                           uint64_t now_ns, struct dp_health_change *why)
{
    (void)c;
    (void)now_ns;
    return evidence(why, DP_HEALTH_SIGNAL_PROBES_FAILED, s->probes_failed, 1);
}

static bool unanswered_suspects(const struct dp_health_state *s, const struct dp_health_config *c,
                                uint64_t now_ns, struct dp_health_change *why)
{
    (void)c;
    (void)now_ns;
    return evidence(why, DP_HEALTH_SIGNAL_UNANSWERED, s->unanswered, 1);
}

static bool errors_suspect(const struct dp_health_state *s, const struct dp_health_config *c,
                           uint64_t now_ns, struct dp_health_change *why)
{
    (void)now_ns;
    return evidence(why, DP_HEALTH_SIGNAL_ERRORS_ONLY, add(s->unanswered, s->errors),
                    c->traffic_failures);
}

static bool first_good_probe(const struct dp_health_state *s, const struct dp_health_config *c,
                             uint64_t now_ns, struct dp_health_change *why)
{
    (void)c;
    (void)now_ns;
    return evidence(why, DP_HEALTH_SIGNAL_PROBES_PASSED, s->probes_passed, 1);
}

static bool traffic_held(const struct dp_health_state *s, const struct dp_health_config *c,
                         uint64_t now_ns)
{
    return s->doubted_by_traffic && now_ns < s->last_bad_ns + c->traffic_hold_ns;
}

static uint64_t row_pause(const struct dp_health_config *c)
{
    return c->row_pause_ns > 0 ? c->row_pause_ns : c->traffic_hold_ns;
}

/* A row of bad outcomes that may go on: the next one comes when there is something to do. */
static bool row_stands(const struct dp_health_state *s, const struct dp_health_config *c,
                       uint64_t now_ns)
{
    return s->unanswered > 0 && now_ns < s->last_bad_ns + row_pause(c);
}

static bool probes_redeem(const struct dp_health_state *s, const struct dp_health_config *c,
                          uint64_t now_ns, struct dp_health_change *why)
{
    return !s->trial && !s->proved && !probes_see_it(s) && !traffic_held(s, c, now_ns) &&
           !row_stands(s, c, now_ns) &&
           evidence(why, DP_HEALTH_SIGNAL_PROBES_PASSED, s->probes_passed, c->rise);
}

/* Doubt by traffic alone ends by traffic too: the last outcome was good, and none was bad for a
 * while. */
static bool traffic_redeems(const struct dp_health_state *s, const struct dp_health_config *c,
                            uint64_t now_ns, struct dp_health_change *why)
{
    if (!s->doubted_by_traffic || probes_see_it(s) || s->unanswered || s->errors || s->trial)
        return false;
    return !traffic_held(s, c, now_ns) && evidence(why, DP_HEALTH_SIGNAL_REQUESTS_ANSWERED, 1, 1);
}

#define IN(state) (1u << DP_HEALTH_##state)

static const struct {
    unsigned from; /* mask of IN() */
    enum dp_health to;
    rule *applies;
} rules[] = {
    {IN(SUSPECT), DP_HEALTH_DOWN, trial_fails},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, probes_condemn},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, silence_condemns},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, hush_condemns},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, deep_condemns},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, unanswered_condemn},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, errors_condemn},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, share_condemns},
    {IN(UNKNOWN) | IN(UP) | IN(SUSPECT), DP_HEALTH_DOWN, region_condemns},
    {IN(UNKNOWN) | IN(UP), DP_HEALTH_SUSPECT, probe_suspects},
    {IN(UNKNOWN) | IN(UP), DP_HEALTH_SUSPECT, deep_suspects},
    {IN(UNKNOWN) | IN(UP), DP_HEALTH_SUSPECT, unanswered_suspects},
    {IN(UNKNOWN) | IN(UP), DP_HEALTH_SUSPECT, errors_suspect},
    {IN(UNKNOWN), DP_HEALTH_UP, first_good_probe},
    {IN(SUSPECT) | IN(DOWN), DP_HEALTH_UP, probes_redeem},
    {IN(DOWN), DP_HEALTH_SUSPECT, trial_begins},
    {IN(SUSPECT), DP_HEALTH_UP, trial_passes},
    {IN(SUSPECT), DP_HEALTH_UP, traffic_redeems},
};

/* Counters. */

static struct dp_silence_config silence_of(const struct dp_health_config *c)
{
    return (struct dp_silence_config){c->interval_ns, c->fast_ns, c->timeout_ns, c->silent};
}

/* Any answer is a sign of life. */
static void hear(struct dp_health_state *s, bool silent, uint64_t began_ns)
{
    if (!silent)
        s->silent_since_ns = 0;
    else if (s->silent_since_ns == 0)
        s->silent_since_ns = began_ns > 0 ? began_ns : 1;
}

static void take_deep_probe(struct dp_health_state *s, enum dp_probe_layer layer,
                            enum dp_probe_kind kind, struct dp_health_actions *out)
{
    out->alarm_credentials =
        kind == DP_PROBE_CREDENTIALS && s->deep[layer].last != DP_PROBE_CREDENTIALS;
    s->deep[layer].last = kind;
    if (kind == DP_PROBE_UNPROVISIONED || kind == DP_PROBE_OK)
        s->deep[layer].missing = kind == DP_PROBE_UNPROVISIONED;
    if (kinds[kind].meaning == FAILED) {
        s->deep[layer].failed = add(s->deep[layer].failed, 1);
        s->deep[layer].passed = 0;
    } else if (kinds[kind].meaning == ALIVE) {
        s->deep[layer].passed = add(s->deep[layer].passed, 1);
        s->deep[layer].failed = 0;
    }
}

static void take_probe(struct dp_health_state *s, enum dp_probe_kind kind, bool timed_out,
                       struct dp_health_actions *out)
{
    out->alarm_credentials = kind == DP_PROBE_CREDENTIALS && s->last_probe != DP_PROBE_CREDENTIALS;
    s->last_probe = kind;
    switch (kinds[kind].meaning) {
    case ALIVE:
        s->probes_passed = add(s->probes_passed, 1);
        s->probes_failed = 0;
        s->probes_silent = 0;
        s->probe_failing = false;
        break;
    case FAILED:
        s->probes_failed = add(s->probes_failed, 1);
        s->probes_silent = add(s->probes_silent, timed_out);
        s->probes_passed = 0;
        s->probe_failing = true;
        break;
    case DRAIN: /* alive, but no step towards trust */
        s->probes_passed = 0;
        s->probes_failed = 0;
        s->probes_silent = 0;
        s->probe_failing = false;
        break;
    case NOTHING:
        break;
    }
}

/* Slots that time has passed over are empty. */
static void turn_window(struct dp_health_state *s, const struct dp_health_config *c,
                        uint64_t now_ns)
{
    uint64_t width = c->window_ns / DP_HEALTH_SLOTS;
    uint64_t slot = width ? now_ns / width : 0;
    if (slot > s->slot + DP_HEALTH_SLOTS)
        s->slot = slot - DP_HEALTH_SLOTS;
    while (s->slot < slot) {
        s->slot++;
        s->slots[s->slot % DP_HEALTH_SLOTS].good = 0;
        s->slots[s->slot % DP_HEALTH_SLOTS].bad = 0;
    }
}

static void take_trials(struct dp_health_state *s, const struct dp_health_event *e)
{
    s->carries = e->carries;
    if (s->trial)
        s->trial_tardy = add(s->trial_tardy, e->tardy);
    if (!s->slow_trial)
        return;
    s->slow_quick = add(s->slow_quick, e->quick);
    s->slow_tardy = add(s->slow_tardy, e->tardy);
}

/* Enough answers, and at least half were slow: anew. */
static void count_trial(struct dp_health_state *s, const struct dp_health_config *c, uint32_t good)
{
    s->trial_good = add(s->trial_good, good);
    if (s->trial_good < c->trial_requests)
        return;
    if (!s->carries && s->trial_tardy >= s->trial_good - s->trial_good / 2)
        s->trial_good = 0;
    s->trial_tardy = 0;
}

static void take_traffic(struct dp_health_state *s, const struct dp_health_config *c,
                         const struct dp_health_traffic *t, uint64_t now_ns)
{
    bool bad = t->unanswered || t->errors;
    /* What ends while DOWN began before the endpoint was left: late news, and no way back. */
    if (s->health == DP_HEALTH_DOWN)
        return;
    turn_window(s, c, now_ns);
    uint64_t slot = s->slot % DP_HEALTH_SLOTS;
    s->slots[slot].good = add(s->slots[slot].good, t->good);
    s->slots[slot].bad = add(s->slots[slot].bad, t->unanswered);
    if (t->good || t->errors)
        s->silent_since_ns = 0;
    if (s->trial)
        count_trial(s, c, t->good);
    if (t->good || (bad && now_ns > s->last_bad_ns + row_pause(c))) {
        s->unanswered = 0;
        s->errors = 0;
    }
    if (!bad)
        return;
    if (t->good && !t->unanswered)
        return; /* errors among good answers are everyday life */
    if (t->good) {
        s->unanswered = 1; /* doubt, but no row that is known of */
    } else {
        s->unanswered = add(s->unanswered, t->unanswered);
        s->errors = add(s->errors, t->errors);
    }
    s->last_bad_ns = now_ns;
    if (s->health == DP_HEALTH_SUSPECT) {
        s->doubted_by_traffic = true;
        s->probes_passed = 0; /* only what passes after it counts */
    }
}

/* Draining is asked for by one word and ended by `rise` good probes (or by going dark: then DOWN
 * rules). */
static bool drain_changes(struct dp_health_state *s, const struct dp_health_config *c,
                          struct dp_health_change *why)
{
    bool asked = kinds[s->last_probe].meaning == DRAIN;
    if (asked && !s->draining)
        return evidence(why, DP_HEALTH_SIGNAL_DRAIN_ASKED, 1, 1);
    if (s->draining && !asked)
        return evidence(why, DP_HEALTH_SIGNAL_DRAIN_OVER, s->probes_passed, c->rise);
    return false;
}

/* Twice as long after each failed trial. */
#define TRIAL_HOLD_MAX 8

/* Did requests have a part in this fall? */
static bool had_a_part(const struct dp_health_state *s, enum dp_health_signal why)
{
    return s->unanswered > 0 || s->trial || why == DP_HEALTH_SIGNAL_ERRORS ||
           why == DP_HEALTH_SIGNAL_HUSH || why == DP_HEALTH_SIGNAL_FAILURE_RATE ||
           why == DP_HEALTH_SIGNAL_REGION_UNANSWERED || why == DP_HEALTH_SIGNAL_REGION_RATE;
}

/* What a fall or a rise means for trials: `why` tipped the scale. */
static void set_trial(struct dp_health_state *s, const struct dp_health_config *c,
                      enum dp_health to, enum dp_health_signal why)
{
    s->proved = to == DP_HEALTH_DOWN && c->trial_requests > 0 && had_a_part(s, why);
    s->trial = to == DP_HEALTH_SUSPECT && why == DP_HEALTH_SIGNAL_TRIAL_BEGUN;
    s->trial_good = 0;
    s->trial_tardy = 0;
    if (why == DP_HEALTH_SIGNAL_TRIAL_FAILED) {
        uint64_t hold = s->trial_hold_ns > 0 ? 2 * s->trial_hold_ns : 2 * c->traffic_hold_ns;
        uint64_t max = TRIAL_HOLD_MAX * c->traffic_hold_ns;
        s->trial_hold_ns = hold < max ? hold : max;
    } else if (why != DP_HEALTH_SIGNAL_TRIAL_BEGUN) {
        s->trial_hold_ns = 0;
    }
}

static void enter(struct dp_health_state *s, enum dp_health to, uint64_t now_ns)
{
    bool trusted = to == DP_HEALTH_UP;
    s->doubted_by_traffic = !trusted && (s->unanswered || s->errors);
    if (!trusted)
        s->probes_passed = 0;
    if (to != DP_HEALTH_SUSPECT) { /* the row was judged and is spent */
        s->unanswered = 0;
        s->errors = 0;
        memset(s->slots, 0, sizeof(s->slots));
    }
    if (to == DP_HEALTH_DOWN)
        dp_silence_forget(&s->silence);
    s->health = to;
    s->since_ns = now_ns;
}

/* Twice as long as the last one, if that was not long ago. */
static void hold_slow(struct dp_health_state *s, const struct dp_health_config *c, uint64_t now_ns)
{
    bool soon = s->slow_hold_ns > 0 && now_ns < s->slow_until_ns + c->slow_hold_max_ns;
    uint64_t hold = soon ? 2 * s->slow_hold_ns : c->slow_hold_ns;
    s->slow_hold_ns = hold < c->slow_hold_max_ns ? hold : c->slow_hold_max_ns;
    s->slow_until_ns = now_ns + s->slow_hold_ns;
}

/* By windows in a row. */
static bool slow_begins(struct dp_health_state *s, const struct dp_health_config *c,
                        uint64_t now_ns, struct dp_health_change *why)
{
    if (!s->pace.slow || !evidence(why, DP_HEALTH_SIGNAL_SLOW, s->pace.slow_windows, 1))
        return false;
    s->slow = true;
    hold_slow(s, c, now_ns);
    why->median_ms = s->pace.median_ms;
    why->baseline_ms = s->pace.baseline_ms;
    return true;
}

/* Its hold is over, and the last probe passed: is it? */
static bool slow_is_tried(struct dp_health_state *s, const struct dp_health_config *c,
                          uint64_t now_ns, struct dp_health_change *why)
{
    if (now_ns < s->slow_until_ns || s->probe_failing)
        return false;
    if (c->trial_requests == 0) {
        s->slow = false;
        return evidence(why, DP_HEALTH_SIGNAL_SLOW_OVER, 1, 1);
    }
    s->slow_trial = s->health != DP_HEALTH_DOWN;
    s->slow_quick = 0;
    s->slow_tardy = 0;
    return s->slow_trial && evidence(why, DP_HEALTH_SIGNAL_SLOW_TRIAL, 1, 1);
}

static bool slow_trial_ends(struct dp_health_state *s, const struct dp_health_config *c,
                            uint64_t now_ns, struct dp_health_change *why)
{
    uint32_t all = add(s->slow_quick, s->slow_tardy);
    bool answered = all >= c->trial_requests;
    if (!answered && s->health != DP_HEALTH_DOWN)
        return false;
    s->slow_trial = false;
    if (!answered) /* down: tried again when it is up */
        return false;
    s->slow = s->slow_tardy >= all - s->slow_tardy;
    if (!s->slow)
        return evidence(why, DP_HEALTH_SIGNAL_SLOW_PASSED, s->slow_quick, all / 2 + 1);
    hold_slow(s, c, now_ns);
    return evidence(why, DP_HEALTH_SIGNAL_SLOW_FAILED, s->slow_tardy, (all + 1) / 2);
}

static bool slow_changes(struct dp_health_state *s, const struct dp_health_config *c,
                         uint64_t now_ns, struct dp_health_change *why)
{
    bool changes = !s->slow        ? slow_begins(s, c, now_ns, why)
                   : s->slow_trial ? slow_trial_ends(s, c, now_ns, why)
                                   : slow_is_tried(s, c, now_ns, why);
    if (changes)
        s->pace.slow = false; /* judged and spent */
    return changes;
}

static bool provision_changes(const struct dp_health_state *s, struct dp_health_change *why)
{
    bool missing = false;
    for (unsigned l = DP_LAYER_UP + 1; l < DP_LAYER_COUNT; l++)
        missing = missing || s->deep[l].missing;
    if (s->unprovisioned == missing)
        return false;
    why->layer = DP_LAYER_DATABASE;
    return evidence(why, missing ? DP_HEALTH_SIGNAL_UNPROVISIONED : DP_HEALTH_SIGNAL_PROVISIONED, 1,
                    1);
}

static bool in_doubt(const struct dp_health_state *s)
{
    return s->health != DP_HEALTH_UP || s->draining || (s->slow && !s->slow_trial);
}

/* A change of state tells its own reason; a flag tells its when it changes alone. */
static struct dp_health_change tell(const struct dp_health_change *why,
                                    const struct dp_health_change *flag)
{
    struct dp_health_change all = *flag;
    if (why->after != why->before) {
        all.signal = why->signal;
        all.count = why->count;
        all.threshold = why->threshold;
        all.layer = why->layer;
        all.probe = why->probe;
    }
    return all;
}

static void judge(struct dp_health_state *s, const struct dp_health_config *c, uint64_t now_ns,
                  struct dp_health_actions *out)
{
    struct dp_health_change why = {.before = s->health,
                                   .after = s->health,
                                   .draining_before = s->draining,
                                   .draining_after = s->draining,
                                   .slow_before = s->slow,
                                   .slow_after = s->slow,
                                   .trial_before = s->trial,
                                   .slow_trial_before = s->slow_trial,
                                   .unprovisioned_before = s->unprovisioned,
                                   .unprovisioned_after = s->unprovisioned,
                                   .probe = s->last_probe};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!(rules[i].from & (1u << s->health)) || !rules[i].applies(s, c, now_ns, &why))
            continue;
        set_trial(s, c, rules[i].to, why.signal);
        enter(s, rules[i].to, now_ns);
        why.after = s->health;
        break;
    }
    s->region.given = false;
    struct dp_health_change flag = why;
    if (drain_changes(s, c, &flag)) {
        s->draining = !s->draining;
        flag.draining_after = s->draining;
        why = tell(&why, &flag);
    }
    flag = why;
    if (slow_changes(s, c, now_ns, &flag)) {
        flag.slow_after = s->slow;
        why = tell(&why, &flag);
    }
    flag = why;
    if (provision_changes(s, &flag)) {
        s->unprovisioned = !s->unprovisioned;
        flag.unprovisioned_after = s->unprovisioned;
        why = tell(&why, &flag);
    }
    why.slow_trial_after = s->slow_trial;
    out->changed = why.before != why.after || why.draining_before != why.draining_after ||
                   why.slow_before != why.slow_after ||
                   why.slow_trial_before != why.slow_trial_after ||
                   why.unprovisioned_before != why.unprovisioned_after;
    out->change = why;
}

/* When the next probe begins. Doubt brings it nearer; but while an endpoint that is not down says nothing, it is asked as
 * core/silence.h says. */
static void schedule(struct dp_health_state *s, const struct dp_health_config *c, uint64_t now_ns)
{
    const struct dp_silence_config silence = silence_of(c);
    bool exact;
    uint64_t span =
        dp_silence_wait(&s->silence, &silence, s->health == DP_HEALTH_DOWN, in_doubt(s), &exact);
    uint64_t due =
        s->silence.asked_ns + (exact ? span : with_jitter(span, c->jitter_percent, &s->random));
    s->probe_at_ns = due > now_ns ? due : now_ns;
}

bool dp_health_mute(const struct dp_health_state *s, const struct dp_health_config *c,
                    uint64_t now_ns)
{
    const struct dp_silence_config silence = silence_of(c);
    return s->health != DP_HEALTH_DOWN && dp_silence_waits(&s->silence, &silence, now_ns);
}

void dp_health_ask_now(struct dp_health_state *s, uint64_t now_ns)
{
    if (s->probe_at_ns > now_ns)
        s->probe_at_ns = now_ns;
}

void dp_health_step(struct dp_health_state *s, const struct dp_health_config *c,
                    const struct dp_health_event *e, uint64_t now_ns, struct dp_health_actions *out)
{
    const struct dp_silence_config silence = silence_of(c);
    bool doubt_before = in_doubt(s), ask = false;
    memset(out, 0, sizeof(*out));
    bool shallow = e->kind == DP_HEALTH_PROBE && e->layer == DP_LAYER_UP;
    switch (e->kind) {
    case DP_HEALTH_ASKED:
        out->patience_ns =
            dp_silence_ask(&s->silence, &silence, s->health == DP_HEALTH_DOWN, now_ns);
        schedule(s, c, now_ns);
        return;
    case DP_HEALTH_PROBE:
        if (shallow) {
            if (!dp_silence_end(&s->silence, &silence, e->probe_started_ns, e->probe_timed_out,
                                now_ns))
                return;
            take_probe(s, e->probe, e->probe_timed_out, out);
            hear(s, e->silent, e->probe_started_ns);
        } else {
            take_deep_probe(s, e->layer, e->probe, out);
        }
        break;
    case DP_HEALTH_REGION:
        s->region.given = true;
        s->region.rate = e->rate;
        s->region.count = e->count;
        s->region.threshold = e->threshold;
        break;
    case DP_HEALTH_TRAFFIC:
        take_trials(s, e);
        take_traffic(s, c, &e->traffic, now_ns);
        break;
    case DP_HEALTH_PACE:
        s->pace = e->pace;
        break;
    case DP_HEALTH_TICK:
        take_trials(s, e);
        turn_window(s, c, now_ns);
        break;
    }
    if ((e->kind == DP_HEALTH_TRAFFIC || e->kind == DP_HEALTH_TICK) && s->health != DP_HEALTH_DOWN)
        ask =
            dp_silence_hear(&s->silence, &silence, e->answers, e->alone ? 0 : e->under_way, now_ns);
    if (e->alone) /* of no other kind of event is that told */
        s->silence.hush = false;
    judge(s, c, now_ns, out);
    if (shallow)
        schedule(s, c, now_ns);
    else if ((ask || (!doubt_before && in_doubt(s))) && s->probe_at_ns > now_ns)
        s->probe_at_ns = now_ns;
}
