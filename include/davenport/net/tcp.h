/* TCP streams over libuv. One `struct dp_net` a loop holds what its streams share. One thread. */
#ifndef DAVENPORT_NET_TCP_H
#define DAVENPORT_NET_TCP_H

#include "davenport/base/attr.h"
#include "davenport/base/buf.h"
#include "davenport/net/stream.h"

#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;

/* What one read takes at most. Large bodies are cheapest by far in large pieces: the two sides of a socket
 * meet less often. It fits a core's second-level cache. */
#define DP_READ_BYTES ((size_t)262144)

struct dp_net {
    uv_loop_t *loop;
    struct dp_chunk_pool *chunks; /* for what could not be written at once */
    char *scratch; /* DP_READ_BYTES; every read lands here and is used up by on_read */
};

/* Both: the stream calls `events` on `owner`. open: fd is a connection that was accepted, from a TCP or a Unix socket, the stream's from here on; reading
 * is off until dp_stream_read_start. dial: on_connect comes later, always; then reading is off too. ip is numeric.
 * Errors (nothing is left behind, fd is closed): ENOMEM; EIO (open); EINVAL (dial: not a numeric address). */
DP_MUST_USE enum dp_err dp_tcp_open(struct dp_net *net, int fd,
                                    const struct dp_stream_events *events, void *owner,
                                    struct dp_stream **out);
DP_MUST_USE enum dp_err dp_tcp_dial(struct dp_net *net, const char *ip, uint16_t port,
                                    const struct dp_stream_events *events, void *owner,
                                    struct dp_stream **out);

/* What dp_tcp_peer calls whoever comes through a Unix socket. */
#define DP_PEER_UNIX "unix"

/* The peer's address as text ("127.0.0.1", "::1"; IPv4 behind IPv6 as IPv4), DP_PEER_UNIX, or "unknown" when it is gone. */
void dp_tcp_peer(struct dp_stream *s, char *buf, size_t cap);

#endif
