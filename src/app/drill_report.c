/* The page of web/report with a result in it, and the command that makes one of a result's file. */
#include "app/drill_report.h"

#include "davenport/web/page.h"

#include "app/cli.h"
#include "app/file.h"
#include "app/json_memory.h"

#include <stdlib.h>
#include <string.h>

/* A day's drill, a row a second, takes less than half of it. */
#define MAX_RESULT_BYTES (64U << 20)

/* JSON that may stand in a <script>: "<" occurs in strings only, where an escape says the same. */
static void add_embedded(struct dp_text *out, struct dp_span json)
{
    while (json.n && !out->failed) {
        const char *found = memchr(json.p, '<', json.n);
        const size_t n = found ? (size_t)(found - json.p) : json.n;
        dp_text_add(out, (struct dp_span){json.p, n});
        json.p += n;
        json.n -= n;
        if (found) {
            dp_text_add(out, DP_SPAN("\\u003c"));
            json.p++;
            json.n--;
        }
    }
}

enum dp_err dp_drill_report_html(const json_t *result, struct dp_text *out)
{
    if (!json_is_object(result)) {
        return DP_EINVAL;
    }
    /* jansson may leave out what it has no memory for, and call it done. */
    const unsigned refused = dp_json_memory_refused();
    char *json = json_dumps(result, JSON_COMPACT);
    if (!json || dp_json_memory_refused() != refused) {
        free(json);
        return DP_ENOMEM;
    }
    const struct dp_web_page page = dp_web_report();
    dp_text_add(out, page.head);
    add_embedded(out, dp_span_str(json));
    dp_text_add(out, page.tail);
    free(json);
    return out->failed ? DP_ENOMEM : DP_OK;
}

static const char *shown(const char *path)
{
    return strcmp(path, "-") == 0 ? "stdin" : path;
}

/* A result that was read, or NULL after its problem went to stderr. */
static json_t *read_result(const char *path)
{
    struct dp_text text = {0};
    char why[DP_FILE_WHY] = "";
    json_error_t error = {0};
    json_t *result = NULL;
    if (dp_file_read(path, MAX_RESULT_BYTES, &text, why) != DP_OK) {
        dp_cli_error("%s: %s", shown(path), why);
        goto cleanup;
    }
    result = json_loadb(dp_text_str(&text), text.n, JSON_REJECT_DUPLICATES, &error);
    if (!result) {
        dp_cli_error("%s:%d:%d: %s", shown(path), error.line, error.column, error.text);
        goto cleanup;
    }
    const json_t *format = json_object_get(result, "format");
    if (!json_is_integer(format) || json_integer_value(format) != DP_DRILL_RESULT_FORMAT) {
        dp_cli_error("%s: format: not a drill's result of format %d", shown(path),
                     DP_DRILL_RESULT_FORMAT);
        json_decref(result);
        result = NULL;
    }
cleanup:
    dp_text_fini(&text);
    return result;
}

int dp_cli_report(const struct dp_cli_call *call)
{
    const char *path = dp_cli_value(call, "output");
    struct dp_text page = {0};
    char why[DP_FILE_WHY] = "";
    int code = DP_EXIT_FAILED;
    json_t *result = read_result(call->args[0]);
    if (!result) {
        return DP_EXIT_FAILED;
    }
    const enum dp_err err = dp_drill_report_html(result, &page);
    if (err != DP_OK) {
        dp_cli_error("%s: %s", shown(call->args[0]), dp_err_info(err)->reason);
    } else if (!path || strcmp(path, "-") == 0) {
        code = dp_cli_print(&page) ? DP_EXIT_OK : DP_EXIT_FAILED;
    } else if (dp_file_write(path, dp_text_span(&page), why) != DP_OK) {
        dp_cli_error("%s: %s", path, why);
    } else {
        code = DP_EXIT_OK;
    }
    json_decref(result);
    dp_text_fini(&page);
    return code;
}
