/* What the kernel knows of a TCP connection. Apart from tcp.c, as linux/tcp.h and uv.h exclude each other. */
#ifndef DAVENPORT_SRC_NET_TCP_INFO_H
#define DAVENPORT_SRC_NET_TCP_INFO_H

#include <stdbool.h>
#include <stdint.h>

/* How many of the bytes written to a connection the peer's kernel has acknowledged (one we accepted counts one less). False: not known. */
bool dp_tcp_acked(int fd, uint64_t *bytes);

#endif
