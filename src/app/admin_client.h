/* The other side of the admin server: one request, blocking, for the command line and drills. */
#ifndef DAVENPORT_SRC_APP_ADMIN_CLIENT_H
#define DAVENPORT_SRC_APP_ADMIN_CLIENT_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_CLIENT_WHY 320

/* Where a proxy's operators connect, and how. */
struct dp_admin_server {
    const char *addr; /* unix:PATH; IP:PORT or http://IP:PORT on loopback; https://HOST[:PORT] */
    const char *token_file; /* holds a token, read for each request; NULL: none is sent */
    const char *ca_file;    /* https: whom to trust; NULL: the system's authorities */
};

/* NULL when `addr` is such an address; else why not, for people. */
const char *dp_admin_server_fault(const char *addr);

/* body: a JSON text, or NULL. *status: of the answer. Any thread.
 * Errors: DP_EINVAL (the address), DP_EIO (the token's file), DP_EUNKNOWN (the socket is not for us), DP_ECONNECT (nobody answers, is not to be trusted, or
 * speaks no HTTP); `why` is for people, and never has the token. */
DP_MUST_USE enum dp_err dp_admin_send(const struct dp_admin_server *server, const char *method,
                                      const char *path, const char *body, uint16_t *status,
                                      struct dp_text *answer, char why[DP_CLIENT_WHY]);
/* The same: POST with a body, else GET. */
DP_MUST_USE enum dp_err dp_admin_call(const struct dp_admin_server *server, const char *path,
                                      const char *body, uint16_t *status, struct dp_text *answer,
                                      char why[DP_CLIENT_WHY]);

/* GET a stream of lines and hand each out, NUL ended, until it ends or `line` says false. DP_OK: it ended by itself.
 * Errors: as dp_admin_call, and when the answer is not 200: DP_EUNKNOWN for 401, 403 and 429, else DP_ECONNECT. */
DP_MUST_USE enum dp_err dp_admin_follow(const struct dp_admin_server *server, const char *path,
                                        bool (*line)(void *ctx, const char *text), void *ctx,
                                        char why[DP_CLIENT_WHY]);

#endif
