/* zlib in a loop, one piece of the input after the other. */
#include "davenport/couch/gunzip.h"

#include <stdbool.h>

#define ZLIB_CONST
#include <zlib.h>

/* Bytes of a piece that is given on. */
#define PIECE_BYTES 4096
/* zlib: the window of any encoder; a gzip header is expected. */
#define WINDOW_BITS (15 + 16)

/* Inflate one piece of the input. *ended: the member is over. */
static enum dp_err run(z_stream *z, struct dp_span in, dp_gunzip_fn take, void *ctx, bool *ended)
{
    Bytef out[PIECE_BYTES];
    z->next_in = (const Bytef *)in.p;
    z->avail_in = (uInt)in.n;
    do {
        z->next_out = out;
        z->avail_out = sizeof(out);
        int r = inflate(z, Z_NO_FLUSH);
        if (r == Z_MEM_ERROR)
            return DP_ENOMEM;
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
            return DP_EIO;
        *ended = r == Z_STREAM_END;
        size_t n = sizeof(out) - z->avail_out;
        enum dp_err err = n > 0 ? take(ctx, (const char *)out, n) : DP_OK;
        if (err)
            return err;
    } while (!*ended && (z->avail_in > 0 || z->avail_out == 0));
    return z->avail_in > 0 ? DP_EIO : DP_OK;
}

enum dp_err dp_gunzip(const struct dp_buf *in, dp_gunzip_fn take, void *ctx)
{
    z_stream z = {0};
    struct dp_buf_iter it = dp_buf_begin(in);
    struct dp_span piece;
    bool ended = false;
    enum dp_err err = DP_OK;
    if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
        return DP_ENOMEM;
    while (!err && dp_buf_next(&it, &piece))
        err = ended && piece.n > 0 ? DP_EIO : run(&z, piece, take, ctx, &ended);
    (void)inflateEnd(&z);
    if (!err && !ended)
        err = DP_EIO;
    return err;
}
