/* Who follows the admin server's events, line by line, or its live feed: chunks, written as they come. What is not yet
 * written waits in the stream, up to a bound; who does not read is cut off. */
#include "app/admin_state.h"

#define BEAT_MS      15000 /* an empty line for who follows: is it still there? */
#define STREAM_BYTES ((size_t)4 << 20)
#define SOON_MS      50 /* a line was told: what it changed is, after all that happens at once */
/* Who is so far behind with the live feed is cut off: it comes back, and is up to date. */
#define LIVE_BYTES ((size_t)1 << 20)

static void add_chunk(struct dp_span text, struct dp_span end, struct dp_text *out)
{
    dp_text_addf(out, "%zx\r\n", text.n + end.n);
    dp_text_add(out, text);
    dp_text_add(out, end);
    dp_text_add(out, DP_SPAN("\r\n"));
}

/* Chunks, to who follows; not to one that does not read what waits already. */
static void write_stream(struct admin_conn *c, const struct dp_text *chunks)
{
    const struct dp_span span = dp_text_span(chunks);
    const size_t most = c->answer.follow == DP_FOLLOW_LIVE ? LIVE_BYTES : STREAM_BYTES;
    if (chunks->failed || dp_stream_pending(c->stream) + span.n > most ||
        dp_stream_write(c->stream, &span, 1) != DP_OK) {
        admin_close(c);
    }
}

/* A chunk of the stream: `text`, ended by `end`. */
static void write_chunk(struct admin_conn *c, struct dp_span text, struct dp_span end)
{
    struct dp_text chunk = {0};
    add_chunk(text, end, &chunk);
    write_stream(c, &chunk);
    dp_text_fini(&chunk);
}

#define NEWLINE DP_SPAN("\n")

static void on_beat(uv_timer_t *timer)
{
    write_chunk(timer->data, DP_SPAN(""), NEWLINE);
}

/* The head, and what is known already: each line a chunk, or all of it one. The live feed needs no beat of its own. */
void admin_begin_stream(struct admin_conn *c)
{
    const bool live = c->answer.follow == DP_FOLLOW_LIVE;
    c->keep_alive = false;
    if (c->head.method == DP_METHOD_HEAD) {
        admin_send(c);
        return;
    }
    struct dp_text first = {0};
    struct dp_span rest = dp_text_span(&c->answer.body);
    dp_text_add(&first, (struct dp_span){c->answer_head, admin_write_head(c)});
    if (live) {
        add_chunk(rest, DP_SPAN(""), &first);
        rest.p = NULL;
    }
    while (rest.p) {
        struct dp_span line = dp_span_cut(&rest, '\n');
        if (line.n) {
            add_chunk(line, NEWLINE, &first);
        }
    }
    c->phase = ADMIN_STREAM;
    if (live) {
        (void)uv_timer_stop(&c->timer);
    } else {
        (void)uv_timer_start(&c->timer, on_beat, BEAT_MS, BEAT_MS);
    }
    write_stream(c, &first);
    dp_text_fini(&first);
}

static bool follows(const struct admin_conn *c, enum dp_admin_follow what)
{
    return c->phase == ADMIN_STREAM && c->answer.follow == what;
}

unsigned admin_count_watchers(struct dp_admin *a)
{
    unsigned watchers = 0;
    for (struct dp_list *n = a->conns.next; n != &a->conns; n = n->next) {
        watchers += follows(DP_CONTAINER_OF(n, struct admin_conn, node), DP_FOLLOW_LIVE);
    }
    return watchers;
}

static void tell(struct dp_admin *a, enum dp_admin_follow whom, struct dp_span text,
                 struct dp_span end)
{
    struct dp_list *next;
    for (struct dp_list *n = a->conns.next; n != &a->conns && text.n > 0; n = next) {
        struct admin_conn *c = DP_CONTAINER_OF(n, struct admin_conn, node);
        next = n->next;
        if (follows(c, whom)) {
            write_chunk(c, text, end);
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct dp_admin *a = timer->data;
    dp_text_clear(&a->events);
    dp_live_tick(&a->live, &a->source, admin_count_watchers(a) ? &a->events : NULL);
    if (!a->events.failed) {
        tell(a, DP_FOLLOW_LIVE, dp_text_span(&a->events), DP_SPAN(""));
    }
    a->hurried = false;
}

/* An event's line to the live feed, and soon what it changed. */
static void tell_live(struct dp_admin *a, struct dp_span line)
{
    bool watched = admin_count_watchers(a) > 0;
    dp_text_clear(&a->events);
    dp_live_line(&a->live, line, watched ? &a->events : NULL);
    if (!watched) {
        return;
    }
    if (!a->events.failed) {
        tell(a, DP_FOLLOW_LIVE, dp_text_span(&a->events), DP_SPAN(""));
    }
    if (!a->hurried && !a->done) {
        a->hurried = true;
        (void)uv_timer_start(&a->tick, on_tick, SOON_MS, DP_LIVE_MS);
    }
}

void dp_admin_event(struct dp_admin *a, struct dp_span line)
{
    tell(a, DP_FOLLOW_LINES, line, NEWLINE);
    if (a->source.live) {
        tell_live(a, line);
    }
}

void admin_start_feed(struct dp_admin *a)
{
    (void)uv_timer_init(a->net.loop, &a->tick); /* cannot fail */
    a->tick.data = a;
    a->ticking = true;
    (void)uv_timer_start(&a->tick, on_tick, 0, DP_LIVE_MS);
}
