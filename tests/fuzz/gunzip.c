/* A gzip body: whatever it is, it is inflated or refused, the same however it is cut into pieces; and what was compressed
 * here comes back.
 *
 * Input: a byte that seeds the cuts, a byte of which one bit says whether the rest is to be compressed first, the body. */
#include "davenport/couch/gunzip.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MOST 65536

static enum dp_err take(void *ctx, const char *p, size_t n)
{
    struct fuzz_text *t = ctx;
    fuzz_check(n > 0, "no empty pieces");
    if (t->n + n > MOST)
        return DP_EBODYSIZE;
    fuzz_add(t, p, n);
    return DP_OK;
}

/* seed 0: in one piece. */
static enum dp_err run(const char *p, size_t n, uint32_t seed, struct fuzz_text *out)
{
    struct dp_chunk_pool pool;
    struct dp_buf in;
    dp_chunk_pool_init(&pool, 64, 0);
    dp_buf_init(&in, &pool);
    const size_t skip = seed && n > 0 ? fuzz_piece(&seed, DP_CHUNK_BYTES) : 0;
    if (skip > 0) { /* so much less room in the first chunk */
        char *filler = calloc(1, skip);
        fuzz_check(filler && dp_buf_append(&in, filler, skip) == DP_OK, "memory");
        free(filler);
    }
    fuzz_check(n == 0 || dp_buf_append(&in, p, n) == DP_OK, "memory");
    dp_buf_consume(&in, skip);
    enum dp_err err = dp_gunzip(&in, take, out);
    dp_buf_clear(&in);
    dp_chunk_pool_fini(&pool);
    return err;
}

static void compress_it(const char *p, size_t n, struct fuzz_text *out)
{
    z_stream z = {0};
    char *copy = fuzz_copy(p, n);
    size_t cap = n + 128;
    char *room = malloc(cap);
    fuzz_check(room && deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK,
               "memory");
    z.next_in = (Bytef *)copy;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)cap;
    fuzz_check(deflate(&z, Z_FINISH) == Z_STREAM_END, "room");
    fuzz_add(out, room, cap - z.avail_out);
    (void)deflateEnd(&z);
    free(room);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_text body = {0}, whole = {0}, cut = {0};
    if (size < 2)
        return 0;
    const char *p = (const char *)data + 2;
    const size_t n = size - 2;
    if (data[1] & 1)
        compress_it(p, n, &body);
    else
        fuzz_add(&body, p, n);
    enum dp_err err = run(body.p, body.n, 0, &whole);
    fuzz_check(run(body.p, body.n, data[0] + 1U, &cut) == err && fuzz_same(&whole, &cut),
               "however it is cut");
    if (data[1] & 1) {
        fuzz_check(err == DP_OK && whole.n == n && (n == 0 || memcmp(whole.p, p, n) == 0),
                   "what was compressed comes back");
        whole.n = 0;
        fuzz_check(body.n == 0 || run(body.p, body.n - 1, 0, &whole) == DP_EIO, "not what was cut");
    }
    fuzz_free(&body);
    fuzz_free(&whole);
    fuzz_free(&cut);
    return 0;
}
