/* A follower of _changes through failovers, with all that stands between it and the regions: requests as it sends them,
 * answers as CouchDB and PouchDB's servers write them, tags as the tagger writes them, marks as the watcher reads them,
 * maps and their snapshots, tokens that are translated. Whatever the new region has at or below the place where the
 * follower goes on, the follower was told, or began behind it of its own will. One random schedule a run;
 * DAVENPORT_MODEL_RUNS says how many (default 20 000).
 *
 * A region's nodes may lag: what answers is what the region held up to LAG seconds ago. An open feed is
 * told in rounds of what its node holds when the round begins; rounds end before the next begins, and may take long. Each
 * look at a clock may be wrong by SKEW. The marks' age must cover both; with less the model must find a change that is missed,
 * and so it must where the tags promise more than is proven, or where rounds are broken off: else it would prove nothing. */
#include "davenport/base/attr.h"
#include "davenport/couch/reading.h"
#include "davenport/couch/seqmaps.h"

#include "couch/two_regions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    STEPS = 80,
    MARKS = 6,
    LAG = 2,
    SKEW = 1,
    STALL = 20,
    BEGAN = 1000,
    TOKEN = ENCODED_MAX,
    ANSWER = 8 * TOKEN
};

struct region {
    struct content at[STEPS + 2]; /* each second */
    struct replication out;       /* from here to the other */
};

/* What is wrong on purpose. */
enum fault {
    NONE,
    NO_AGE,
    NO_SETTLING,
    PARTS_ARE_WHOLE,
    ROWS_ARE_CAUGHT_UP,
    FILTERS_ARE_WHOLE,
    FAULTS
};

struct follower {
    char token[TOKEN]; /* as it keeps it, with its tag; "" begins at 0 */
    uint64_t seen[DOCS];
    int home;      /* where the proxy sends it when its token says nothing else */
    bool filtered; /* by content, all the time */
    bool stays;    /* with a feed, once it is open */
    bool open;     /* a continuous feed */
    struct dp_tagger tagger;
    struct dp_renewal renewal;
    struct position pos; /* of the open feed */
    unsigned node;
    bool in_round;
    unsigned reads_at;    /* until then it reads nothing of it */
    struct content round; /* what is told now */
};

struct model {
    struct random random;
    unsigned now;
    unsigned lag, skew, age; /* in seconds: none and the least, or LAG, SKEW and what covers them */
    unsigned steps, pace;    /* seconds, and moves in each */
    uint64_t ticks;          /* a clock that nobody sets */
    enum fault fault;
    unsigned revisions;
    struct region regions[2];
    struct dp_seqmaps *maps;
    struct follower f;
    uint64_t translated, rewound, missed, renewed;
};

static const char *const names[] = {"eu", "us"};

/* Somebody's clock. */
static uint64_t clock_s(struct model *m)
{
    return BEGAN + m->now + below(&m->random, 2 * m->skew + 1) - m->skew;
}

static struct content *content(struct model *m, int region)
{
    return &m->regions[region].at[m->now];
}

/* As this node has it: it is late by as many seconds as its number says. */
static const struct content *content_of(const struct model *m, int region, unsigned node)
{
    return &m->regions[region].at[m->now > node ? m->now - node : 0];
}

/* As one of its nodes has it. */
static const struct content *any_node(struct model *m, int region, unsigned *node)
{
    *node = below(&m->random, m->lag + 1);
    return content_of(m, region, *node);
}

static void by_node(struct position *p, unsigned node)
{
    for (unsigned i = 0; i < SHARDS; i++)
        p->node[i] = node;
}

/* ---- tokens ---- */

static void write_token(const struct position *p, char out[TOKEN])
{
    for (unsigned i = 0; i < SHARDS; i++)
        assert_true(p->seq[i] < 256);
    encode_seq(p->seq, p->node, "uu", out);
}

static struct position position_of(struct dp_span token)
{
    struct position p = {{0}, {0}};
    struct dp_seq s;
    if (dp_span_eq(token, DP_SPAN("0")))
        return p;
    assert_int_equal(dp_seq_parse(token, &s), DP_OK);
    assert_int_equal(s.n, SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        p.seq[i] = (unsigned)s.shards[i].seq;
        p.node[i] = (unsigned)(s.shards[i].node.p[1] - '0');
    }
    return p;
}

/* ---- the regions ---- */

