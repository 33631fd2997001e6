/* What servers answer a drill's load: whatever they say and however it is cut, nothing breaks, and every write that began has
 * ended in the ledger.
 *
 * Input: a byte that chooses the reader, then what it reads. */
#include "drill/answer.h"
#include "drill/follow.h"
#include "drill/work.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

/* ---- an answer: the same whole and in pieces ---- */

static struct fuzz_text *body;

static void on_body(struct dp_answer *a, struct dp_span part)
{
    (void)a;
    fuzz_add(body, part.p, part.n);
}

static enum dp_answer_state take(struct dp_answer *a, const char *p, size_t n, uint32_t seed,
                                 struct fuzz_text *out)
{
    enum dp_answer_state state = DP_ANSWER_MORE;
    body = out;
    dp_answer_init(a, "davenport-region", on_body);
    dp_answer_expect(a);
    for (size_t at = 0; at < n && state == DP_ANSWER_MORE;) {
        size_t piece = seed > 0 ? fuzz_piece(&seed, n - at) : n - at;
        char *copy = fuzz_copy(p + at, piece);
        state = dp_answer_take(a, copy, piece);
        free(copy);
        at += piece;
        if (state == DP_ANSWER_WHOLE && at < n) /* what comes behind it is nobody's */
            state = DP_ANSWER_BAD;
    }
    return state == DP_ANSWER_MORE ? dp_answer_end(a) : state;
}

static void answer(const char *p, size_t n, uint32_t seed)
{
    struct dp_answer whole;
    struct dp_answer cut;
    struct fuzz_text a = {0};
    struct fuzz_text b = {0};
    const enum dp_answer_state one = take(&whole, p, n, 0, &a);
    const enum dp_answer_state two = take(&cut, p, n, seed, &b);
    fuzz_check(one == two, "the same end");
    if (one == DP_ANSWER_WHOLE) {
        fuzz_check(whole.status == cut.status && whole.keep_alive == cut.keep_alive,
                   "the same head");
        fuzz_check(dp_span_eq((struct dp_span){whole.value, whole.value_n},
                              (struct dp_span){cut.value, cut.value_n}),
                   "the same region");
        fuzz_check(whole.value_n <= DP_ANSWER_VALUE, "it fits");
        fuzz_check(fuzz_same(&a, &b), "the same body");
    }
    fuzz_free(&a);
    fuzz_free(&b);
}

/* ---- what it means ---- */

static struct dp_ledger *new_ledger(void)
{
    const struct dp_ledger_options options = {
        .run = "r", .slots = 2, .max_writes = 64, .max_rows = 64};
    struct dp_ledger *l = dp_ledger_new(&options);
    fuzz_check(l != NULL, "memory");
    return l;
}

static void rows(const char *p, size_t n)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%";
    struct dp_follower f = {.ledger = new_ledger()};
    f.feed = dp_ledger_feed(f.ledger, "longpoll");
    const bool good = dp_follow_take(&f, (struct dp_span){p, n});
    fuzz_check(strlen(f.since) < sizeof(f.since), "it fits");
    fuzz_check(!good || *f.since, "who took rows knows where it is");
    fuzz_check(f.since[strspn(f.since, plain)] == '\0', "it may stand in a query");
    dp_ledger_free(f.ledger);
}

static void meaning(enum dp_load_kind kind, uint16_t status, bool cut, const char *p, size_t n)
{
    struct dp_load_config c;
    struct dp_job job;
    struct dp_span request[2];
    struct dp_ledger_counts counts;
    struct dp_ledger *l = new_ledger();
    dp_load_config_init(&c);
    c.database = "d";
    c.documents = 2;
    c.weights[kind] = 1;
    struct dp_work *w = dp_work_new(&c, "h", "", l);
    fuzz_check(w != NULL, "memory");
    if (kind == DP_LOAD_GET) { /* there must be something to read */
        fuzz_check(dp_work_create(w, 0, 0, &job, request), "room");
        (void)dp_work_end(w, &job, DP_LOAD_FAILED_NONE, 201, DP_SPAN("{\"rev\":\"1-a\"}"), false, 0,
                          0);
    }
    fuzz_check(dp_work_begin(w, kind, 7, 0, &job, request), "room");
    const enum dp_load_failure failure =
        dp_work_end(w, &job, DP_LOAD_FAILED_NONE, status, (struct dp_span){p, n}, cut, 0, 1);
    dp_ledger_count(l, &counts);
    fuzz_check(counts.open == 0, "every write has ended");
    if (failure == DP_LOAD_FAILED_NONE && kind != DP_LOAD_GET && status < 400)
        fuzz_check(counts.acknowledged == job.n_tags, "what went well was acknowledged");
    if (status >= 500)
        fuzz_check(counts.acknowledged == (kind == DP_LOAD_GET), "an error acknowledges nothing");
    dp_work_destroy(w);
    dp_ledger_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t statuses[] = {200, 201, 404, 409, 500, 503};
    if (size < 2)
        return 0;
    const size_t n = size - 2;
    char *text = fuzz_copy((const char *)data + 2, n);
    switch (data[0] % 4) {
    case 0:
        answer(text, n, (uint32_t)data[1] + 1);
        break;
    case 1:
        rows(text, n);
        break;
    default:
        meaning((enum dp_load_kind)((data[1] >> 4) % DP_LOAD_TARGET), statuses[data[1] % 6],
                (data[0] & 4) != 0, text, n);
        break;
    }
    free(text);
    return 0;
}
