/* Followers: see follow.h. A row that was cut off with its answer was not taken, and is asked for again. */
#include "drill/follow.h"

#include "davenport/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <uv.h>

#define LONGPOLL_MS  20000
#define HEARTBEAT_MS 5000
#define SILENCE_NS   (UINT64_C(30) * DP_NS_PER_S) /* longer than either: the feed is dead */
#define AGAIN_NS     (UINT64_C(100) * DP_NS_PER_MS)
#define PAGE         1000    /* rows of an answer */
#define TEXT_BYTES   4194304 /* of an answer, or a row: more is none of ours */
#define FIRST_BYTES  4096

static struct dp_follower *of(struct dp_link *l)
{
    return DP_CONTAINER_OF(l, struct dp_follower, link);
}

/* ---- what comes ---- */

static bool append(struct dp_follower *f, struct dp_span part)
{
    if (part.n > TEXT_BYTES - f->n) {
        return false;
    }
    if (f->n + part.n > f->cap) {
        size_t cap = f->cap > 0 ? f->cap : FIRST_BYTES;
        while (cap < f->n + part.n) {
            cap *= 2;
        }
        char *p = realloc(f->text, cap);
        if (!p) {
            return false;
        }
        f->text = p;
        f->cap = cap;
    }
    memcpy(f->text + f->n, part.p, part.n);
    f->n += part.n;
    return true;
}

/* As it stands in a query: a text's bytes that do not stand for themselves as %XX. False: too long. */
static bool keep_since(struct dp_follower *f, const json_t *seq)
{
    char number[32];
    const char *text = json_string_value(seq);
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char out[DP_FOLLOW_SINCE];
    size_t n = 0;
    if (json_is_integer(seq)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(seq));
        text = number;
    }
    for (; text && *text && n + 4 < sizeof(out); text++) {
        if (strchr(plain, *text)) {
            out[n++] = *text;
        } else {
            (void)snprintf(out + n, 4, "%%%02X", (unsigned)(unsigned char)*text);
            n += 3;
        }
    }
    if (n == 0 || *text) {
        return false;
    }
    out[n] = '\0';
    memcpy(f->since, out, n + 1);
    return true;
}

static bool take_row(struct dp_follower *f, const json_t *row)
{
    const json_t *id = json_object_get(row, "id");
    const json_t *change = json_array_get(json_object_get(row, "changes"), 0);
    const json_t *rev = json_object_get(change, "rev");
    if (!json_is_string(id) || !json_is_string(rev)) {
        return false;
    }
    f->told = true;
    dp_ledger_row(f->ledger, f->feed,
                  (struct dp_span){json_string_value(id), json_string_length(id)},
                  (struct dp_span){json_string_value(rev), json_string_length(rev)});
    return true;
}

bool dp_follow_take(struct dp_follower *f, struct dp_span json)
{
    json_t *o = json_loadb(json.n > 0 ? json.p : "", json.n, 0, NULL);
    const json_t *rows = json_object_get(o, "results");
    const json_t *last = json_object_get(o, "last_seq");
    const json_t *row;
    size_t i;
    bool good = json_is_object(o);
    if (good && rows) {
        good = json_is_array(rows) && last;
        json_array_foreach (rows, i, row) {
            good = good && take_row(f, row);
        }
    } else if (good && !last) {
        last = json_object_get(o, "seq");
        good = take_row(f, o);
    }
    good = good && keep_since(f, last);
    json_decref(o);
    return good;
}

/* Whole lines of a continuous feed. Empty ones are heartbeats. */
static bool take_lines(struct dp_follower *f)
{
    size_t from = 0;
    const char *end;
    bool good = true;
    while (good && f->n > from && (end = memchr(f->text + from, '\n', f->n - from)) != NULL) {
        struct dp_span line = {f->text + from, (size_t)(end - f->text) - from};
        from += line.n + 1;
        good = line.n == 0 || (line.n == 1 && *line.p == '\r') || dp_follow_take(f, line);
    }
    if (from > 0) {
        memmove(f->text, f->text + from, f->n - from);
        f->n -= from;
    }
    return good;
}

