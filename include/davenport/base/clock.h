/* Time is injected: what decides never reads a clock, and what reads one reads it through here,
 * so that a test can own it. */
#ifndef DAVENPORT_BASE_CLOCK_H
#define DAVENPORT_BASE_CLOCK_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_NS_PER_MS UINT64_C(1000000)
#define DP_NS_PER_S  UINT64_C(1000000000)

struct dp_clock {
    uint64_t (*mono_ns)(void *ctx); /* monotonic ns; only differences mean something */
    int64_t (*wall_ms)(void *ctx);  /* ms since 1970, for people; never for decisions */
    void *ctx;
};

/* The machine's clocks. Any thread. */
extern const struct dp_clock dp_clock_system;

static inline uint64_t dp_clock_mono_ns(const struct dp_clock *c)
{
    return c->mono_ns(c->ctx);
}

static inline int64_t dp_clock_wall_ms(const struct dp_clock *c)
{
    return c->wall_ms(c->ctx);
}

/* "2026-11-22T21:03:04.567Z" into buf (at least DP_TIME_TEXT bytes, NUL ended). */
#define DP_TIME_TEXT 32
void dp_time_text(int64_t wall_ms, char buf[DP_TIME_TEXT]);
/* "Sun, 22 Nov 2026 21:03:04 GMT", as the Date header has it (RFC 9110 5.6.7). */
void dp_http_date(int64_t wall_ms, char buf[DP_TIME_TEXT]);
/* The same read, in seconds since 1970. False, *out_s untouched: it is none; the two obsolete forms are none. */
DP_MUST_USE bool dp_http_date_read(struct dp_span text, int64_t *out_s);

#endif
