/* POST /reload: the configuration is read again, and the answer waits for how that ends. Pure but for what the source does. */
#ifndef DAVENPORT_SRC_APP_ADMIN_RELOAD_H
#define DAVENPORT_SRC_APP_ADMIN_RELOAD_H

#include "app/admin.h"

/* The body, if any, must be an empty object. answer->reload says that it waits. */
void dp_admin_reload(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer);
/* How it ended: {"reload":"done","epoch":N,"changed":[…],"problems":[…]}, or "refused" with 409 and an error. Lines come in,
 * an element each. */
void dp_admin_tell_reload(const struct dp_admin_source *source, bool done, struct dp_span changes,
                          struct dp_span problems, struct dp_admin_answer *answer);

#endif
