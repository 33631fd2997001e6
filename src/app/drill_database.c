/* What the plan says of the database, and its end by the guard's hand, on a loop of the guard's own. */
#include "app/drill_database.h"

#include <stdio.h>

#include <uv.h>

#define WHY_BYTES  512
#define DROP_TRIES 150 /* of each request: 30 s, for a region that was just started again */

void dp_drill_regions(const struct dp_drill_plan *plan,
                      struct dp_drill_region out[DP_DRILL_REGIONS])
{
    for (uint16_t i = 0; i < plan->n_regions; i++) {
        const struct dp_plan_region *r = &plan->regions[i];
        out[i] = (struct dp_drill_region){.name = r->name,
                                          .url = r->url,
                                          .username = r->username,
                                          .password = r->password,
                                          .peer_url = r->peer_url};
    }
}

struct dp_database_options dp_drill_database_options(const struct dp_drill_plan *plan,
                                                     const struct dp_drill_region *regions,
                                                     const char *run)
{
    return (struct dp_database_options){
        .regions = regions,
        .n_regions = plan->n_regions,
        .name = plan->database,
        .run = run,
        .replicate = plan->replicate && plan->n_regions > 1,
        .view = plan->load.weights[DP_LOAD_VIEW] > 0,
        .index = plan->load.weights[DP_LOAD_FIND] > 0,
    };
}

struct outcome {
    enum dp_err err;
    char why[WHY_BYTES];
    struct dp_database *database;
};

static void dropped(void *ctx, enum dp_err err, const char *why)
{
    struct outcome *o = ctx;
    o->err = err;
    (void)snprintf(o->why, sizeof o->why, "%s", why);
    dp_database_destroy(o->database, NULL, NULL);
}

void dp_drill_tidy(void *ctx, const enum dp_guard_own own[DP_DRILL_REGIONS])
{
    const struct dp_drill_tidy *t = ctx;
    const struct dp_drill_plan *plan = t->plan;
    struct dp_drill_region regions[DP_DRILL_REGIONS];
    struct outcome o = {.err = DP_ENOMEM, .why = "out of memory"};
    uv_loop_t loop;
    dp_drill_regions(plan, regions);
    if (uv_loop_init(&loop) == 0) {
        struct dp_database_options options = dp_drill_database_options(plan, regions, t->run);
        options.loop = &loop;
        options.drop_tries = DROP_TRIES;
        if (dp_database_new(&options, &o.database) == DP_OK) {
            for (uint16_t i = 0; i < plan->n_regions; i++) {
                if (own[i] == DP_OWN_DRILL) {
                    dp_database_own(o.database, i);
                }
            }
            dp_database_drop(o.database, dropped, &o);
            (void)uv_run(&loop, UV_RUN_DEFAULT);
        }
        (void)uv_loop_close(&loop);
    }
    if (o.err != DP_OK) {
        (void)fprintf(stderr,
                      "davenport: NOT tidied up: %s; what may be left in each region: the database "
                      "%s, and documents drill-%s-… of _replicator\n",
                      o.why, plan->database, t->run);
    }
    for (uint16_t i = 0; i < plan->n_regions; i++) {
        if (own[i] == DP_OWN_UNKNOWN) {
            (void)fprintf(stderr,
                          "davenport: region %s: whether the drill made the database %s is not "
                          "known, so it is kept\n",
                          plan->regions[i].name, plan->database);
        }
    }
}
