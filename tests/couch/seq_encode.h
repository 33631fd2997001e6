/* Sequence tokens as CouchDB makes them, of a database with two shards, nodes "n0" to "n9". Nothing is compressed. */
#ifndef DAVENPORT_TESTS_COUCH_SEQ_ENCODE_H
#define DAVENPORT_TESTS_COUCH_SEQ_ENCODE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ENCODED_SHARDS = 2, ENCODED_MAX = 320 };

static inline void encode64(const unsigned char *p, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = digits[bits >> (have - 6) & 63];
    }
    if (have > 0)
        *out++ = digits[bits << (6 - have) & 63];
    *out = '\0';
}

static inline size_t put(unsigned char *at, const void *p, size_t n)
{
    memcpy(at, p, n);
    return n;
}

/* A list of {node, [first, last], {seq, uuid, node}}; seq: below 256. uuid: two letters. */
static inline void encode_seq(const unsigned seq[ENCODED_SHARDS],
                              const unsigned node[ENCODED_SHARDS], const char *uuid,
                              char out[ENCODED_MAX])
{
    static const unsigned char low[] = {108, 0, 0, 0, 2, 97, 0, 98, 127, 255, 255, 255, 106};
    static const unsigned char high[] = {108, 0,   0,   0, 2, 110, 4,   0,   0,   0,
                                         0,   128, 110, 4, 0, 255, 255, 255, 255, 106};
    static const unsigned char uuid_head[] = {109, 0, 0, 0, 2}, triple[] = {104, 3};
    unsigned char term[160] = {131, 108, 0, 0, 0, ENCODED_SHARDS};
    size_t n = 6;
    for (unsigned i = 0; i < ENCODED_SHARDS; i++) {
        const unsigned char name[] = {100, 0, 2, 'n', (unsigned char)('0' + node[i])};
        const unsigned char count[] = {97, (unsigned char)seq[i]};
        n += put(term + n, triple, sizeof(triple));
        n += put(term + n, name, sizeof(name));
        n += i == 0 ? put(term + n, low, sizeof(low)) : put(term + n, high, sizeof(high));
        n += put(term + n, triple, sizeof(triple));
        n += put(term + n, count, sizeof(count));
        n += put(term + n, uuid_head, sizeof(uuid_head));
        n += put(term + n, uuid, 2);
        n += put(term + n, name, sizeof(name));
    }
    term[n++] = 106;
    memcpy(out, "1-", 2);
    encode64(term, n, out + 2);
}

#endif
