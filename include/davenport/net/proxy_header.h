/* The PROXY protocol, versions 1 and 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt): what a load balancer says of
 * a connection before the connection's own first byte. Pure. */
#ifndef DAVENPORT_NET_PROXY_HEADER_H
#define DAVENPORT_NET_PROXY_HEADER_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest header of version 1, its CRLF included. */
#define DP_PROXY_V1_BYTES 107
/* Of version 2 what is looked at: the fixed part and two IPv6 addresses. All that follows (TLVs, addresses of Unix
 * sockets) is skipped as it comes, so that a header of 64 KiB takes no memory. */
#define DP_PROXY_V2_BYTES 52
/* Any address it may tell, as text, NUL included. */
#define DP_PROXY_TEXT 46

/* One header being read. All zero at the beginning. */
struct dp_proxy_header {
    char bytes[DP_PROXY_V1_BYTES]; /* as far as they are kept */
    uint8_t n;                     /* of them */
    uint32_t seen;                 /* so far, skipped ones included */
    /* behind DP_PROXY_DONE: */
    uint8_t version; /* 1 or 2 */
    bool tells; /* it names the client; else (LOCAL, UNKNOWN, UNSPEC, a Unix socket) it is who is
                                    connected */
    char client[DP_PROXY_TEXT]; /* "192.0.2.7", "2001:db8::1"; an IPv4 address in IPv6 as IPv4 */
    uint16_t client_port;
};

enum dp_proxy_read {
    DP_PROXY_MORE,  /* all was taken, more is needed */
    DP_PROXY_DONE,  /* *used of the bytes belong to the header, the rest to the connection */
    DP_PROXY_FAILED /* it is no such header, or one that is not well formed: close */
};

/* Take bytes in, in any pieces. Strict: version 1 is one line as its grammar says, with single spaces, addresses of the
 * family it names and ports without leading zeros; version 2 has a known command and family, over a stream, and at
 * least the bytes its family needs. TLVs are neither read nor trusted. n > 0. */
DP_MUST_USE enum dp_proxy_read dp_proxy_header_feed(struct dp_proxy_header *h, const char *p,
                                                    size_t n, size_t *used);

#endif
