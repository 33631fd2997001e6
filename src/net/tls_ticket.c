/* Session tickets under several keys: the first seals new tickets, all of them open what clients bring back. So
 * a key can be replaced while the tickets that it sealed are still good.
 *
 * A ticket's key, 80 bytes: 16 that name it (they travel in clear with the ticket), 32 for HMAC-SHA256, 32 for
 * AES-256-CBC: what OpenSSL's own tickets use. In handshakes only, on the context's thread. */
#include "net/tls_context.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define NAME_BYTES 16
#define HMAC_BYTES 32
#define AES_BYTES  32

_Static_assert(NAME_BYTES + HMAC_BYTES + AES_BYTES == DP_TLS_TICKET_KEY_BYTES,
               "a key is its three parts");

static bool use_key(const unsigned char *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int seal)
{
    /* OpenSSL takes the key without changing it. */
    void *hmac = (void *)(uintptr_t)(key + NAME_BYTES);
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, HMAC_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + NAME_BYTES + HMAC_BYTES, iv,
                             seal) == 1;
}

/* OpenSSL's contract: 1 go on, 2 go on and give a new ticket, 0 not one of ours, -1 failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int seal)
{
    const struct dp_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct dp_tls_ticket_keys *keys = &tls->ticket_keys;
    if (seal) {
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
            return -1;
        memcpy(name, keys->key[0], NAME_BYTES);
        return use_key(keys->key[0], iv, cipher, mac, 1) ? 1 : -1;
    }
    for (unsigned i = 0; i < keys->n; i++) {
        if (memcmp(name, keys->key[i], NAME_BYTES) != 0)
            continue;
        if (!use_key(keys->key[i], iv, cipher, mac, 0))
            return -1;
        /* With TLS 1.3 a ticket is used once: every one is answered with another. */
        return i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
    }
    return 0;
}

bool dp_tls_ticket_init(struct dp_tls *tls, const struct dp_tls_ticket_keys *keys)
{
    if (!keys)
        return true; /* OpenSSL makes one for this context alone */
    tls->ticket_keys = *keys;
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(tls->ssl_ctx, on_ticket) == 1;
}

bool dp_tls_ticket_keys_rotate(struct dp_tls_ticket_keys *keys)
{
    unsigned char key[DP_TLS_TICKET_KEY_BYTES];
    if (RAND_bytes(key, sizeof(key)) != 1)
        return false;
    memmove(keys->key[1], keys->key[0], sizeof(keys->key) - sizeof(keys->key[0]));
    memcpy(keys->key[0], key, sizeof(key));
    if (keys->n < DP_TLS_TICKET_KEYS)
        keys->n++;
    OPENSSL_cleanse(key, sizeof(key));
    return true;
}
