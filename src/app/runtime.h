/* The parts of a running proxy: listeners, workers, governor, admin server, and their order of birth and death.
 *
 *   bind all sockets -> governor (first view) -> workers -> admin -> threads start -> probes start -> RUN
 *   signal -> workers drain -> their threads have ended -> admin and governor close -> loop ends -> memory
 *
 * The governor stops after the workers' threads, which may kick it, and before their counters, which it reads. */
#ifndef DAVENPORT_SRC_APP_RUNTIME_H
#define DAVENPORT_SRC_APP_RUNTIME_H

#include "davenport/app/config.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include "app/report.h"

#include <stddef.h>

struct dp_runtime;

#define DP_BOUND_TEXT 160

/* Everything up to, but not including, the first packet: sockets are bound and listen, workers and probes run.
 * `config` is resolved and outlives the runtime. Errors are logged. */
/* path: where a reload reads it again, as dp_reloader_new. */
DP_MUST_USE enum dp_err dp_runtime_start(const struct dp_config *config, const char *path,
                                         struct dp_runtime **out);
/* "127.0.0.1:8984"; "unix:/path" for a Unix socket. */
const char *dp_runtime_listen(const struct dp_runtime *r);
const char *dp_runtime_admin(const struct dp_runtime *r);
uint32_t dp_runtime_workers(const struct dp_runtime *r);
/* Until a signal has ended it and everything is drained. */
void dp_runtime_run(struct dp_runtime *r);
/* After run, or instead of it. */
void dp_runtime_destroy(struct dp_runtime *r);

#endif
