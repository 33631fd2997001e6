/* How a client's address is written. */
#ifndef DAVENPORT_SRC_NET_IP_TEXT_H
#define DAVENPORT_SRC_NET_IP_TEXT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* `address`: a struct in_addr of AF_INET, a struct in6_addr of AF_INET6. What a socket for both shows as
 * ::ffff:192.0.2.7 is 192.0.2.7: one client has one name. False when it does not fit. */
static inline bool dp_ip_text(int family, const void *address, char *buf, size_t cap)
{
    const struct in6_addr *v6 = address;
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6))
        return inet_ntop(AF_INET, v6->s6_addr + 12, buf, (socklen_t)cap) != NULL;
    return inet_ntop(family, address, buf, (socklen_t)cap) != NULL;
}

#endif
