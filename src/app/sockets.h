/* The listening sockets of the process, for traffic and for operators: bound here, or handed over by systemd or by the process
 * before (app/handed.h). Those that were handed over must be where the configuration says. Main thread.
 *
 * A TCP port that we bind has a socket a worker (SO_REUSEPORT). Else, a Unix socket or one of systemd's, all workers accept from
 * one, each by a descriptor of its own. */
#ifndef DAVENPORT_SRC_APP_SOCKETS_H
#define DAVENPORT_SRC_APP_SOCKETS_H

#include "davenport/app/config.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/net/listener.h"

#include "app/handed.h"

#include <stdint.h>

#define DP_WORKERS_MAX 256
#define DP_BOUND_TEXT  160

struct dp_sockets {
    struct dp_admin_addr admin_addr;
    uint32_t n; /* workers: as asked for, or more where more sockets were handed over */
    int traffic[DP_WORKERS_MAX];                    /* -1 once it is a worker's */
    int admin;                                      /* -1 once it is the admin server's */
    struct dp_socket_file traffic_file, admin_file; /* to be removed at the end */
    char traffic_text[DP_BOUND_TEXT];               /* "127.0.0.1:8984", "unix:/path" */
    char admin_text[DP_BOUND_TEXT];
};

/* Nothing is open. */
void dp_sockets_init(struct dp_sockets *s, const struct dp_config *config);
/* Errors are logged. handed: what is of use is taken from it; NULL: nothing was. */
DP_MUST_USE enum dp_err dp_sockets_open(struct dp_sockets *s, const struct dp_config *config,
                                        struct dp_handed *handed);
/* Closes what nobody took, removes the files. */
void dp_sockets_fini(struct dp_sockets *s);

#endif
