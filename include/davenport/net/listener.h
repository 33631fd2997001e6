/* Listening sockets, made and bound on the main thread before any worker starts. */
#ifndef DAVENPORT_NET_LISTENER_H
#define DAVENPORT_NET_LISTENER_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bound, non-blocking, close-on-exec TCP socket. ip: numeric, v4 or v6. port 0: the kernel's
 * choice, told in *bound_port. reuse_port: several sockets may share the address (one a worker). On
 * failure *why (static or strerror text) tells a person what happened. */
DP_MUST_USE enum dp_err dp_listen_tcp(const char *ip, uint16_t port, bool reuse_port, int *fd,
                                      uint16_t *bound_port, const char **why);
/* A bound Unix socket with these permissions; a stale socket file (nobody listens) is replaced, a
 * live one or another kind of file is an error. */
DP_MUST_USE enum dp_err dp_listen_unix(const char *path, uint32_t mode, int *fd, const char **why);

#endif
