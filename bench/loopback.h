/* What the benchmarks' own programs share: ending on an error, and a listening socket on loopback. */
#ifndef DAVENPORT_BENCH_LOOPBACK_H
#define DAVENPORT_BENCH_LOOPBACK_H

#include <uv.h>

#define LOOPBACK_BACKLOG 4096

/* End the program with a line on stderr if a libuv call failed. */
void must(int status, const char *what);

/* A peer that is gone is an error of the write, no signal. */
void ignore_broken_pipes(void);

/* Listen on 127.0.0.1, on a port of the kernel's choice, and print that port on a line of its own.
 * Ignores broken pipes. */
void listen_and_say(uv_loop_t *loop, uv_tcp_t *listener, uv_connection_cb accepted);

#endif
