/* zlib, asked for what is there after every piece. */
#include "davenport/couch/unpack.h"

#include <stdint.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

/* zlib: the window of any encoder; with a gzip frame; without any. */
#define WINDOW      15
#define GZIP_WINDOW (WINDOW + 16)
#define RAW_WINDOW  (-WINDOW)

#define GZIP_FIRST 0x1f
/* The first byte of a zlib frame: method 8, a window of at most 32 KiB. */
#define ZLIB_MASK  0x8f
#define ZLIB_FIRST 0x08

enum state { FRESH, WITHIN, BETWEEN, BROKEN };

struct dp_unpack {
    z_stream z;
    enum state state; /* before the first byte, within a member, behind one, for good */
    bool gzip;        /* members may follow each other */
};

bool dp_unpack_knows(struct dp_span coding)
{
    return dp_span_ieq(coding, DP_SPAN("gzip")) || dp_span_ieq(coding, DP_SPAN("x-gzip")) ||
           dp_span_ieq(coding, DP_SPAN("deflate"));
}

struct dp_unpack *dp_unpack_new(void)
{
    return calloc(1, sizeof(struct dp_unpack));
}

void dp_unpack_free(struct dp_unpack *u)
{
    if (!u)
        return;
    if (u->state != FRESH)
        (void)inflateEnd(&u->z);
    free(u);
}

static enum dp_err begin(struct dp_unpack *u, unsigned char first)
{
    const bool zlib = (first & ZLIB_MASK) == ZLIB_FIRST;
    int window = zlib ? WINDOW : RAW_WINDOW;
    u->gzip = first == GZIP_FIRST;
    if (u->gzip)
        window = GZIP_WINDOW;
    if (inflateInit2(&u->z, window) != Z_OK)
        return DP_ENOMEM;
    u->state = WITHIN;
    return DP_OK;
}

/* Behind a member: only another one may follow. */
static enum dp_err begin_next(struct dp_unpack *u)
{
    if (!u->gzip || inflateReset(&u->z) != Z_OK)
        return DP_EIO;
    u->state = WITHIN;
    return DP_OK;
}

static enum dp_err step(struct dp_unpack *u)
{
    const int r = inflate(&u->z, Z_SYNC_FLUSH);
    if (r == Z_STREAM_END)
        u->state = BETWEEN;
    if (r == Z_MEM_ERROR)
        return DP_ENOMEM;
    return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? DP_OK : DP_EIO;
}

enum dp_err dp_unpack_run(struct dp_unpack *u, const char *p, size_t n, size_t *used, char *out,
                          size_t cap, size_t *n_out)
{
    enum dp_err err = u->state == BROKEN ? DP_EIO : DP_OK;
    *used = *n_out = 0;
    if (n > UINT32_MAX)
        n = UINT32_MAX;
    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    if (!err && u->state == FRESH) {
        if (n == 0)
            return DP_OK;
        err = begin(u, (unsigned char)*p);
        if (err)
            return err;
    }
    u->z.next_in = (const Bytef *)p;
    u->z.avail_in = (uInt)n;
    u->z.next_out = (Bytef *)out;
    u->z.avail_out = (uInt)cap;
    while (!err && u->z.avail_out > 0 && (u->z.avail_in > 0 || u->state == WITHIN)) {
        const uInt in = u->z.avail_in, room = u->z.avail_out;
        if (u->state == BETWEEN)
            err = begin_next(u);
        if (!err)
            err = step(u);
        if (in == u->z.avail_in && room == u->z.avail_out)
            break; /* it waits for more */
    }
    *used = n - u->z.avail_in;
    *n_out = cap - u->z.avail_out;
    if (err == DP_EIO && u->state != FRESH)
        u->state = BROKEN;
    return err;
}

bool dp_unpack_whole(const struct dp_unpack *u)
{
    return u->state == FRESH || u->state == BETWEEN;
}
