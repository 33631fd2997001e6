/* The rules: what a string must look like, and what must hold between keys. Reasons never quote a
 * value, for it may have come out of a secret. */
#include "davenport/net/lookup.h"
#include "davenport/net/secret.h"

#include "app/admin_client.h"
#include "app/config_table.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BAD_PATH       "must have a path of 1 to 107 bytes after unix:"
#define HOST_MAX       253
#define NAME_MAX_BYTES 63

/* "http://host:port" in pieces. `host` is without brackets. */
struct region_url {
    bool https;
    struct dp_span host;
    bool bracketed;
    uint16_t port;
};

static bool all_of(struct dp_span s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!isalnum((unsigned char)c) && (c == '\0' || !strchr(more, c))) {
            return false;
        }
    }
    return true;
}

bool dp_config_is_ip(const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* A span as NUL ended text; false when it does not fit. */
static bool copy(struct dp_span s, char *out, size_t cap)
{
    if (s.n >= cap) {
        return false;
    }
    if (s.n) {
        memcpy(out, s.p, s.n);
    }
    out[s.n] = '\0';
    return true;
}

static bool parse_port(struct dp_span s, uint16_t *out)
{
    uint64_t n;
    if (s.n > 5 || !dp_span_u64(s, &n) || n > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)n;
    return true;
}

/* "host", "host:port", "[v6]", "[v6]:port" → pieces. False when it is none of them. */
static bool split_authority(struct dp_span s, struct dp_span *host, struct dp_span *port,
                            bool *bracketed)
{
    const char *after;
    *bracketed = s.n && s.p[0] == '[';
    if (*bracketed) {
        const char *end = memchr(s.p, ']', s.n);
        if (!end) {
            return false;
        }
        *host = (struct dp_span){s.p + 1, (size_t)(end - s.p) - 1};
        after = end + 1;
    } else {
        const char *colon = memchr(s.p ? s.p : "", ':', s.n);
        after = colon ? colon : s.p + s.n;
        *host = (struct dp_span){s.p, (size_t)(after - s.p)};
    }
    *port = (struct dp_span){after, (size_t)(s.p + s.n - after)};
    if (port->n == 0) {
        return true;
    }
    if (*after != ':' || port->n == 1) {
        return false;
    }
    port->p++;
    port->n--;
    return true;
}

static uint16_t default_port(bool https)
{
    return https ? 443 : 80;
}

/* The part between "://" and the end, checked; NULL and *out, or the reason. */
static const char *parse_authority(struct dp_span s, struct region_url *out)
{
    struct dp_span port;
    char text[HOST_MAX + 1];
    if (!split_authority(s, &out->host, &port, &out->bracketed) ||
        !copy(out->host, text, sizeof text) || out->host.n == 0) {
        return "must be https://host[:port] or http://host[:port]";
    }
    if (out->bracketed ? inet_pton(AF_INET6, text, (unsigned char[sizeof(struct in6_addr)]){0}) != 1
                       : !all_of(out->host, ".-_")) {
        return "must be https://host[:port] or http://host[:port] with a host name or an address; "
               "IPv6 in [ ]";
    }
    out->port = default_port(out->https);
    if (port.n && (!parse_port(port, &out->port) || out->port == 0)) {
        return "must have a port from 1 to 65535";
    }
    return NULL;
}

static const char *parse_url(const char *text, struct region_url *out)
{
    struct dp_span s = dp_span_str(text);
    struct dp_span scheme = DP_SPAN("https://");
    out->https = s.n >= scheme.n && dp_span_ieq((struct dp_span){s.p, scheme.n}, scheme);
    if (!out->https) {
        scheme = DP_SPAN("http://");
    }
    if (s.n < scheme.n || !dp_span_ieq((struct dp_span){s.p, scheme.n}, scheme)) {
        return "must begin with https:// or http://";
    }
    s.p += scheme.n;
    s.n -= scheme.n;
    if (s.n && memchr(s.p, '@', s.n)) {
        return "must not hold a user or password: put them under credentials";
    }
    size_t authority = strcspn(s.p, "/?#");
    struct dp_span rest = {s.p + authority, s.n - authority};
    if (rest.n && !dp_span_eq(rest, DP_SPAN("/"))) {
        return "must not have a path, query or fragment: requests keep their own";
    }
    return parse_authority((struct dp_span){s.p, authority}, out);
}

const char *dp_config_unix_path(const char *address)
{
    const struct dp_span prefix = DP_SPAN(DP_UNIX_PREFIX);
    return strncmp(address, prefix.p, prefix.n) == 0 ? address + prefix.n : NULL;
}

static bool fits_a_socket(const char *path)
{
    return *path && strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path;
}

uint32_t dp_config_mode(const char *octal)
{
    return (uint32_t)strtoul(octal, NULL, 8);
}

enum dp_err dp_admin_addr_parse(const char *text, struct dp_admin_addr *out, const char **why)
{
    struct dp_admin_addr addr = {0};
    struct dp_span host;
    struct dp_span port;
    bool bracketed;
    struct in_addr v4;
    struct in6_addr v6;
    addr.unix_path = dp_config_unix_path(text);
    if (addr.unix_path) {
        if (!fits_a_socket(addr.unix_path)) {
            *why = BAD_PATH;
            return DP_EINVAL;
        }
        *out = addr;
        return DP_OK;
    }
    *why = "must be unix:PATH or a numeric address with a port (127.0.0.1:8985, [::1]:8985)";
    if (!split_authority(dp_span_str(text), &host, &port, &bracketed) || port.n == 0 ||
        !parse_port(port, &addr.port)) {
        return DP_EINVAL;
    }
    if (dp_span_ieq(host, DP_SPAN("localhost"))) {
        host = DP_SPAN("127.0.0.1");
    }
    if (!copy(host, addr.ip, sizeof addr.ip)) {
        return DP_EINVAL;
    }
    const bool good =
        bracketed ? inet_pton(AF_INET6, addr.ip, &v6) == 1 : inet_pton(AF_INET, addr.ip, &v4) == 1;
    if (!good) {
        return DP_EINVAL;
    }
    addr.loopback = bracketed ? IN6_IS_ADDR_LOOPBACK(&v6) : (ntohl(v4.s_addr) >> 24) == 127;
    *out = addr;
    return DP_OK;
}

static const char *check_listen(const char *value)
{
    const char *path = dp_config_unix_path(value);
    if (path) {
        return fits_a_socket(path) ? NULL : BAD_PATH;
    }
    return dp_config_is_ip(value) ? NULL
                                  : "must be a numeric address like 127.0.0.1 or ::, or unix:PATH";
}

static const char *check_name(const char *value)
{
    size_t n = strlen(value);
    if (n < 1 || n > NAME_MAX_BYTES ||
        strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != n) {
        return "must be 1 to 63 of a-z, 0-9 and -";
    }
    return value[0] == '-' || value[n - 1] == '-' ? "must not begin or end with -" : NULL;
}

static const char *check_path(const char *value)
{
    if (*value != '/') {
        return "must begin with /";
    }
    for (const char *c = value; *c; c++) {
        if (*c <= ' ' || *c > '~' || *c == '#') {
            return "must be a path as in a URL: no spaces, no #, percent-encoded beyond ASCII";
        }
    }
    return strlen(value) > 1024 ? "must not be longer than 1024 bytes" : NULL;
}

static const char *check_database(const char *value)
{
    size_t n = strlen(value);
    bool begins = (value[0] >= 'a' && value[0] <= 'z') || value[0] == '_';
    if (!begins || n > 238 || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_$()+/-") != n) {
        return "must be a database's name: a-z or _, then a-z, 0-9 and _$()+/-";
    }
    return NULL;
}

static const char *check_databases(const char *value)
{
    for (const char *p = value;; p++) {
        char name[256];
        size_t n = strcspn(p, ",");
        if (n >= sizeof(name)) {
            return "must be databases' names of at most 238 bytes, with commas between";
        }
        memcpy(name, p, n);
        name[n] = '\0';
        if (check_database(name)) {
            return "must be databases' names, with commas between: a-z or _, then a-z, 0-9 and "
                   "_$()+/-";
        }
        p += n;
        if (*p == '\0') {
            return NULL;
        }
    }
}

static bool is_pin(struct dp_span s)
{
    struct dp_span scheme = DP_SPAN("sha256//");
    if (s.n != scheme.n + 44 || !dp_span_starts(s, scheme) || s.p[s.n - 1] != '=') {
        return false;
    }
    return all_of((struct dp_span){s.p + scheme.n, 43}, "+/");
}

static const char *check_pins(const char *value)
{
    struct dp_span rest = dp_span_str(value);
    unsigned n = 0;
    while (rest.p) {
        if (!is_pin(dp_span_cut(&rest, ';')) || ++n > DP_TLS_MAX_PINS) {
            return "must be 1 to 4 of sha256//BASE64 (44 characters of base64), with ; between";
        }
    }
    return NULL;
}

const char *dp_config_check_text(enum dp_config_check check, const char *value)
{
    struct dp_admin_addr addr;
    struct region_url url;
    struct dp_windows windows = {0};
    unsigned conditions;
    const char *why = NULL;
    if (*value == '\0') {
        return "must not be empty";
    }
    switch (check) {
    case DP_CHECK_ANY:
    case DP_CHECK_FILE:
        return NULL;
    case DP_CHECK_PINS:
        return check_pins(value);
    case DP_CHECK_LISTEN:
        return check_listen(value);
    case DP_CHECK_MODE:
        return strlen(value) == 4 && value[0] == '0' && strspn(value, "01234567") == 4
                   ? NULL
                   : "must be permissions in octal like 0660";
    case DP_CHECK_ADMIN:
        return dp_admin_addr_parse(value, &addr, &why) == DP_OK ? NULL : why;
    case DP_CHECK_ADMIN_CLIENT:
        return dp_admin_server_fault(value);
    case DP_CHECK_NAME:
        return check_name(value);
    case DP_CHECK_URL:
        return parse_url(value, &url);
    case DP_CHECK_USERNAME:
        return dp_config_check_username(value);
    case DP_CHECK_ROLES:
        return dp_config_check_roles(value);
    case DP_CHECK_TOKEN_URL:
        return dp_config_check_token_url(value);
    case DP_CHECK_PASSWORD:
        return dp_password_fault(value);
    case DP_CHECK_TOKEN_HASH:
        return dp_token_hash_fault(value);
    case DP_CHECK_SECRET:
        return strlen(value) < 16 ? "must be at least 16 bytes" : NULL;
    case DP_CHECK_COLLECTOR:
        return dp_config_check_collector(value);
    case DP_CHECK_FIELD:
        return dp_config_check_field(value);
    case DP_CHECK_PATH:
        return check_path(value);
    case DP_CHECK_GATE:
        return dp_gate_parse(value, &conditions);
    case DP_CHECK_WINDOWS:
        return dp_windows_parse(value, &windows);
    case DP_CHECK_UTC_OFFSET:
        return dp_utc_offset_parse(value, &windows.utc_offset_m);
    case DP_CHECK_DATABASE:
        return check_database(value);
    case DP_CHECK_DATABASES:
        return check_databases(value);
    case DP_CHECK_TOKEN:
        return all_of(dp_span_str(value), "-._") && strlen(value) <= 64
                   ? NULL
                   : "must be 1 to 64 of a-z, A-Z, 0-9, -, . and _";
    }
    return NULL;
}

const char *dp_config_check_pattern(enum dp_config_check check)
{
    switch (check) {
    case DP_CHECK_ANY:
    case DP_CHECK_FILE:
        return NULL;
    case DP_CHECK_PINS:
        return "^sha256//[A-Za-z0-9+/]{43}=(;sha256//[A-Za-z0-9+/]{43}=){0,3}$";
    case DP_CHECK_LISTEN:
        return "^(unix:.+|[0-9a-fA-F:.]+)$";
    case DP_CHECK_MODE:
        return "^0[0-7]{3}$";
    case DP_CHECK_ADMIN:
        return "^(unix:.+|([0-9.]+|localhost|\\[[0-9a-fA-F:.]+\\]):[0-9]+)$";
    case DP_CHECK_ADMIN_CLIENT:
        return NULL;
    case DP_CHECK_NAME:
        return "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
    case DP_CHECK_URL:
        return "^[hH][tT][tT][pP][sS]?://([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]+)?/?$";
    case DP_CHECK_USERNAME:
        return "^[^:]+$";
    case DP_CHECK_ROLES:
        return "^[^,]+(,[^,]+)*$";
    case DP_CHECK_TOKEN_URL:
        return "^https?://";
    case DP_CHECK_PASSWORD:
        return "^\\$(pbkdf2-sha256|scrypt)\\$[a-z0-9=,]+\\$[A-Za-z0-9+/]+\\$[A-Za-z0-9+/]+$";
    case DP_CHECK_TOKEN_HASH:
        return "^sha256:[0-9a-f]{64}$";
    case DP_CHECK_SECRET:
        return "^.{16,}$";
    case DP_CHECK_COLLECTOR:
        return "^https?://[^/ @:][^/ @]*/[^ @]*$";
    case DP_CHECK_FIELD:
        return "^[A-Za-z0-9_.-]+: .+$";
    case DP_CHECK_PATH:
        return "^/[!-\"$-~]*$";
    case DP_CHECK_GATE:
        return "^(health|probes|errors|approval|window|replication)"
               "(,(health|probes|errors|approval|window|replication))*$";
    case DP_CHECK_WINDOWS:
        return NULL;
    case DP_CHECK_UTC_OFFSET:
        return "^[+-](0[0-9]|1[0-4]):[0-5][0-9]$";
    case DP_CHECK_DATABASE:
        return "^[a-z_][a-z0-9_$()+/-]*$";
    case DP_CHECK_DATABASES:
        return "^[a-z_][a-z0-9_$()+/-]*(,[a-z_][a-z0-9_$()+/-]*)*$";
    case DP_CHECK_TOKEN:
        return "^[A-Za-z0-9._-]{1,64}$";
    }
    return NULL;
}

/* `pins` cut apart; they were checked before. */
static void split_pins(struct dp_arena *arena, struct dp_config_region *r)
{
    struct dp_span rest = dp_span_str(r->pins);
    for (unsigned i = 0; i < DP_TLS_MAX_PINS && rest.p; i++) {
        struct dp_span pin = dp_span_cut(&rest, ';');
        char *p = dp_arena_alloc(arena, pin.n + 1);
        if (!p) {
            abort();
        }
        memcpy(p, pin.p, pin.n);
        p[pin.n] = '\0';
        r->pin[i] = p;
    }
}

/* Scheme and the authority as it is sent in Host; the URL was checked before. */
static void derive(struct dp_arena *arena, const char *given, struct dp_config_endpoint *e)
{
    struct region_url url;
    struct dp_text base = {0};
    if (parse_url(given, &url) != NULL) {
        return;
    }
    const char *left = url.bracketed ? "[" : "";
    const char *right = url.bracketed ? "]" : "";
    const char *scheme = url.https ? "https://" : "http://";
    dp_text_addf(&base, "%s%s%.*s%s", scheme, left, (int)url.host.n, url.host.p, right);
    if (url.port != default_port(url.https)) {
        dp_text_addf(&base, ":%u", (unsigned)url.port);
    }
    char *p = dp_arena_alloc(arena, base.n + 1 + url.host.n + 1);
    if (!p || base.failed) {
        abort();
    }
    char *host = p + base.n + 1;
    memcpy(p, dp_text_str(&base), base.n + 1);
    memcpy(host, url.host.p, url.host.n);
    host[url.host.n] = '\0';
    e->base_url = p;
    e->https = url.https;
    e->host_header = p + strlen(scheme);
    e->host = host;
    e->port = url.port;
    dp_text_fini(&base);
}

DP_PRINTF(4, 5)
static void problem_at(struct dp_problems *problems, unsigned region, const char *key,
                       const char *fmt, ...)
{
    char path[64];
    char reason[DP_EXPAND_WHY];
    va_list args;
    va_start(args, fmt);
    if (snprintf(path, sizeof path, "regions[%u].%s", region, key) > 0 &&
        vsnprintf(reason, sizeof reason, fmt, args) > 0) {
        dp_problem(problems, path, "%s", reason);
    }
    va_end(args);
}

/* Of one region's url, or one of its endpoints: "url", "endpoints[2]". */
#define URL_KEY 32
static const char *url_key(const struct dp_config *c, uint16_t endpoint, char buf[URL_KEY])
{
    const struct dp_config_region *r = &c->regions[c->endpoints[endpoint].region];
    if (!r->urls.n || snprintf(buf, URL_KEY, "endpoints[%d]", endpoint - r->first) < 0) {
        return "url";
    }
    return buf;
}

static void check_region_tls(const struct dp_config_region *r, unsigned i,
                             struct dp_problems *problems)
{
    if (r->n_endpoints && !r->https && (r->ca_file || r->cert_file || r->key_file || r->pins)) {
        problem_at(problems, i, "tls",
                   "needs an https:// url: to an http:// one nothing is encrypted");
    }
    if (!r->cert_file != !r->key_file) {
        problem_at(problems, i, "tls", "needs both cert_file and key_file, or neither");
    }
}

static void add_endpoint(struct dp_config *c, uint16_t region, const char *given,
                         struct dp_problems *problems)
{
    struct dp_config_region *r = &c->regions[region];
    if (!given) { /* told before */
        return;
    }
    if (c->n_endpoints == DP_MAX_ENDPOINTS) {
        problem_at(problems, region, r->urls.n ? "endpoints" : "url",
                   "is one too many: all regions together have at most %d", DP_MAX_ENDPOINTS);
        return;
    }
    struct dp_config_endpoint *e = &c->endpoints[c->n_endpoints++];
    e->region = region;
    derive(&c->arena, given, e);
    if (r->n_endpoints++ == 0) {
        r->https = e->https;
    } else if (r->https != e->https) {
        problem_at(problems, region, "endpoints", "must be all https:// or all http://");
    }
}

static void check_urls(struct dp_config *c, uint16_t region, struct dp_problems *problems)
{
    struct dp_config_region *r = &c->regions[region];
    r->first = c->n_endpoints;
    if (r->url && r->urls.n) {
        problem_at(problems, region, "endpoints", "stands in place of url, not beside it");
        return;
    }
    if (r->url) {
        add_endpoint(c, region, r->url, problems);
    }
    for (uint16_t i = 0; i < r->urls.n; i++) {
        add_endpoint(c, region, r->urls.at[i], problems);
    }
}

static void check_unlike(const struct dp_config *c, uint16_t region, struct dp_problems *problems)
{
    const struct dp_config_region *r = &c->regions[region];
    char key[URL_KEY], others[URL_KEY];
    for (unsigned j = 0; j < region; j++) {
        const struct dp_config_region *other = &c->regions[j];
        if (r->name && other->name && strcmp(r->name, other->name) == 0) {
            problem_at(problems, region, "name", "is the name of regions[%u] too", j);
        }
    }
    for (uint16_t i = r->first; i < r->first + r->n_endpoints; i++) {
        for (uint16_t j = 0; j < i; j++) {
            const struct dp_config_endpoint *other = &c->endpoints[j];
            if (strcmp(c->endpoints[i].base_url, other->base_url) != 0) {
                continue;
            }
            if (c->regions[other->region].urls.n) {
                problem_at(problems, region, url_key(c, i, key), "is regions[%u].%s too",
                           (unsigned)other->region, url_key(c, j, others));
            } else {
                problem_at(problems, region, url_key(c, i, key), "is the url of regions[%u] too",
                           (unsigned)other->region);
            }
        }
    }
}

static void check_regions(struct dp_config *c, struct dp_problems *problems)
{
    for (uint16_t i = 0; i < c->n_regions; i++) {
        struct dp_config_region *r = &c->regions[i];
        check_urls(c, i, problems);
        if (r->pins) {
            split_pins(&c->arena, r);
        }
        check_region_tls(r, i, problems);
        check_unlike(c, i, problems);
    }
}

/* `small` may not exceed `large`. */
static void at_most(struct dp_problems *problems, const char *small_key, uint64_t small,
                    const char *large_key, uint64_t large)
{
    if (small > large) {
        dp_problem(problems, small_key, "must be at most %s, which is %llu", large_key,
                   (unsigned long long)large);
    }
}

static void check_canary(const struct dp_config *c, struct dp_problems *problems)
{
    if (!c->replication_canary) {
        return;
    }
    if (c->replication_canary[0] == '_') {
        dp_problem(problems, "replication.canary_database",
                   "must not begin with _: such databases are not watched");
    } else if (dp_config_watch_off(c)) {
        dp_problem_warning(problems, "replication.canary_database", "is not used: %s",
                           dp_config_watch_off(c));
    }
}

void dp_config_check_whole(struct dp_config *c, struct dp_problems *problems)
{
    check_regions(c, problems);
    dp_config_check_credentials(c, problems);
    dp_config_check_admin(c, problems);
    dp_config_check_tracing(c, problems);
    dp_config_check_rules(c, problems);
    check_canary(c, problems);
    if (!c->listen_cert_file != !c->listen_key_file) {
        dp_problem(problems, "listen.tls", "needs both cert_file and key_file");
    } else if (c->listen_client_ca_file && !c->listen_cert_file) {
        dp_problem(problems, "listen.tls", "needs cert_file and key_file for client_ca_file");
    }
    at_most(problems, "probe.fast_interval_ms", c->probe_fast_ms, "probe.interval_ms",
            c->probe_interval_ms);
    if (c->waiting_timeout_ms && c->waiting_timeout_ms <= c->connect_timeout_ms) {
        dp_problem(problems, "timeouts.waiting_ms",
                   "must be above timeouts.connect_ms, which is %llu",
                   (unsigned long long)c->connect_timeout_ms);
    }
    at_most(problems, "limits.target_bytes", c->max_target_bytes, "limits.head_bytes",
            c->max_head_bytes);
    at_most(problems, "limits.upstream_warm", c->pool_warm, "limits.upstream_idle",
            c->pool_max_idle);
    at_most(problems, "limits.upstream_idle", c->pool_max_idle, "limits.upstream", c->max_upstream);
    at_most(problems, "limits.replay_body_bytes", c->replay_body_bytes, "limits.buffer_bytes",
            c->buffer_bytes);
    if (!c->failback_windows && dp_config_asks_window(c)) {
        dp_problem(problems, "failback.windows", "missing: failback.%s needs it",
                   c->failback == DP_FAILBACK_WINDOW ? "mode window" : "conditions (window)");
    }
    if (c->n_regions && c->min_regions > c->n_regions) {
        dp_problem(problems, "safety.min_regions", "must be at most the number of regions, %u",
                   (unsigned)c->n_regions);
    }
    if (!c->listen_ipv6_only && strcmp(c->listen_address, "::") != 0) {
        dp_problem(problems, "listen.ipv6_only", "can be no for the address :: only");
    }
}

static bool resolve_one(struct dp_config_endpoint *r, const char **why)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(r->host, NULL, &hints, &found);
    if (code == 0) {
        dp_lookup_collect(found, r->port, &r->addrs);
        freeaddrinfo(found);
    }
    *why = code ? gai_strerror(code) : "none that can be used";
    return r->addrs.n > 0;
}

#define UNRESOLVED "region %.64s: the host %.128s has no address: %s"

enum dp_err dp_config_resolve(struct dp_config *c, bool must, struct dp_problems *problems)
{
    enum dp_err err = DP_OK;
    char path[64];
    for (uint16_t i = 0; i < c->n_endpoints; i++) {
        struct dp_config_endpoint *e = &c->endpoints[i];
        const char *why;
        char key[URL_KEY];
        if (!e->base_url || resolve_one(e, &why)) {
            continue;
        }
        const char *name = c->regions[e->region].name;
        if (must) {
            problem_at(problems, e->region, url_key(c, i, key), UNRESOLVED, name, e->host, why);
            err = DP_ERESOLVE;
        } else if (snprintf(path, sizeof path, "regions[%u].%s", (unsigned)e->region,
                            url_key(c, i, key)) > 0) {
            dp_problem_warning(problems, path, UNRESOLVED "; it is tried on", name, e->host, why);
        }
    }
    return err;
}
