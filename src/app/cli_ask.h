/* What the commands that ask a running proxy have in common. */
#ifndef DAVENPORT_SRC_APP_CLI_ASK_H
#define DAVENPORT_SRC_APP_CLI_ASK_H

#include "app/admin_client.h"
#include "app/cli.h"

#include <jansson.h>

/* Where the proxy's operators connect (--admin, -c, $DAVENPORT_ADMIN, the default), and how (--token-file, --ca, and
 * their variables); `addr` is to be freed. False after telling what is wrong. */
DP_MUST_USE bool dp_cli_admin(const struct dp_cli_call *call, struct dp_text *addr,
                              struct dp_admin_server *out);
/* Ask; the answer as JSON in *out, to be released. Otherwise the exit code after telling what is wrong; a refused
 * order sets *out all the same. */
DP_MUST_USE int dp_cli_ask(const struct dp_admin_server *server, const char *path, const char *body,
                           json_t **out);
/* The same with any method; dp_cli_ask: POST with a body, else GET. */
DP_MUST_USE int dp_cli_send(const struct dp_admin_server *server, const char *method,
                            const char *path, const char *body, json_t **out);
/* Tell what dp_admin_send or _follow says: the exit code. */
int dp_cli_tell(enum dp_err err, const char *why);
/* The value of an option, NULL too where the command has no such option. */
const char *dp_cli_given(const struct dp_cli_call *call, const char *option);

#endif
