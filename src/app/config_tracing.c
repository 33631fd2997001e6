/* The rules of tracing.*: where spans go, and that the key to it goes nowhere in the clear. */
#include "app/config_table.h"
#include "app/otlp_export.h"

#include <string.h>

static const char *check_visible(const char *value, unsigned char least)
{
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c < least || *c == 127)
            return "must not hold spaces or control characters";
    }
    return NULL;
}

const char *dp_config_check_collector(const char *value)
{
    const char *host = strstr(value, "://");
    if (check_visible(value, '!') || strchr(value, '@'))
        return "must be a URL without spaces, user or password";
    if ((strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0) || !host[3] ||
        host[3] == '/' || host[3] == ':')
        return "must be a URL with its path, like http://127.0.0.1:4318/v1/traces";
    if (!strchr(host + 3, '/'))
        return "must say the path too, as in http://127.0.0.1:4318/v1/traces";
    return NULL;
}

/* "Name: value" */
const char *dp_config_check_field(const char *value)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t name = strspn(value, token);
    if (name == 0 || strncmp(value + name, ": ", 2) != 0 || !value[name + 2])
        return "must be a field, its name and its value, like Authorization: Bearer KEY";
    if (strlen(value) > DP_OTLP_FIELD_BYTES)
        return "must be at most 4096 bytes";
    return check_visible(value + name + 2, ' ') ? "must not hold control characters" : NULL;
}

void dp_config_check_tracing(const struct dp_config *c, struct dp_problems *problems)
{
    if (c->trace_field && !c->trace_endpoint)
        dp_problem(problems, "tracing.field",
                   "says how to reach tracing.endpoint, which is not given");
    if (c->trace_ca_file && (!c->trace_endpoint || strncmp(c->trace_endpoint, "https://", 8) != 0))
        dp_problem(problems, "tracing.tls", "is for a tracing.endpoint that begins with https://");
    /* As to whom an API key may be told: by https, or on this host. */
    if (c->trace_field && c->trace_endpoint && dp_config_check_token_url(c->trace_endpoint))
        dp_problem(
            problems, "tracing.field",
            "would go to tracing.endpoint in the clear: that must be https, or on this host");
}

void dp_config_otlp(const struct dp_config *c, struct dp_otlp_config *out)
{
    *out = (struct dp_otlp_config){
        .endpoint = c->trace_endpoint,
        .field = c->trace_field,
        .timeout_ms = (uint32_t)c->trace_timeout_ms,
        .resource = {.service = c->trace_service, .databases = c->trace_databases != 0},
    };
}
