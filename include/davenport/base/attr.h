/* Compiler attributes, spelled once. */
#ifndef DAVENPORT_BASE_ATTR_H
#define DAVENPORT_BASE_ATTR_H

#include <stddef.h>

#define DP_MUST_USE          __attribute__((warn_unused_result))
#define DP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define DP_NORETURN          __attribute__((noreturn))

/* The enclosing struct of a member: how intrusive lists and timers find their owner. */
#define DP_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define DP_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
