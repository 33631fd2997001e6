#include "davenport/net/lookup.h"

#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>

void dp_lookup_collect(const struct addrinfo *list, uint16_t port, struct dp_addrs *out)
{
    /* Apart, so that many addresses of one family leave room for the other. */
    struct dp_addrs families[2] = {{0}, {0}};
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        char ip[DP_ADDR_TEXT];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST) == 0)
            (void)dp_addrs_add(&families[a->ai_family != list->ai_family], ip, port);
    }
    dp_addrs_interleave(&families[0], &families[1], out);
}
