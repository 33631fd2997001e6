/* The judgement of replication on virtual time: nothing that is not known, old or bad opens it. */
#include "davenport/core/replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static const struct dp_replica_config config = {
    .samples = 3, .fresh_ns = 30 * S, .flat_ns = 60 * S};

struct pair {
    struct dp_replica_way way, back;
};

static struct dp_replica_answer judge(const struct pair *p, uint64_t since_ns, uint64_t now_ns)
{
    struct dp_replica_answer a;
    dp_replica_judge(&p->way, &p->back, &config, since_ns, now_ns, &a);
    return a;
}

static void same(struct dp_replica_way *w, uint64_t began_ns, uint64_t now_ns)
{
    dp_replica_compared(
        w, &(struct dp_replica_found){.data = DP_REPLICA_SAME, .began_ns = began_ns}, now_ns);
}

/* Back since 10 s, everything well until 14 s. */
static struct pair ready(void)
{
    struct pair p;
    dp_replica_init(&p.way);
    dp_replica_init(&p.back);
    for (uint64_t t = 11; t < 14; t++) {
        same(&p.way, t * S, t * S + 1);
        same(&p.back, t * S, t * S + 1);
    }
    dp_replica_job_said(&p.way, DP_REPLICA_RUN_RUNNING, 0, NULL, 13 * S);
    dp_replica_job_said(&p.back, DP_REPLICA_RUN_RUNNING, -1, NULL, 13 * S);
    return p;
}

static void expect(const struct pair *p, enum dp_replica_verdict verdict, const char *why)
{
    struct dp_replica_answer a = judge(p, 10 * S, 14 * S);
    assert_string_equal(a.why, why);
    assert_int_equal(a.verdict, verdict);
}

static void test_ready_when_all_is_known_and_good(void **state)
{
    (void)state;
    struct pair p = ready();
    expect(&p, DP_REPLICA_VERDICT_READY, "the same 3 times in a row");
}

static void test_nothing_is_known_at_first(void **state)
{
    (void)state;
    struct pair p = {0};
    expect(&p, DP_REPLICA_VERDICT_WAIT, "not compared yet");
    dp_replica_init(&p.way);
    expect(&p, DP_REPLICA_VERDICT_WAIT, "not compared yet");
}

static void test_each_thing_that_is_not_good(void **state)
{
    (void)state;
    for (unsigned back = 0; back < 2; back++) {
        struct pair p = ready();
        struct dp_replica_way *w = back ? &p.back : &p.way;
        struct dp_replica_way good = *w;
        dp_replica_compared(
            w, &(struct dp_replica_found){.data = DP_REPLICA_BEHIND, .missing = 12, .word = "d1"},
            14 * S);
        expect(&p, DP_REPLICA_VERDICT_SHUT, "12 documents are missing, such as d1");
        assert_int_equal(judge(&p, 10 * S, 14 * S).back, back);
        dp_replica_compared(
            w, &(struct dp_replica_found){.data = DP_REPLICA_BEHIND, .missing = 1, .more = true},
            14 * S);
        expect(&p, DP_REPLICA_VERDICT_SHUT, "at least 1 document is missing");
        dp_replica_compared(w,
                            &(struct dp_replica_found){
                                .data = DP_REPLICA_BEHIND, .missing = 1, .word = "\xc3\xa9\n"},
                            14 * S);
        expect(&p, DP_REPLICA_VERDICT_SHUT, "1 document is missing, such as ???");
        same(w, 13 * S, 14 * S); /* one good look after a bad one */
        expect(&p, DP_REPLICA_VERDICT_WAIT, "the same 1 of 3 times in a row");
        *w = good;
        dp_replica_compared(w, &(struct dp_replica_found){.data = DP_REPLICA_ABSENT}, 14 * S);
        expect(&p, DP_REPLICA_VERDICT_SHUT, "is not there");
        dp_replica_compared(
            w, &(struct dp_replica_found){.data = DP_REPLICA_UNKNOWN, .word = "answer 500"},
            14 * S);
        expect(&p, DP_REPLICA_VERDICT_WAIT, "not known: answer 500");
        dp_replica_compared(
            w, &(struct dp_replica_found){.data = DP_REPLICA_DENIED, .word = "answer 403 in left"},
            14 * S);
        expect(&p, DP_REPLICA_VERDICT_BLIND, "can't be compared: answer 403 in left");
        *w = good;
        dp_replica_job_said(w, DP_REPLICA_RUN_TROUBLED, -1, "crashing: no", 14 * S);
        expect(&p, DP_REPLICA_VERDICT_SHUT, "its replication does not run: crashing: no");
        dp_replica_job_said(w, DP_REPLICA_RUN_UNSEEN, -1, "answer 401", 14 * S);
        expect(&p, DP_REPLICA_VERDICT_BLIND, "its replication can't be seen: answer 401");
        *w = good;
        dp_replica_job_said(w, DP_REPLICA_RUN_RUNNING, 3, NULL, 13 * S);
        dp_replica_job_said(w, DP_REPLICA_RUN_RUNNING, 4, NULL, 14 * S);
        expect(&p, DP_REPLICA_VERDICT_SHUT, "documents were refused lately (4 in all)");
    }
}

