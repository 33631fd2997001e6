/* Times of the week in which something may happen. Pure: the wall time comes in, in whole minutes since 1970 UTC. Hours
 * are of a fixed offset to UTC, so no summer time moves, doubles or skips them.
 *
 *     mon-fri 02:00-05:00; sat,sun 22:00-04:00
 *
 * A window is open from its first minute until, not with, its last; one that ends before it begins goes on past
 * midnight and belongs to the day on which it begins. Days are left out for every day. */
#ifndef DAVENPORT_CORE_WINDOW_H
#define DAVENPORT_CORE_WINDOW_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_WINDOWS_MAX 8
#define DP_NEVER_MIN   UINT32_MAX

struct dp_window {
    uint8_t days;            /* bit 0: Monday */
    uint16_t from_m, till_m; /* minutes of the day: 0 to 1439, and 1 to 1440 */
};

/* Zeroed: never open. */
struct dp_windows {
    uint16_t n;
    int16_t utc_offset_m; /* of the place whose hours they are: +60 for UTC+01:00 */
    struct dp_window at[DP_WINDOWS_MAX];
};

/* NULL when good, else what is wrong, for people; *out is whole only then, but for its offset, which stays. */
DP_MUST_USE const char *dp_windows_parse(const char *text, struct dp_windows *out);
/* "+01:00", "-03:30". */
DP_MUST_USE const char *dp_utc_offset_parse(const char *text, int16_t *out_m);

/* Minutes until one is open; 0: one is; DP_NEVER_MIN: none will be. */
uint32_t dp_windows_wait_m(const struct dp_windows *w, int64_t wall_m);

#endif
