/* Asking a running proxy. */
#include "app/cli_ask.h"

#include "app/admin_client.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_ADMIN "127.0.0.1:8985"

bool dp_cli_admin_address(const struct dp_cli_call *call, struct dp_text *out)
{
    const char *given = dp_cli_value(call, "admin");
    const char *path = dp_cli_value(call, "config");
    const char *environment = getenv("DAVENPORT_ADMIN");
    if (given) {
        dp_text_add(out, dp_span_str(given));
    } else if (path) {
        struct dp_config *config = dp_cli_load_config(path, DP_RESOLVE_NOT);
        if (!config) {
            return false;
        }
        dp_text_add(out, dp_span_str(config->admin_listen));
        dp_config_destroy(config);
    } else {
        dp_text_add(out, dp_span_str(environment && *environment ? environment : DEFAULT_ADMIN));
    }
    return true;
}

/* Other programs answer JSON, too. */
static bool is_ours(const json_t *answer)
{
    return json_is_array(answer) ||
           (json_object_get(answer, "epoch") &&
            (json_object_get(answer, "regions") || json_object_get(answer, "order") ||
             json_object_get(answer, "reload")));
}

/* What an answer other than 200 means, after telling it. */
static int fail(const char *addr, uint16_t status, const json_t *answer)
{
    const char *reason = json_string_value(json_object_get(answer, "reason"));
    const char *word = json_string_value(json_object_get(answer, "error"));
    if (!reason || !word) {
        dp_cli_error("what answers at %s is no davenport (status %u)", addr, (unsigned)status);
        return DP_EXIT_UNREACHABLE;
    }
    dp_cli_error("refused (%.64s): %s", word, reason);
    if (status == 412) {
        return DP_EXIT_EPOCH;
    }
    return status == 409 ? DP_EXIT_REFUSED : DP_EXIT_FAILED;
}

int dp_cli_ask(const char *addr, const char *path, const char *body, json_t **out)
{
    struct dp_text answer = {0};
    char why[DP_CLIENT_WHY];
    uint16_t status = 0;
    int code = DP_EXIT_OK;
    json_t *json = NULL;
    enum dp_err err = dp_admin_call(addr, path, body, &status, &answer, why);
    if (err == DP_EINVAL) {
        dp_cli_error("--admin: %s", why);
        code = DP_EXIT_USAGE;
        goto cleanup;
    }
    if (err != DP_OK) {
        dp_cli_error("no proxy answers at %s. Is it running? Another address: --admin or -c", why);
        code = DP_EXIT_UNREACHABLE;
        goto cleanup;
    }
    json = json_loadb(dp_text_str(&answer), answer.n, 0, NULL);
    if (status != 200 || !is_ours(json)) {
        code = fail(addr, status, json);
    }
    if (is_ours(json)) {
        *out = json_incref(json);
    }
cleanup:
    json_decref(json);
    dp_text_fini(&answer);
    return code;
}

void dp_cli_dump(const json_t *json, size_t flags, struct dp_text *out)
{
    char *text = json_dumps(json, flags | JSON_REAL_PRECISION(6));
    if (text) {
        dp_text_addf(out, "%s\n", text);
    } else {
        out->failed = true;
    }
    free(text);
}

const char *dp_cli_given(const struct dp_cli_call *call, const char *option)
{
    const struct dp_cli_option *options = call->command->options;
    for (size_t i = 0; options[i].name; i++) {
        if (strcmp(options[i].name, option) == 0) {
            return call->values[i];
        }
    }
    return NULL;
}
