/* The proofs of couch/seqmap.h and couch/renewal.h, tried: two regions, documents in two shards, replication both ways in
 * steps that may be interrupted, marks that are read in between, and a client that reads a feed and changes regions at any
 * moment. After every change of regions: whatever the new region has at or below the client's new position, the client has
 * seen. The client asks again and again, or has a feed open that tells in rounds, and looks at update_seq say when it had seen
 * all. One random schedule a run; DAVENPORT_MODEL_RUNS says how many (default 30 000).
 *
 * The same model must miss changes where the rule is one that suggests itself, "the client's token is at or past what
 * update_seq was when the mark was read", or where one look is enough: else it would prove nothing. */
#include "davenport/base/attr.h"
#include "davenport/couch/renewal.h"
#include "davenport/couch/seqmap.h"

#include "couch/two_regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 60, OPEN_STEPS = 150, MARKS = 4 };

enum rule {
    BY_TIME,
    BY_TOKEN,
    BY_LOOKS,   /* from here on it has an open feed */
    BY_ONE_LOOK /* what was asked for before the first was passed counts as the second */
};

struct model {
    struct random random;
    uint64_t now;
    enum rule rule;
    unsigned revisions;
    struct content regions[2];
    struct replication from[2];
    struct dp_seqmap *maps[2]; /* from region i to the other */
    struct position last[2];   /* BY_TOKEN: update_seq of region i when its newest mark was read */
    int at;                    /* the client's region */
    struct position pos;
    uint64_t caught_up; /* when it last had seen all of it; 0: not yet here */
    uint64_t seen[DOCS];
    /* of the open feed */
    bool in_round;
    struct content round; /* what is told now */
    struct dp_seqlook *look;
    struct dp_renewal renewal;
    uint64_t translated, rewound, missed;
};

/* A token is the digits of a position: what it says is nobody's business but the model's. */
static struct dp_span token_of(const struct position *p, char out[16])
{
    int n = snprintf(out, 16, "%03u%03u", p->seq[0], p->seq[1]);
    return (struct dp_span){out, (size_t)n};
}

static struct position position_of(struct dp_span token)
{
    uint64_t both;
    assert_true(dp_span_u64(token, &both));
    return (struct position){.seq = {(unsigned)(both / 1000), (unsigned)(both % 1000)}};
}

/* ---- what may happen ---- */

static void write_document(struct model *m)
{
    if (m->revisions < REVISIONS)
        learn(&m->regions[below(&m->random, 2)], below(&m->random, DOCS),
              UINT64_C(1) << m->revisions++);
}

static void replicate(struct model *m)
{
    const int from = (int)below(&m->random, 2);
    replication_goes_on(&m->from[from], &m->random, &m->regions[from], &m->regions[1 - from]);
}

/* A mark for who reads region i and will go to the other: the checkpoint of the other's replication to i. */
static void read_mark(struct model *m)
{
    char text[16];
    bool changed;
    const int i = (int)below(&m->random, 2);
    assert_int_equal(
        dp_seqmap_add(m->maps[i], token_of(&m->from[1 - i].checkpoint, text), m->now, &changed),
        DP_OK);
    m->last[i] = m->regions[i].last;
}

static void read_feed(struct model *m)
{
    const struct content *r = &m->regions[m->at];
    int doc = next_change(&m->random, r, &m->pos);
    if (doc < 0) {
        m->caught_up = m->now;
        return;
    }
    m->seen[doc] |= r->known[doc];
    m->pos.seq[(unsigned)doc % SHARDS] = r->seq[doc];
}

static struct dp_span row_of(const struct position *p, char out[ENCODED_MAX])
{
    encode_seq(p->seq, p->node, "uu", out);
    return dp_span_str(out);
}

static void take_look(struct model *m)
{
    char token[ENCODED_MAX];
    struct dp_seq told;
    assert_int_equal(dp_seq_parse(row_of(&m->regions[m->at].last, token), &told), DP_OK);
    dp_seqlook_unref(m->look);
    m->look = dp_seqlook_new(NULL, &told, m->now, m->now);
    assert_non_null(m->look);
}

static void read_open_feed(struct model *m)
{
    char token[ENCODED_MAX];
    if (!m->in_round)
        m->round = m->regions[m->at];
    const int doc = next_change(&m->random, &m->round, &m->pos);
    m->in_round = doc >= 0;
    if (doc < 0)
        return;
    m->seen[doc] |= m->round.known[doc];
    m->pos.seq[(unsigned)doc % SHARDS] = m->round.seq[doc];
    if (m->look && dp_renewal_row(&m->renewal, m->look, row_of(&m->pos, token),
                                  m->rule == BY_ONE_LOOK ? 0 : m->now))
        m->caught_up = m->renewal.caught_up_s;
}

