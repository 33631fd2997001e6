/* The parts of a running proxy: listeners, workers, governor, admin server, and their order of birth and death.
 *
 *   bind all sockets -> governor (first view) -> workers -> admin -> threads start -> run: probes start, connections are taken
 *   SIGUSR2 -> a new process is ready (app/upgrade.h) -> workers retire -> …
 *   signal -> workers drain -> their threads have ended -> admin and governor close -> loop ends -> memory
 *
 * The governor stops after the workers' threads, which may kick it, and before their counters, which it reads. */
#ifndef DAVENPORT_SRC_APP_RUNTIME_H
#define DAVENPORT_SRC_APP_RUNTIME_H

#include "davenport/app/config.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include "app/sockets.h"

#include <stddef.h>
#include <stdint.h>

struct dp_runtime;

struct dp_runtime_options {
    const struct dp_config *config; /* resolved, outlives the runtime */
    const char *path;               /* where a reload reads it again, as dp_reloader_new */
    struct dp_handed *handed;       /* sockets that we need not bind; NULL: none */
    const struct dp_tls_ticket_keys *ticket_keys; /* that sealed tickets before; NULL: none */
    const char *port_file;                        /* for who takes our place; NULL: none */
};

/* Everything that may fail: sockets are bound and listen, so connections wait; threads are there. Not one packet is sent, nothing is
 * written yet. Errors are logged. */
DP_MUST_USE enum dp_err dp_runtime_start(const struct dp_runtime_options *options,
                                         struct dp_runtime **out);
/* "127.0.0.1:8984"; "unix:/path" for a Unix socket. */
const char *dp_runtime_listen(const struct dp_runtime *r);
const char *dp_runtime_admin(const struct dp_runtime *r);
uint32_t dp_runtime_workers(const struct dp_runtime *r);
/* Serves, until a signal has ended it and everything is drained. */
void dp_runtime_run(struct dp_runtime *r);
/* After run, or instead of it. */
void dp_runtime_destroy(struct dp_runtime *r);

#endif
