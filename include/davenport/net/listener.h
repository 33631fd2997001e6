/* Listening sockets, made and bound on the main thread before any worker starts. */
#ifndef DAVENPORT_NET_LISTENER_H
#define DAVENPORT_NET_LISTENER_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dp_listen_flag {
    DP_LISTEN_REUSE_PORT = 1, /* several sockets may share the address (one a worker) */
    DP_LISTEN_BOTH = 2        /* "::" takes IPv4 as well */
};

/* A bound, non-blocking, close-on-exec TCP socket. ip: numeric, v4 or v6. port 0: the kernel's
 * choice, told in *bound_port. On failure *why (static or strerror text) tells a person what happened. */
DP_MUST_USE enum dp_err dp_listen_tcp(const char *ip, uint16_t port, unsigned flags, int *fd,
                                      uint16_t *bound_port, const char **why);

/* The file of a Unix socket: this one, and no other that has come to have its name. */
struct dp_socket_file {
    const char *path; /* the caller's; NULL: none */
    uint64_t device, inode;
};

/* A listening Unix socket with these permissions; a stale socket file (nobody listens) is replaced, a
 * live one or another kind of file is an error. Two that start at once do not take it from each other: from the look to
 * the listening socket its folder is locked. *file, where not NULL, is for dp_listen_unix_remove. */
DP_MUST_USE enum dp_err dp_listen_unix(const char *path, uint32_t mode, int *fd,
                                       struct dp_socket_file *file, const char **why);
/* The file of a socket that listens already and has become ours. `path` outlives it. */
struct dp_socket_file dp_listen_unix_file(const char *path);

/* Where a socket listens that somebody else opened. */
struct dp_listen_place {
    char path[108]; /* of a Unix socket; else "" */
    char ip[46];    /* numeric */
    uint16_t port;
};
/* Check that fd is a listening stream socket, and make it what dp_listen_tcp and _unix would have. fd stays the caller's. */
DP_MUST_USE enum dp_err dp_listen_adopt(int fd, struct dp_listen_place *place, const char **why);

/* At the end, when nothing of ours listens any more: remove the file, unless it has become another's. */
void dp_listen_unix_remove(struct dp_socket_file *file);

#endif
