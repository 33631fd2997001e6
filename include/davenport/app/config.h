/* The configuration: read from JSON, checked against the table in config.def, immutable afterwards.
 * Main thread. Strings belong to the configuration and live until dp_config_destroy. */
#ifndef DAVENPORT_APP_CONFIG_H
#define DAVENPORT_APP_CONFIG_H

#include "davenport/app/problems.h"
#include "davenport/app/text.h"
#include "davenport/base/arena.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/base/span.h"
#include "davenport/control/governor.h"
#include "davenport/core/rules.h"
#include "davenport/core/view.h"
#include "davenport/proxy/worker.h"

#include <stddef.h>
#include <stdint.h>

enum dp_config_flag {
    DP_CONFIG_RESTART = 1,
    DP_CONFIG_SECRET = 2,
    DP_CONFIG_REQUIRED = 4,
    DP_CONFIG_ZERO = 8,
    DP_CONFIG_INSTEAD = 16,
    DP_CONFIG_OR_ONE = 32,
    DP_CONFIG_HASH = 64
};

/* An array of strings. */
struct dp_config_texts {
    uint16_t n;
    const char *at[DP_MAX_ENDPOINTS];
};

struct dp_config_region {
#define DP_REGION_TEXT(path, field, check, flags, text)       const char *field;
#define DP_REGION_TEXTS(path, field, check, max, flags, text) struct dp_config_texts field;
#define DP_REGION_UINT(path, field, min, max, flags, text)    uint64_t field;
#define DP_REGION_CHOICE(path, field, choices, flags, text)   uint64_t field;
#include "davenport/app/config.def"
    /* made by validation: */
    uint16_t first, n_endpoints; /* of the configuration's endpoints */
    bool https;
    const char *pin[DP_TLS_MAX_PINS]; /* of `pins`, apart; NULL behind the last */
};

/* One of a region's urls, made by validation. Vacant (see dp_config_place): all zero. */
struct dp_config_endpoint {
    const char *base_url;    /* "http://host:port", no trailing slash */
    const char *host_header; /* "host", or "host:port" when the port is not the scheme's */
    const char *host; /* to look up, and whom the certificate must be for: without brackets */
    uint16_t region;
    uint16_t port;
    struct dp_addrs addrs; /* by dp_config_resolve */
    bool https;
};

/* Where it is not given: dp_config_check_rules puts there what holds for all databases. */
#define DP_CONFIG_UNSET UINT64_MAX

struct dp_config_database {
    const char *pattern;
#define DP_DATABASE_CHOICE(path, field, choices, like, flags, text) uint64_t field;
#include "davenport/app/config.def"
};

#define DP_MAX_USERS 256

struct dp_config_user {
    const char *name;
#define DP_USER_TEXT(path, field, check, flags, text) const char *field;
#include "davenport/app/config.def"
};

#define DP_MAX_TOKENS 64

/* What lets operators in over TCP. role: enum dp_admin_role. */
enum dp_admin_role { DP_ADMIN_READ, DP_ADMIN_OPERATOR };

struct dp_config_token {
    const char *name;
#define DP_TOKEN_TEXT(path, field, check, flags, text)     const char *field;
#define DP_TOKEN_CHOICE(path, field, choices, flags, text) uint64_t field;
#include "davenport/app/config.def"
};

/* One field a row: numbers and choices (index into the words) as uint64_t, strings NUL ended or
 * NULL. */
struct dp_config {
#define DP_UINT(path, field, default, min, max, flags, text)  uint64_t field;
#define DP_TEXT(path, field, check, default, flags, text)     const char *field;
#define DP_TEXTS(path, field, check, max, flags, text)        struct dp_config_texts field;
#define DP_CHOICE(path, field, choices, default, flags, text) uint64_t field;
#include "davenport/app/config.def"
    uint16_t n_regions;
    struct dp_config_region regions[DP_MAX_REGIONS];
    uint16_t n_databases;
    struct dp_config_database databases[DP_MAX_RULES];
    uint16_t n_users;
    struct dp_config_user users[DP_MAX_USERS];
    uint16_t n_tokens;
    struct dp_config_token tokens[DP_MAX_TOKENS];
    /* made of them by validation, by name */
    struct dp_client_user client_users[DP_MAX_USERS];
    struct dp_clients_config clients;
    uint16_t n_endpoints;
    struct dp_config_endpoint endpoints[DP_MAX_ENDPOINTS]; /* region by region */
    struct dp_arena arena;                                 /* of all strings */
};

