/* The load at work: see load.h for what it is. load_new.c makes and ends it, load_json.c tells of it.
 *
 * All requests come from one line, so the line is two numbers: requests with numbers from `taken` to `due - 1` wait, and
 * number k was due at dp_schedule_at(k). What request k is, is a function of k.
 *
 * Two clocks: the ticker (timerfd) makes requests due; the sweeper, every DP_LOAD_SWEEP_MS, does all that is not that exact:
 * timeouts, lost connections, rows a second, the ends of phases. Callbacks to the owner run in both, and when an answer comes. */
#include "davenport/base/clock.h"

#include "drill/load_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CREATE_AGAIN_NS (UINT64_C(200) * DP_NS_PER_MS)
#define BEGIN_NS        (DP_LOAD_BEGIN_MS * DP_NS_PER_MS)

static struct client *client_of(struct dp_link *l)
{
    return DP_CONTAINER_OF(l, struct client, link);
}

static uint32_t ledger_ms(const struct dp_load *load, uint64_t now_ns)
{
    return now_ns > load->origin_ns ? (uint32_t)((now_ns - load->origin_ns) / DP_NS_PER_MS) : 0;
}

static uint64_t timeout_ns(const struct dp_load *load)
{
    return load->config.timeout_ms * DP_NS_PER_MS;
}

static uint64_t due_at(const struct dp_load *load, uint64_t k)
{
    return load->start_ns + dp_schedule_at(&load->schedule, k);
}

/* It can't go on. What is under way is given up at the next sweep. */
static void give_up(struct dp_load *load, enum dp_err err, const char *why)
{
    if (load->err == DP_OK) {
        load->err = err;
        (void)snprintf(load->why, sizeof(load->why), "%s", why);
        load->stop = load->stop_at_once = true;
    }
}

/* What the sweep waits for has come: it need not wait for its turn. */
static void hurry(struct dp_load *load)
{
    (void)uv_timer_start(&load->sweeper, dp_load_on_sweep, 0, DP_LOAD_SWEEP_MS);
}

/* ---- requests ---- */

static void count(struct dp_load *load, uint64_t number, const struct dp_load_end *end)
{
    if (number < load->skipped || end->failure == DP_LOAD_FAILED_STOPPED) {
        return;
    }
    load->ok += end->failure == DP_LOAD_FAILED_NONE;
    load->failed += end->failure != DP_LOAD_FAILED_NONE;
    dp_tally_end(load->tally, end);
    if (load->events.ended) {
        load->events.ended(load->ctx, end);
    }
}

/* A slot has its first document, or still not. */
static void created(struct dp_load *load, const struct dp_load_end *end, uint64_t now_ns)
{
    char why[DP_LOAD_WHY];
    if (end->failure == DP_LOAD_FAILED_NONE) {
        load->n_created++;
        if (load->n_created == load->config.documents) {
            hurry(load);
        }
        return;
    }
    load->create_at_ns = now_ns + CREATE_AGAIN_NS;
    load->create_failure = end->failure;
    load->create_status = end->status;
    if (end->status >= 400 && end->status < 500) { /* it will be told so again */
        (void)snprintf(why, sizeof(why), "a document that was to be made was answered %u",
                       end->status);
        give_up(load, DP_EINVAL, why);
    }
}

