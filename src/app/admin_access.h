/* Who may ask what of the admin server. Pure but for what the source counts.
 *
 *   Unix socket     its permissions have decided: an operator
 *   TCP, no tokens  loopback only (the configuration sees to it): an operator
 *   TCP, tokens     Authorization: Bearer; the token's role. What is open to all needs none */
#ifndef DAVENPORT_SRC_APP_ADMIN_ACCESS_H
#define DAVENPORT_SRC_APP_ADMIN_ACCESS_H

#include "davenport/app/config.h"
#include "davenport/base/attr.h"

#include "app/admin.h"

struct dp_admin_caller {
    enum dp_admin_role role;
    const char *name;         /* of the token; else how it came: "socket", "loopback" */
    const char *by;           /* "token", "socket", "loopback" */
    char peer[DP_ACTOR_TEXT]; /* for the record: "token ann, 10.0.0.7", "uid 1000" */
};

/* False: `answer` is 401 now, or 429 for an address that sent too many wrong tokens. A right one always passes: tokens
 * can't be guessed, and nobody shall lock an operator out. */
DP_MUST_USE bool dp_admin_let_in(const struct dp_admin_source *source,
                                 const struct dp_admin_request *request,
                                 struct dp_admin_caller *out, struct dp_admin_answer *answer);
/* May the caller change something? False: `answer` is 403 now. */
DP_MUST_USE bool dp_admin_is_operator(const struct dp_admin_source *source,
                                      const struct dp_admin_caller *caller,
                                      struct dp_admin_answer *answer);

#endif
