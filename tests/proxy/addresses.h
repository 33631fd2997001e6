/* Addresses for tests of dials. */
#ifndef DAVENPORT_TESTS_PROXY_ADDRESSES_H
#define DAVENPORT_TESTS_PROXY_ADDRESSES_H

#include "davenport/base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* "a b c" as a list. */
static inline struct dp_addrs list(const char *text)
{
    struct dp_addrs a = {0};
    char ip[DP_ADDR_TEXT];
    for (int n; sscanf(text, "%63s%n", ip, &n) == 1; text += n)
        assert_true(dp_addrs_add(&a, ip, 80));
    return a;
}

#endif