/* What the client did is over. The client's state is the link's. */
static void end_request(struct client *c, enum dp_load_failure failure)
{
    struct dp_load *load = c->load;
    const struct dp_answer *a = &c->link.answer;
    uint64_t now_ns = uv_hrtime();
    struct dp_load_end end = {.kind = c->job.kind, .due_ns = c->due_ns, .sent_ns = c->link.sent_ns};
    uint8_t region = DP_LEDGER_NO_REGION;
    if (failure == DP_LOAD_FAILED_NONE) {
        end.status = a->status;
        end.region = (struct dp_span){a->value, a->value_n};
        region = end.region.n > 0 ? (uint8_t)dp_tally_place(load->tally, end.region)
                                  : DP_LEDGER_NO_REGION;
    }
    c->job.unsettled = failure == DP_LOAD_FAILED_NONE && dp_answer_unsettled(a);
    end.failure =
        dp_work_end(load->work, &c->job, failure, end.status, (struct dp_span){c->body, c->body_n},
                    c->body_cut, region, ledger_ms(load, now_ns));
    /* A late sweep is no longer latency than the timeout is. */
    end.done_ns = now_ns < c->due_ns + timeout_ns(load) ? now_ns : c->due_ns + timeout_ns(load);
    load->under_way--;
    c->busy = false;
    if (c->creating) {
        c->creating = false;
        created(load, &end, now_ns);
    } else {
        count(load, c->number, &end);
    }
    if (load->phase == DP_PHASE_LAST && load->under_way == 0) {
        hurry(load);
    }
}

/* The line's first could not be sent in time. */
static void end_unsent(struct dp_load *load, uint64_t number)
{
    uint64_t due_ns = due_at(load, number);
    struct dp_load_end end = {.kind = dp_work_kind(load->work, number),
                              .failure = DP_LOAD_FAILED_UNSENT,
                              .due_ns = due_ns,
                              .done_ns = due_ns + timeout_ns(load)};
    count(load, number, &end);
}

static void send_job(struct client *c, const struct dp_span request[2], uint64_t now_ns)
{
    struct dp_load *load = c->load;
    dp_list_remove(&c->node);
    c->busy = true;
    c->body_n = 0;
    c->body_cut = false;
    load->under_way++;
    if (!dp_link_send(&c->link, request, 2, now_ns)) {
        load->standing--;
        end_request(c, DP_LOAD_FAILED_CLOSED);
    }
}

static struct client *first_free(struct dp_load *load)
{
    return dp_list_empty(&load->free) ? NULL
                                      : DP_CONTAINER_OF(load->free.next, struct client, node);
}

static void full(struct dp_load *load)
{
    give_up(load, DP_ELIMIT, "the ledger has no room for another write");
}

static void send_due(struct dp_load *load)
{
    struct client *c;
    while (!load->stop_at_once && load->taken < load->due && (c = first_free(load)) != NULL) {
        struct dp_span request[2];
        uint64_t now_ns = uv_hrtime();
        uint64_t k = load->taken;
        if (!dp_work_begin(load->work, dp_work_kind(load->work, k), k, ledger_ms(load, now_ns),
                           &c->job, request)) {
            full(load);
            return;
        }
        load->taken++;
        c->number = k;
        c->due_ns = due_at(load, k);
        if (k >= load->skipped) {
            dp_histogram_add(&load->lag, now_ns > c->due_ns ? now_ns - c->due_ns : 0);
        }
        send_job(c, request, now_ns);
    }
}

/* A first document for each slot that has none. */
static void create_documents(struct dp_load *load)
{
    uint32_t slots = load->config.documents;
    uint64_t now_ns = uv_hrtime();
    struct client *c;
    struct dp_ledger_read read;
    for (uint32_t i = 0;
         i < slots && !load->stop_at_once && now_ns >= load->create_at_ns &&
         load->n_created + load->under_way < slots && (c = first_free(load)) != NULL;
         i++) {
        struct dp_span request[2];
        struct dp_ledger_counts counts;
        uint32_t slot = load->next_slot;
        load->next_slot = (slot + 1) % slots;
        if (dp_ledger_read_begin(load->ledger, slot, &read)) {
            continue;
        }
        if (dp_work_create(load->work, slot, ledger_ms(load, now_ns), &c->job, request)) {
            c->creating = true;
            c->due_ns = now_ns;
            send_job(c, request, now_ns);
            continue;
        }
        dp_ledger_count(load->ledger, &counts); /* else one is under way there */
        if (counts.full) {
            full(load);
        }
    }
}

static void pump(struct dp_load *load)
{
    if (load->phase == DP_PHASE_DOCUMENTS) {
        create_documents(load);
    } else if (load->phase == DP_PHASE_LOAD || load->phase == DP_PHASE_LAST) {
        send_due(load);
    }
}

