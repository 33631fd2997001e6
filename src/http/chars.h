/* Which bytes may stand where in a message (RFC 9110 5.6, RFC 9112 3). One table, one load a byte.
 * Private to http. */
#ifndef DAVENPORT_SRC_HTTP_CHARS_H
#define DAVENPORT_SRC_HTTP_CHARS_H

#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dp_char_class {
    DP_CHAR_TOKEN = 1, /* tchar: methods, field names, options, codings */
    DP_CHAR_VALUE = 2, /* field-vchar, space, tab: field values, reason phrases, chunk extensions */
    DP_CHAR_TARGET = 4, /* visible ASCII except '#': wider than RFC 3986, as clients send CouchDB
                           raw quotes */
    DP_CHAR_HOST = 8    /* letters, digits, "-._": narrower than RFC 3986, which allows what no name
                           has */
};

extern const uint8_t dp_char_classes[256];

static inline bool dp_char_is(char c, enum dp_char_class klass)
{
    return (dp_char_classes[(uint8_t)c] & (unsigned)klass) != 0;
}

/* Every byte is of the class; true when there is none. */
static inline bool dp_chars_are(struct dp_span s, enum dp_char_class klass)
{
    uint8_t all = UINT8_MAX;
    for (size_t i = 0; i < s.n; i++)
        all &= dp_char_classes[(uint8_t)s.p[i]];
    return (all & (unsigned)klass) != 0;
}

/* 0 to 15, or -1. */
static inline int dp_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

#endif
