/* Who may ask over the operators' address, and how: what must hold between the keys of `admin`. */
#include "app/config_table.h"

#include <string.h>

#define TOKEN_NAME_CHARS 32

bool dp_config_admin_tls(const struct dp_config *c, struct dp_tls_server_config *out)
{
    if (!c->admin_cert_file) {
        return false;
    }
    *out = (struct dp_tls_server_config){.cert_file = c->admin_cert_file,
                                         .key_file = c->admin_key_file,
                                         .client_ca_file = c->admin_client_ca_file};
    return true;
}

/* It stands in the journal, as who asked. */
const char *dp_config_check_token_name(const char *value)
{
    const size_t n = strlen(value);
    const bool good = n >= 1 && n <= TOKEN_NAME_CHARS &&
                      strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789-._@") == n;
    return good ? NULL : "must be called by 1 to 32 of a-z, A-Z, 0-9, -, ., _ and @";
}

static bool is_listen(const struct dp_config *c, const struct dp_admin_addr *admin)
{
    return admin->unix_path ? strcmp(c->admin_listen, c->listen_address) == 0
                            : admin->port != 0 && admin->port == c->listen_port &&
                                  strcmp(admin->ip, c->listen_address) == 0;
}

/* Beyond this host nobody reads along, and not everybody gives orders. */
static void check_beyond(const struct dp_config *c, struct dp_problems *problems)
{
    if (!c->admin_cert_file) {
        dp_problem(problems, "admin.listen",
                   "is no loopback address: it needs admin.tls (cert_file and key_file), so that "
                   "nobody on the way reads tokens, or use unix:PATH");
    }
    if (c->n_tokens == 0) {
        dp_problem(problems, "admin.listen",
                   "is no loopback address: it needs admin.tokens, or anyone who reaches it could "
                   "switch regions (davenport token makes one), or use unix:PATH");
    }
}

void dp_config_check_admin(const struct dp_config *c, struct dp_problems *problems)
{
    struct dp_admin_addr admin;
    const char *why;
    if (!c->admin_cert_file != !c->admin_key_file) {
        dp_problem(problems, "admin.tls", "needs both cert_file and key_file");
    } else if (c->admin_client_ca_file && !c->admin_cert_file) {
        dp_problem(problems, "admin.tls", "needs cert_file and key_file for client_ca_file");
    }
    if (dp_admin_addr_parse(c->admin_listen, &admin, &why) != DP_OK) {
        return; /* told already */
    }
    for (uint16_t i = 0; i < c->n_tokens; i++) {
        for (uint16_t k = 0; k < i && c->tokens[i].hash; k++) {
            if (c->tokens[k].hash && strcmp(c->tokens[i].hash, c->tokens[k].hash) == 0) {
                dp_problem(problems, "admin.tokens",
                           "%s and %s are one token: who asked could not be told",
                           c->tokens[k].name, c->tokens[i].name);
            }
        }
    }
    if (is_listen(c, &admin)) {
        dp_problem(problems, "admin.listen", "is where applications connect (listen)");
    }
    if (admin.unix_path && c->admin_cert_file) {
        dp_problem(problems, "admin.tls", "is for TCP: admin.listen is a Unix socket");
    }
    if (admin.unix_path && c->n_tokens > 0) {
        dp_problem_warning(problems, "admin.tokens",
                           "are not asked for: admin.listen is a Unix socket, whose permissions "
                           "(admin.socket_mode) say who may ask");
    }
    if (!admin.unix_path && !admin.loopback) {
        check_beyond(c, problems);
    }
}
