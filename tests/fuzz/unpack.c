/* A compressed answer as it passes: it is read or refused, the same however it is cut and however little room there is; and
 * what was compressed here comes back, as far as it was flushed.
 *
 * Input: a byte that seeds the cuts, a byte that chooses the frame, or that the rest is taken as it is, the body. */
#include "davenport/couch/unpack.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MOST 65536

struct end {
    enum dp_err err;
    bool whole;
};

/* seed 0: in one piece, with much room. */
static struct end run(const char *p, size_t n, uint32_t seed, struct fuzz_text *out)
{
    struct dp_unpack *u = dp_unpack_new();
    struct end end = {DP_OK, false};
    fuzz_check(u != NULL, "memory");
    for (size_t at = 0; at < n && !end.err && out->n < MOST;) {
        const size_t piece = seed ? fuzz_piece(&seed, n - at) : n - at;
        char *in = fuzz_copy(p + at, piece); /* exact size: the sanitizer sees a step too far */
        size_t taken = 0, used = 0, got = 0, cap = 0;
        do {
            cap = seed ? fuzz_piece(&seed, 64) : 4096;
            char *room = malloc(cap);
            fuzz_check(room != NULL, "memory");
            end.err = dp_unpack_run(u, in + taken, piece - taken, &used, room, cap, &got);
            fuzz_check(used <= piece - taken && got <= cap, "within bounds");
            fuzz_add(out, room, got);
            free(room);
            taken += used;
            fuzz_check(end.err || got == cap || taken == piece, "all is taken while there is room");
        } while (!end.err && (taken < piece || got == cap) && out->n < MOST);
        free(in);
        at += piece;
    }
    end.whole = dp_unpack_whole(u);
    dp_unpack_free(u);
    return end;
}

static void compress_it(int window, const char *p, size_t n, struct fuzz_text *out)
{
    z_stream z = {0};
    char *copy = fuzz_copy(p, n);
    size_t cap = n + 128;
    char *room = malloc(cap);
    fuzz_check(room && deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK,
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
    static const int windows[] = {15 + 16, 15, -15};
    struct fuzz_text packed = {0}, once = {0}, cut = {0};
    if (size < 2 || size > MOST / 2)
        return 0;
    const char *p = (const char *)data + 2;
    const size_t n = size - 2;
    const unsigned how = data[1] % 4;
    if (how < 3)
        compress_it(windows[how], p, n, &packed);
    else
        fuzz_add(&packed, p, n);
    const struct end a = run(packed.p, packed.n, 0, &once);
    const struct end b = run(packed.p, packed.n, data[0] + 1U, &cut);
    if (how < 3) {
        fuzz_check(!a.err && a.whole, "what was compressed can be read");
        fuzz_check(once.n == n && (n == 0 || memcmp(once.p, p, n) == 0), "and comes back");
    }
    if (once.n < MOST && cut.n < MOST) {
        fuzz_check(a.err == b.err && a.whole == b.whole, "cuts say nothing");
        fuzz_check(once.n == cut.n && (cut.n == 0 || memcmp(once.p, cut.p, cut.n) == 0),
                   "the same bytes however it is cut");
    }
    fuzz_free(&packed);
    fuzz_free(&once);
    fuzz_free(&cut);
    return 0;
}
