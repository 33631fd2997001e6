/* What a crash report tells of the workers, and what the next process tells of the report. */
#include "davenport/base/crash.h"
#include "davenport/base/log.h"
#include "davenport/version.h"

#include "app/runtime_state.h"

#define PATH_BYTES 4096
/* A worker's line. */
#define LINE_BYTES 200

static void describe(void *ctx, long tid, struct dp_crash_text *out)
{
    const struct dp_runtime *r = ctx;
    (void)tid;
    for (uint32_t i = 0; i < r->n_workers && out->n < sizeof out->p - LINE_BYTES; i++) {
        if (r->started[i]) {
            dp_worker_describe(r->workers[i], out);
        }
    }
}

enum dp_err runtime_report_crashes(struct dp_runtime *r)
{
    const struct dp_crash_options options = {
        .program = DP_PROGRAM, .folder = r->config->state_dir, .describe = describe, .ctx = r};
    dp_crash_install(&options);
    return DP_OK;
}

void runtime_tell_crash(struct dp_runtime *r)
{
    char path[PATH_BYTES];
    char line[256];
    if (r->config->state_dir &&
        dp_crash_found(r->config->state_dir, path, sizeof path, line, sizeof line)) {
        dp_log(DP_LOG_ERROR, "crashed_before", DP_KV_STR("report", path),
               DP_KV_STR("detail", line));
        dp_governor_record(r->governor, "crashed_before", "process", line, path);
    }
}

void runtime_forget_crashes(void)
{
    dp_crash_forget();
}
