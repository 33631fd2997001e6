/* What a lookup gives, as addresses to dial. */
#ifndef DAVENPORT_NET_LOOKUP_H
#define DAVENPORT_NET_LOOKUP_H

#include "davenport/base/addr.h"

#include <stdint.h>

struct addrinfo;

/* getaddrinfo's list in its order (RFC 6724), the families taking turns (RFC 8305); what is twice there, and
 * what does not fit, is left out. */
void dp_lookup_collect(const struct addrinfo *list, uint16_t port, struct dp_addrs *out);

#endif
