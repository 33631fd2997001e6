/* TLS contexts: certificates, trust, pins, sessions kept for resumption, and the words for what went
 * wrong. Everything here happens at start, at a reload or in a handshake, nothing per record.
 *
 * A context is made on any thread and used on one; only `refs` is shared. OpenSSL's error queue is
 * empty before and after every call here. */
#include "net/tls_context.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

/* Sessions are resumed without looking at certificates again: not for long. */
#define SESSION_LIFETIME_S 3600

/* Listeners: forward secrecy and authenticated encryption. TLS 1.3 has nothing else. */
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char alpn[] = "\x08http/1.1"; /* less its NUL */

/* ---- words ---- */

static void reason_of(unsigned long e, char *buf, size_t cap)
{
    const char *text =
        ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
    if (text)
        (void)snprintf(buf, cap, "%s", text);
    else
        (void)snprintf(buf, cap, "OpenSSL error %lx", e);
}

void dp_tls_say(struct dp_tls *tls, const char *text)
{
    (void)snprintf(tls->last_error, sizeof(tls->last_error), "%s", text);
}

static void explain_certificate(struct dp_tls *tls, long verdict)
{
    const char *text = X509_verify_cert_error_string(verdict);
    bool name =
        verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
    if (name && tls->server_name)
        (void)snprintf(tls->last_error, sizeof(tls->last_error), "%s: it is not for %s", text,
                       tls->server_name);
    else
        dp_tls_say(tls, text);
}

void dp_tls_explain(struct dp_tls *tls, const SSL *ssl)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
    long verdict = SSL_get_verify_result(ssl);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK)
        explain_certificate(tls, verdict);
    else if (reason >= SSL_AD_REASON_OFFSET)
        (void)snprintf(tls->last_error, sizeof(tls->last_error), "the peer sent the alert \"%s\"",
                       SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
        dp_tls_say(tls, "wrong version number: the peer does not speak TLS");
    else if (e != 0)
        reason_of(e, tls->last_error, sizeof(tls->last_error));
    else
        dp_tls_say(tls, "TLS failed for no reason that OpenSSL tells");
    ERR_clear_error();
}

/* What goes wrong while a context is made. */
struct reporter {
    char *why;
    size_t cap;
};

DP_PRINTF(2, 3) static enum dp_err refuse(const struct reporter *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r->why, r->cap, fmt, ap);
    va_end(ap);
    ERR_clear_error();
    return DP_EINVAL;
}

/* The first entry of the queue is the cause, those behind it say who was disturbed by it. */
static enum dp_err refuse_file(const struct reporter *r, const char *what, const char *path)
{
    char reason[128];
    reason_of(ERR_peek_error(), reason, sizeof(reason));
    return refuse(r, "%s %s: %s", what, path, reason);
}

static enum dp_err no_memory(const struct reporter *r)
{
    (void)refuse(r, "out of memory");
    return DP_ENOMEM;
}

/* ---- pins ---- */

static enum dp_err parse_pin(const struct reporter *r, const char *text, unsigned char out[32])
{
    static const char prefix[] = "sha256//";
    unsigned char bytes[33]; /* 44 characters, the last one padding */
    const char *digits = text + sizeof(prefix) - 1;
    bool ok = strncmp(text, prefix, sizeof(prefix) - 1) == 0 && strlen(digits) == 44 &&
              digits[43] == '=' && digits[42] != '=' &&
              EVP_DecodeBlock(bytes, (const unsigned char *)digits, 44) == (int)sizeof(bytes);
    if (!ok)
        return refuse(r, "\"%s\" is no pin: sha256// and 44 characters of base64", text);
    memcpy(out, bytes, 32);
    return DP_OK;
}

bool dp_tls_pins_match(const struct dp_tls *tls, const SSL *ssl)
{
    unsigned char hash[EVP_MAX_MD_SIZE], *der = NULL;
    bool match = false;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (tls->n_pins == 0)
        return true;
    int n = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;
    if (n > 0 && EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL) == 1) {
        for (size_t i = 0; i < tls->n_pins; i++)
            match = match || memcmp(hash, tls->pins[i], 32) == 0;
    }
    OPENSSL_free(der);
    ERR_clear_error();
    return match;
}

/* ---- sessions ---- */

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct dp_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (tls->n_sessions == DP_TLS_SESSIONS) {
        SSL_SESSION_free(tls->sessions[0]);
        tls->n_sessions--;
        memmove(&tls->sessions[0], &tls->sessions[1], tls->n_sessions * sizeof(SSL_SESSION *));
    }
    tls->sessions[tls->n_sessions++] = session;
    return 1; /* the reference is ours */
}