static void write_document(struct model *m)
{
    if (m->revisions < REVISIONS)
        learn(content(m, (int)below(&m->random, 2)), below(&m->random, DOCS),
              UINT64_C(1) << m->revisions++);
}

static void replicate(struct model *m)
{
    const int from = (int)below(&m->random, 2);
    unsigned node;
    const struct content *source = any_node(m, from, &node);
    replication_goes_on(&m->regions[from].out, &m->random, source, content(m, 1 - from));
}

/* A region is asked for its update_seq: any node answers for a shard. */
static void look(struct model *m)
{
    struct position p;
    char token[TOKEN];
    const int region = (int)below(&m->random, 2);
    for (unsigned i = 0; i < SHARDS; i++)
        p.seq[i] = any_node(m, region, &p.node[i])->last.seq[i];
    write_token(&p, token);
    dp_seqmaps_look(m->maps, DP_SPAN("db"), dp_span_str(names[region]), dp_span_str(token),
                    (int64_t)clock_s(m) * 1000, ++m->ticks);
}

static void read_mark(struct model *m)
{
    char token[TOKEN];
    const int from = (int)below(&m->random, 2);
    write_token(&m->regions[from].out.checkpoint, token);
    const struct dp_seqmaps_mark k = {.database = DP_SPAN("db"),
                                      .from = dp_span_str(names[1 - from]),
                                      .to = dp_span_str(names[from]),
                                      .token = dp_span_str(token),
                                      .read_ms = (int64_t)clock_s(m) * 1000};
    assert_int_equal(dp_seqmaps_add(m->maps, &k), DP_OK);
}

/* What a filter of content lets through: even revisions only, of the newest that the node has. */
static bool passes(uint64_t known)
{
    return known && (63 - __builtin_clzll(known)) % 2 == 0;
}

/* ---- the proxy ---- */

static void check(struct model *m, int region, const struct position *pos)
{
    const struct content *c = content(m, region);
    for (unsigned doc = 0; doc < DOCS; doc++) {
        const bool wanted = !m->f.filtered || passes(c->known[doc]);
        if (wanted && c->seq[doc] <= pos->seq[doc % SHARDS] && (c->known[doc] & ~m->f.seen[doc]))
            m->missed++;
    }
}

/* The token that `region` is asked with, for the one the follower sends. */
static struct dp_token since_of(struct model *m, int region, struct position *pos)
{
    struct dp_token t = dp_token_split(dp_span_str(m->f.token));
    *pos = (struct position){{0}, {0}};
    if (t.tag.n > 0 && !dp_span_eq(t.tag, dp_span_str(names[region]))) {
        struct dp_seqview *v = dp_seqmaps_view(m->maps);
        assert_non_null(v);
        const struct dp_span to = dp_seqview_translate(
            v, DP_SPAN("db"), t.tag, dp_span_str(names[region]), t.time.caught_up_s, clock_s(m));
        m->translated += to.p != NULL;
        m->rewound += to.p == NULL;
        if (to.p)
            *pos = position_of(to);
        check(m, region, pos);
        dp_seqview_unref(v);
        t = (struct dp_token){.token = to.p ? to : DP_SPAN("0")};
    } else if (t.token.n > 0) {
        *pos = position_of(t.token);
    }
    return t;
}

static struct dp_token_times times_of(struct model *m, const char *target,
                                      const struct dp_token *since, uint64_t asked_s)
{
    const struct dp_span text = dp_span_str(target);
    const struct dp_couch_request r =
        dp_couch_classify(DP_SPAN("GET"), (struct dp_span){NULL, 0}, text);
    struct dp_reading reading = dp_reading_of(text, m->fault == NO_SETTLING ? 0 : m->age);
    if (m->fault == FILTERS_ARE_WHOLE)
        reading.all = true;
    struct dp_token_times t = dp_reading_times(&r, &reading, since, asked_s);
    if (m->fault == PARTS_ARE_WHOLE)
        t.limit = UINT64_MAX;
    if (m->fault == ROWS_ARE_CAUGHT_UP)
        t.before = t.whole;
    return t;
}

/* ---- the follower ---- */

/* The value behind the i-th `key` of an answer; false: there is none. */
static bool value_of(const char *answer, const char *key, unsigned i, char out[TOKEN])
{
    for (const char *at = strstr(answer, key); at; at = strstr(at + 1, key)) {
        const char *end = strchr(at + strlen(key), '"');
        if (i-- > 0)
            continue;
        assert_non_null(end);
        (void)snprintf(out, TOKEN, "%.*s", (int)(end - at - (long)strlen(key)), at + strlen(key));
        return true;
    }
    return false;
}

