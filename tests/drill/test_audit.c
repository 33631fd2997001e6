/* The judge of what regions hold: nothing is found where nothing was done, and each kind of dishonesty is found as what it is. */
#include "davenport/drill/audit.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEEP 1500u

struct bench {
    struct dp_ledger *ledger;
    struct dp_audit *audit;
};

static const char *const names[] = {"left", "right"};

/* A revision whose digits are 32 times the same letter. */
struct rev {
    char text[DP_LEDGER_REV];
};

static struct rev rev(unsigned generation, char letter)
{
    struct rev r;
    char digits[33];
    memset(digits, letter, 32);
    digits[32] = '\0';
    (void)snprintf(r.text, sizeof(r.text), "%u-%s", generation, digits);
    return r;
}

static struct dp_span digits_of(const struct rev *r)
{
    struct dp_span s = dp_span_str(r->text);
    (void)dp_span_cut(&s, '-');
    return s;
}

static int setup(void **state)
{
    const struct dp_ledger_options opt = {
        .run = "r1", .slots = 4, .max_writes = 100000, .max_rows = 1000};
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->ledger = dp_ledger_new(&opt);
    assert_non_null(b->ledger);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    dp_audit_free(b->audit);
    dp_ledger_free(b->ledger);
    free(b);
    return 0;
}

/* All writes are done: the judge begins. */
static void judge(struct bench *b, size_t regions, bool alone)
{
    const struct dp_audit_options opt = {
        .ledger = b->ledger, .regions = names, .n_regions = regions, .alone = alone};
    b->audit = dp_audit_new(&opt);
    assert_non_null(b->audit);
}

static uint32_t acked(struct bench *b, enum dp_write_kind kind, uint32_t slot, const char *id,
                      struct rev r)
{
    uint32_t tag = dp_ledger_begin(b->ledger, kind, slot, 1);
    assert_int_not_equal(tag, DP_LEDGER_NONE);
    assert_int_equal(
        dp_ledger_acknowledged(b->ledger, tag, dp_span_str(id), dp_span_str(r.text), 201, 0, 1234),
        DP_OK);
    return tag;
}

static uint32_t failed(struct bench *b, enum dp_write_kind kind, uint32_t slot, uint16_t status)
{
    uint32_t tag = dp_ledger_begin(b->ledger, kind, slot, 1);
    dp_ledger_failed(b->ledger, tag, status, 0, 1234);
    return tag;
}

#define IDS_MAX 4
struct branch {
    struct rev revs[IDS_MAX]; /* newest first */
    size_t n;
    int64_t tag; /* -1: none */
    bool deleted;
};

static void tell(struct bench *b, size_t region, const char *id, const struct branch *branches,
                 size_t n)
{
    struct dp_leaf leaves[4];
    struct dp_span ids[4][IDS_MAX];
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < branches[i].n; k++)
            ids[i][k] = digits_of(&branches[i].revs[k]);
        leaves[i] = (struct dp_leaf){
            .rev = dp_span_str(branches[i].revs[0].text),
            .deleted = branches[i].deleted,
            .has_tag = branches[i].tag >= 0,
            .tag = (uint32_t)branches[i].tag,
            .start = (uint32_t)strtoul(branches[i].revs[0].text, NULL, 10),
            .ids = ids[i],
            .n_ids = branches[i].n,
        };
    }
    dp_audit_document(b->audit, region, dp_span_str(id), leaves, n);
}

static void one(struct bench *b, size_t region, const char *id, struct branch branch)
{
    tell(b, region, id, &branch, 1);
}

static void one_of(struct bench *b, size_t region, const char *id, struct rev r, uint32_t tag)
{
    one(b, region, id, (struct branch){{r}, 1, tag, false});
}

static void finish(struct bench *b)
{
    const bool read[] = {true, true};
    dp_audit_finish(b->audit, read);
}

