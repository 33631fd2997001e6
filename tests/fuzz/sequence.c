/* Sequence tokens: whatever comes is a token or an error, and a token is at or past itself, or says of nothing that could
 * be compared. Input: the token; behind a first byte of 0xff the term itself, as its text is seldom one by chance. */
#include "davenport/couch/sequence.h"

#include "fuzz.h"

#include <stdlib.h>

static struct fuzz_text encode(const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct fuzz_text t = {0};
    uint32_t bits = 0;
    unsigned have = 0;
    fuzz_add(&t, "1-", 2);
    for (size_t i = 0; i < n; i++) {
        bits = (bits << 8 | p[i]) & 0xffff;
        for (have += 8; have >= 6; have -= 6)
            fuzz_add(&t, &digits[bits >> (have - 6) & 63], 1);
    }
    if (have > 0)
        fuzz_add(&t, &digits[bits << (6 - have) & 63], 1);
    return t;
}

static void check(const char *p, size_t n)
{
    static struct dp_seq s;
    char *copy = fuzz_copy(p, n);
    if (dp_seq_parse((struct dp_span){copy, n}, &s) == DP_OK) {
        fuzz_check(s.n >= 1 && s.n <= DP_SEQ_SHARDS, "as many shards as there may be");
        fuzz_check(dp_seq_compare(&s, &s) != DP_SEQ_BEFORE || s.n > 1, "no token is before itself");
        for (uint16_t i = 0; i < s.n; i++) {
            fuzz_check(s.shards[i].first <= s.shards[i].last, "a range");
            fuzz_check(s.shards[i].node.n <= DP_SEQ_NAME && s.shards[i].uuid_n <= DP_SEQ_UUID,
                       "within bounds");
        }
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 0xff) {
        struct fuzz_text t = encode(data + 1, size - 1);
        check(t.p, t.n);
        fuzz_free(&t);
    } else {
        check((const char *)data, size);
    }
    return 0;
}