/* ---- connections ---- */

static void rest(struct client *c)
{
    dp_list_push_back(&c->load->free, &c->node);
    pump(c->load);
}

static void on_free(struct dp_link *l)
{
    struct client *c = client_of(l);
    struct dp_load *load = c->load;
    load->standing++;
    if (load->phase == DP_PHASE_CONNECTING && load->standing == load->config.connections) {
        hurry(load);
    }
    rest(c);
}

static void on_body(struct dp_link *l, struct dp_span part)
{
    struct client *c = client_of(l);
    size_t room = c->job.keep_bytes - c->body_n;
    size_t n = part.n < room ? part.n : room;
    c->body_cut = c->body_cut || n < part.n;
    if (n == 0) {
        return;
    }
    if (c->body_n + n > c->body_cap) {
        size_t cap = c->body_cap > 0 ? c->body_cap : 1024;
        while (cap < c->body_n + n) {
            cap *= 2;
        }
        char *p = realloc(c->body, cap);
        if (!p) { /* the answer can't be read: that is what it counts as */
            c->job.keep_bytes = c->body_n;
            c->body_cut = true;
            return;
        }
        c->body = p;
        c->body_cap = cap;
    }
    memcpy(c->body + c->body_n, part.p, n);
    c->body_n += n;
}

static void on_answered(struct dp_link *l)
{
    struct client *c = client_of(l);
    end_request(c, DP_LOAD_FAILED_NONE);
    if (!l->leaving) {
        rest(c);
    }
}

/* The link is down: what it was doing has failed. */
static void gone(struct client *c, int state, enum dp_load_failure why)
{
    dp_list_remove(&c->node);
    if (state == DP_LINK_FREE || state == DP_LINK_BUSY) {
        c->load->standing--;
    }
    if (c->busy) {
        end_request(c, why);
    }
}

static void on_lost(struct dp_link *l, int state, enum dp_load_failure why)
{
    struct client *c = client_of(l);
    gone(c, state, why);
    if (c->load->phase < DP_PHASE_DONE) {
        dp_link_tend(l, uv_hrtime());
    }
}

const struct dp_link_events dp_load_link_events = {on_free, on_body, on_answered, on_lost};

static void drop(struct client *c, uint64_t now_ns, enum dp_load_failure why)
{
    enum dp_link_state state = c->link.state;
    dp_link_drop(&c->link, now_ns);
    gone(c, (int)state, why);
}

/* ---- phases ---- */

static void enter(struct dp_load *load, enum dp_load_phase phase, uint64_t now_ns)
{
    assert(phase > load->phase);
    load->phase = phase;
    load->phase_ns = now_ns;
}

static void begin_load(struct dp_load *load, uint64_t now_ns)
{
    struct itimerspec every = {0};
    const long tick_ns = (long)load->config.tick_us * 1000;
    uint64_t warmup_ns = (uint64_t)(load->config.warmup_s * (double)DP_NS_PER_S);
    every.it_interval.tv_sec = tick_ns / (long)DP_NS_PER_S;
    every.it_interval.tv_nsec = tick_ns % (long)DP_NS_PER_S;
    every.it_value = every.it_interval;
    load->seen_ns = now_ns;
    load->start_ns = now_ns + (uint64_t)tick_ns;
    dp_tally_begin(load->tally, load->start_ns + warmup_ns);
    enter(load, DP_PHASE_LOAD, now_ns);
    if (timerfd_settime(load->timer_fd, 0, &every, NULL) != 0) {
        give_up(load, DP_EIO, strerror(errno));
    }
    if (load->events.begun) {
        load->events.begun(load->ctx, load->start_ns + warmup_ns);
    }
}