/* Where a configuration document comes from. */
struct dp_config_source {
    struct dp_span text;
    const char *folder; /* what a relative ${file:PATH} is relative to; NULL: cwd */
};

/* Read, parse, expand, validate. Every problem goes into *problems; *out only when there is no
 * error. path: a file, "-" for stdin, or NULL for the built-in default. Errors: DP_EINVAL (the
 * problems say why), DP_EIO (could not be read; a problem too). */
DP_MUST_USE enum dp_err dp_config_load(const char *path, struct dp_problems *problems,
                                       struct dp_config **out);
/* The same from memory. */
DP_MUST_USE enum dp_err dp_config_parse(const struct dp_config_source *source,
                                        struct dp_problems *problems, struct dp_config **out);
void dp_config_destroy(struct dp_config *c); /* NULL is fine */

/* Look every endpoint's host up (blocks) and keep its addresses. One that has none is a
 * problem if it `must` have one, else a warning: the governor goes on trying. */
DP_MUST_USE enum dp_err dp_config_resolve(struct dp_config *c, bool must,
                                          struct dp_problems *problems);

/* What a reload from `now` to `next` would change, key by key: a line each, no secrets; nothing: none. Keys that need a
 * restart are problems. */
void dp_config_diff(const struct dp_config *now, const struct dp_config *next,
                    struct dp_text *changes, struct dp_problems *problems);
/* Lay the endpoints of `next` out so that those of a region that stays as it is keep the numbers that they have in `now`,
 * and that all others get numbers that are free there: some in between are vacant then (no base_url). False: there is no
 * room for that, and nothing is changed. */
DP_MUST_USE bool dp_config_place(const struct dp_config *now, struct dp_config *next);

/* What the workers and the governor are given; both borrow strings of `c`. */
void dp_config_proxy(const struct dp_config *c, struct dp_proxy_config *out);
/* All but the sink. */
void dp_config_access(const struct dp_config *c, struct dp_access_config *out);
/* TLS to an endpoint, from applications and from operators: false when it is plain. All borrow strings of `c`. */
bool dp_config_endpoint_tls(const struct dp_config *c, uint16_t endpoint,
                            struct dp_tls_client_config *out);
bool dp_config_listen_tls(const struct dp_config *c, struct dp_tls_server_config *out);
bool dp_config_admin_tls(const struct dp_config *c, struct dp_tls_server_config *out);
/* All but the TLS of probes. */
void dp_config_control(const struct dp_config *c, struct dp_control_config *out);

/* The built-in default: the demonstration's two local regions. conf/demo.json is the same text. */
extern const char dp_config_demo[];

/* JSON schema (draft 2020-12) of the document, newline ended. */
void dp_config_schema(struct dp_text *out);
/* The effective configuration as JSON, defaults included; secrets are replaced. */
void dp_config_dump(const struct dp_config *c, struct dp_text *out);
/* A few lines for a person: how it routes, where it listens. */
void dp_config_summary(const struct dp_config *c, struct dp_text *out);
/* Every key with its default and meaning: `davenport help config`. */
void dp_config_help(struct dp_text *out);

/* What a Unix socket's path stands behind, where an address may stand. */
#define DP_UNIX_PREFIX "unix:"
/* The path behind it, or NULL: it is no Unix socket. */
const char *dp_config_unix_path(const char *address);
/* "0660" and the like, checked before. */
uint32_t dp_config_mode(const char *octal);

/* admin.listen taken apart: a Unix socket's path, or a numeric address and port. */
struct dp_admin_addr {
    const char *unix_path; /* NULL: TCP */
    char ip[DP_ADDR_TEXT];
    uint16_t port;
    bool loopback;
};
/* *why: a reason for people, on failure. */
DP_MUST_USE enum dp_err dp_admin_addr_parse(const char *text, struct dp_admin_addr *out,
                                            const char **why);

#endif
