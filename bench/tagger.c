/* How fast sequence tokens are tagged (couch/token.h): gigabytes of body a second, one core, pieces of 64 KiB as they
 * come from a region. usage: bench_tagger */
#include "davenport/base/attr.h"
#include "davenport/base/clock.h"
#include "davenport/couch/token.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_BYTES (64U << 20)
#define PIECE      65536U
#define ROUNDS     9

#define SEQ                                                                                        \
    "{\"seq\":\"12345-g1AAAACXeJzLYWBgYMpgTmEQSM4vTc4wdDA0MtczAELDHJBMIkNS_f___7MymBMZc4EC7ElGS"   \
    "eYppgZY1OM2JI8FSDI0AKn_KGZZAk1KSUvCoi0LACb8JlM\",\"id\":\"order:2026-11-26:000123\","         \
    "\"changes\":[{\"rev\":\"1-6a1adde9be9cd8e7d5ef76edc6836391\"}]"
#define DOC                                                                                        \
    ",\"doc\":{\"_id\":\"order:2026-11-26:000123\",\"_rev\":\"1-"                                  \
    "6a1adde9be9cd8e7d5ef76edc6836391\","                                                          \
    "\"name\":\"J. Smith\",\"address\":{\"street\":\"Main St. "                                    \
    "1\",\"zip\":12345},\"tags\":[\"a\",\"b\"],"                                                   \
    "\"text\":\"It is \\\"quoted\\\",\\nand goes on for a while, as notes that people write do: "  \
    "they are longer than all the rest of a document together, quite often.\",\"seq\":5}"

static const struct {
    const char *name;
    enum dp_tokens kind;
    const char *row;
} shapes[] = {
    {"changes, rows only", DP_TOKENS_CHANGES, SEQ "},\n"},
    {"changes with documents", DP_TOKENS_CHANGES, SEQ DOC "},\n"},
    {"continuous", DP_TOKENS_LINES, SEQ "}\n"},
    {"nothing to tag (a view's rows)", DP_TOKENS_TOP, SEQ DOC "},\n"},
};

static double seconds(const struct dp_clock *c)
{
    return (double)dp_clock_mono_ns(c) / 1e9;
}

static double run(enum dp_tokens kind, const char *body, size_t n, char *out, size_t cap)
{
    static const struct dp_token_times times = {
        {1764166800, 0}, {1764166866, 1764166700}, UINT64_MAX};
    struct dp_tagger t;
    double began = seconds(&dp_clock_system);
    dp_tagger_init(&t, kind, DP_SPAN("eu-de"), &times);
    for (size_t at = 0, used; at < n; at += used)
        (void)dp_tagger_run(&t, body + at, n - at < PIECE ? n - at : PIECE, &used, out, cap);
    return (double)n / (seconds(&dp_clock_system) - began) / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static const char head[] = "{\"results\":[\n";
    char *body = malloc(BODY_BYTES), *out = malloc(PIECE);
    if (!body || !out)
        return 1;
    for (size_t i = 0; i < DP_ARRAY_LEN(shapes); i++) {
        double rate[ROUNDS];
        size_t n = 0, row = strlen(shapes[i].row);
        if (shapes[i].kind != DP_TOKENS_LINES) {
            memcpy(body, head, sizeof(head) - 1);
            n = sizeof(head) - 1;
        }
        for (; n + row <= BODY_BYTES; n += row)
            memcpy(body + n, shapes[i].row, row);
        for (size_t r = 0; r < ROUNDS; r++)
            rate[r] = run(shapes[i].kind, body, n, out, PIECE);
        qsort(rate, ROUNDS, sizeof(rate[0]), by_size);
        printf("%-32s %.2f GB/s (%.2f-%.2f)\n", shapes[i].name, rate[ROUNDS / 2], rate[0],
               rate[ROUNDS - 1]);
    }
    free(body);
    free(out);
    return 0;
}