static void test_what_is_old_is_not_known(void **state)
{
    (void)state;
    struct pair p = ready();
    assert_int_equal(judge(&p, 10 * S, 43 * S).verdict, DP_REPLICA_VERDICT_READY);
    assert_int_equal(judge(&p, 10 * S, 44 * S).verdict, DP_REPLICA_VERDICT_WAIT);
    assert_int_equal(judge(&p, 13 * S + 1, 14 * S).verdict, DP_REPLICA_VERDICT_WAIT);
    assert_int_equal(judge(&p, 13 * S, 14 * S).verdict, DP_REPLICA_VERDICT_READY);
}

static void test_a_number_that_was_there_before_is_flat(void **state)
{
    (void)state;
    struct pair p = ready();
    dp_replica_job_said(&p.back, DP_REPLICA_RUN_RUNNING, 7, NULL, 13 * S); /* -1 before */
    expect(&p, DP_REPLICA_VERDICT_READY, "the same 3 times in a row");
    dp_replica_job_said(&p.back, DP_REPLICA_RUN_RUNNING, 0, NULL, 14 * S); /* it began anew */
    expect(&p, DP_REPLICA_VERDICT_READY, "the same 3 times in a row");
    dp_replica_job_said(&p.back, DP_REPLICA_RUN_RUNNING, 1, NULL, 14 * S);
    expect(&p, DP_REPLICA_VERDICT_SHUT, "documents were refused lately (1 in all)");
}

