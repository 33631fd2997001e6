/* Becoming the user that the configuration names, once what needs more is done: the sockets are bound. From then on nothing
 * can be gained back. Main thread, before any other is started. */
#ifndef DAVENPORT_SRC_APP_PRIVILEGE_H
#define DAVENPORT_SRC_APP_PRIVILEGE_H

#include "davenport/app/config.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include "app/sockets.h"

/* Errors are logged: DP_EINVAL (no such account), DP_EIO (the system refused). Unix sockets' files become the new user's. */
DP_MUST_USE enum dp_err dp_privilege_drop(const struct dp_config *config,
                                          const struct dp_sockets *sockets);

#endif
