/* Lists of numeric addresses. */
#include "davenport/base/addr.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool equal(const struct dp_addr *a, const struct dp_addr *b)
{
    return a->port == b->port && strcmp(a->ip, b->ip) == 0;
}

bool dp_addrs_has(const struct dp_addrs *a, const struct dp_addr *one)
{
    for (uint16_t i = 0; i < a->n; i++) {
        if (equal(&a->at[i], one))
            return true;
    }
    return false;
}

bool dp_addrs_add(struct dp_addrs *a, const char *ip, uint16_t port)
{
    struct dp_addr one = {.port = port};
    size_t n = strlen(ip);
    if (n == 0 || n >= sizeof(one.ip))
        return false;
    memcpy(one.ip, ip, n + 1);
    if (dp_addrs_has(a, &one))
        return true;
    if (a->n == DP_MAX_ADDRS)
        return false;
    a->at[a->n++] = one;
    return true;
}

bool dp_addrs_same(const struct dp_addrs *a, const struct dp_addrs *b)
{
    if (a->n != b->n)
        return false;
    for (uint16_t i = 0; i < a->n; i++) { /* no address is twice in a list */
        if (!dp_addrs_has(b, &a->at[i]))
            return false;
    }
    return true;
}

void dp_addrs_interleave(const struct dp_addrs *first, const struct dp_addrs *second,
                         struct dp_addrs *out)
{
    *out = (struct dp_addrs){0};
    for (uint16_t i = 0; i < DP_MAX_ADDRS; i++) {
        if (i < first->n)
            (void)dp_addrs_add(out, first->at[i].ip, first->at[i].port);
        if (i < second->n)
            (void)dp_addrs_add(out, second->at[i].ip, second->at[i].port);
    }
}

const char *dp_addrs_text(const struct dp_addrs *a, char buf[DP_ADDRS_TEXT])
{
    size_t at = 0;
    buf[0] = '\0';
    for (uint16_t i = 0; i < a->n; i++) {
        int n = snprintf(buf + at, DP_ADDRS_TEXT - at, "%s%s", i ? ", " : "", a->at[i].ip);
        if (n > 0)
            at += (size_t)n; /* room for all: see DP_ADDRS_TEXT */
    }
    return buf;
}

uint64_t dp_addr_tag(const struct dp_addr *a)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *p = a->ip; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    h = (h ^ a->port) * UINT64_C(1099511628211);
    return h ? h : 1;
}
