/* davenport drill: reads the plan, asks whether it may, and lets it run. */
#include "app/cli.h"
#include "app/drill_plan.h"
#include "app/drill_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Does the drill reach further than this machine? False after a word about a host that nobody vouched for. */
static bool may_reach(const struct dp_cli_call *call, const struct dp_drill_plan *plan,
                      bool *foreign)
{
    const char *urls[2 * DP_DRILL_REGIONS + 2] = {plan->proxy_url};
    size_t n = 1;
    bool good = true;
    *foreign = false;
    for (uint16_t i = 0; i < plan->n_regions; i++) {
        urls[n++] = plan->regions[i].url;
        urls[n++] = plan->regions[i].peer_url;
    }
    if (plan->proxy_admin && strncmp(plan->proxy_admin, "https://", 8) == 0) {
        urls[n++] = plan->proxy_admin;
    }
    for (size_t i = 0; i < n; i++) {
        if (urls[i] && !dp_cli_is_loopback(urls[i])) {
            *foreign = true;
            good = dp_cli_owns(call, urls[i]) && good;
        }
    }
    return good;
}

static void tell_step(const struct dp_drill_step *s, struct dp_text *out)
{
    dp_text_addf(out, "  %7.1f s  %s", (double)s->at_ms / 1000, s->name);
    if (s->for_ms == DP_DRILL_TO_END) {
        dp_text_addf(out, " until the load is over\n");
    } else {
        dp_text_addf(out, " until %.1f s\n", (double)(s->at_ms + s->for_ms) / 1000);
    }
}

/* --check: what would be done. */
static void tell_plan(const struct dp_drill_plan *plan, struct dp_text *out)
{
    dp_text_addf(out, "%s: %" PRIu64 " requests/s for %" PRIu64 " s on %s\n\n", plan->name,
                 plan->load.rate, plan->load.seconds, plan->proxy_url);
    for (uint16_t i = 0; i < plan->n_steps; i++) {
        tell_step(&plan->steps[i], out);
    }
    dp_text_addf(out, "\nWanted:\n");
    for (enum dp_drill_objective o = 0; o < DP_OBJECTIVE_COUNT; o++) {
        const struct dp_drill_objective_info *info = dp_drill_objective_info(o);
        if (plan->objectives[o] >= 0) {
            dp_text_addf(out, "  at most %.6g%s%s %s\n", plan->objectives[o],
                         *info->unit ? " " : "", info->unit, info->text);
        }
    }
}

static struct dp_plan_file *load_plan(const char *path)
{
    struct dp_problems problems;
    struct dp_plan_file *file = NULL;
    dp_problems_init(&problems, strcmp(path, "-") == 0 ? "stdin" : path);
    enum dp_err err = dp_plan_load(path, &problems, &file);
    dp_problems_close(&problems);
    (void)fputs(dp_text_str(&problems.text), stderr);
    dp_problems_fini(&problems);
    return err == DP_OK ? file : NULL;
}

/* "drill-20261126T190000Z", unless there is a better one. */
static bool make_folder(const char *given, struct dp_text *out)
{
    char now[DP_TIME_TEXT];
    if (given) {
        dp_text_add(out, dp_span_str(given));
    } else {
        dp_time_text(dp_clock_wall_ms(&dp_clock_system), now);
        dp_text_addf(out, "drill-%.4s%.2s%.2sT%.2s%.2s%.2sZ", now, now + 5, now + 8, now + 11,
                     now + 14, now + 17);
    }
    if (mkdir(dp_text_str(out), 0755) != 0 && errno != EEXIST) {
        dp_cli_error("drill: the folder %s: %s", dp_text_str(out), strerror(errno));
        return false;
    }
    return true;
}

int dp_cli_drill(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    bool foreign;
    struct dp_plan_file *file = load_plan(call->args[0]);
    if (!file) {
        return DP_EXIT_USAGE;
    }
    bool mine = may_reach(call, &file->plan, &foreign);
    int code = dp_cli_may_load(call, "load.rate", (double)file->plan.load.rate, foreign);
    if (code == DP_EXIT_USAGE) {
        goto cleanup;
    }
    if (dp_cli_value(call, "check")) {
        tell_plan(&file->plan, &text);
        code = dp_cli_print(&text) ? DP_EXIT_OK : DP_EXIT_FAILED;
    } else if (!mine || code != DP_EXIT_OK) {
        code = DP_EXIT_REFUSED;
    } else if (!make_folder(dp_cli_value(call, "output"), &text)) {
        code = DP_EXIT_USAGE;
    } else {
        const struct dp_drill_options options = {.folder = dp_text_str(&text),
                                                 .json = dp_cli_value(call, "json") != NULL};
        code = dp_drill_run(file, &options);
    }
cleanup:
    dp_text_fini(&text);
    dp_plan_destroy(file);
    return code;
}
