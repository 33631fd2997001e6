/* Asking a running proxy. */
#include "app/cli_ask.h"

#include "davenport/core/fault.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKET_PATH "/run/davenport/admin.sock" /* admin.listen's default */
#define LOOPBACK    "127.0.0.1:8985"            /* the demonstration's */

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* admin.listen of a configuration, as a client calls it. */
static bool address_of(const char *path, struct dp_text *out)
{
    struct dp_admin_addr addr;
    const char *why;
    struct dp_config *config = dp_cli_load_config(path, DP_RESOLVE_NOT);
    if (!config) {
        return false;
    }
    if (config->admin_cert_file &&
        dp_admin_addr_parse(config->admin_listen, &addr, &why) == DP_OK) {
        const bool v6 = strchr(addr.ip, ':') != NULL;
        const bool any = strcmp(addr.ip, "0.0.0.0") == 0 || strcmp(addr.ip, "::") == 0;
        dp_text_addf(out, "https://%s%s%s:%u", v6 && !any ? "[" : "", any ? "localhost" : addr.ip,
                     v6 && !any ? "]" : "", (unsigned)addr.port);
    } else {
        dp_text_add(out, dp_span_str(config->admin_listen));
    }
    dp_config_destroy(config);
    return true;
}

bool dp_cli_admin(const struct dp_cli_call *call, struct dp_text *addr, struct dp_admin_server *out)
{
    const char *given = dp_cli_value(call, "admin");
    const char *path = dp_cli_value(call, "config");
    const char *token_file = dp_cli_value(call, "token-file");
    const char *ca_file = dp_cli_value(call, "ca");
    const char *environment = from_environment("DAVENPORT_ADMIN");
    if (!given && path) {
        if (!address_of(path, addr)) {
            return false;
        }
    } else {
        given = given ? given : environment;
        const char *usual = access(SOCKET_PATH, F_OK) == 0 ? DP_UNIX_PREFIX SOCKET_PATH : LOOPBACK;
        dp_text_add(addr, dp_span_str(given ? given : usual));
    }
    *out = (struct dp_admin_server){
        .addr = dp_text_str(addr),
        .token_file = token_file ? token_file : from_environment("DAVENPORT_TOKEN_FILE"),
        .ca_file = ca_file ? ca_file : from_environment("DAVENPORT_CA_FILE")};
    return true;
}

/* Other programs answer JSON, too. */
static bool is_ours(const json_t *answer)
{
    const char *ready = json_string_value(json_object_get(answer, "status"));
    return json_is_array(answer) || (ready && strcmp(ready, "ready") == 0) ||
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
    dp_cli_error("refused (%.64s): %s%s", word, reason,
                 status == 401 ? "; --token-file names the file that holds one" : "");
    if (status == 412) {
        return DP_EXIT_EPOCH;
    }
    bool by_rule = status == 409 || status == 401 || status == 403 || status == 429 ||
                   strcmp(word, dp_fault_refusal_name(DP_FAULT_REFUSAL_NOT_ALLOWED)) == 0 ||
                   strcmp(word, dp_fault_refusal_name(DP_FAULT_REFUSAL_TOO_LONG)) == 0;
    return by_rule ? DP_EXIT_REFUSED : DP_EXIT_FAILED;
}

int dp_cli_tell(enum dp_err err, const char *why)
{
    switch ((int)err) {
    case DP_EINVAL:
        dp_cli_error("--admin: %s", why);
        return DP_EXIT_USAGE;
    case DP_EIO:
        dp_cli_error("--token-file: %s", why);
        return DP_EXIT_FAILED;
    case DP_EUNKNOWN:
        dp_cli_error("refused (unauthorized): %s", why);
        return DP_EXIT_REFUSED;
    }
    dp_cli_error("no proxy answers at %s. Is it running? Another address: --admin or -c", why);
    return DP_EXIT_UNREACHABLE;
}

int dp_cli_send(const struct dp_admin_server *server, const char *method, const char *path,
                const char *body, json_t **out)
{
    struct dp_text answer = {0};
    char why[DP_CLIENT_WHY];
    uint16_t status = 0;
    int code = DP_EXIT_OK;
    json_t *json = NULL;
    enum dp_err err = dp_admin_send(server, method, path, body, &status, &answer, why);
    if (err != DP_OK) {
        code = dp_cli_tell(err, why);
        goto cleanup;
    }
    json = json_loadb(dp_text_str(&answer), answer.n, 0, NULL);
    if (status != 200 || !is_ours(json)) {
        code = fail(server->addr, status, json);
    }
    if (is_ours(json)) {
        *out = json_incref(json);
    }
cleanup:
    json_decref(json);
    dp_text_fini(&answer);
    return code;
}

int dp_cli_ask(const struct dp_admin_server *server, const char *path, const char *body,
               json_t **out)
{
    return dp_cli_send(server, body ? "POST" : "GET", path, body, out);
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
