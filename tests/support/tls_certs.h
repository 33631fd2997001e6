/* Certificates for tests, made with OpenSSL in a folder of their own: nothing binary is committed and
 * nothing expires. Each name is two files, <name>.crt and <name>.key. */
#ifndef DAVENPORT_TESTS_SUPPORT_TLS_CERTS_H
#define DAVENPORT_TESTS_SUPPORT_TLS_CERTS_H

#include <stddef.h>

/* ca, other_ca      authorities that know nothing of each other; intermediate: signed by ca
 * server            for localhost, db.example and 127.0.0.1; server2: the same with another key
 * chained           by intermediate, which stands behind it in the file; lone: the same without it
 * expired, future   not valid any more, not yet; wrong: for other.example; weak: 1024 bits of RSA
 * self              signed by itself; stranger_server: by other_ca
 * client, stranger  for clients: by ca, by other_ca; old_client: expired
 * locked            server's, its key under a pass phrase
 *
 * Makes all; returns 0 or -1. */
int tls_certs_make(void);
void tls_certs_remove(void);
/* The same, around a group of tests. */
int tls_certs_setup(void **state);
int tls_certs_teardown(void **state);

/* The path of a file in the folder; a few of the last results stay valid. */
const char *tls_certs_path(const char *file);
/* A file with these bytes in the folder. */
const char *tls_certs_write(const char *file, const char *text);
/* The pin of a certificate's key, as configurations write it. */
void tls_certs_pin(const char *name, char *buf, size_t cap);

#endif
