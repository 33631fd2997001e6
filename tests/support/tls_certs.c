/* Certificates for tests. Everything is checked: a test that goes on with half a folder tells
 * nothing. */
#include "support/tls_certs.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAY_S ((long)24 * 3600)

static char folder[32];

struct spec {
    const char *name, *issuer; /* issuer NULL: itself */
    const char *san;           /* NULL: an authority */
    int from_days, to_days;
    int rsa_bits;       /* 0: P-256 */
    const char *append; /* a certificate to put behind it */
};

#define SERVER_SAN "DNS:localhost,DNS:db.example,IP:127.0.0.1"

/* An issuer stands before those it signs. */
static const struct spec specs[] = {
    {"ca", NULL, NULL, -1, 100, 0, NULL},
    {"other_ca", NULL, NULL, -1, 100, 0, NULL},
    {"intermediate", "ca", NULL, -1, 100, 0, NULL},
    {"server", "ca", SERVER_SAN, -1, 100, 0, NULL},
    {"server2", "ca", SERVER_SAN, -1, 100, 0, NULL},
    {"chained", "intermediate", SERVER_SAN, -1, 100, 0, "intermediate"},
    {"lone", "intermediate", SERVER_SAN, -1, 100, 0, NULL},
    {"expired", "ca", SERVER_SAN, -10, -1, 0, NULL},
    {"future", "ca", SERVER_SAN, 2, 100, 0, NULL},
    {"wrong", "ca", "DNS:other.example,IP:127.0.0.2", -1, 100, 0, NULL},
    {"weak", "ca", SERVER_SAN, -1, 100, 1024, NULL},
    {"self", NULL, SERVER_SAN, -1, 100, 0, NULL},
    {"stranger_server", "other_ca", SERVER_SAN, -1, 100, 0, NULL},
    {"client", "ca", "DNS:app.example", -1, 100, 0, NULL},
    {"stranger", "other_ca", "DNS:app.example", -1, 100, 0, NULL},
    {"old_client", "ca", "DNS:app.example", -10, -1, 0, NULL},
};

const char *tls_certs_path(const char *file)
{
    static char paths[16][sizeof(folder) + 256];
    static unsigned turn;
    char *p = paths[turn++ % 16];
    (void)snprintf(p, sizeof(paths[0]), "%s/%s", folder, file);
    return p;
}

static const char *path_of(const char *name, const char *ending)
{
    char file[64];
    (void)snprintf(file, sizeof(file), "%s.%s", name, ending);
    return tls_certs_path(file);
}

const char *tls_certs_write(const char *file, const char *text)
{
    const char *path = tls_certs_path(file);
    FILE *f = fopen(path, "we");
    if (!f || fputs(text, f) == EOF || fclose(f) != 0)
        abort();
    return path;
}

static EVP_PKEY *read_key(const char *name)
{
    FILE *f = fopen(path_of(name, "key"), "re");
    EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        (void)fclose(f);
    return key;
}

static X509 *read_cert(const char *name)
{
    FILE *f = fopen(path_of(name, "crt"), "re");
    X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (f)
        (void)fclose(f);
    return cert;
}

static int write_key(const char *name, EVP_PKEY *key, const char *passphrase)
{
    FILE *f = fopen(path_of(name, "key"), "we");
    const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
    int ok = f && PEM_write_PrivateKey(f, key, cipher, NULL, 0, NULL,
                                       (void *)(uintptr_t)passphrase) == 1;
    return f && fclose(f) == 0 && ok ? 0 : -1;
}

static int write_certs(const char *name, X509 *cert, X509 *behind)
{
    FILE *f = fopen(path_of(name, "crt"), "we");
    int ok = f && PEM_write_X509(f, cert) == 1 && (!behind || PEM_write_X509(f, behind) == 1);
    return f && fclose(f) == 0 && ok ? 0 : -1;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    int ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok ? 0 : -1;
}

/* Fill and sign. issuer may be the certificate itself. */
static int fill(X509 *cert, const struct spec *s, long serial, EVP_PKEY *key, X509 *issuer,
                EVP_PKEY *issuer_key)
{
    X509_NAME *name = X509_get_subject_name(cert);
    const unsigned char *cn = (const unsigned char *)s->name;
    if (X509_set_version(cert, 2) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) != 1 ||
        X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, cn, -1, -1, 0) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), s->from_days * DAY_S) ||
        !X509_gmtime_adj(X509_getm_notAfter(cert), s->to_days * DAY_S) ||
        X509_set_pubkey(cert, key) != 1)
        return -1;
    int r = add_extension(cert, issuer, NID_basic_constraints,
                          s->san ? "critical,CA:FALSE" : "critical,CA:TRUE");
    r |= add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    r |= add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
    if (s->san)
        r |= add_extension(cert, issuer, NID_subject_alt_name, s->san);
    else
        r |= add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return r == 0 && X509_sign(cert, issuer_key, EVP_sha256()) > 0 ? 0 : -1;
}

static int make_one(const struct spec *s, long serial)
{
    int r = -1;
    EVP_PKEY *key = s->rsa_bits ? EVP_RSA_gen((unsigned)s->rsa_bits) : EVP_EC_gen("P-256");
    EVP_PKEY *issuer_key = s->issuer ? read_key(s->issuer) : NULL;
    X509 *issuer = s->issuer ? read_cert(s->issuer) : NULL;
    X509 *behind = s->append ? read_cert(s->append) : NULL;
    X509 *cert = X509_new();
    if (!key || !cert || (s->issuer && (!issuer || !issuer_key)))
        goto cleanup;
    if (fill(cert, s, serial, key, issuer ? issuer : cert, issuer_key ? issuer_key : key) != 0)
        goto cleanup;
    r = write_key(s->name, key, NULL) | write_certs(s->name, cert, behind);
cleanup:
    X509_free(cert);
    X509_free(behind);
    X509_free(issuer);
    EVP_PKEY_free(issuer_key);
    EVP_PKEY_free(key);
    return r;
}

static int make_locked(void)
{
    EVP_PKEY *key = read_key("server");
    X509 *cert = read_cert("server");
    int r =
        key && cert ? write_key("locked", key, "sesame") | write_certs("locked", cert, NULL) : -1;
    X509_free(cert);
    EVP_PKEY_free(key);
    return r;
}

int tls_certs_make(void)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/dp-tls-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        if (make_one(&specs[i], (long)i + 1) != 0)
            return -1;
    }
    return make_locked();
}

void tls_certs_remove(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        if (e->d_name[0] != '.')
            (void)unlink(tls_certs_path(e->d_name));
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(folder);
}

int tls_certs_setup(void **state)
{
    (void)state;
    return tls_certs_make();
}

int tls_certs_teardown(void **state)
{
    (void)state;
    tls_certs_remove();
    return 0;
}

void tls_certs_pin(const char *name, char *buf, size_t cap)
{
    unsigned char *der = NULL, hash[32];
    char text[48] = "";
    X509 *cert = read_cert(name);
    int n = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;
    if (n <= 0 || EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
    (void)EVP_EncodeBlock((unsigned char *)text, hash, sizeof(hash));
    (void)snprintf(buf, cap, "sha256//%s", text);
    OPENSSL_free(der);
    X509_free(cert);
}