static void pass(struct dp_tagger *t, const char *text, char *out, size_t cap)
{
    size_t used, n = dp_tagger_run(t, text, strlen(text), &used, out, cap - DP_TAGGER_ROOM);
    assert_int_equal(used, strlen(text));
    n += dp_tagger_finish(t, out + n);
    out[n] = '\0';
}

struct answer {
    char text[ANSWER];
    size_t n;
    unsigned rows;
    uint64_t told[DOCS + 1][DOCS]; /* after so many rows, what was told */
    struct position pos;
};

static void add_row(struct answer *a, unsigned doc, uint64_t known)
{
    char token[TOKEN];
    write_token(&a->pos, token);
    a->n += (size_t)snprintf(a->text + a->n, sizeof(a->text) - a->n,
                             "%s{\"seq\":\"%s\",\"id\":\"%u\"}", a->rows ? ",\n" : "", token, doc);
    memcpy(a->told[a->rows + 1], a->told[a->rows], sizeof(a->told[0]));
    a->told[++a->rows][doc] |= known;
}

/* An answer of _changes as a normal feed or a longpoll. */
static void make_answer(struct model *m, const struct content *c, unsigned limit, bool pouch,
                        struct answer *a)
{
    char token[TOKEN];
    unsigned pending = 0;
    int doc;
    a->n = (size_t)snprintf(a->text, sizeof(a->text), "{\"results\":[\n");
    while ((doc = next_change(&m->random, c, &a->pos)) >= 0 && a->rows < limit) {
        a->pos.seq[(unsigned)doc % SHARDS] = c->seq[doc];
        if (!m->f.filtered || passes(c->known[doc]))
            add_row(a, (unsigned)doc, c->known[doc]);
    }
    for (unsigned d = 0; d < DOCS; d++)
        pending += c->seq[d] > a->pos.seq[d % SHARDS];
    write_token(&a->pos, token);
    (void)snprintf(a->text + a->n, sizeof(a->text) - a->n,
                   pouch ? "\n],\n\"last_seq\":\"%s\"}\n"
                         : "\n],\n\"last_seq\":\"%s\",\"pending\":%u}\n",
                   token, pending);
}

static void tell(struct model *m, const uint64_t told[DOCS])
{
    for (unsigned d = 0; d < DOCS; d++)
        m->f.seen[d] |= told[d];
}

/* Reads once. It may come to any row and not farther, and goes on from there. */
static void poll_changes(struct model *m)
{
    static const unsigned limits[] = {1, 2, 100};
    const unsigned limit = limits[below(&m->random, DP_ARRAY_LEN(limits))];
    const bool pouch = below(&m->random, 3) == 0;
    const uint64_t asked_s = clock_s(m);
    unsigned node;
    char target[96], out[2 * ANSWER];
    struct answer a = {.rows = 0};
    struct dp_tagger tagger;
    (void)snprintf(target, sizeof(target), "/db/_changes?feed=longpoll%s",
                   m->f.filtered ? "&filter=a/b" : "");
    if (limit < 100)
        (void)snprintf(target + strlen(target), 32, "&limit=%u", limit);
    m->f.open = false;
    const struct dp_token since = since_of(m, m->f.home, &a.pos);
    const struct dp_token_times times = times_of(m, target, &since, asked_s);
    const struct content *c = any_node(m, m->f.home, &node);
    by_node(&a.pos, node);
    make_answer(m, c, limit, pouch, &a);
    dp_tagger_init(&tagger, DP_TOKENS_CHANGES, dp_span_str(names[m->f.home]), &times);
    pass(&tagger, a.text, out, sizeof(out));
    const unsigned came = below(&m->random, a.rows + 3);
    if (came == 0 && a.rows > 0)
        return; /* it crashed at once */
    const unsigned told = came < a.rows ? came : a.rows;
    const bool whole = came >= a.rows;
    tell(m, a.told[told]);
    assert_true(
        value_of(out, whole ? "\"last_seq\":\"" : "{\"seq\":\"", whole ? 0 : told - 1, m->f.token));
}

/* A line of the open feed, and the token that it is told with. A read brings one line, and now and then it is held against what
 * the region told. */
