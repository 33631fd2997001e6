/* Keyed hashes and passwords, by OpenSSL 3. */
#include "davenport/net/secret.h"

#include "davenport/base/base64.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define HASH_BYTES     32
#define SALT_BYTES     16
#define SALT_BYTES_MAX 48

#define PBKDF2_ROUNDS     600000 /* of OWASP's advice for HMAC-SHA-256 */
#define PBKDF2_ROUNDS_MIN 1000
#define PBKDF2_ROUNDS_MAX 10000000
#define SCRYPT_LN         15 /* 32 MiB with r = 8 */
#define SCRYPT_LN_MIN     10
#define SCRYPT_LN_MAX     17
#define SCRYPT_R_MAX      16
#define SCRYPT_P_MAX      4
#define SCRYPT_MEMORY_MAX ((uint64_t)320 * 1024 * 1024)

struct dp_hmac_key {
    EVP_MAC_CTX *ctx;
};

static EVP_MAC_CTX *context(enum dp_hmac kind, struct dp_span key)
{
    char sha1[] = "SHA1", sha256[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(
                               OSSL_MAC_PARAM_DIGEST, kind == DP_HMAC_SHA1 ? sha1 : sha256, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    /* A NULL key would mean "the one from before". */
    if (ctx && EVP_MAC_init(ctx, (const unsigned char *)(key.p ? key.p : ""), key.n, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static size_t finish(EVP_MAC_CTX *ctx, const struct dp_span *parts, size_t n,
                     unsigned char out[DP_HMAC_BYTES])
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (EVP_MAC_update(ctx, (const unsigned char *)parts[i].p, parts[i].n) != 1)
            return 0;
    }
    return EVP_MAC_final(ctx, out, &length, DP_HMAC_BYTES) == 1 ? length : 0;
}

size_t dp_hmac(enum dp_hmac kind, struct dp_span key, const struct dp_span *parts, size_t n,
               unsigned char out[DP_HMAC_BYTES])
{
    EVP_MAC_CTX *ctx = context(kind, key);
    size_t length = ctx ? finish(ctx, parts, n, out) : 0;
    EVP_MAC_CTX_free(ctx);
    return length;
}

struct dp_hmac_key *dp_hmac_key_new(enum dp_hmac kind, struct dp_span key)
{
    struct dp_hmac_key *k = malloc(sizeof(*k));
    if (k)
        k->ctx = context(kind, key);
    if (k && k->ctx)
        return k;
    free(k);
    return NULL;
}

void dp_hmac_key_free(struct dp_hmac_key *k)
{
    if (k)
        EVP_MAC_CTX_free(k->ctx);
    free(k);
}

size_t dp_hmac_with(struct dp_hmac_key *k, const struct dp_span *parts, size_t n,
                    unsigned char out[DP_HMAC_BYTES])
{
    return EVP_MAC_init(k->ctx, NULL, 0, NULL) == 1 ? finish(k->ctx, parts, n, out) : 0;
}

static pthread_once_t chosen = PTHREAD_ONCE_INIT;
static bool choice_good, inherited;
static unsigned char choice[DP_SECRET_BYTES];

static void choose(void)
{
    choice_good = inherited || dp_secret_random(choice, sizeof(choice));
}

void dp_secret_inherit(const unsigned char bytes[DP_SECRET_BYTES])
{
    memcpy(choice, bytes, sizeof(choice));
    inherited = true;
}

bool dp_secret_of_process(unsigned char out[DP_SECRET_BYTES])
{
    if (pthread_once(&chosen, choose) != 0 || !choice_good)
        return false;
    memcpy(out, choice, sizeof(choice));
    return true;
}

bool dp_secret_same(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

bool dp_secret_random(void *out, size_t n)
{
    return RAND_bytes(out, (int)n) == 1;
}

/* A hash's text taken apart. */
struct parsed {
    enum dp_password kind;
    uint64_t rounds, ln, r, p;
    unsigned char salt[SALT_BYTES_MAX], hash[HASH_BYTES];
    size_t salt_n;
};

static bool cut_number(struct dp_span *s, const char *name, uint64_t min, uint64_t max,
                       uint64_t *out)
{
    struct dp_span word = dp_span_cut(s, ',');
    struct dp_span prefix = dp_span_str(name);
    if (!dp_span_starts(word, prefix))
        return false;
    word.p += prefix.n;
    word.n -= prefix.n;
    return dp_span_u64(word, out) && *out >= min && *out <= max;
}

static const char *parse_cost(struct dp_span name, struct dp_span cost, struct parsed *out)
{
    bool good;
    if (dp_span_eq(name, DP_SPAN("pbkdf2-sha256"))) {
        out->kind = DP_PASSWORD_PBKDF2;
        good = cut_number(&cost, "i=", PBKDF2_ROUNDS_MIN, PBKDF2_ROUNDS_MAX, &out->rounds);
        return good && !cost.p ? NULL : "must have 1000 to 10000000 rounds: i=600000";
    }
    if (!dp_span_eq(name, DP_SPAN("scrypt")))
        return "must begin with $pbkdf2-sha256$ or $scrypt$: davenport hash-password makes one";
    out->kind = DP_PASSWORD_SCRYPT;
    good = cut_number(&cost, "ln=", SCRYPT_LN_MIN, SCRYPT_LN_MAX, &out->ln) && cost.p &&
           cut_number(&cost, "r=", 1, SCRYPT_R_MAX, &out->r) && cost.p &&
           cut_number(&cost, "p=", 1, SCRYPT_P_MAX, &out->p) && !cost.p;
    return good ? NULL : "must have a cost like ln=15,r=8,p=1: ln 10 to 17, r to 16, p to 4";
}

static const char *parse(const char *text, struct parsed *out)
{
    struct dp_span rest = dp_span_str(text);
    struct dp_span part[5] = {{NULL, 0}};
    unsigned char bytes[128];
    size_t n = 0, parts = 0;
    while (rest.p && parts < 5)
        part[parts++] = dp_span_cut(&rest, '$');
    if (parts < 5 || rest.p || part[0].n != 0)
        return "must be a password's hash, $NAME$COST$SALT$HASH: davenport hash-password makes one";
    const char *why = parse_cost(part[1], part[2], out);
    if (why)
        return why;
    if (part[3].n > 64 || !dp_base64_decode(DP_BASE64, part[3], bytes, &n) || n < 8 ||
        n > SALT_BYTES_MAX)
        return "must have a salt of 8 to 48 bytes in base64";
    memcpy(out->salt, bytes, n);
    out->salt_n = n;
    if (part[4].n > 64 || !dp_base64_decode(DP_BASE64, part[4], bytes, &n) || n != HASH_BYTES)
        return "must have a hash of 32 bytes in base64";
    memcpy(out->hash, bytes, n);
    return NULL;
}

static bool derive(const struct parsed *p, struct dp_span password, unsigned char out[HASH_BYTES])
{
    const char *text = password.p ? password.p : "";
    if (p->kind == DP_PASSWORD_PBKDF2)
        return PKCS5_PBKDF2_HMAC(text, (int)password.n, p->salt, (int)p->salt_n, (int)p->rounds,
                                 EVP_sha256(), HASH_BYTES, out) == 1;
    return EVP_PBE_scrypt(text, password.n, p->salt, p->salt_n, UINT64_C(1) << p->ln, p->r, p->p,
                          SCRYPT_MEMORY_MAX, out, HASH_BYTES) == 1;
}

static size_t unpadded(const void *bytes, size_t n, char *out)
{
    size_t length = dp_base64_encode(DP_BASE64, bytes, n, out);
    while (length > 0 && out[length - 1] == '=')
        length--;
    out[length] = '\0';
    return length;
}

bool dp_password_hash(enum dp_password kind, struct dp_span password, char out[DP_PASSWORD_TEXT])
{
    struct parsed p = {.kind = kind,
                       .rounds = PBKDF2_ROUNDS,
                       .ln = SCRYPT_LN,
                       .r = 8,
                       .p = 1,
                       .salt_n = SALT_BYTES};
    char salt[DP_BASE64_BYTES(SALT_BYTES) + 1], hash[DP_BASE64_BYTES(HASH_BYTES) + 1];
    if (!dp_secret_random(p.salt, p.salt_n) || !derive(&p, password, p.hash))
        return false;
    (void)unpadded(p.salt, p.salt_n, salt);
    (void)unpadded(p.hash, sizeof(p.hash), hash);
    int n = kind == DP_PASSWORD_PBKDF2
                ? snprintf(out, DP_PASSWORD_TEXT, "$pbkdf2-sha256$i=%" PRIu64 "$%s$%s", p.rounds,
                           salt, hash)
                : snprintf(out, DP_PASSWORD_TEXT,
                           "$scrypt$ln=%" PRIu64 ",r=%" PRIu64 ",p=%" PRIu64 "$%s$%s", p.ln, p.r,
                           p.p, salt, hash);
    return n > 0 && n < DP_PASSWORD_TEXT;
}

const char *dp_password_fault(const char *text)
{
    struct parsed p;
    return parse(text, &p);
}

bool dp_password_verify(const char *text, struct dp_span password)
{
    struct parsed p;
    unsigned char hash[HASH_BYTES];
    return parse(text, &p) == NULL && derive(&p, password, hash) &&
           dp_secret_same(hash, p.hash, sizeof(hash));
}

#define TOKEN_PREFIX DP_SPAN("dvp_")
#define HASH_PREFIX  DP_SPAN("sha256:")

static bool is_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    }
    return true;
}

bool dp_token_make(char out[DP_TOKEN_BYTES])
{
    unsigned char chance[HASH_BYTES];
    if (!dp_secret_random(chance, sizeof chance))
        return false;
    memcpy(out, TOKEN_PREFIX.p, TOKEN_PREFIX.n);
    dp_hex(chance, sizeof chance, out + TOKEN_PREFIX.n);
    out[DP_TOKEN_BYTES - 1] = '\0';
    OPENSSL_cleanse(chance, sizeof chance);
    return true;
}

bool dp_token_hash(struct dp_span token, char out[DP_TOKEN_HASH_BYTES])
{
    unsigned char digest[HASH_BYTES];
    if (token.n != DP_TOKEN_BYTES - 1 || !dp_span_starts(token, TOKEN_PREFIX) ||
        !is_hex(token.p + TOKEN_PREFIX.n, token.n - TOKEN_PREFIX.n) ||
        EVP_Digest(token.p, token.n, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    memcpy(out, HASH_PREFIX.p, HASH_PREFIX.n);
    dp_hex(digest, sizeof digest, out + HASH_PREFIX.n);
    out[DP_TOKEN_HASH_BYTES - 1] = '\0';
    return true;
}

const char *dp_token_hash_fault(const char *text)
{
    const struct dp_span s = dp_span_str(text);
    return s.n == DP_TOKEN_HASH_BYTES - 1 && dp_span_starts(s, HASH_PREFIX) &&
                   is_hex(s.p + HASH_PREFIX.n, s.n - HASH_PREFIX.n)
               ? NULL
               : "must be a token's hash, sha256: and 64 hexadecimal digits, as davenport token "
                 "prints it";
}
