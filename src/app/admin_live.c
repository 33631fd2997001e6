/* The live feed's events, and the numbers by which a reader that comes back says what it has. */
#include "app/admin_live.h"

#include "app/json_memory.h"

#include <inttypes.h>
#include <stdio.h>

#define ID_BYTES 48
#define SLACK_MS 50 /* of the timer that brings the ticks */

bool dp_live_init(struct dp_live *live, const struct dp_clock *clock,
                  const struct dp_admin_source *source)
{
    struct dp_span lines[DP_ADMIN_EVENTS];
    struct dp_report report;
    source->report(source->ctx, &report);
    *live = (struct dp_live){
        .history = dp_history_new(), .clock = clock, .run = report.started_wall_ms};
    live->told = source->events(source->ctx, lines, DP_ADMIN_EVENTS);
    return live->history != NULL;
}

void dp_live_fini(struct dp_live *live)
{
    dp_history_free(live->history);
    live->history = NULL;
}

static uint64_t now_ms(const struct dp_live *live)
{
    return dp_clock_mono_ns(live->clock) / DP_NS_PER_MS;
}

void dp_sse_add(struct dp_text *out, const char *event, const char *id, struct dp_span data)
{
    struct dp_span rest = data;
    if (id) {
        dp_text_addf(out, "id: %s\n", id);
    }
    dp_text_addf(out, "event: %s\n", event);
    do {
        struct dp_span line = dp_span_cut(&rest, '\n');
        if (line.n > 0 || rest.p) { /* a text's last newline ends its last line and begins none */
            dp_text_add(out, DP_SPAN("data: "));
            dp_text_add(out, line);
            dp_text_add(out, DP_SPAN("\n"));
        }
    } while (rest.p);
    dp_text_add(out, DP_SPAN("\n"));
}

/* What could not be made whole is left out: the next one is a second away. False: it was. */
static bool add_whole(struct dp_text *out, const char *event, const struct dp_text *data,
                      unsigned refused)
{
    const bool whole = !data->failed && dp_json_memory_refused() == refused;
    if (whole) {
        dp_sse_add(out, event, NULL, dp_text_span(data));
    }
    return whole;
}

static bool add_state(const struct dp_report *r, struct dp_text *out)
{
    const unsigned refused = dp_json_memory_refused();
    struct dp_text data = {0};
    dp_text_add(&data, DP_SPAN("{\"status\":"));
    dp_report_json(r, &data);
    dp_text_add(&data, DP_SPAN(",\"explain\":"));
    dp_report_explain(r, &data);
    dp_text_add(&data, DP_SPAN("}"));
    const bool whole = add_whole(out, "state", &data, refused);
    dp_text_fini(&data);
    return whole;
}

void dp_live_tick(struct dp_live *live, const struct dp_admin_source *source, struct dp_text *out)
{
    const uint64_t now = now_ms(live);
    const bool due =
        live->sampled_ms == 0 || now - live->sampled_ms >= DP_HISTORY_STEP_MS - SLACK_MS;
    struct dp_report report;
    if (!due && !out) {
        return;
    }
    source->report(source->ctx, &report);
    if (due) {
        dp_history_sample(live->history, &report, now);
        live->sampled_ms = now;
    }
    if (out && due) {
        const unsigned refused = dp_json_memory_refused();
        struct dp_text point = {0};
        dp_history_json(live->history, 1, now, &point);
        (void)add_whole(out, "history", &point, refused);
        dp_text_fini(&point);
    }
    if (out) {
        (void)add_state(&report, out);
    }
}

static void add_line(const struct dp_live *live, uint64_t number, struct dp_span line,
                     struct dp_text *out)
{
    char id[ID_BYTES];
    if (snprintf(id, sizeof id, "%" PRId64 "-%" PRIu64, live->run, number) > 0) {
        dp_sse_add(out, "journal", id, line);
    }
}

void dp_live_line(struct dp_live *live, struct dp_span line, struct dp_text *out)
{
    live->told++;
    if (out) {
        add_line(live, live->told, line, out);
    }
}

/* The number of the last line that who asks has of this run; 0: none. */
static uint64_t last_seen(const struct dp_head *head, int64_t run)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (!dp_span_ieq(head->headers[i].name, DP_SPAN("last-event-id"))) {
            continue;
        }
        struct dp_span number = head->headers[i].value;
        const struct dp_span of = dp_span_cut(&number, '-');
        uint64_t theirs;
        uint64_t n;
        if (number.p && dp_span_u64(of, &theirs) && theirs == (uint64_t)run &&
            dp_span_u64(number, &n)) {
            return n;
        }
    }
    return 0;
}

void dp_admin_live(const struct dp_admin_source *source, const struct dp_admin_request *request,
                   struct dp_admin_answer *answer)
{
    struct dp_span lines[DP_ADMIN_EVENTS];
    struct dp_report report;
    if (request->head->minor == 0) {
        dp_admin_refuse(answer, 400, "bad_request", "following needs HTTP/1.1");
        return;
    }
    source->report(source->ctx, &report);
    const struct dp_live *live = source->live;
    const uint64_t seen = last_seen(request->head, live->run);
    const size_t n = source->events(source->ctx, lines, DP_ADMIN_EVENTS);
    answer->type = "text/event-stream";
    answer->follow = DP_FOLLOW_LIVE;
    for (size_t i = 0; i < n; i++) {
        const uint64_t number = live->told - (n - 1 - i);
        if (number > seen) {
            add_line(live, number, lines[i], &answer->body);
        }
    }
    if (!add_state(&report, &answer->body)) {
        answer->body.failed = true;
    }
}

void dp_admin_history(const struct dp_admin_source *source, const struct dp_admin_request *request,
                      struct dp_admin_answer *answer)
{
    (void)request;
    dp_history_json(source->live->history, DP_HISTORY_POINTS, now_ms(source->live), &answer->body);
}