static void tell_line(struct model *m, const struct dp_seqview *v, const char *line,
                      const char *key)
{
    char out[2 * TOKEN];
    struct follower *f = &m->f;
    const struct dp_seqlook *told = dp_seqview_look(v, DP_SPAN("db"), dp_span_str(names[f->home]));
    const uint64_t before_s = f->renewal.caught_up_s, now = ++m->ticks;
    if (told && f->tagger.times.whole.run_s > 0 && below(&m->random, 2))
        f->tagger.look = (struct dp_tagger_look){&f->renewal, told, now};
    pass(&f->tagger, line, out, sizeof(out));
    f->tagger.look.renewal = NULL;
    m->renewed += f->renewal.caught_up_s > before_s;
    assert_true(value_of(out, key, 0, f->token));
}

static void open_feed(struct model *m)
{
    struct follower *f = &m->f;
    const struct dp_token since = since_of(m, f->home, &f->pos);
    const char *target =
        f->filtered ? "/db/_changes?feed=continuous&filter=a/b" : "/db/_changes?feed=continuous";
    const struct dp_token_times times = times_of(m, target, &since, clock_s(m));
    dp_tagger_init(&f->tagger, DP_TOKENS_LINES, dp_span_str(names[f->home]), &times);
    f->renewal = (struct dp_renewal){.settled_s = times.whole.run_s + m->age};
    f->node = below(&m->random, m->lag + 1);
    f->open = true;
    f->in_round = false;
    f->reads_at = 0;
}

/* A continuous feed: begins, or tells some of what is new. */
static void follow(struct model *m)
{
    char line[2 * TOKEN], token[TOKEN];
    struct follower *f = &m->f;
    int doc;
    if (!f->open)
        open_feed(m);
    if (m->now < f->reads_at)
        return;
    if (below(&m->random, 4 * m->pace) == 0)
        f->reads_at = m->now + below(&m->random, STALL);
    if (!f->in_round && below(&m->random, 8) == 0)
        f->node = below(&m->random, m->lag + 1); /* the other one is down */
    if (!f->in_round)
        f->round = *content_of(m, f->home, f->node);
    f->in_round = true;
    struct dp_seqview *v = dp_seqmaps_view(m->maps);
    assert_non_null(v);
    while ((doc = next_change(&m->random, &f->round, &f->pos)) >= 0 &&
           below(&m->random, f->stays ? 2 : 8) > 0) {
        const uint64_t known = f->round.known[doc];
        f->pos.seq[(unsigned)doc % SHARDS] = f->round.seq[doc];
        f->pos.node[(unsigned)doc % SHARDS] = f->node;
        if (f->filtered && !passes(known))
            continue;
        f->seen[doc] |= known;
        write_token(&f->pos, token);
        (void)snprintf(line, sizeof(line), "{\"seq\":\"%s\",\"id\":\"%d\"}\n", token, doc);
        tell_line(m, v, line, "{\"seq\":\"");
    }
    if (doc < 0) {
        f->in_round = false;
        by_node(&f->pos, f->node);
    }
    if (doc < 0 && below(&m->random, f->stays ? 64 : 4) == 0) {
        write_token(&f->pos, token);
        (void)snprintf(line, sizeof(line), "{\"last_seq\":\"%s\",\"pending\":0}\n", token);
        tell_line(m, v, line, "{\"last_seq\":\"");
        f->open = false;
    }
    dp_seqview_unref(v);
}

/* It begins at update_seq or at "now": what was before it does not want. */
static void begin_now(struct model *m)
{
    static const struct dp_token now = {.token = DP_SPAN_INIT("now")};
    const bool by_info = below(&m->random, 2);
    char text[2 * TOKEN], token[TOKEN], out[2 * TOKEN];
    unsigned node;
    struct dp_tagger tagger;
    const struct dp_token_times times =
        times_of(m, by_info ? "/db" : "/db/_changes?since=now&limit=1", &now, clock_s(m));
    const struct content *c = any_node(m, m->f.home, &node);
    struct position last = c->last;
    if (below(&m->random, 6) > 0)
        return;
    by_node(&last, node);
    write_token(&last, token);
    (void)snprintf(text, sizeof(text),
                   by_info ? "{\"update_seq\":\"%s\"}"
                           : "{\"results\":[],\"last_seq\":\"%s\",\"pending\":0}",
                   token);
    dp_tagger_init(&tagger, by_info ? DP_TOKENS_TOP : DP_TOKENS_CHANGES,
                   dp_span_str(names[m->f.home]), &times);
    pass(&tagger, text, out, sizeof(out));
    assert_true(value_of(out, "_seq\":\"", 0, m->f.token));
    m->f.open = false;
    tell(m, c->known);
}