static void make_due(struct dp_load *load, uint64_t now_ns)
{
    uint64_t since = now_ns > load->start_ns ? now_ns - load->start_ns : 0;
    uint64_t due = dp_schedule_due(&load->schedule, since, load->due);
    for (uint64_t k = load->due; k < due; k++) {
        if (k >= load->skipped) {
            dp_tally_due(load->tally, due_at(load, k));
        }
    }
    load->due = due;
}

static void expire_sent(struct dp_load *load, uint64_t now_ns)
{
    for (unsigned i = 0; i < load->config.connections; i++) {
        struct client *c = &load->clients[i];
        if (c->busy && (load->stop_at_once || now_ns >= c->due_ns + timeout_ns(load))) {
            drop(c, now_ns, load->stop_at_once ? DP_LOAD_FAILED_STOPPED : DP_LOAD_FAILED_TIMEOUT);
        }
    }
}

static void expire_line(struct dp_load *load, uint64_t now_ns)
{
    while (load->taken < load->due &&
           (load->stop_at_once || now_ns >= due_at(load, load->taken) + timeout_ns(load))) {
        uint64_t number = load->taken++;
        if (!load->stop_at_once) {
            end_unsent(load, number);
        }
    }
}

static void tell_rows(struct dp_load *load, uint64_t now_ns)
{
    struct dp_load_second row;
    while (dp_tally_row(load->tally, now_ns, &row)) {
        load->rows[load->n_rows++] = row;
        if (load->events.second) {
            load->events.second(load->ctx, &row);
        }
    }
}

/* What time has brought since the last call. Should this process have stood still for long, second by second, for rows are
 * open for as long as a request may take and no longer. */
static void catch_up(struct dp_load *load, uint64_t now_ns)
{
    while (load->phase == DP_PHASE_LOAD && load->seen_ns + DP_NS_PER_S < now_ns) {
        load->seen_ns += DP_NS_PER_S;
        make_due(load, load->seen_ns);
        expire_sent(load, load->seen_ns);
        expire_line(load, load->seen_ns);
        tell_rows(load, load->seen_ns);
    }
    load->seen_ns = now_ns;
    if (load->phase == DP_PHASE_LOAD) {
        make_due(load, now_ns);
    }
}

void dp_load_on_tick(uv_poll_t *poll, int status, int events)
{
    struct dp_load *load = poll->data;
    uint64_t times;
    (void)status;
    (void)events;
    (void)!read(load->timer_fd, &times, sizeof(times)); /* how many is of no interest */
    if (load->phase == DP_PHASE_LOAD && !load->stop) {
        catch_up(load, uv_hrtime());
        send_due(load);
    }
}

static bool all_follow(const struct dp_load *load)
{
    for (unsigned i = 0; i < load->n_followers; i++) {
        if (!load->followers[i].stands) {
            return false;
        }
    }
    return true;
}

static void documents_late(struct dp_load *load)
{
    char why[DP_LOAD_WHY];
    char status[16] = "";
    if (load->create_failure == DP_LOAD_FAILED_STATUS) {
        (void)snprintf(status, sizeof(status), " %u", load->create_status);
    }
    (void)snprintf(why, sizeof(why), "%u of %u first documents were made in %d s%s%s%s",
                   load->n_created, load->config.documents, DP_LOAD_BEGIN_MS / 1000,
                   load->create_failure == DP_LOAD_FAILED_NONE ? "" : "; the last one failed: ",
                   dp_load_failure_name(load->create_failure), status);
    give_up(load, DP_ETIMEOUT, why);
}