/* Only this was found, so often. */
static void only(const struct bench *b, enum dp_finding_kind kind, uint64_t n)
{
    for (unsigned k = 0; k < DP_FINDING_KINDS; k++) {
        uint64_t found = dp_audit_count(b->audit, (enum dp_finding_kind)k);
        if (found != (k == kind ? n : 0))
            print_error("%" PRIu64 " %s\n", found, dp_finding_name((enum dp_finding_kind)k));
        assert_int_equal(found, k == kind ? n : 0);
    }
}

static void clean(const struct bench *b)
{
    only(b, DP_FINDING_LOST, 0);
}

#define ID "drill-r1-00000.0"

static void test_the_honest_are_clean(void **state)
{
    struct bench *b = *state;
    const struct rev r1 = rev(1, 'a'), r2 = rev(2, 'b'), p = rev(1, 'c'), f = rev(1, 'd');
    uint32_t first = acked(b, DP_WRITE_PUT, 0, "", r1);
    uint32_t second = acked(b, DP_WRITE_PUT, 0, "", r2);
    uint32_t post = acked(b, DP_WRITE_POST, 0, "minted", p);
    uint32_t file = acked(b, DP_WRITE_ATTACHMENT, 0, "", f);
    uint32_t absent = failed(b, DP_WRITE_PUT, 1, 503);
    uint32_t there = failed(b, DP_WRITE_POST, 1, 0);
    uint32_t refused = failed(b, DP_WRITE_PUT, 2, 409);
    (void)first, (void)absent, (void)refused;
    char file_id[DP_LEDGER_ID];
    (void)dp_ledger_id(b->ledger, file, file_id);
    judge(b, 2, true);
    for (size_t r = 0; r < 2; r++) {
        struct dp_audit_region got;
        one(b, r, ID, (struct branch){{r2, r1}, 2, second, false});
        one(b, r, "minted", (struct branch){{p}, 1, post, false});
        one(b, r, "another", (struct branch){{rev(1, 'e')}, 1, there, false});
        one(b, r, file_id, (struct branch){{f}, 1, -1, false});
        one(b, r, "_design/drill", (struct branch){{f}, 1, -1, false});
        dp_audit_region(b->audit, r, &got);
        assert_int_equal(got.documents, 4);
    }
    finish(b);
    clean(b);
    struct dp_audit_totals t;
    dp_audit_totals(b->audit, &t);
    assert_int_equal(t.unknown_present, 1);
    assert_int_equal(t.unknown_absent, 1);
    assert_int_equal(t.unknown_diverged, 0);
    for (size_t r = 0; r < 2; r++) {
        struct dp_audit_region got;
        dp_audit_region(b->audit, r, &got);
        assert_int_equal(got.present, 4);
        assert_int_equal(got.lost, 0);
    }
}

static void test_lost(void **state)
{
    struct bench *b = *state;
    const struct rev r1 = rev(1, 'a'), r2 = rev(2, 'b');
    struct dp_audit_region got;
    uint32_t first = acked(b, DP_WRITE_PUT, 0, "", r1);
    uint32_t second = acked(b, DP_WRITE_PUT, 0, "", r2);
    (void)acked(b, DP_WRITE_POST, 0, "minted", rev(1, 'c'));
    (void)acked(b, DP_WRITE_ATTACHMENT, 0, "", rev(1, 'd'));
    judge(b, 2, false);
    one(b, 0, ID, (struct branch){{r2, r1}, 2, second, false});
    one(b, 1, ID, (struct branch){{r1}, 1, first, false}); /* the older state */
    finish(b);
    only(b, DP_FINDING_LOST, 5);
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.present, 2);
    assert_int_equal(got.lost, 2);
    dp_audit_region(b->audit, 1, &got);
    assert_int_equal(got.present, 1);
    assert_int_equal(got.lost, 3);
    size_t n;
    const struct dp_finding *f = dp_audit_findings(b->audit, &n);
    assert_int_equal(n, 5);
    assert_string_equal(f[0].region, "right");
    assert_string_equal(f[0].document, ID);
    assert_string_equal(f[0].revision, r2.text);
    assert_string_equal(f[0].detail, "put 1, answered 201 at 1.234 s");
}

