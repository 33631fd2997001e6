/* Three bytes are four characters of six bits. */
#include "davenport/base/base64.h"

#include <stdint.h>

static const char alphabets[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};

size_t dp_base64_encode(enum dp_base64 kind, const void *bytes, size_t n, char *out)
{
    const unsigned char *p = bytes;
    const char *digits = alphabets[kind];
    size_t k = 0;
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t group = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                               (left > 2 ? p[i + 2] : 0);
        out[k++] = digits[group >> 18];
        out[k++] = digits[group >> 12 & 63];
        if (left > 1)
            out[k++] = digits[group >> 6 & 63];
        else if (kind == DP_BASE64)
            out[k++] = '=';
        if (left > 2)
            out[k++] = digits[group & 63];
        else if (kind == DP_BASE64)
            out[k++] = '=';
    }
    return k;
}

/* -1: no character of it. */
static int value_of(enum dp_base64 kind, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == alphabets[kind][62])
        return 62;
    return c == alphabets[kind][63] ? 63 : -1;
}

bool dp_base64_decode(enum dp_base64 kind, struct dp_span text, void *out, size_t *n)
{
    unsigned char *p = out;
    uint32_t group = 0;
    size_t k = 0, padding = 0, length = text.n;
    while (length > 0 && padding < 2 && text.p[length - 1] == '=') {
        length--;
        padding++;
    }
    if (length % 4 == 1 || (padding > 0 && (length + padding) % 4 != 0))
        return false;
    for (size_t i = 0; i < length; i++) {
        const int v = value_of(kind, text.p[i]);
        if (v < 0)
            return false;
        group = group << 6 | (uint32_t)v;
        if (i % 4 == 0)
            continue;
        const unsigned loose = 6 - 2 * (unsigned)(i % 4); /* bits of the next byte */
        p[k++] = (unsigned char)(group >> loose);
        group &= (1U << loose) - 1;
    }
    *n = k;
    return group == 0;
}

void dp_hex(const void *bytes, size_t n, char *out)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[p[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[p[i] & 15];
    }
}