SSL_SESSION *dp_tls_take_session(struct dp_tls *tls)
{
    while (tls->n_sessions > 0) {
        SSL_SESSION *s = tls->sessions[tls->n_sessions - 1];
        bool once = SSL_SESSION_get_protocol_version(s) >= TLS1_3_VERSION;
        bool usable = SSL_SESSION_is_resumable(s) == 1;
        if (usable && !once && SSL_SESSION_up_ref(s) == 1)
            return s;
        tls->n_sessions--;
        if (usable && once)
            return s;
        SSL_SESSION_free(s);
    }
    return NULL;
}

/* ---- making contexts ---- */

/* A key with a pass phrase is an error: nobody is there to be asked. */
static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)u;
    return -1;
}

static enum dp_err load_identity(SSL_CTX *ctx, const char *cert, const char *key,
                                 const struct reporter *r)
{
    if (!cert || !key)
        return refuse(r, "a certificate needs a key and a key a certificate");
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return refuse_file(r, "certificate", cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return refuse_file(r, "key", key);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return refuse_file(r, "key", key);
    return DP_OK;
}

/* A context with what both sides have in common. */
static struct dp_tls *tls_new(const SSL_METHOD *method)
{
    struct dp_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return NULL;
    atomic_init(&tls->refs, 1);
    tls->stats = &tls->own_stats;
    tls->bio = dp_tls_bio_new();
    tls->ssl_ctx = SSL_CTX_new(method);
    if (!tls->bio || !tls->ssl_ctx ||
        SSL_CTX_set_min_proto_version(tls->ssl_ctx, TLS1_2_VERSION) != 1) {
        dp_tls_unref(tls);
        return NULL;
    }
    SSL_CTX_set_security_level(tls->ssl_ctx, 2);
    (void)SSL_CTX_set_options(tls->ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle connection holds no record buffers. */
    (void)SSL_CTX_set_mode(tls->ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_timeout(tls->ssl_ctx, SESSION_LIFETIME_S);
    SSL_CTX_set_default_passwd_cb(tls->ssl_ctx, no_passphrase);
    (void)SSL_CTX_set_app_data(tls->ssl_ctx, tls);
    return tls;
}

static enum dp_err set_name(struct dp_tls *tls, const char *name, const struct reporter *r)
{
    unsigned char ip[16];
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(tls->ssl_ctx);
    size_t n = name ? strlen(name) : 0;
    if (n > 1 && name[n - 1] == '.')
        n--; /* the root's dot is in no certificate */
    if (n == 0 || n > TLSEXT_MAXLEN_host_name)
        return refuse(r, "a server name is needed, of %d bytes at most", TLSEXT_MAXLEN_host_name);
    tls->server_name = strndup(name, n);
    if (!tls->server_name)
        return no_memory(r);
    tls->name_is_ip = inet_pton(AF_INET, tls->server_name, ip) == 1 ||
                      inet_pton(AF_INET6, tls->server_name, ip) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* Trusting an intermediate authority is enough, as for curl, which probes the same regions. */
    (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    int ok = tls->name_is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, tls->server_name)
                             : X509_VERIFY_PARAM_set1_host(param, tls->server_name, n);
    return ok == 1 ? DP_OK : no_memory(r);
}

static enum dp_err set_trust(SSL_CTX *ctx, const struct dp_tls_client_config *c,
                             const struct reporter *r)
{
    SSL_CTX_set_verify(ctx, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (c->ca_file && SSL_CTX_load_verify_file(ctx, c->ca_file) != 1)
        return refuse_file(r, "CA file", c->ca_file);
    if (!c->ca_file && !c->insecure && SSL_CTX_set_default_verify_paths(ctx) != 1)
        return refuse_file(r, "CA store", "of the system");
    return DP_OK;
}

static enum dp_err client_init(struct dp_tls *tls, const struct dp_tls_client_config *c,
                               const struct reporter *r)
{
    enum dp_err err = set_name(tls, c->server_name, r);
    if (!err)
        err = set_trust(tls->ssl_ctx, c, r);
    if (!err && (c->cert_file || c->key_file))
        err = load_identity(tls->ssl_ctx, c->cert_file, c->key_file, r);
    for (size_t i = 0; !err && i < DP_TLS_MAX_PINS && c->pins[i]; i++)
        err = parse_pin(r, c->pins[i], tls->pins[tls->n_pins++]);
    if (err)
        return err;
    if (SSL_CTX_set_alpn_protos(tls->ssl_ctx, alpn, sizeof(alpn) - 1) != 0) /* 0 is success here */
        return no_memory(r);
    (void)SSL_CTX_set_session_cache_mode(tls->ssl_ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->ssl_ctx, on_new_session);
    return DP_OK;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_n, alpn, sizeof(alpn) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* What a session may be resumed under: the same authorities for clients, by content. */
static enum dp_err set_session_scope(SSL_CTX *ctx, const char *client_ca, const struct reporter *r)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char buf[4096];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    FILE *f = client_ca ? fopen(client_ca, "re") : NULL;
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (size_t got = 1; ok && f && got > 0;) {
        got = fread(buf, 1, sizeof(buf), f);
        ok = !ferror(f) && EVP_DigestUpdate(md, buf, got) == 1;
    }
    ok = ok && (f || !client_ca) && EVP_DigestFinal_ex(md, hash, &n) == 1 &&
         SSL_CTX_set_session_id_context(ctx, hash, n) == 1;
    EVP_MD_CTX_free(md);
    if (f)
        (void)fclose(f); /* it was only read */
    return ok ? DP_OK : refuse(r, "CA file %s: can't be read", client_ca ? client_ca : "(none)");
}

static enum dp_err set_client_ca(SSL_CTX *ctx, const char *path, const struct reporter *r)
{
    if (!path)
        return DP_OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (!names || SSL_CTX_load_verify_file(ctx, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse_file(r, "CA file", path);
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* takes them over */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return DP_OK;
}

static enum dp_err server_init(struct dp_tls *tls, const struct dp_tls_server_config *c,
                               const struct reporter *r)
{
    tls->server = true;
    enum dp_err err = load_identity(tls->ssl_ctx, c->cert_file, c->key_file, r);
    if (!err)
        err = set_client_ca(tls->ssl_ctx, c->client_ca_file, r);
    if (!err)
        err = set_session_scope(tls->ssl_ctx, c->client_ca_file, r);
    if (err)
        return err;
    if (SSL_CTX_set_cipher_list(tls->ssl_ctx, SERVER_CIPHERS) != 1)
        return no_memory(r);
    /* Tickets only: no session is kept here. */
    (void)SSL_CTX_set_session_cache_mode(tls->ssl_ctx, SSL_SESS_CACHE_OFF);
    if (!dp_tls_ticket_init(tls, c->ticket_keys))
        return no_memory(r);
    SSL_CTX_set_alpn_select_cb(tls->ssl_ctx, choose_alpn, NULL);
    return DP_OK;
}

enum dp_err dp_tls_client_new(const struct dp_tls_client_config *config, struct dp_tls **out,
                              char *why, size_t cap)
{
    const struct reporter r = {why, cap};
    ERR_clear_error();
    struct dp_tls *tls = tls_new(TLS_client_method());
    if (!tls)
        return no_memory(&r);
    enum dp_err err = client_init(tls, config, &r);
    if (err)
        dp_tls_unref(tls);
    else
        *out = tls;
    return err;
}

enum dp_err dp_tls_server_new(const struct dp_tls_server_config *config, struct dp_tls **out,
                              char *why, size_t cap)
{
    const struct reporter r = {why, cap};
    ERR_clear_error();
    struct dp_tls *tls = tls_new(TLS_server_method());
    if (!tls)
        return no_memory(&r);
    enum dp_err err = server_init(tls, config, &r);
    if (err)
        dp_tls_unref(tls);
    else
        *out = tls;
    return err;
}

struct dp_tls *dp_tls_ref(struct dp_tls *tls)
{
    (void)atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    return tls;
}

void dp_tls_unref(struct dp_tls *tls)
{
    if (!tls || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < tls->n_sessions; i++)
        SSL_SESSION_free(tls->sessions[i]);
    SSL_CTX_free(tls->ssl_ctx);
    BIO_meth_free(tls->bio);
    free(tls->server_name);
    OPENSSL_cleanse(&tls->ticket_keys, sizeof(tls->ticket_keys));
    OPENSSL_cleanse(tls->plain, sizeof(tls->plain));
    OPENSSL_cleanse(tls->gather, sizeof(tls->gather));
    free(tls);
}

struct dp_tls_stats dp_tls_stats(const struct dp_tls *tls)
{
    return *tls->stats;
}

void dp_tls_count_into(struct dp_tls *tls, struct dp_tls_stats *stats)
{
    tls->stats = stats;
}

/* In seconds since 1970; 0: there is none, or no memory. */
static int64_t ends_at(const X509 *cert)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days, seconds;
    bool known =
        cert && epoch && ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(cert)) == 1;
    ASN1_TIME_free(epoch);
    ERR_clear_error();
    return known ? (int64_t)days * 86400 + seconds : 0;
}

int64_t dp_tls_not_after(const struct dp_tls *tls)
{
    return ends_at(SSL_CTX_get0_certificate(tls->ssl_ctx));
}

void dp_tls_note_peer(struct dp_tls *tls, const SSL *ssl)
{
    if (!SSL_session_reused(ssl))
        tls->peer_not_after_s = ends_at(SSL_get0_peer_certificate(ssl));
}

int64_t dp_tls_peer_not_after(const struct dp_tls *tls)
{
    return tls->peer_not_after_s;
}

const char *dp_tls_last_error(const struct dp_tls *tls)
{
    return tls->last_error;
}