/* A region that was not read has lost nothing that anybody knows of. */
static void test_what_was_not_read_is_not_lost(void **state)
{
    struct bench *b = *state;
    const bool read[] = {true, false};
    struct dp_audit_totals t;
    uint32_t tag = acked(b, DP_WRITE_PUT, 0, "", rev(1, 'a'));
    uint32_t open = dp_ledger_begin(b->ledger, DP_WRITE_PUT, 1, 1);
    judge(b, 2, false);
    one(b, 0, ID, (struct branch){{rev(1, 'a')}, 1, tag, false});
    one(b, 0, "drill-r1-00001.0", (struct branch){{rev(1, 'b')}, 1, open, false});
    dp_audit_finish(b->audit, read);
    clean(b);
    dp_audit_totals(b->audit, &t);
    assert_int_equal(t.unknown_present, 1);
}

/* The last write is known, and those before it only by what was built on them. */
static void test_a_history_that_was_cut(void **state)
{
    struct bench *b = *state;
    struct dp_ledger_rev text;
    char digits[DEEP + 1][40];
    struct dp_span ids[1000];
    struct dp_audit_region got;
    for (unsigned g = 1; g <= DEEP; g++) {
        char full[DP_LEDGER_REV];
        (void)snprintf(digits[g], sizeof(digits[g]), "%032x", g);
        (void)snprintf(full, sizeof(full), "%u-%s", g, digits[g]);
        assert_true(dp_ledger_rev_parse(dp_span_str(full), &text));
        uint32_t tag = dp_ledger_begin(b->ledger, DP_WRITE_PUT, 0, 1);
        assert_int_equal(
            dp_ledger_acknowledged(b->ledger, tag, DP_SPAN(""), dp_span_str(full), 201, 0, 1),
            DP_OK);
    }
    for (unsigned i = 0; i < 1000; i++)
        ids[i] = dp_span_str(digits[DEEP - i]);
    char last[DP_LEDGER_REV];
    (void)snprintf(last, sizeof(last), "%u-%s", DEEP, digits[DEEP]);
    struct dp_leaf leaf = {.rev = dp_span_str(last),
                           .has_tag = true,
                           .tag = DEEP - 1,
                           .start = DEEP,
                           .ids = ids,
                           .n_ids = 1000};
    judge(b, 2, false);
    dp_audit_document(b->audit, 0, DP_SPAN(ID), &leaf, 1);
    ids[998] = DP_SPAN("ffffffffffffffffffffffffffffffff"); /* another line of descent */
    ids[999] = DP_SPAN("fffffffffffffffffffffffffffffffe");
    dp_audit_document(b->audit, 1, DP_SPAN(ID), &leaf, 1);
    finish(b);
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.present, DEEP);
    assert_int_equal(got.lost, 0);
    dp_audit_region(b->audit, 1, &got);
    assert_int_equal(got.present, 998);
    assert_int_equal(got.lost, DEEP - 998);
    size_t n;
    (void)dp_audit_findings(b->audit, &n);
    assert_int_equal(n, DP_FINDINGS_KEPT);
}

static void test_duplicated(void **state)
{
    struct bench *b = *state;
    struct dp_audit_region got;
    uint32_t post = acked(b, DP_WRITE_POST, 0, "minted", rev(1, 'a'));
    uint32_t unknown = failed(b, DP_WRITE_POST, 0, 503);
    judge(b, 1, true);
    one(b, 0, "minted", (struct branch){{rev(1, 'a')}, 1, post, false});
    one(b, 0, "minted-2", (struct branch){{rev(1, 'a')}, 1, post, false});
    one(b, 0, "x", (struct branch){{rev(1, 'b')}, 1, unknown, false});
    one(b, 0, "y", (struct branch){{rev(1, 'b')}, 1, unknown, false});
    finish(b);
    only(b, DP_FINDING_DUPLICATED, 2);
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.duplicated, 2);
    assert_int_equal(got.present, 1);
}