static void test_canaries(void **state)
{
    (void)state;
    struct dp_replica_config c = config;
    struct pair p = ready();
    struct dp_replica_answer a;
    c.canary_ns = 2 * S;
    c.canary_fresh_ns = 40 * S;
    dp_replica_job_said(&p.way, DP_REPLICA_RUN_UNSEEN, -1, "answer 403", 13 * S);
#define JUDGE(now, want, word)                                                                     \
    dp_replica_judge(&p.way, &p.back, &c, 10 * S, (now), &a);                                      \
    assert_int_equal(a.verdict, DP_REPLICA_VERDICT_##want);                                        \
    assert_non_null(strstr(a.why, word))
    JUDGE(14 * S, WAIT, "no canary has come through yet");
    for (int i = 0; i < 2; i++) {
        struct dp_canary *one = i ? &p.back.canary : &p.way.canary;
        dp_canary_sent(one, 1, 11 * S);
        dp_canary_came(one, 1, 1, 11 * S, 12 * S);
    }
    JUDGE(14 * S, READY, ""); /* though its job is not seen */
    dp_canary_sent(&p.back.canary, 2, 12 * S);
    dp_canary_missed(&p.back.canary, 14 * S);
    JUDGE(14 * S, READY, "");
    dp_canary_missed(&p.back.canary, 15 * S);
    JUDGE(15 * S, SHUT, "a canary does not come through for 3000 ms");
    assert_true(a.back);
    dp_canary_came(&p.back.canary, 2, 2, 12 * S, 16 * S);
    JUDGE(16 * S, SHUT, "the last canary took 4000 ms");
    dp_canary_sent(&p.back.canary, 3, 16 * S);
    dp_canary_came(&p.back.canary, 3, 3, 16 * S, 17 * S);
    JUDGE(17 * S, READY, "");
    dp_canary_failed(&p.way.canary, true, "answer 403 in b");
    JUDGE(17 * S, BLIND, "no canary can be sent: answer 403 in b");
    dp_canary_failed(&p.way.canary, false, "answer 500 in b");
    JUDGE(17 * S, READY, "");
    dp_replica_judge(&p.way, &p.back, &c, 13 * S, 17 * S,
                     &a); /* it came before the region was back */
    assert_int_equal(a.verdict, DP_REPLICA_VERDICT_WAIT);
    c.canary_fresh_ns = 4 * S;
    JUDGE(17 * S, WAIT, "no canary has come through yet: answer 500 in b");
#undef JUDGE
}

/* What a way was told, kept in a second, simple-minded form. */
struct told {
    unsigned in_row;
    uint64_t at, began;
    bool good;
    bool runs;
    uint64_t run_at, refused_at;
    int64_t failures;
};

static uint64_t random_state = 7;

static uint64_t chance(uint64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (random_state >> 33) % n;
}

static void tell(struct dp_replica_way *w, struct told *t, uint64_t now)
{
    if (chance(3) > 0) {
        enum dp_replica_data d = chance(6) > 0 ? DP_REPLICA_SAME : (enum dp_replica_data)chance(5);
        uint64_t began = now - chance(S);
        dp_replica_compared(w, &(struct dp_replica_found){.data = d, .began_ns = began}, now);
        t->good = d == DP_REPLICA_SAME;
        t->in_row = t->good ? t->in_row + 1 : 0;
        t->at = now;
        if (t->good && began > t->began)
            t->began = began;
    } else {
        enum dp_replica_run run =
            chance(4) > 0 ? DP_REPLICA_RUN_RUNNING : (enum dp_replica_run)chance(4);
        int64_t failures = (int64_t)chance(30) / 28;
        dp_replica_job_said(w, run, failures, NULL, now);
        t->runs = run == DP_REPLICA_RUN_RUNNING;
        t->run_at = now;
        if (failures > 0 && t->failures >= 0 && failures != t->failures)
            t->refused_at = now;
        t->failures = failures;
    }
}

static bool all_good(const struct told *t, uint64_t since, uint64_t now)
{
    return t->good && t->in_row >= 3 && t->at >= since && now - t->at <= 30 * S &&
           t->began >= since && t->runs && t->run_at >= since && now - t->run_at <= 30 * S &&
           (t->refused_at == 0 || now - t->refused_at > 60 * S);
}

static void test_random_sequences(void **state)
{
    (void)state;
    unsigned opened = 0;
    for (unsigned run = 0; run < 3000; run++) {
        struct pair p;
        struct told told[2] = {{.failures = -1}, {.failures = -1}};
        uint64_t now = 1000 * S, since = now;
        dp_replica_init(&p.way);
        dp_replica_init(&p.back);
        for (unsigned i = 0; i < 80; i++) {
            now += chance(20) == 0 ? chance(40 * S) : chance(2 * S);
            if (chance(40) == 0)
                since = now; /* it was away */
            unsigned which = (unsigned)chance(2);
            tell(which ? &p.back : &p.way, &told[which], now);
            bool open = judge(&p, since, now).verdict == DP_REPLICA_VERDICT_READY;
            assert_int_equal(open,
                             all_good(&told[0], since, now) && all_good(&told[1], since, now));
            opened += open;
        }
    }
    assert_true(opened > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_when_all_is_known_and_good),
        cmocka_unit_test(test_nothing_is_known_at_first),
        cmocka_unit_test(test_each_thing_that_is_not_good),
        cmocka_unit_test(test_what_is_old_is_not_known),
        cmocka_unit_test(test_a_number_that_was_there_before_is_flat),
        cmocka_unit_test(test_canaries),
        cmocka_unit_test(test_random_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