static bool is_past(const struct position *p, const struct position *q)
{
    return p->seq[0] >= q->seq[0] && p->seq[1] >= q->seq[1];
}

static struct dp_span translate(const struct model *m)
{
    const uint64_t when = m->rule != BY_TOKEN                 ? m->caught_up
                          : is_past(&m->pos, &m->last[m->at]) ? m->now
                                                              : 0;
    return when ? dp_seqmap_translate(m->maps[m->at], when) : (struct dp_span){NULL, 0};
}

static void change_regions(struct model *m)
{
    const struct dp_span to = translate(m);
    m->at = 1 - m->at;
    m->pos = to.p ? position_of(to) : (struct position){.seq = {0}};
    m->caught_up = 0;
    m->in_round = false;
    m->renewal = (struct dp_renewal){0};
    dp_seqlook_unref(m->look);
    m->look = NULL;
    m->translated += to.p != NULL;
    m->rewound += to.p == NULL;
    for (unsigned doc = 0; doc < DOCS; doc++) {
        const struct content *r = &m->regions[m->at];
        if (r->seq[doc] <= m->pos.seq[doc % SHARDS] && (r->known[doc] & ~m->seen[doc]))
            m->missed++;
    }
}

static void leave(struct model *m)
{
    if (below(&m->random, 3) == 0)
        change_regions(m);
}

/* What happens to a client that asks, and to one whose feed is open. */
typedef void move(struct model *);
static move *const asks[] = {write_document, replicate, replicate, replicate,     read_mark,
                             read_feed,      read_feed, read_feed, change_regions};
static move *const stays[] = {
    write_document, write_document, write_document, replicate,      replicate, replicate, replicate,
    read_mark,      read_open_feed, read_open_feed, read_open_feed, take_look, take_look, leave};

static void run(struct model *total, uint64_t seed, enum rule rule)
{
    struct model m = {.random = {seed}, .rule = rule};
    for (int i = 0; i < 2; i++) {
        m.maps[i] = dp_seqmap_new(MARKS, 0);
        assert_non_null(m.maps[i]);
    }
    const bool open = rule >= BY_LOOKS;
    const unsigned steps = open ? OPEN_STEPS : STEPS;
    for (m.now = 1; m.now <= steps && m.missed == 0; m.now++)
        open ? stays[below(&m.random, DP_ARRAY_LEN(stays))](&m)
             : asks[below(&m.random, DP_ARRAY_LEN(asks))](&m);
    for (int i = 0; i < 2; i++)
        dp_seqmap_free(m.maps[i]);
    dp_seqlook_unref(m.look);
    total->translated += m.translated;
    total->rewound += m.rewound;
    total->missed += m.missed;
}

static unsigned long wanted_runs(void)
{
    const char *text = getenv("DAVENPORT_MODEL_RUNS");
    return text ? strtoul(text, NULL, 10) : 30000;
}

static uint64_t seed_of(uint64_t run)
{
    return run * UINT64_C(0x9E3779B97F4A7C15);
}

static void prove(enum rule rule, unsigned most_per_translated)
{
    struct model total = {0};
    const unsigned long runs = wanted_runs();
    for (uint64_t i = 1; i <= runs; i++) {
        run(&total, seed_of(i), rule);
        if (total.missed)
            fail_msg("a change was missed in run %llu", (unsigned long long)i);
    }
    print_message(
        "%lu runs: %llu times a position was translated, %llu times the feed began anew\n", runs,
        (unsigned long long)total.translated, (unsigned long long)total.rewound);
    assert_true(total.translated >
                runs / most_per_translated); /* it is no proof of always beginning anew */
}

static void disprove(enum rule rule)
{
    struct model total = {0};
    uint64_t i = 0;
    while (i < 1000000 && total.missed == 0)
        run(&total, seed_of(++i), rule);
    print_message("a change was missed in run %llu\n", (unsigned long long)i);
    assert_true(total.missed > 0);
}

static void no_change_is_missed(void **state)
{
    (void)state;
    prove(BY_TIME, 4);
}

static void no_change_is_missed_by_open_feeds(void **state)
{
    (void)state;
    prove(BY_LOOKS, 32);
}

static void tokens_alone_miss_some(void **state)
{
    (void)state;
    disprove(BY_TOKEN);
}

static void one_look_misses_some(void **state)
{
    (void)state;
    disprove(BY_ONE_LOOK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_change_is_missed),
        cmocka_unit_test(no_change_is_missed_by_open_feeds),
        cmocka_unit_test(tokens_alone_miss_some),
        cmocka_unit_test(one_look_misses_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
