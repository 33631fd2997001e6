/* The tables of plan.def. */
#include "davenport/drill/plan.h"

const struct dp_drill_do_info *dp_drill_do_info(enum dp_drill_do what)
{
    static const struct dp_drill_do_info table[] = {
#define DP_DRILL_DO(code, word, means, region, moves, text) {word, means, region, moves, text},
#include "davenport/drill/plan.def"
    };
    return &table[what];
}

const struct dp_drill_objective_info *dp_drill_objective_info(enum dp_drill_objective o)
{
    static const struct dp_drill_objective_info table[] = {
#define DP_DRILL_OBJECTIVE(code, key, unit, text) {key, unit, text},
#include "davenport/drill/plan.def"
    };
    return &table[o];
}
