/* The query of a _changes request, as far as it says what the reader will have been told. */
#include "davenport/couch/reading.h"

#include "davenport/base/attr.h"

/* Filters that go by ids: of a document they tell always or never. */
static const struct dp_span filters_by_id[] = {
    DP_SPAN_INIT(""),
    DP_SPAN_INIT("_doc_ids"),
    DP_SPAN_INIT("_design"),
};

static bool goes_by_id(struct dp_span filter)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(filters_by_id); i++) {
        if (dp_span_eq(filter, filters_by_id[i]))
            return true;
    }
    return false;
}

/* No number is a limit that nothing keeps to: then a region that tells no "pending" proves nothing. */
static uint64_t limit_of(struct dp_span value)
{
    uint64_t n;
    return dp_span_u64(value, &n) ? n : 0;
}

struct dp_reading dp_reading_of(struct dp_span target, uint64_t settle_s)
{
    struct dp_reading r = {.all = true, .limit = UINT64_MAX, .settle_s = settle_s};
    bool by_id = true, by_content = false, descending = false;
    (void)dp_span_cut(&target, '?');
    while (target.p) {
        char name_text[DP_COUCH_NAME_BYTES], value_text[DP_COUCH_NAME_BYTES];
        struct dp_span raw = dp_span_cut(&target, '&');
        const struct dp_span name = dp_couch_name(dp_span_cut(&raw, '='), name_text);
        const struct dp_span value = dp_couch_name(raw, value_text);
        if (dp_span_ieq(name, DP_SPAN("since")) || dp_span_ieq(name, DP_SPAN("last-event-id")))
            r.since = raw.p ? raw : DP_SPAN("");
        else if (dp_span_ieq(name, DP_SPAN("filter")))
            by_id = goes_by_id(value);
        else if (dp_span_ieq(name, DP_SPAN("view")) || dp_span_ieq(name, DP_SPAN("selector")))
            by_content = true;
        else if (dp_span_ieq(name, DP_SPAN("descending")))
            descending = !dp_span_eq(value, DP_SPAN("false"));
        else if (dp_span_ieq(name, DP_SPAN("limit")))
            r.limit = limit_of(value);
    }
    r.all = by_id && !by_content && !descending;
    return r;
}

/* Of a database, or of several: what they say of themselves now. */
static bool tells_of_now(const struct dp_couch_request *r)
{
    return (r->tokens == DP_TOKENS_TOP && r->point) ||
           (r->tokens == DP_TOKENS_NESTED && r->db.n == 0);
}

static bool is_feed(const struct dp_couch_request *r)
{
    return r->db.n > 0 && (r->tokens == DP_TOKENS_CHANGES || r->tokens == DP_TOKENS_LINES ||
                           r->tokens == DP_TOKENS_EVENTS);
}

/* Who begins at the very beginning, or behind all there is, cannot have been ahead of a node that answers. */
static bool begins_clean(const struct dp_token *since)
{
    return since->token.n == 0 || dp_span_eq(since->token, DP_SPAN("0")) ||
           dp_span_eq(since->token, DP_SPAN("now"));
}

/* A run that is old enough from now on. */
static uint64_t settled_run(const struct dp_reading *reading, uint64_t asked_s)
{
    return asked_s > reading->settle_s ? asked_s - reading->settle_s : 1;
}

struct dp_token_times dp_reading_times(const struct dp_couch_request *r,
                                       const struct dp_reading *reading,
                                       const struct dp_token *since, uint64_t asked_s)
{
    struct dp_token_times t = {.limit = reading->limit};
    if (tells_of_now(r)) {
        t.before = (struct dp_token_time){asked_s, settled_run(reading, asked_s)};
        return t;
    }
    if (!is_feed(r))
        return t;
    t.before.caught_up_s =
        dp_span_eq(since->token, DP_SPAN("now")) ? asked_s : since->time.caught_up_s;
    if (!reading->all)
        return t;
    t.whole.run_s = begins_clean(since)           ? settled_run(reading, asked_s)
                    : since->time.run_s == 0      ? asked_s
                    : since->time.run_s > asked_s ? asked_s /* a clock was set back */
                                                  : since->time.run_s;
    t.whole.caught_up_s = t.before.caught_up_s;
    if (asked_s >= t.whole.run_s + reading->settle_s && asked_s > t.before.caught_up_s)
        t.whole.caught_up_s = asked_s;
    return t;
}
