/* A drill's plan: which proxy and regions, what load, what is broken when, what is wanted of it all. Plain data, read
 * from JSON by app/drill_plan.h; immutable afterwards. Strings are NUL ended, belong to the plan's owner, and are NULL
 * where nothing was said. Times are ms since the load's first request, unless a name says otherwise. */
#ifndef DAVENPORT_DRILL_PLAN_H
#define DAVENPORT_DRILL_PLAN_H

#include "davenport/drill/load.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_DRILL_REGIONS   8
#define DP_DRILL_STEPS     128 /* repetitions counted */
#define DP_DRILL_DATABASES 8
#define DP_DRILL_TEXT      32768 /* bytes of any text, a command above all */
#define DP_DRILL_SECONDS   3600  /* the longest load */
#define DP_DRILL_RATE      50000
#define DP_DRILL_NO_REGION UINT16_MAX
#define DP_DRILL_TO_END    UINT64_MAX /* of a step: it stands until the load is over */
#define DP_DRILL_UNSET     (-1.0)     /* of an objective or a limit: nothing is wanted */

/* What does it: commands of the plan's own, the proxy (POST /faults), a relay (PUT /fault), or an operator's order. */
enum dp_drill_means { DP_DRILL_HOOK, DP_DRILL_FAULT, DP_DRILL_RELAY, DP_DRILL_ORDER };

enum dp_drill_do {
#define DP_DRILL_DO(code, word, means, region, moves, text) DP_DRILL_##code,
#include "davenport/drill/plan.def"
    DP_DRILL_DO_COUNT
};

struct dp_drill_do_info {
    const char *word; /* "stop" */
    enum dp_drill_means means;
    bool region;      /* must name one */
    bool moves;       /* traffic has to leave the region (a switch: has to come there) */
    const char *text; /* for people */
};
const struct dp_drill_do_info *dp_drill_do_info(enum dp_drill_do what);

struct dp_plan_region {
    const char *name, *url; /* url: past the proxy, to prepare the database and to look writes up */
    const char *username, *password;
    const char *peer_url; /* how the other regions reach it, to replicate; NULL: by url */
    const char *stop, *start, *freeze, *thaw; /* commands for sh -c */
    const char *relay;                        /* its admin address: 127.0.0.1:9000 or unix:PATH */
};

struct dp_drill_step {
    uint64_t at_ms, for_ms; /* for_ms: DP_DRILL_TO_END */
    enum dp_drill_do what;
    uint16_t region;        /* DP_DRILL_NO_REGION */
    const char *run, *undo; /* commands of a `run` */
    const char *fault;      /* of a relay: a JSON object as PUT /fault takes it, without for_ms */
    const char *fault_kind; /* "latency" */
    uint64_t delay_ms;      /* slow */
    double share;           /* of the attempts that a fault of the proxy is for; 0: of all */
    uint16_t n_databases;
    const char *databases
        [DP_DRILL_DATABASES]; /* patterns that the proxy's fault is limited to; none: all */
    const char *name;         /* "stop left" */
};

struct dp_drill_load {
#define DP_DRILL_UINT(field, key, fallback, min, max, text) uint64_t field;
#include "davenport/drill/plan.def"
    unsigned weights[DP_LOAD_KINDS]; /* of "mix" */
    const char *region_header;       /* of answers: which region gave them */
};

enum dp_drill_objective {
#define DP_DRILL_OBJECTIVE(code, key, unit, text) DP_OBJECTIVE_##code,
#include "davenport/drill/plan.def"
    DP_OBJECTIVE_COUNT
};

struct dp_drill_objective_info {
    const char *key, *unit, *text;
};
const struct dp_drill_objective_info *dp_drill_objective_info(enum dp_drill_objective o);

/* When the drill gives itself up: a limit that the last `window_s` seconds crossed. */
struct dp_drill_abort {
    double failed_percent; /* of the window's requests, if there are 20; DP_DRILL_UNSET */
    double p99_ms;         /* in each of its seconds; DP_DRILL_UNSET */
    uint64_t window_s;
};

struct dp_drill_plan {
    const char *name, *description;
    const char *proxy_url;   /* what applications are told: http://127.0.0.1:8984 */
    const char *proxy_admin; /* its operators' address; NULL: it is no Davenport */
    const char *admin_token_file, *admin_ca_file; /* for that; or NULL */
    const char *username, *password;
    uint16_t n_regions;
    struct dp_plan_region regions[DP_DRILL_REGIONS];
    const char *database;
    bool
        replicate; /* make the regions replicate it each way; else somebody else has seen to that */
    struct dp_drill_load load;
    uint16_t n_steps;
    struct dp_drill_step steps[DP_DRILL_STEPS]; /* in order of at_ms */
    uint64_t converge_s; /* so long the regions may take to agree after the load */
    uint64_t hook_s;     /* so long a command may take */
    struct dp_drill_abort abort;
    double objectives[DP_OBJECTIVE_COUNT]; /* at most so much; DP_DRILL_UNSET */
};

#endif
