/* Base64 (RFC 4648) and hexadecimal, for credentials and sequence tokens. Pure. */
#ifndef DAVENPORT_BASE_BASE64_H
#define DAVENPORT_BASE_BASE64_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>

enum dp_base64 {
    DP_BASE64,    /* + and /, padded with = */
    DP_BASE64_URL /* - and _, without padding */
};

/* Room for n bytes as base64, without a NUL. */
#define DP_BASE64_BYTES(n) (((n) + 2) / 3 * 4)

/* Returns its length. out: DP_BASE64_BYTES(n). */
size_t dp_base64_encode(enum dp_base64 kind, const void *bytes, size_t n, char *out);
/* Strict: nothing but the alphabet, no loose bits at the end; padding may be left out. out: at least text.n / 4 * 3 + 2
 * bytes. False: it is none, and `out` is undefined. */
DP_MUST_USE bool dp_base64_decode(enum dp_base64 kind, struct dp_span text, void *out, size_t *n);

/* Lower case; out: 2 * n. */
void dp_hex(const void *bytes, size_t n, char *out);

#endif
