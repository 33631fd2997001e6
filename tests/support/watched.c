/* The regions of watched.h. */
#include "support/watched.h"

#include "davenport/core/seen.h"

#include "support/nomem.h"

static bool holds(const struct watched_region *m, unsigned doc)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (m->docs[i] == doc)
            return true;
    }
    return false;
}

void watched_put(struct watched_region *m, unsigned doc)
{
    if (!holds(m, doc))
        m->docs[m->n++] = doc;
}

void watched_replicate(struct watched *w, unsigned from, unsigned to)
{
    for (unsigned i = 0; i < w->regions[from].n; i++)
        watched_put(&w->regions[to], w->regions[from].docs[i]);
}

static void say(struct watched_region *m, struct script_server *s, uint16_t status)
{
    script_server_says(s, SCRIPT_ANSWER, status, m->body);
}

static void feed(struct watched_region *m, const char *head)
{
    const char *since = strstr(head, "since=");
    unsigned from = since ? (unsigned)strtoul(since + 6, NULL, 10) : 0;
    size_t at = (size_t)snprintf(m->body, sizeof(m->body), "{\"results\":[");
    m->feeds++;
    for (unsigned i = from; i < m->n; i++)
        at += (size_t)snprintf(m->body + at, sizeof(m->body) - at,
                               "%s{\"seq\":null,\"id\":\"d%u\",\"changes\":[{\"rev\":\"1-%u\"}]}",
                               i > from ? "," : "", m->docs[i], m->docs[i]);
    (void)snprintf(m->body + at, sizeof(m->body) - at, "],\"last_seq\":\"%u-r%u\",\"pending\":0}",
                   m->n, m->number);
}

static void diff(struct watched_region *m, const char *head)
{
    json_t *asked = json_loads(strstr(head, "\r\n\r\n") + 4, 0, NULL), *out = json_object(), *revs;
    const char *id;
    assert_non_null(asked);
    m->diffs++;
    json_object_foreach (asked, id, revs) {
        if (!holds(m, (unsigned)strtoul(id + 1, NULL, 10)))
            json_object_set_new(out, id, json_pack("{s:O}", "missing", revs));
    }
    char *text = json_dumps(out, 0);
    (void)snprintf(m->body, sizeof(m->body), "%s", text);
    free(text);
    json_decref(out);
    json_decref(asked);
}

static void jobs(struct watched_region *m)
{
    const struct desk *d = m->watched->desk;
    unsigned other = 1 - m->number;
    (void)snprintf(m->body, sizeof(m->body),
                   "{\"total_rows\":1,\"docs\":[{\"doc_id\":\"push\",\"id\":\"abc%u+continuous\","
                   "\"source\":\"%s/orders/\",\"target\":\"%s/orders/\",\"state\":\"%s\","
                   "\"info\":{\"doc_write_failures\":%u,\"error\":\"why not\"}}]}",
                   m->number, d->urls[m->number], d->urls[other], m->state, m->failures);
}

static void answer_of(struct watched_region *m, struct script_server *s)
{
    (void)snprintf(m->body, sizeof(m->body), "{\"error\":\"not_found\",\"reason\":\"missing\"}");
    if (strncmp(s->head, "GET /_up", 8) == 0) {
        (void)snprintf(m->body, sizeof(m->body), "{\"status\":\"ok\"}");
        say(m, s, 200);
    } else if (strncmp(s->head, "GET /_scheduler/docs/_replicator", 32) == 0) {
        jobs(m);
        say(m, s, m->no_jobs ? m->no_jobs : 200);
    } else if (strncmp(s->head, "GET /_replicator/push", 21) == 0) {
        (void)snprintf(m->body, sizeof(m->body), "{\"_id\":\"push\",\"continuous\":true}");
        say(m, s, 200);
    } else if (m->gone || m->refuses ||
               strncmp(s->head + 4, "/orders", 7) * strncmp(s->head + 5, "/orders", 7) != 0) {
        say(m, s, m->refuses ? m->refuses : 404);
    } else if (strstr(s->head, "/orders/_local/abc")) {
        (void)snprintf(m->body, sizeof(m->body), "{\"source_last_seq\":\"%u-r%u\"}", m->checkpoint,
                       1 - m->number);
        say(m, s, m->no_checkpoint ? 404 : 200);
    } else if (strstr(s->head, "/orders/_changes")) {
        feed(m, s->head);
        say(m, s, 200);
    } else if (strstr(s->head, "/orders/_revs_diff")) {
        diff(m, s->head);
        say(m, s, 200);
    } else {
        (void)snprintf(m->body, sizeof(m->body),
                       "{\"update_seq\":\"%u-r%u\",\"instance_start_time\":\"%u\"}", m->n,
                       m->number, 17 + m->number);
        say(m, s, 200);
    }
}

/* What a region takes is not the program's. */
static void answer(void *ctx, struct script_server *s)
{
    nomem_pause();
    answer_of(ctx, s);
    nomem_resume();
}

