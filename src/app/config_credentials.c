/* The rules of credentials: what each type needs, who clients are, and that nobody lends ours to strangers. */
#include "davenport/net/secret.h"

#include "app/config_table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IAM_TOKEN_URL "https://iam.cloud.ibm.com/identity/token"

/* Control characters would end the field that they are sent in. */
static const char *check_printable(const char *value)
{
    for (const char *c = value; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            return "must not hold control characters";
    }
    return NULL;
}

/* Nor what JSON would escape: they are written as they are. */
static const char *check_plain(const char *value)
{
    return strpbrk(value, "\"\\") ? "must not hold quotes or backslashes" : check_printable(value);
}

const char *dp_config_check_username(const char *value)
{
    if (strchr(value, ':'))
        return "must not contain a colon: HTTP Basic cannot carry it";
    if (strlen(value) > 256)
        return "must be at most 256 bytes";
    return check_plain(value);
}

const char *dp_config_check_roles(const char *value)
{
    struct dp_span rest = dp_span_str(value);
    if (rest.n > 512)
        return "must be at most 512 bytes";
    while (rest.p) {
        struct dp_span role = dp_span_cut(&rest, ',');
        if (role.n == 0 || dp_span_trim(role).n != role.n)
            return "must be names with a comma between, and no spaces";
    }
    return check_plain(value);
}

/* An API key goes there. */
const char *dp_config_check_token_url(const char *value)
{
    static const char *const ours[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    if (check_printable(value) || strchr(value, ' ') || strchr(value, '@'))
        return "must be a URL without spaces, user or password";
    if (strncmp(value, "https://", 8) == 0 && value[8])
        return NULL;
    for (size_t i = 0; i < DP_ARRAY_LEN(ours); i++) {
        const size_t n = strlen(ours[i]);
        if (strncmp(value, ours[i], n) == 0 && (value[n] == ':' || value[n] == '/' || !value[n]))
            return NULL;
    }
    return "must begin with https:// (http:// only on this host): an API key is sent there";
}

struct dp_key_config dp_config_key(const struct dp_config_region *r)
{
    return (struct dp_key_config){
        .type = (enum dp_credential_type)r->credentials,
        .username = r->username,
        .password = r->password,
        .roles = r->roles,
        .api_key = r->api_key,
        .token_url = r->token_url ? r->token_url : IAM_TOKEN_URL,
        .token_file = r->token_file,
        .secret = r->secret,
        .sha256 = r->proxy_hash != 0,
    };
}

/* Which keys a type takes; of these, which it needs. */
#define BIT(type) (1U << DP_CREDENTIAL_##type)
static const struct {
    const char *key;
    size_t offset;
    unsigned takes, needs;
} uses[] = {
    {"username", offsetof(struct dp_config_region, username),
     BIT(PASSTHROUGH) | BIT(BASIC) | BIT(COUCHDB_PROXY), BIT(BASIC)},
    {"password", offsetof(struct dp_config_region, password), BIT(PASSTHROUGH) | BIT(BASIC),
     BIT(BASIC)},
    {"roles", offsetof(struct dp_config_region, roles), BIT(COUCHDB_PROXY), 0},
    {"api_key", offsetof(struct dp_config_region, api_key), BIT(IAM), BIT(IAM)},
    {"token_url", offsetof(struct dp_config_region, token_url), BIT(IAM), 0},
    {"token_file", offsetof(struct dp_config_region, token_file), BIT(BEARER), BIT(BEARER)},
    {"secret", offsetof(struct dp_config_region, secret), BIT(COUCHDB_PROXY), BIT(COUCHDB_PROXY)},
};

_Static_assert(DP_CREDENTIAL_PASSTHROUGH == 0 && DP_CREDENTIAL_BASIC == 1 &&
                   DP_CREDENTIAL_IAM == 2 && DP_CREDENTIAL_BEARER == 3 &&
                   DP_CREDENTIAL_COUCHDB_PROXY == 4,
               "the words of credentials.type stand in the order of enum dp_credential_type");

static const char *given(const struct dp_config_region *r, size_t offset)
{
    const char *value;
    memcpy(&value, (const char *)r + offset, sizeof value);
    return value;
}

/* A value that was no good was told when it was read: then it is not missing too. */
static bool was_told(const struct dp_problems *problems, const char *shown)
{
    const size_t n = strlen(shown);
    for (const char *at = strstr(dp_text_str(&problems->text), shown); at;
         at = strstr(at + 1, shown)) {
        if (at[n] == ':') {
            return true;
        }
    }
    return false;
}

static void missing(struct dp_problems *problems, const char *shown, const char *type)
{
    if (!was_told(problems, shown)) {
        dp_problem(problems, shown, "missing: type %s needs it", type);
    }
}

static void check_file(const char *path, const char *shown, struct dp_problems *problems)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        dp_problem(problems, shown, "the file can't be read");
    } else {
        (void)close(fd);
    }
}

