/* Numeric addresses of a host. Pure text: nothing here looks up or connects. */
#ifndef DAVENPORT_BASE_ADDR_H
#define DAVENPORT_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#define DP_ADDR_TEXT 64 /* the longest IPv6 address with a zone */
#define DP_MAX_ADDRS 8

struct dp_addr {
    char ip[DP_ADDR_TEXT]; /* v4 or v6, NUL ended */
    uint16_t port;
};

/* The best one first. n == 0: none is known. */
struct dp_addrs {
    uint16_t n;
    struct dp_addr at[DP_MAX_ADDRS];
};

/* Append, unless it is there already. False when it is not in the list afterwards: too long, or no room. */
bool dp_addrs_add(struct dp_addrs *a, const char *ip, uint16_t port);
bool dp_addrs_has(const struct dp_addrs *a, const struct dp_addr *one);
/* The same addresses, whatever their order. */
bool dp_addrs_same(const struct dp_addrs *a, const struct dp_addrs *b);
/* RFC 8305, section 4: the two lists (families) take turns, `first` begins; each keeps its order. What does not fit
 * is left out. */
void dp_addrs_interleave(const struct dp_addrs *first, const struct dp_addrs *second,
                         struct dp_addrs *out);

/* "10.0.0.1, ::1"; cut where it does not fit. Eight of the longest fit DP_ADDRS_TEXT. */
#define DP_ADDRS_TEXT (DP_MAX_ADDRS * (DP_ADDR_TEXT + 2))
const char *dp_addrs_text(const struct dp_addrs *a, char buf[DP_ADDRS_TEXT]);

/* A number that stands for the address where only a number fits (a counter). Never 0. */
uint64_t dp_addr_tag(const struct dp_addr *a);

#endif
