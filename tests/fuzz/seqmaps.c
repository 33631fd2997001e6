/* Sequence maps kept in a text: whatever it says, what is taken of it can be written, and read again as the same. Input: a
 * byte, then the text behind the first line, which is made to fit; where the byte is odd, the whole text. */
#include "davenport/couch/seqmaps.h"

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const struct dp_seqmaps_config config = {3, 4, 60000};

static char *text_of(struct dp_seqmaps *m, size_t *n)
{
    char *text = dp_seqmaps_write(m, DP_SPAN(""), n);
    fuzz_check(text != NULL, "it can be written");
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_text t = {0};
    char first[96];
    const char *why = NULL;
    size_t n, again_n;
    if (size == 0)
        return 0;
    if (!(data[0] & 1))
        fuzz_add(&t, first,
                 (size_t)snprintf(first, sizeof(first), "davenport-sequence-maps 1 %08lx %zu\n",
                                  crc32_z(0, data + 1, size - 1), size - 1));
    fuzz_add(&t, data + 1, size - 1);
    struct dp_seqmaps *m = dp_seqmaps_new(&config), *again = dp_seqmaps_new(&config);
    fuzz_check(m && again, "memory");
    char *copy = fuzz_copy(t.p, t.n);
    if (dp_seqmaps_read(m, DP_SPAN(""), (struct dp_span){copy, t.n}, &why) != DP_OK)
        fuzz_check(why != NULL, "it says why");
    char *text = text_of(m, &n);
    fuzz_check(dp_seqmaps_read(again, DP_SPAN(""), (struct dp_span){text, n}, &why) == DP_OK,
               "it can be read");
    char *same = text_of(again, &again_n);
    fuzz_check(n == again_n && memcmp(text, same, n) == 0, "as it was");
    struct dp_seqview *v = dp_seqmaps_view(again);
    fuzz_check(v != NULL, "memory");
    (void)dp_seqview_translate(v, DP_SPAN("a"), DP_SPAN("b"), DP_SPAN("c"), 1764166866, 1764166866);
    dp_seqview_unref(v);
    free(same);
    free(text);
    free(copy);
    dp_seqmaps_free(m);
    dp_seqmaps_free(again);
    fuzz_free(&t);
    return 0;
}