/* Rows of one bulk that were answered in another order: nothing is lost or twice, unless it is. */
static void test_answers_of_one_bulk_may_be_swapped(void **state)
{
    struct bench *b = *state;
    struct dp_audit_region got;
    uint32_t one = acked(b, DP_WRITE_POST, 0, "x", rev(1, 'a'));
    uint32_t two = acked(b, DP_WRITE_POST, 0, "y", rev(1, 'b'));
    uint32_t three = acked(b, DP_WRITE_POST, 0, "z", rev(1, 'c'));
    judge(b, 2, true);
    one_of(b, 0, "x", rev(1, 'a'), two);
    one_of(b, 0, "y", rev(1, 'b'), three);
    one_of(b, 0, "z", rev(1, 'c'), one);
    one_of(b, 1, "x", rev(1, 'a'), two);
    one_of(b, 1, "y", rev(1, 'b'),
           two); /* twice, and `one` nowhere; what was told of it is there */
    one_of(b, 1, "w", rev(1, 'c'), three);
    finish(b);
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.present, 3);
    assert_int_equal(got.lost + got.duplicated + got.strange, 0);
    dp_audit_region(b->audit, 1, &got);
    assert_int_equal(got.present, 2);
    assert_int_equal(got.lost, 1);
    assert_int_equal(got.duplicated, 2);
}

static void test_conflicted(void **state)
{
    struct bench *b = *state;
    struct dp_audit_region got;
    const struct rev r1 = rev(1, 'a'), r2 = rev(2, 'b'), other = rev(2, 'c');
    (void)acked(b, DP_WRITE_PUT, 0, "", r1);
    uint32_t second = acked(b, DP_WRITE_PUT, 0, "", r2);
    uint32_t alone = acked(b, DP_WRITE_PUT, 1, "", r1);
    judge(b, 1, false);
    tell(b, 0, ID, (struct branch[]){{{r2, r1}, 2, second, false}, {{other, r1}, 2, second, false}},
         2);
    tell(b, 0, "drill-r1-00001.0",
         (struct branch[]){{{r1}, 1, alone, false}, {{rev(1, 'd')}, 1, -1, true}}, 2);
    finish(b);
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.conflicted, 2);
    assert_int_equal(got.duplicated, 1); /* one write, two branches */
    assert_int_equal(got.strange, 1);    /* the deletion */
    assert_int_equal(got.lost, 0);
    assert_int_equal(dp_audit_count(b->audit, DP_FINDING_CONFLICTED), 2);
}

static void test_denied(void **state)
{
    struct bench *b = *state;
    struct dp_audit_region got;
    uint32_t put = failed(b, DP_WRITE_PUT, 0, 409), post = failed(b, DP_WRITE_POST, 0, 413);
    judge(b, 1, true);
    one(b, 0, ID, (struct branch){{rev(1, 'a')}, 1, put, false});
    one(b, 0, "x", (struct branch){{rev(1, 'a')}, 1, post, false});
    finish(b);
    only(b, DP_FINDING_DENIED, 2);
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.denied, 2);
}