static void check_region(const struct dp_config_region *r, unsigned i, struct dp_problems *problems)
{
    const unsigned type = 1U << r->credentials;
    const char *name = dp_credential_type_name((enum dp_credential_type)r->credentials);
    char shown[96];
    for (size_t k = 0; k < DP_ARRAY_LEN(uses); k++) {
        const bool is = given(r, uses[k].offset) != NULL;
        if (snprintf(shown, sizeof shown, "regions[%u].credentials.%s", i, uses[k].key) < 0) {
            continue;
        }
        if (!is && (uses[k].needs & type)) {
            missing(problems, shown, name);
        } else if (is && !(uses[k].takes & type)) {
            dp_problem(problems, shown, "is not for type %s", name);
        }
    }
    const bool pair = (type & (BIT(PASSTHROUGH) | BIT(BASIC))) != 0;
    if (pair && !r->username != !r->password && type == BIT(PASSTHROUGH) &&
        snprintf(shown, sizeof shown, "regions[%u].credentials.%s", i,
                 r->username ? "password" : "username") > 0) {
        if (!was_told(problems, shown)) {
            dp_problem(problems, shown, "missing");
        }
    }
    if (r->token_file && (type & BIT(BEARER)) &&
        snprintf(shown, sizeof shown, "regions[%u].credentials.token_file", i) > 0) {
        check_file(r->token_file, shown, problems);
    }
}

/* Nobody but who is on this host. A Unix socket has its own permissions. */
static bool listens_here_only(const struct dp_config *c)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (dp_config_unix_path(c->listen_address)) {
        return true;
    }
    if (inet_pton(AF_INET, c->listen_address, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, c->listen_address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int by_name(const void *a, const void *b)
{
    const struct dp_client_user *x = a;
    const struct dp_client_user *y = b;
    return strcmp(x->name, y->name);
}

/* What workers go by. */
static void make_clients(struct dp_config *c, struct dp_problems *problems)
{
    struct dp_clients_config *out = &c->clients;
    const struct dp_span label = DP_SPAN("davenport session");
    bool good;
    *out = (struct dp_clients_config){.users = c->client_users,
                                      .n_users = c->n_users,
                                      .certificate_suffices = c->listen_client_ca_file != NULL,
                                      .session_s = (uint32_t)(c->session_ms / 1000),
                                      .lock_failures = (uint32_t)c->lock_failures,
                                      .lock_s = (uint32_t)(c->lock_ms / 1000)};
    for (uint16_t i = 0; i < c->n_users; i++) {
        c->client_users[i] =
            (struct dp_client_user){.name = c->users[i].name,
                                    .password = c->users[i].password,
                                    .roles = c->users[i].roles ? c->users[i].roles : ""};
    }
    qsort(c->client_users, c->n_users, sizeof c->client_users[0], by_name);
    for (uint16_t i = 0; i < c->n_regions; i++) { /* it is a user's name that is asserted */
        if (c->regions[i].credentials == DP_CREDENTIAL_COUCHDB_PROXY) {
            out->certificate_suffices = false;
        }
    }
    if (c->session_secret) {
        good = dp_hmac(DP_HMAC_SHA256, dp_span_str(c->session_secret), &label, 1,
                       out->session_key) == sizeof out->session_key;
    } else {
        good = dp_secret_of_process(out->session_key);
    }
    if (!good) {
        dp_problem(problems, "clients", "no key for session cookies could be made");
    }
}

static void check_lending(const struct dp_config *c, uint16_t i, struct dp_problems *problems)
{
    char shown[64];
    if (snprintf(shown, sizeof shown, "regions[%u].credentials.type", (unsigned)i) < 0) {
        return;
    }
    if (c->regions[i].credentials == DP_CREDENTIAL_PASSTHROUGH) {
        if (c->n_users > 0) {
            dp_problem(problems, shown,
                       "must not be passthrough with clients.users: what proves to us who a "
                       "client is would be sent to the region");
        }
    } else if (c->regions[i].credentials == DP_CREDENTIAL_COUCHDB_PROXY && c->n_users == 0) {
        dp_problem(problems, shown, "needs clients.users: it is the user's name that is asserted");
    } else if (!listens_here_only(c) && !c->listen_client_ca_file && c->n_users == 0) {
        dp_problem(problems, shown,
                   "lends our credentials to everybody who reaches listen.address: listen on a "
                   "loopback address or a Unix socket, or ask who comes: clients.users, or "
                   "listen.tls.client_ca_file");
    }
}

void dp_config_check_credentials(struct dp_config *c, struct dp_problems *problems)
{
    for (uint16_t i = 0; i < c->n_regions; i++) {
        check_region(&c->regions[i], i, problems);
        check_lending(c, i, problems);
    }
    if (c->n_users > 0 && !listens_here_only(c) && !c->listen_cert_file) {
        dp_problem_warning(problems, "clients.users",
                           "passwords come in the clear: listen.tls is not set");
    }
    make_clients(c, problems);
}
