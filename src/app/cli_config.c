/* Commands about the configuration: check, schema. */
#include "app/cli.h"
#include "app/tls_load.h"

#include <stdio.h>
#include <string.h>

/* How a configuration is called in messages. */
static const char *shown(const char *path)
{
    if (!path) {
        return "built-in default";
    }
    return strcmp(path, "-") == 0 ? "stdin" : path;
}

struct dp_config *dp_cli_load_config(const char *path, enum dp_cli_resolve resolve)
{
    struct dp_problems problems;
    struct dp_config *config = NULL;
    dp_problems_init(&problems, shown(path));
    enum dp_err err = dp_config_load(path, &problems, &config);
    if (err == DP_OK && resolve != DP_RESOLVE_NOT) {
        err = dp_config_resolve(config, resolve == DP_RESOLVE_MUST, &problems);
    }
    dp_problems_close(&problems);
    (void)fputs(dp_text_str(&problems.text), stderr);
    dp_problems_fini(&problems);
    if (err != DP_OK) {
        dp_config_destroy(config);
        return NULL;
    }
    return config;
}

/* What only trying shows: files that can't be read, a key that is not the certificate's. */
static bool files_are_good(const struct dp_config *config, const char *path)
{
    struct dp_problems problems;
    dp_problems_init(&problems, shown(path));
    const enum dp_err err = dp_tls_load_check(config, &problems);
    dp_problems_close(&problems);
    (void)fputs(dp_text_str(&problems.text), stderr);
    dp_problems_fini(&problems);
    return err == DP_OK;
}

int dp_cli_check(const struct dp_cli_call *call)
{
    const char *path = dp_cli_value(call, "config");
    struct dp_text text = {0};
    struct dp_config *config =
        dp_cli_load_config(path, dp_cli_value(call, "resolve") ? DP_RESOLVE_MUST : DP_RESOLVE_NOT);
    if (!config || !files_are_good(config, path)) {
        dp_config_destroy(config);
        return DP_EXIT_FAILED;
    }
    if (dp_cli_value(call, "print")) {
        dp_config_dump(config, &text);
    } else {
        dp_text_addf(&text, "%s: ok\n", shown(path));
        dp_config_summary(config, &text);
    }
    bool good = dp_cli_print(&text);
    dp_text_fini(&text);
    dp_config_destroy(config);
    return good ? DP_EXIT_OK : DP_EXIT_FAILED;
}

int dp_cli_schema(const struct dp_cli_call *call)
{
    struct dp_text text = {0};
    (void)call;
    dp_config_schema(&text);
    bool good = dp_cli_print(&text);
    dp_text_fini(&text);
    return good ? DP_EXIT_OK : DP_EXIT_FAILED;
}