static void ask(struct dp_follower *f, uint64_t now_ns);

/* Ask if it may, now. */
static void go_on(struct dp_follower *f)
{
    uint64_t now_ns = uv_hrtime();
    if (f->link.state == DP_LINK_FREE && !f->link.leaving && now_ns >= f->ask_at_ns) {
        ask(f, now_ns);
    }
}

static void on_free(struct dp_link *l)
{
    go_on(of(l));
}

static bool is_feed(const struct dp_follower *f)
{
    return f->link.answer.status >= 200 && f->link.answer.status < 300;
}

static void on_body(struct dp_link *l, struct dp_span part)
{
    struct dp_follower *f = of(l);
    f->heard_ns = uv_hrtime();
    if (f->failed || !is_feed(f)) {
        return;
    }
    f->failed = !append(f, part) || (f->continuous && f->stands && !take_lines(f));
}

/* The next question: at once where the last one brought rows, else after a while, for a server may say "nothing" at once. */
static void again(struct dp_follower *f, bool well)
{
    f->ask_at_ns = well && f->told ? 0 : uv_hrtime() + AGAIN_NS;
    f->told = false;
    f->n = 0;
    f->failed = false;
}

static void on_answered(struct dp_link *l)
{
    struct dp_follower *f = of(l);
    bool well = is_feed(f) && !f->failed;
    if (well && !(f->continuous && f->stands)) {
        well = dp_follow_take(f, (struct dp_span){f->text, f->n});
        f->stands = f->stands || well;
    }
    again(f, well);
    go_on(f);
}

static void on_lost(struct dp_link *l, int state, enum dp_load_failure why)
{
    (void)why;
    again(of(l), state != DP_LINK_BUSY && state != DP_LINK_DIALING);
}

static const struct dp_link_events events = {on_free, on_body, on_answered, on_lost};

/* ---- asking ---- */

static void ask(struct dp_follower *f, uint64_t now_ns)
{
    char path[DP_WORK_PATH];
    struct dp_span request[2];
    if (!f->stands) {
        (void)snprintf(path, sizeof(path), "/_changes?since=now&limit=1");
    } else if (f->continuous) {
        (void)snprintf(path, sizeof(path), "/_changes?feed=continuous&heartbeat=%d&since=%s",
                       HEARTBEAT_MS, f->since);
    } else {
        (void)snprintf(path, sizeof(path), "/_changes?feed=longpoll&timeout=%d&limit=%d&since=%s",
                       LONGPOLL_MS, PAGE, f->since);
    }
    dp_work_get(f->work, path, request);
    f->heard_ns = now_ns;
    f->n = 0;
    if (!dp_link_send(&f->link, request, 2, now_ns)) {
        again(f, false);
    }
}

void dp_follow_tend(struct dp_follower *f, uint64_t now_ns)
{
    if (f->link.state == DP_LINK_BUSY && (now_ns > f->heard_ns + SILENCE_NS || f->failed)) {
        dp_link_drop(&f->link, now_ns);
        again(f, false);
    }
    dp_link_tend(&f->link, now_ns);
    go_on(f);
}

enum dp_err dp_follow_init(struct dp_follower *f, bool continuous, struct dp_link_net *shared,
                           struct dp_work *work, struct dp_ledger *ledger)
{
    *f = (struct dp_follower){.work = work, .ledger = ledger, .continuous = continuous};
    f->feed = dp_ledger_feed(ledger, continuous ? "continuous" : "longpoll");
    dp_link_init(&f->link, shared, &events);
    return f->feed == DP_LEDGER_NONE ? DP_ENOMEM : DP_OK;
}

void dp_follow_fini(struct dp_follower *f)
{
    free(f->text);
    f->text = NULL;
}
