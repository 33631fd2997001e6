/* What CouchDB says of credentials: was a login refused, or was somebody known not allowed to do something? Pure.
 * Held against the recordings of CouchDB 3.4.3 by a test. */
#ifndef DAVENPORT_COUCH_LOGIN_H
#define DAVENPORT_COUCH_LOGIN_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum dp_couch_login {
    DP_LOGIN_FINE, /* the answer is not about the credentials */
    DP_LOGIN_UNSURE, /* a 401 for a reason that is not known: a validation function's, another server's, or none */
    DP_LOGIN_REFUSED /* wrong name or password, or locked out for too many of these */
};

/* Of an answer's status and as much of its body as is there, framed or not. */
enum dp_couch_login dp_couch_login_said(uint16_t status, struct dp_span body);

/* GET /_session's body: is somebody logged in? */
bool dp_couch_session_named(struct dp_span body);

/* Who wants to log in: of a Basic Authorization field, or of POST /_session. Wipe it. */
#define DP_LOGIN_NAME_BYTES     257
#define DP_LOGIN_PASSWORD_BYTES 513
struct dp_couch_asked_login {
    size_t name_n, password_n;
    char name[DP_LOGIN_NAME_BYTES];         /* not NUL ended; may hold any byte */
    char password[DP_LOGIN_PASSWORD_BYTES]; /* likewise */
};

/* Authorization's value. False: it is not Basic, or no name and password. */
DP_MUST_USE bool dp_couch_basic(struct dp_span value, struct dp_couch_asked_login *out);
/* POST /_session: a form or JSON, as Content-Type says. "username" may stand for "name".
 * Errors: ECONTENTTYPE, ELOGINBODY (out of memory too). */
DP_MUST_USE enum dp_err dp_couch_login_body(struct dp_span content_type, struct dp_span body,
                                            struct dp_couch_asked_login *out);

#endif