static void test_strange(void **state)
{
    struct bench *b = *state;
    const struct rev r1 = rev(1, 'a'), r2 = rev(2, 'b');
    uint32_t first = acked(b, DP_WRITE_PUT, 0, "", r1);
    uint32_t second = acked(b, DP_WRITE_PUT, 0, "", r2);
    uint32_t parent = acked(b, DP_WRITE_PUT, 1, "", r1);
    uint32_t jump = acked(b, DP_WRITE_PUT, 2, "", rev(5, 'e'));
    uint32_t post = acked(b, DP_WRITE_POST, 0, "minted", r1);
    uint32_t later = failed(b, DP_WRITE_PUT, 0, 503); /* on r2 */
    (void)first;
    judge(b, 1, true);
    /* nobody's, with and without a tag, and under a name of ours */
    one(b, 0, "alien", (struct branch){{r1}, 1, -1, false});
    one(b, 0, "drill-r1-00007.0", (struct branch){{r1}, 1, -1, false});
    one(b, 0, "drill-r1-00007.1", (struct branch){{r1}, 1, 4000000, false});
    one(b, 0, "drill-r1-a0", (struct branch){{r1}, 1, -1, false}); /* write 0 is a put */
    only(b, DP_FINDING_STRANGE, 4);
    /* a write of one document in another */
    one(b, 0, "drill-r1-00003.0", (struct branch){{r1}, 1, parent, false});
    only(b, DP_FINDING_STRANGE, 5);
    /* on another parent than was ordered, on none, and out of nowhere */
    one(b, 0, ID, (struct branch){{rev(3, 'z'), rev(2, 'y'), r1}, 3, later, false});
    only(b, DP_FINDING_STRANGE, 6);
    one(b, 0, "drill-r1-00002.0", (struct branch){{rev(5, 'e')}, 1, jump, false});
    only(b, DP_FINDING_STRANGE, 7);
    /* deleted */
    one(b, 0, "minted", (struct branch){{r2, r1}, 2, post, true});
    only(b, DP_FINDING_STRANGE, 8);
    struct dp_audit_region got;
    dp_audit_region(b->audit, 0, &got);
    assert_int_equal(got.strange, 8);
    finish(b);
    (void)second;
    assert_int_equal(dp_audit_count(b->audit, DP_FINDING_LOST), 3); /* r2, `parent`, `post` */
}

static void test_others_documents_are_theirs(void **state)
{
    struct bench *b = *state;
    judge(b, 1, false);
    one(b, 0, "alien", (struct branch){{rev(1, 'a')}, 1, -1, false});
    one(b, 0, "drill-r2-00000.0", (struct branch){{rev(1, 'a')}, 1, -1, false});
    finish(b);
    clean(b);
}

static void test_unknown_here_and_not_there(void **state)
{
    struct bench *b = *state;
    struct dp_audit_totals t;
    uint32_t tag = failed(b, DP_WRITE_PUT, 0, 0);
    judge(b, 2, true);
    one(b, 0, ID, (struct branch){{rev(1, 'a')}, 1, tag, false});
    finish(b);
    only(b, DP_FINDING_DIVERGED, 1);
    dp_audit_totals(b->audit, &t);
    assert_int_equal(t.unknown_diverged, 1);
    assert_int_equal(t.unknown_present + t.unknown_absent, 0);
    size_t n;
    assert_string_equal(dp_audit_findings(b->audit, &n)[0].region, "right");
}

static void test_stale_reads_are_told(void **state)
{
    struct bench *b = *state;
    struct dp_ledger_read r;
    const struct rev r2 = rev(2, 'a');
    uint32_t tag = acked(b, DP_WRITE_PUT, 0, "", r2);
    assert_true(dp_ledger_read_begin(b->ledger, 0, &r));
    assert_true(dp_ledger_read_end(b->ledger, &r, DP_SPAN("1-b"), 0, 2500));
    assert_true(dp_ledger_read_end(b->ledger, &r, DP_SPAN(""), 0, 2501));
    judge(b, 1, false);
    one(b, 0, ID, (struct branch){{r2, rev(1, 'b')}, 2, tag, false});
    finish(b);
    assert_int_equal(dp_audit_count(b->audit, DP_FINDING_STALE), 2);
    size_t n, seen = 0;
    const struct dp_finding *f = dp_audit_findings(b->audit, &n);
    for (size_t i = 0; i < n; i++) {
        if (f[i].kind == DP_FINDING_STALE && seen++ == 0)
            assert_string_equal(f[i].detail, "a read at 2.500 s gave generation 1, after this had "
                                             "been acknowledged");
    }
    assert_int_equal(seen, 2);
}

