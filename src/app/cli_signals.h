/* Signals that end a command that runs on a loop. */
#ifndef DAVENPORT_SRC_APP_CLI_SIGNALS_H
#define DAVENPORT_SRC_APP_CLI_SIGNALS_H

#include "davenport/base/attr.h"

#include <stdbool.h>

#include <uv.h>

#define DP_CLI_SIGNALS 3

/* Ctrl-C, SIGTERM; and the terminal that closes, unless nohup is to keep the command alive. Zero before dp_cli_signals_watch. */
struct dp_cli_signals {
    uv_signal_t handles[DP_CLI_SIGNALS];
};

/* `data` becomes the handles' own. hang_up: SIGHUP, too. False: one can't be watched; close them all the same. */
DP_MUST_USE bool dp_cli_signals_watch(struct dp_cli_signals *s, uv_loop_t *loop,
                                      uv_signal_cb on_signal, void *data, bool hang_up);
/* Twice is once. Handles close on the loop. */
void dp_cli_signals_close(struct dp_cli_signals *s);

#endif
