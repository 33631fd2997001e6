/* Words while it runs (stderr), and the result (files, stdout). */
#include "app/cli.h"
#include "app/cli_ask.h"
#include "app/drill_report.h"
#include "app/drill_state.h"
#include "app/file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_EVERY_S 10 /* where no line can be overwritten */

static bool on_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && (!term || strcmp(term, "dumb") != 0);
}

void drill_say(const struct drill *d, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) >= 0) {
        (void)fprintf(stderr, "%s%7.1f s  %s\n", on_terminal() ? "\r\033[K" : "",
                      drill_now_ms(d) / 1000, text);
    }
    va_end(args);
}

static void add_regions(const struct drill *d, const struct dp_load_second *last, char *out,
                        size_t cap)
{
    size_t n = 0;
    uint32_t all = 0;
    out[0] = '\0';
    for (unsigned i = 0; i <= DP_LOAD_REGIONS; i++) {
        all += last->by_region[i];
    }
    for (unsigned i = 0; i < DP_LOAD_REGIONS && all > 0 && n < cap; i++) {
        const char *name = dp_load_region(d->load, i);
        if (name && last->by_region[i] > 0) {
            int wrote = snprintf(out + n, cap - n, "  %.20s %.0f %%", name,
                                 100.0 * last->by_region[i] / all);
            n += wrote > 0 ? (size_t)wrote : 0;
        }
    }
}

static void add_steps(const struct drill *d, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (uint16_t i = 0; i < d->plan->n_steps && n < cap; i++) {
        enum dp_step_state state = d->conductor.steps[i].state;
        if (state == DP_STEP_BEGINNING || state == DP_STEP_STANDING || state == DP_STEP_ENDING) {
            int wrote =
                snprintf(out + n, cap - n, "%s%.40s", n ? ", " : "  | ", d->plan->steps[i].name);
            n += wrote > 0 ? (size_t)wrote : 0;
        }
    }
}

void drill_show(const struct drill *d, const struct dp_load_progress *now)
{
    char line[512];
    char regions[128];
    char steps[128];
    struct winsize size;
    bool terminal = on_terminal();
    if (!d->start_ns) {
        return;
    }
    if (!terminal && (uint64_t)(now->at_s + 0.5) % LINE_EVERY_S != 0) {
        return;
    }
    add_regions(d, &now->last, regions, sizeof regions);
    add_steps(d, steps, sizeof steps);
    int n = snprintf(line, sizeof line, "of %" PRIu64 " s: %u/s, %u failed, p99 %.1f ms%s%s",
                     d->plan->load.seconds, (unsigned)(now->last.ok + now->last.failed),
                     (unsigned)now->last.failed, (double)now->last.p99_ns / 1e6, regions, steps);
    if (n < 0) {
        return;
    }
    if (!terminal) {
        drill_say(d, "%s", line);
        return;
    }
    int columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 12 ? size.ws_col : 80;
    (void)fprintf(stderr, "\r\033[K%7.1f s  %.*s", now->at_s, columns - 12, line);
    (void)fflush(stderr);
}

/* One file of the drill's folder. */
static bool write_file(const struct drill *d, const char *name, const struct dp_text *text)
{
    char path[4096];
    char why[DP_FILE_WHY];
    if (text->failed ||
        snprintf(path, sizeof path, "%s/%s", d->options->folder, name) >= (int)sizeof path) {
        drill_say(d, "%s/%s: cannot be written", d->options->folder, name);
        return false;
    }
    if (dp_file_write(path, dp_text_span(text), why) != DP_OK) {
        drill_say(d, "%s: %s", path, why);
        return false;
    }
    return true;
}

int drill_tell(struct drill *d)
{
    const struct dp_drill_facts facts = {
        .file = d->file,
        .judge = &d->judge,
        .verdict = d->verdict,
        .ended_ms = d->ended_ms,
        .why = *d->why ? d->why : NULL,
        .started_wall_ms = d->start_wall_ms,
        .seconds = drill_now_ms(d) / 1000,
        .proxy_version = *d->version ? d->version : NULL,
        .n_entries = d->n_entries,
        .entries = d->entries,
        .stale_after_return = d->stale_after_return,
        .load = d->load_json,
        .checker = d->checker_json,
        .events = d->events,
    };
    struct dp_text text = {0};
    enum dp_drill_verdict verdict = d->verdict;
    json_t *result = dp_drill_result(&facts, &verdict);
    if (!result) {
        drill_say(d, "the result could not be written: out of memory");
        return dp_drill_exit_code(DP_DRILL_FAILED);
    }
    dp_text_json(&text, result, JSON_INDENT(1));
    bool good = write_file(d, "result.json", &text);
    struct dp_text page = {0};
    page.failed = dp_drill_report_html(result, &page) != DP_OK;
    good = write_file(d, "report.html", &page) && good;
    dp_text_fini(&page);
    if (!d->options->json) {
        dp_text_clear(&text);
        dp_drill_summary(result, dp_cli_colour(), &text);
        dp_text_addf(&text, "\nThe report: %s/report.html\n", d->options->folder);
    }
    good = dp_cli_print(&text) && good;
    dp_text_fini(&text);
    json_decref(result);
    int code = dp_drill_exit_code(verdict);
    return good || code != 0 ? code : dp_drill_exit_code(DP_DRILL_FAILED);
}
