/* The maps when memory runs out at any allocation: an error, the maps as they were or better, nothing leaked. */
#include "davenport/couch/seqmaps.h"

#include "couch/seq_encode.h"
#include "support/nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define ALLOCATIONS_MAX 2000
#define NOW_S           INT64_C(1764166866)

static const struct dp_seqmaps_config config = {4, 4, 60000};

/* Without memory it is left out. */
static void look(struct dp_seqmaps *m, uint64_t asked_ns)
{
    static const unsigned seq[] = {5, 6}, node[] = {0, 0};
    char token[ENCODED_MAX];
    encode_seq(seq, node, "uu", token);
    dp_seqmaps_look(m, DP_SPAN("orders"), DP_SPAN("eu"), dp_span_str(token), NOW_S * 1000,
                    asked_ns);
}

/* Add, look, write, read what was written. False: memory ran out somewhere on the way. */
static bool live(void)
{
    static const char *const tokens[] = {"1", "2", "3", "4", "5", "6"};
    struct dp_seqmaps *m = dp_seqmaps_new(&config), *again = dp_seqmaps_new(&config);
    struct dp_seqview *v = NULL;
    char *text = NULL;
    bool good = m && again;
    for (unsigned i = 0; good && i < 6; i++) {
        const struct dp_seqmaps_mark k = {DP_SPAN("orders"),       DP_SPAN("eu"), DP_SPAN("us"),
                                          dp_span_str(tokens[i]),  DP_SPAN("7"),  DP_SPAN("8"),
                                          (NOW_S - 600 + i) * 1000};
        const enum dp_err err = dp_seqmaps_add(m, &k);
        assert_true(err == DP_OK || err == DP_ENOMEM);
        good = err == DP_OK;
    }
    if (m) {
        look(m, 1);
        look(m, 2);
        v = dp_seqmaps_view(m);
    }
    const struct dp_span to =
        dp_seqview_translate(v, DP_SPAN("orders"), DP_SPAN("eu"), DP_SPAN("us"), NOW_S, NOW_S);
    if (good && v)
        assert_true(dp_span_eq(to, DP_SPAN("6")));
    size_t n = 0;
    const char *why;
    if (good)
        text = dp_seqmaps_write(m, DP_SPAN(""), &n);
    if (text) {
        const enum dp_err err =
            dp_seqmaps_read(again, DP_SPAN(""), (struct dp_span){text, n}, &why);
        assert_true(err == DP_OK || err == DP_ENOMEM || err == DP_EINVAL);
        good = good && err == DP_OK;
    }
    good = good && v && text;
    free(text);
    dp_seqview_unref(v);
    dp_seqmaps_free(m);
    dp_seqmaps_free(again);
    return good;
}

static void test_no_memory(void **state)
{
    (void)state;
    bool ran_out = true;
    unsigned failed = 0;
    nomem_libraries();
    assert_true(live());
    for (unsigned n = 1; ran_out; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        nomem_at(n);
        const bool good = live();
        ran_out = nomem_happened();
        nomem_at(0);
        assert_true(good || ran_out);
        failed += !good;
    }
    assert_true(failed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
