/* The cryptography that credentials need, by OpenSSL: keyed hashes, passwords' hashes, chance. Pure but for chance; any
 * thread. */
#ifndef DAVENPORT_NET_SECRET_H
#define DAVENPORT_NET_SECRET_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dp_hmac { DP_HMAC_SHA1, DP_HMAC_SHA256 };
#define DP_HMAC_BYTES 32 /* the most that one takes */

/* HMAC of `parts`, one behind the other, into `out`. Returns its length, 0 when the library failed. */
DP_MUST_USE size_t dp_hmac(enum dp_hmac kind, struct dp_span key, const struct dp_span *parts,
                           size_t n, unsigned char out[DP_HMAC_BYTES]);

/* A key ready for use: without the library's look-ups, and its locks, each time. One thread at a time. */
struct dp_hmac_key;
/* NULL: out of memory. */
DP_MUST_USE struct dp_hmac_key *dp_hmac_key_new(enum dp_hmac kind, struct dp_span key);
void dp_hmac_key_free(struct dp_hmac_key *k); /* NULL is fine */
/* As dp_hmac. */
DP_MUST_USE size_t dp_hmac_with(struct dp_hmac_key *k, const struct dp_span *parts, size_t n,
                                unsigned char out[DP_HMAC_BYTES]);

/* Takes as long whatever the bytes are. */
DP_MUST_USE bool dp_secret_same(const void *a, const void *b, size_t n);
DP_MUST_USE bool dp_secret_random(void *out, size_t n);
/* Bytes that this process chose by chance once: the same for all threads, until it ends. False: no chance. */
#define DP_SECRET_BYTES 32
DP_MUST_USE bool dp_secret_of_process(unsigned char out[DP_SECRET_BYTES]);
/* They are these instead, of the process whose place we take: before anybody asks. */
void dp_secret_inherit(const unsigned char bytes[DP_SECRET_BYTES]);

/* A password's hash as text, in the manner of PHC strings:
 *   $pbkdf2-sha256$i=600000$SALT$HASH
 *   $scrypt$ln=15,r=8,p=1$SALT$HASH
 * with salt and hash in base64 without padding. */
#define DP_PASSWORD_TEXT 160

enum dp_password { DP_PASSWORD_PBKDF2, DP_PASSWORD_SCRYPT };

/* A new one with a salt of its own, NUL ended. Blocks for a while: that is its purpose. False: no chance, no memory. */
DP_MUST_USE bool dp_password_hash(enum dp_password kind, struct dp_span password,
                                  char out[DP_PASSWORD_TEXT]);
/* NULL when `text` is such a hash, of a cost between "no use" and "stops the service"; else why not, for people, never
 * quoting it. */
const char *dp_password_fault(const char *text);
/* Is this the password? Blocks, as long for a wrong one. */
DP_MUST_USE bool dp_password_verify(const char *text, struct dp_span password);

/* Tokens of operators: 256 bits of chance in hexadecimal, behind a prefix by which scanners know a secret that was lost.
 * Guessing is hopeless, so one fast hash is enough, and a check costs next to nothing. */
#define DP_TOKEN_BYTES      69 /* "dvp_", 64 digits, NUL */
#define DP_TOKEN_HASH_BYTES 72 /* "sha256:", 64 digits, NUL */

/* A new one. False: no chance. */
DP_MUST_USE bool dp_token_make(char out[DP_TOKEN_BYTES]);
/* What is kept of it. False: it has not a token's form, so it can't be one; or the library failed. */
DP_MUST_USE bool dp_token_hash(struct dp_span token, char out[DP_TOKEN_HASH_BYTES]);
/* NULL when `text` is such a hash; else why not, for people, never quoting it. */
const char *dp_token_hash_fault(const char *text);

#endif