static void go_on(struct dp_load *load, uint64_t now_ns)
{
    const uint64_t spent = now_ns - load->phase_ns;
    const bool late = spent > BEGIN_NS;
    switch (load->phase) {
    case DP_PHASE_CONNECTING:
        if (load->standing == load->config.connections ||
            (load->standing > 0 && spent > timeout_ns(load))) {
            enter(load, load->ledger ? DP_PHASE_DOCUMENTS : DP_PHASE_FOLLOWERS, now_ns);
        } else if (spent > timeout_ns(load)) {
            give_up(load, DP_ECONNECT, "no connection stands");
        }
        break;
    case DP_PHASE_DOCUMENTS:
        create_documents(load);
        if (load->n_created == load->config.documents) {
            enter(load, DP_PHASE_FOLLOWERS, now_ns);
        } else if (late) {
            documents_late(load);
        }
        break;
    case DP_PHASE_FOLLOWERS:
        if (all_follow(load)) {
            begin_load(load, now_ns);
        } else if (late) {
            give_up(load, DP_ETIMEOUT, "a follower of the changes found no beginning");
        }
        break;
    case DP_PHASE_LOAD:
        if (load->due == load->schedule.total) {
            enter(load, DP_PHASE_LAST, now_ns);
        }
        break;
    case DP_PHASE_IDLE:
    case DP_PHASE_LAST:
    case DP_PHASE_DONE:
        break;
    }
}

static const char *phase_name(const struct dp_load *load, uint64_t now_ns)
{
    static const char *const names[] = {
        "idle", "connecting", "first documents", "followers", "load", "last answers", "done"};
    bool warms = load->phase == DP_PHASE_LOAD &&
                 now_ns < load->start_ns + (uint64_t)(load->config.warmup_s * (double)DP_NS_PER_S);
    return warms ? "warm-up" : names[load->phase];
}

static void tell_tick(struct dp_load *load, uint64_t now_ns)
{
    struct dp_load_progress now = {
        .phase = phase_name(load, now_ns),
        .due = dp_tally_count_due(load->tally),
        .ok = load->ok,
        .failed = load->failed,
        .waiting = load->due - load->taken,
        .under_way = load->under_way,
        .standing = load->standing,
    };
    if (load->phase >= DP_PHASE_LOAD) {
        now.at_s = (double)(now_ns - load->start_ns) / (double)DP_NS_PER_S - load->config.warmup_s;
    }
    dp_tally_recent(load->tally, &now.last);
    load->second_ns += DP_NS_PER_S;
    if (load->second_ns < now_ns) { /* the loop stood still */
        load->second_ns = now_ns + DP_NS_PER_S;
    }
    if (load->events.tick) {
        load->events.tick(load->ctx, &now);
    }
}

static void finish(struct dp_load *load, uint64_t now_ns)
{
    if (load->due < load->schedule.total) {
        dp_tally_stop(load->tally);
    }
    if (load->phase >= DP_PHASE_LOAD) {
        tell_rows(load, UINT64_MAX);
    }
    enter(load, DP_PHASE_DONE, now_ns);
    for (unsigned i = 0; i < load->config.connections; i++) {
        drop(&load->clients[i], now_ns, DP_LOAD_FAILED_STOPPED);
    }
    load->events.done(load->ctx, load->err, load->why);
}

void dp_load_on_sweep(uv_timer_t *timer)
{
    struct dp_load *load = timer->data;
    uint64_t now_ns = uv_hrtime();
    for (unsigned i = 0; i < load->n_followers; i++) {
        dp_follow_tend(&load->followers[i], now_ns);
    }
    if (load->phase == DP_PHASE_DONE) {
        return;
    }
    if (load->stop && load->phase < DP_PHASE_LAST) { /* what is due is due: it stays in line */
        enter(load, DP_PHASE_LAST, now_ns);
    }
    catch_up(load, now_ns);
    expire_sent(load, now_ns);
    expire_line(load, now_ns);
    for (unsigned i = 0; i < load->config.connections; i++) {
        dp_link_tend(&load->clients[i].link, now_ns);
    }
    enum dp_load_phase before;
    do { /* a phase that has nothing to wait for is over at once */
        before = load->phase;
        go_on(load, now_ns);
    } while (load->phase != before);
    pump(load); /* for what was made due just now */
    if (now_ns >= load->second_ns) {
        tell_tick(load, now_ns);
    }
    if (load->start_ns > 0) {
        tell_rows(load, now_ns);
    }
    if (load->phase == DP_PHASE_LAST && load->taken == load->due && load->under_way == 0) {
        finish(load, now_ns);
    }
}
