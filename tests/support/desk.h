/* A governor between scripted regions and counters that the test plays, on a clock of the test's own. Probes are real;
 * time passes only when the test says so. */
#ifndef DAVENPORT_TESTS_SUPPORT_DESK_H
#define DAVENPORT_TESTS_SUPPORT_DESK_H

#include "davenport/base/log.h"
#include "davenport/control/governor.h"

#include "support/script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define DESK_REGIONS 3 /* as many servers: an endpoint each, unless the test says otherwise */
#define MS           DP_NS_PER_MS

struct desk {
    uv_loop_t loop;
    struct script_server servers[DESK_REGIONS];
    char urls[DESK_REGIONS][64];
    struct dp_clock clock;
    uint64_t now_ns;
    struct dp_control_config config;
    struct dp_governor *governor;
    struct dp_traffic *workers[2];
    const struct dp_traffic *traffic[2];
    struct dp_view *view; /* the last one published */
    unsigned published;
    struct dp_replication_listener listener;
    bool gone;
    char dir[64], path[96];
    struct dp_status status;         /* filled by desk_status */
    struct dp_order_request request; /* of the next desk_order, beyond its arguments */
    struct dp_order_result result;   /* of the last one */
    /* of the waits */
    const char *want;
    unsigned want_count;
    uint64_t step_ms; /* of the test's clock, each turn of the loop */
};

int desk_setup(void **state);
int desk_teardown(void **state);

/* A governor of d->config. start: and its timers. stop: waits until it is gone. */
void desk_make(struct desk *d);
void desk_start(struct desk *d);
/* And wait until a and b are up. */
void desk_start_well(struct desk *d);
void desk_stop(struct desk *d);

int64_t desk_wall_ms(void *desk);
const struct dp_status *desk_status(struct desk *d);

/* An order of ann's, as d->request says besides (which is empty afterwards). */
enum dp_refusal desk_order(struct desk *d, enum dp_order_kind kind, const char *region,
                           const char *reason);

/* One turn of the loop, `ms` later on the test's clock. */
void desk_turn(struct desk *d, uint64_t ms);
/* Wait until `event` (as "event:region") has been told `count` times. long: where minutes of the test's clock pass. */
void desk_await(struct desk *d, const char *event, unsigned count);
void desk_await_long(struct desk *d, const char *event, unsigned count);
/* How often it is in the ring. */
unsigned desk_count(struct desk *d, const char *event);
/* The newest line of this event and region; the caller decrefs. NULL: none. */
json_t *desk_line(struct desk *d, const char *event, const char *region);
/* The string member, or "". */
const char *desk_text(const json_t *doc, const char *key);

/* `n` requests of `worker` ended like this at `endpoint`. */
void desk_bad(struct desk *d, size_t worker, size_t endpoint, enum dp_outcome o, uint64_t n);

#endif
