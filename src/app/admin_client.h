/* The other side of the admin server: one request, blocking, for the command line. */
#ifndef DAVENPORT_SRC_APP_ADMIN_CLIENT_H
#define DAVENPORT_SRC_APP_ADMIN_CLIENT_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_CLIENT_WHY 320

/* addr: as admin.listen. body: a JSON text to POST, or NULL to GET. *status: of the answer.
 * Errors: DP_EINVAL (the address), DP_ECONNECT (nobody answers, or no HTTP); `why` is for people. */
DP_MUST_USE enum dp_err dp_admin_call(const char *addr, const char *path, const char *body,
                                      uint16_t *status, struct dp_text *answer,
                                      char why[DP_CLIENT_WHY]);

/* GET a stream of lines and hand each out, NUL ended, until it ends or `line` says false. DP_OK: it ended by itself.
 * Errors: as dp_admin_call, and DP_ECONNECT too when the answer is not 200. */
DP_MUST_USE enum dp_err dp_admin_follow(const char *addr, const char *path,
                                        bool (*line)(void *ctx, const char *text), void *ctx,
                                        char why[DP_CLIENT_WHY]);

#endif