static void change_regions(struct model *m)
{
    if (below(&m->random, m->pace) > 0)
        return;
    m->f.home = 1 - m->f.home;
    m->f.open = false;
}

/* What happens; the follower asks again and again, or stays with one feed. */
typedef void move(struct model *);
static move *const asks[] = {write_document, write_document, replicate, replicate,
                             replicate,      read_mark,      look,      poll_changes,
                             poll_changes,   follow,         begin_now, change_regions};
static move *const stays[] = {write_document, write_document, write_document, replicate,
                              replicate,      replicate,      read_mark,      look,
                              look,           follow,         follow,         change_regions};

static void begin(struct model *m, uint64_t seed, enum fault fault)
{
    memset(m, 0, sizeof(*m));
    m->random.x = seed;
    m->fault = fault;
    m->f.filtered = below(&m->random, 4) == 0;
    m->f.stays = below(&m->random, 2);
    m->lag = below(&m->random, 2) ? LAG : 0;
    if (fault != NONE) { /* of those who ask again and again, and some are rare */
        m->f.stays = false;
        m->lag = LAG;
    }
    m->skew = m->lag > 0 ? SKEW : 0;
    m->age = m->lag + 2 * m->skew;
    if (m->age == 0)
        m->age = 1; /* times are told in whole seconds */
    m->pace = fault != NONE || below(&m->random, 2) ? 3 : 12;
    m->steps = m->pace == 3 ? STEPS : STEPS / 3;
    const struct dp_seqmaps_config config = {1, MARKS, fault == NO_AGE ? 0 : m->age * 1000};
    m->maps = dp_seqmaps_new(&config);
    assert_non_null(m->maps);
}

static void run(struct model *total, uint64_t seed, enum fault fault)
{
    static struct model m;
    begin(&m, seed, fault);
    for (m.now = 1; m.now <= m.steps && m.missed == 0; m.now++) {
        for (int i = 0; i < 2; i++)
            *content(&m, i) = m.regions[i].at[m.now - 1];
        for (unsigned i = 0; i < m.pace; i++)
            m.f.stays ? stays[below(&m.random, DP_ARRAY_LEN(stays))](&m)
                      : asks[below(&m.random, DP_ARRAY_LEN(asks))](&m);
    }
    dp_seqmaps_free(m.maps);
    total->translated += m.translated;
    total->rewound += m.rewound;
    total->missed += m.missed;
    total->renewed += m.renewed;
}

static unsigned long wanted_runs(void)
{
    const char *text = getenv("DAVENPORT_MODEL_RUNS");
    return text ? strtoul(text, NULL, 10) : 20000;
}

static uint64_t seed_of(uint64_t i)
{
    return i * UINT64_C(0x9E3779B97F4A7C15);
}

static void no_change_is_missed(void **state)
{
    (void)state;
    static struct model total;
    const unsigned long runs = wanted_runs();
    for (uint64_t i = 1; i <= runs; i++) {
        run(&total, seed_of(i), NONE);
        if (total.missed)
            fail_msg("a change was missed in run %llu", (unsigned long long)i);
    }
    print_message("%lu runs: %llu times a token was translated, %llu times the feed began anew; "
                  "%llu times an open feed's was renewed\n",
                  runs, (unsigned long long)total.translated, (unsigned long long)total.rewound,
                  (unsigned long long)total.renewed);
    assert_true(total.translated > runs / 8); /* it is no proof of always beginning anew */
    assert_true(total.renewed > runs / 8);
}

static void faults_are_found(void **state)
{
    (void)state;
    for (int fault = NONE + 1; fault < FAULTS; fault++) {
        static struct model total;
        uint64_t i = fault == NO_SETTLING ? 933000 : 0; /* it is rare */
        memset(&total, 0, sizeof(total));
        while (total.missed == 0 && i < 1000000)
            run(&total, seed_of(++i), (enum fault)fault);
        print_message("fault %d: found in run %llu\n", fault, (unsigned long long)i);
        assert_true(total.missed > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_change_is_missed),
        cmocka_unit_test(faults_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