static void on_mark(void *ctx, const struct dp_replication_mark *m)
{
    struct watched *w = ctx;
    assert_string_equal(m->database, "orders");
    assert_true(m->read_ns <= w->desk->now_ns && m->token.n > 0);
    w->marks++;
}

static void on_look(void *ctx, const struct dp_replication_look *l)
{
    struct watched *w = ctx;
    const struct watched_region *r = &w->regions[*l->region == 'b'];
    char told[16];
    assert_string_equal(l->database, "orders");
    (void)snprintf(told, sizeof(told), "-r%u", r->number);
    assert_true(l->update_seq.n > 3 && memcmp(l->update_seq.p + l->update_seq.n - 3, told, 3) == 0);
    assert_true(l->asked_ns > 0 && l->asked_ns <= w->desk->now_ns);
    w->looks++;
}

static void on_anew(void *ctx, const char *database, const char *region)
{
    assert_string_equal(database, "orders");
    assert_true(*region != '\0');
    ((struct watched *)ctx)->anew++;
}

int watched_setup(void **state)
{
    if (desk_setup(state) != 0)
        return -1;
    struct desk *d = *state;
    struct watched *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    *state = w;
    w->desk = d;
    for (unsigned i = 0; i < 2; i++) {
        struct watched_region *m = &w->regions[i];
        *m = (struct watched_region){.watched = w, .number = i, .state = "running"};
        d->servers[i].choose = answer;
        d->servers[i].ctx = m;
        for (unsigned doc = 0; doc < 3; doc++)
            watched_put(m, doc);
    }
    d->config.probe_timeout_ms = 600000; /* real time, and the machine may be busy */
    d->config.probe_interval_ms = 200;
    d->config.probe_fast_ms = 20;
    d->config.failback_hold_ms = 200;
    d->config.failback_pause_ms = 1000;
    d->config.replication_interval_ms = 100;
    d->config.replication_samples = 2;
    d->listener = (struct dp_replication_listener){
        .mark = on_mark, .look = on_look, .anew = on_anew, .ctx = w};
    dp_seen_note(&d->workers[0]->seen, DP_SPAN("orders"), DP_SEEN_TICK(d->now_ns));
    return 0;
}

int watched_teardown(void **state)
{
    struct watched *w = *state;
    *state = w->desk;
    const int rc = desk_teardown(state);
    free(w);
    return rc;
}

void watched_turn(struct watched *w, uint64_t ms)
{
    struct desk *d = w->desk;
    desk_turn(d, ms);
    for (size_t i = 0; i < 2 && d->view && w->keeps_pauses; i++) {
        if (!(i == 1 && w->knows_late && d->view->active == 0))
            atomic_store(&d->workers[i]->rests, d->view->pause);
    }
}

void watched_turns(struct watched *w, unsigned n, uint64_t ms)
{
    while (n-- > 0)
        watched_turn(w, ms);
}

const struct dp_gate_condition *watched_gate(struct watched *w)
{
    const struct dp_gate *g = &desk_status(w->desk)->regions[0].gate;
    for (uint16_t i = 0; i < g->n; i++) {
        if (g->conditions[i].kind == DP_GATE_REPLICATION)
            return &g->conditions[i];
    }
    fail_msg("the gate does not ask for it");
    return NULL;
}

void watched_await_word(struct watched *w, const char *word)
{
    for (unsigned i = 0; i < 20000; i++) {
        if (strstr(watched_gate(w)->why, word))
            return;
        watched_turn(w, WATCHED_STEP_MS);
    }
    fail_msg("not \"%s\" but \"%s\"", word, watched_gate(w)->why);
}

void watched_await(struct watched *w, const char *event, unsigned count)
{
    for (unsigned i = 0; i < 20000 && desk_count(w->desk, event) < count; i++)
        watched_turn(w, WATCHED_STEP_MS);
    if (desk_count(w->desk, event) != count)
        fail_msg("%s was told %u times, not %u; %s", event, desk_count(w->desk, event), count,
                 watched_gate(w)->why);
}

void watched_await_writes(struct watched *w)
{
    for (unsigned i = 0; i < 20000 && w->desk->view->pause != 0; i++)
        watched_turn(w, WATCHED_STEP_MS);
    assert_int_equal(w->desk->view->pause, 0);
}

void watched_lose_and_return(struct watched *w, unsigned written)
{
    struct desk *d = w->desk;
    w->keeps_pauses = true;
    watched_await(w, "region_up:a", 1);
    watched_await(w, "region_up:b", 1);
    watched_turns(w, 400, WATCHED_STEP_MS);
    script_server_kill(&d->servers[0]);
    watched_await(w, "region_down:a", 1);
    for (unsigned i = 0; i < written; i++)
        watched_put(&w->regions[1], 3 + i);
    script_server_revive(&d->servers[0]);
    watched_await(w, "held_down:a", 1);
}
