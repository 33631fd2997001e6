/* TLS 1.2 and 1.3 as a stream over a stream, with OpenSSL 3.
 *
 * A context (`struct dp_tls`) is what connections to one endpoint, or of one listener, have in
 * common: certificates, trust, sessions to resume. It may be made on any thread; the first stream
 * binds it to that stream's thread, so a worker has its own.
 *
 * What differs from a TCP stream:
 *   - on_end(DP_OK) is the peer's close_notify. A connection that ends without one was cut, by
 *     whomever: on_end(DP_ERESET). So a body that ends by closing can't be cut unseen.
 *   - on_end(DP_ETLS): the handshake failed (accepting), or what came is no TLS any more, or the
 *     peer sent an alert. With TLS 1.3 a server judges our certificate behind on_connect: its "no"
 *     is such an end too. dp_tls_last_error tells why.
 *   - A client that hangs up before its first byte is told as TCP tells it: on_end(DP_OK).
 *   - What one read of the lower stream brought is delivered whole, in one or two on_read and maybe
 *     an on_end, even if on_read stops reading, or if reading was never started behind on_connect.
 *   - Writing before the handshake is done: DP_ECLOSED when accepting, an assert when dialing.
 *   - dp_stream_shutdown sends close_notify, then finishes the lower stream. dp_stream_close without
 *     `reset` sends it too when nothing else waits to be written.
 * There is no deadline here: the owner's timer closes the stream. */
#ifndef DAVENPORT_NET_TLS_H
#define DAVENPORT_NET_TLS_H

#include "davenport/base/attr.h"
#include "davenport/net/stream.h"
#include "davenport/net/tcp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_TLS_MAX_PINS         4
#define DP_TLS_TEXT_BYTES       256 /* room for any text that says why */
#define DP_TLS_TICKET_KEY_BYTES 80
#define DP_TLS_TICKET_KEYS      4

/* What session tickets are sealed with. The first key seals, all of them open. The same for every worker, so that
 * each resumes what another began. Secret. */
struct dp_tls_ticket_keys {
    unsigned n;
    unsigned char key[DP_TLS_TICKET_KEYS][DP_TLS_TICKET_KEY_BYTES];
};
/* A new random key seals from now on; the oldest is forgotten when there are too many. Any thread that owns
 * `keys`. False: no random bytes, nothing was changed. */
DP_MUST_USE bool dp_tls_ticket_keys_rotate(struct dp_tls_ticket_keys *keys);

/* Paths name PEM files. All is copied or read by the call that takes it. */
struct dp_tls_client_config {
    const char *server_name; /* whom the certificate must be for: a DNS name (sent as SNI) or an IP
                                address; required */
    const char *ca_file;     /* NULL: the system's store */
    const char *cert_file,
        *key_file; /* for mutual TLS, the chain behind the certificate; or NULL */
    const char *pins[DP_TLS_MAX_PINS]; /* "sha256//" and base64, as curl writes them: the leaf's
                                          public key must be one of them. NULL behind the last */
    bool insecure;                     /* trust any certificate (pins still count): tests only */
};

struct dp_tls_server_config {
    const char *cert_file, *key_file; /* the chain behind the certificate */
    const char *client_ca_file; /* clients need a certificate signed by one of these; or NULL */
    const struct dp_tls_ticket_keys *ticket_keys; /* NULL: one of its own */
};

struct dp_tls;

/* Any thread. On failure `why` (DP_TLS_TEXT_BYTES, or `cap`) tells a person: a file can't be read, a
 * key does not fit, a pin is none. Errors: DP_EINVAL, DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_tls_client_new(const struct dp_tls_client_config *config,
                                          struct dp_tls **out, char *why, size_t cap);
DP_MUST_USE enum dp_err dp_tls_server_new(const struct dp_tls_server_config *config,
                                          struct dp_tls **out, char *why, size_t cap);
/* Any thread. Every stream holds a reference: a reload swaps contexts while old connections live. */
struct dp_tls *dp_tls_ref(struct dp_tls *tls);
void dp_tls_unref(struct dp_tls *tls); /* NULL is fine */

/* On the context's thread. */
struct dp_tls_stats {
    uint64_t handshakes; /* completed */
    uint64_t resumed;    /* of these, with a session kept from before */
    uint64_t failed;     /* begun and not completed, for any reason but our own close */
};
struct dp_tls_stats dp_tls_stats(const struct dp_tls *tls);
/* Count into `stats` from now on, which outlives every stream: contexts that follow each other count as one. */
void dp_tls_count_into(struct dp_tls *tls, struct dp_tls_stats *stats);
/* When our certificate ends, in seconds since 1970. 0: it shows none. Any thread. */
int64_t dp_tls_not_after(const struct dp_tls *tls);
/* The same of the certificate that a peer of this context showed last. 0: none did. On the context's thread. */
int64_t dp_tls_peer_not_after(const struct dp_tls *tls);
/* Why the last handshake or stream failed ("certificate has expired"); "" when none did. In the
 * on_connect or on_end that told DP_ETLS it is about that stream. On the context's thread. */
const char *dp_tls_last_error(const struct dp_tls *tls);

/* As dp_tcp_dial, but on_connect comes behind the handshake. DP_ETLS: TCP stood, but the handshake
 * failed or the certificate is not to be trusted. */
DP_MUST_USE enum dp_err dp_tls_dial(struct dp_tls *tls, struct dp_net *net, const char *ip,
                                    uint16_t port, const struct dp_stream_events *events,
                                    void *owner, struct dp_stream **out);
/* Both take over `lower`, connected and not read from yet; also on failure, which closes it.
 * connect: on_connect comes later. accept: the handshake begins with the client's first bytes, once
 * reading is started. Errors: ENOMEM; connect also what writing to `lower` says. */
DP_MUST_USE enum dp_err dp_tls_connect(struct dp_tls *tls, struct dp_stream *lower,
                                       const struct dp_stream_events *events, void *owner,
                                       struct dp_stream **out);
DP_MUST_USE enum dp_err dp_tls_accept(struct dp_tls *tls, struct dp_stream *lower,
                                      const struct dp_stream_events *events, void *owner,
                                      struct dp_stream **out);

struct dp_tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
    bool resumed;
};
/* About a stream whose handshake is done; the texts are static. False: it is not, or no TLS. */
DP_MUST_USE bool dp_tls_info(const struct dp_stream *s, struct dp_tls_info *out);

#endif