static void test_a_full_ledger_is_told(void **state)
{
    struct bench *b = *state;
    const struct dp_ledger_options opt = {.run = "r1", .slots = 1, .max_writes = 0};
    dp_ledger_free(b->ledger);
    b->ledger = dp_ledger_new(&opt);
    assert_int_equal(dp_ledger_begin(b->ledger, DP_WRITE_POST, 0, 0), DP_LEDGER_NONE);
    judge(b, 1, false);
    finish(b);
    only(b, DP_FINDING_UNREAD, 1);
}

static void test_who_wins(void **state)
{
    struct bench *b = *state;
    static const struct {
        unsigned generation[2];
        char letter[2];
        bool deleted[2];
        size_t winner;
    } cases[] = {
        {{1, 2}, {'a', 'a'}, {false, false}, 1}, {{2, 1}, {'a', 'b'}, {false, false}, 0},
        {{2, 2}, {'a', 'b'}, {false, false}, 1}, {{2, 2}, {'b', 'a'}, {false, false}, 0},
        {{2, 1}, {'b', 'a'}, {true, false}, 1},  {{1, 2}, {'b', 'a'}, {true, true}, 1},
        {{1, 9}, {'a', 'b'}, {false, true}, 0},  {{10, 9}, {'a', 'b'}, {false, false}, 0},
    };
    judge(b, 1, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rev r[2];
        struct dp_span ids[2];
        struct dp_leaf leaves[2];
        size_t winner;
        uint32_t tag;
        for (size_t k = 0; k < 2; k++) {
            r[k] = rev(cases[i].generation[k], cases[i].letter[k]);
            ids[k] = digits_of(&r[k]);
            leaves[k] = (struct dp_leaf){.rev = dp_span_str(r[k].text),
                                         .deleted = cases[i].deleted[k],
                                         .start = cases[i].generation[k],
                                         .ids = &ids[k],
                                         .n_ids = 1};
        }
        assert_true(dp_audit_is_ours(b->audit, DP_SPAN(ID), leaves, 2, &winner, &tag));
        assert_int_equal(winner, cases[i].winner);
        assert_int_equal(tag, DP_LEDGER_NONE);
        assert_false(dp_audit_is_ours(b->audit, DP_SPAN("alien"), leaves, 2, &winner, &tag));
    }
}

static void test_long_names_are_cut_within_no_character(void **state)
{
    struct bench *b = *state;
    char name[400];
    size_t n;
    memset(name, 'x', 126);
    for (size_t i = 126; i < 398; i += 2)
        memcpy(name + i, "\xC3\xA9", 2);
    judge(b, 1, false);
    dp_audit_find(b->audit, DP_FINDING_MISSED, "", (struct dp_span){name, 398}, DP_SPAN("1-a"),
                  "%s", name);
    const struct dp_finding *f = dp_audit_findings(b->audit, &n);
    assert_int_equal(n, 1);
    assert_int_equal(strlen(f->document), 126);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_honest_are_clean),
        T(test_lost),
        T(test_what_was_not_read_is_not_lost),
        T(test_a_history_that_was_cut),
        T(test_duplicated),
        T(test_answers_of_one_bulk_may_be_swapped),
        T(test_conflicted),
        T(test_denied),
        T(test_strange),
        T(test_others_documents_are_theirs),
        T(test_unknown_here_and_not_there),
        T(test_stale_reads_are_told),
        T(test_a_full_ledger_is_told),
        T(test_who_wins),
        T(test_long_names_are_cut_within_no_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
