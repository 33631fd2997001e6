/* What tls.c (streams) needs of tls_context.c (contexts). Private to net. */
#ifndef DAVENPORT_SRC_NET_TLS_CONTEXT_H
#define DAVENPORT_SRC_NET_TLS_CONTEXT_H

#include "davenport/net/tls.h"

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/bio.h>
#include <openssl/ssl.h>

/* The most plaintext in one record. */
#define DP_TLS_RECORD 16384
/* Four full records and what encryption adds: what one write to the lower stream takes at most. */
#define DP_TLS_OUT_BYTES ((size_t)4 * (DP_TLS_RECORD + 256))
/* Sessions kept to be resumed. */
#define DP_TLS_SESSIONS 8

/* About 350 KiB, nearly all of it scratch that is only touched as far as it is used. */
struct dp_tls {
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio;
    atomic_uint refs;
    bool server;
    bool name_is_ip;
    bool bound;
    pthread_t thread; /* once bound */
    char *server_name;
    unsigned char pins[DP_TLS_MAX_PINS][32];
    size_t n_pins;
    SSL_SESSION *sessions[DP_TLS_SESSIONS]; /* the newest last */
    size_t n_sessions;
    struct dp_tls_stats *stats; /* counted into: own_stats, or the owner's */
    struct dp_tls_stats own_stats;
    struct dp_tls_ticket_keys ticket_keys;
    int64_t peer_not_after_s; /* as dp_tls_peer_not_after */
    char last_error[DP_TLS_TEXT_BYTES];

    /* Scratch of the call under way. Empty, or owned by one stream, whenever a callback runs. */
    size_t out_bytes;
    char out[DP_TLS_OUT_BYTES]; /* ciphertext on its way down */
    char gather[DP_TLS_RECORD]; /* small spans on their way into one record */
    char plain[DP_READ_BYTES];  /* what on_read is given */
};

/* The BIO between OpenSSL and a stream; made once a context (tls.c). NULL: no memory. */
BIO_METHOD *dp_tls_bio_new(void);

/* The newest session that may be resumed, with a reference for the caller; NULL when there is none.
 * Those of TLS 1.3 are given out once (RFC 8446, C.4). */
SSL_SESSION *dp_tls_take_session(struct dp_tls *tls);

/* Seal and open tickets with these keys (tls_ticket.c); NULL: with one of its own. False: OpenSSL won't. */
bool dp_tls_ticket_init(struct dp_tls *tls, const struct dp_tls_ticket_keys *keys);

/* Is the peer's key one of the pins? True without pins. */
bool dp_tls_pins_match(const struct dp_tls *tls, const SSL *ssl);

/* A handshake is done: remember what its peer showed. One that resumed a session showed nothing. */
void dp_tls_note_peer(struct dp_tls *tls, const SSL *ssl);

/* Put into words why `ssl` failed, from OpenSSL's error queue, which is empty afterwards. */
void dp_tls_explain(struct dp_tls *tls, const SSL *ssl);
/* The same with words of our own. */
void dp_tls_say(struct dp_tls *tls, const char *text);

#endif
