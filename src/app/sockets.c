/* Binding, and adopting what was bound. */
#include "app/sockets.h"

#include "davenport/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

static void address_text(char out[DP_BOUND_TEXT], const char *ip, uint16_t port)
{
    bool v6 = strchr(ip, ':') != NULL;
    if (snprintf(out, DP_BOUND_TEXT, "%s%s%s:%u", v6 ? "[" : "", ip, v6 ? "]" : "",
                 (unsigned)port) < 0) {
        out[0] = '\0';
    }
}

static void unix_text(char out[DP_BOUND_TEXT], const char *path)
{
    if (snprintf(out, DP_BOUND_TEXT, DP_UNIX_PREFIX "%s", path) < 0) {
        out[0] = '\0';
    }
}

static enum dp_err failed(enum dp_err err, const char *what, const char *address, const char *why)
{
    if (err != DP_OK) {
        dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", what), DP_KV_STR("address", address),
               DP_KV_STR("reason", why));
    }
    return err;
}

/* Handed over ---------------------------------------------------------------------------------- */

static bool same_ip(const char *a, const char *b)
{
    unsigned char x[2][16] = {{0}};
    for (int family = AF_INET;; family = AF_INET6) {
        if (inet_pton(family, a, x[0]) == 1 && inet_pton(family, b, x[1]) == 1) {
            return memcmp(x[0], x[1], sizeof x[0]) == 0;
        }
        if (family == AF_INET6) {
            return false;
        }
    }
}

/* path: of a Unix socket, else NULL. port 0: any. */
static bool is_there(const struct dp_listen_place *place, const char *path, const char *ip,
                     uint16_t port)
{
    return path ? strcmp(place->path, path) == 0
                : !*place->path && same_ip(place->ip, ip) && (port == 0 || port == place->port);
}

struct wanted {
    const char *key; /* of the configuration */
    const char *path, *ip;
    uint16_t port;
};

/* One socket of `kind`; *fd -1: there is none. */
static enum dp_err adopt(struct dp_handed *handed, enum dp_handed_kind kind,
                         const struct wanted *want, int *fd, struct dp_socket_file *file,
                         char text[DP_BOUND_TEXT])
{
    struct dp_handed_fd *h = handed ? dp_handed_next(handed, kind) : NULL;
    struct dp_listen_place place;
    char reason[2 * DP_BOUND_TEXT];
    const char *why = "";
    *fd = -1;
    if (!h) {
        return DP_OK;
    }
    if (dp_listen_adopt(h->fd, &place, &why) != DP_OK) {
        return failed(DP_EINVAL, want->key, handed->who, why);
    }
    if (*place.path) {
        unix_text(text, place.path);
    } else {
        address_text(text, place.ip, place.port);
    }
    if (!is_there(&place, want->path, want->ip, want->port)) {
        (void)snprintf(reason, sizeof reason, "%s handed a socket over that listens elsewhere",
                       handed->who);
        return failed(DP_EINVAL, want->key, text, reason);
    }
    *fd = h->fd;
    h->fd = -1;
    if (h->owns_file && want->path && file) {
        *file = dp_listen_unix_file(want->path);
    }
    return DP_OK;
}

/* Each socket has a queue of its own, in which there may be connections: so each is kept. */
static enum dp_err adopt_traffic(struct dp_sockets *s, const struct wanted *want,
                                 struct dp_handed *handed, uint32_t *n)
{
    enum dp_err err = DP_OK;
    int fd = 0;
    for (*n = 0; fd >= 0 && *n < DP_WORKERS_MAX && err == DP_OK;) {
        err = adopt(handed, DP_HANDED_TRAFFIC, want, &fd, &s->traffic_file, s->traffic_text);
        if (err == DP_OK && fd >= 0) {
            s->traffic[(*n)++] = fd;
        }
    }
    if (err == DP_OK && *n > s->n) {
        dp_log(DP_LOG_WARN, "workers", DP_KV_INT("workers", *n), DP_KV_INT("wanted", s->n),
               DP_KV_STR("reason", "as many as sockets were handed over; fewer need a restart"));
        s->n = *n;
    }
    return err;
}

/* Ours ----------------------------------------------------------------------------------------- */

/* SO_REUSEPORT would let a second proxy share the port in silence: try without it first. */
static enum dp_err check_free(const char *ip, uint16_t port, unsigned flags, const char **why)
{
    int fd;
    uint16_t bound;
    if (port == 0) {
        return DP_OK;
    }
    enum dp_err err = dp_listen_tcp(ip, port, flags, &fd, &bound, why);
    if (err == DP_OK) {
        (void)close(fd);
    }
    return err;
}

static enum dp_err bind_ports(struct dp_sockets *s, const struct dp_config *c, const char **why)
{
    const char *ip = c->listen_address;
    uint16_t port = (uint16_t)c->listen_port;
    unsigned flags = c->listen_ipv6_only ? 0 : DP_LISTEN_BOTH;
    enum dp_err err = check_free(ip, port, flags, why);
    if (s->n > 1) {
        flags |= DP_LISTEN_REUSE_PORT;
    }
    for (uint32_t i = 0; i < s->n && err == DP_OK; i++) {
        err = dp_listen_tcp(ip, port, flags, &s->traffic[i], &port, why);
    }
    address_text(s->traffic_text, ip, port);
    return err;
}

/* Workers that have no socket of their own accept from those that are there, each by a descriptor of its own. */
static enum dp_err share(struct dp_sockets *s, uint32_t n, const char **why)
{
    for (uint32_t i = n; i < s->n; i++) {
        s->traffic[i] = fcntl(s->traffic[i % n], F_DUPFD_CLOEXEC, 0);
        if (s->traffic[i] < 0) {
            *why = strerror(errno);
            return DP_EIO;
        }
    }
    return DP_OK;
}

static enum dp_err open_traffic(struct dp_sockets *s, const struct dp_config *c,
                                struct dp_handed *handed)
{
    const char *path = dp_config_unix_path(c->listen_address);
    const struct wanted want = {"listen", path, c->listen_address, (uint16_t)c->listen_port};
    const char *why = "";
    uint32_t n;
    enum dp_err err = adopt_traffic(s, &want, handed, &n);
    if (err != DP_OK) {
        return err; /* told */
    }
    if (n == 0 && path) {
        unix_text(s->traffic_text, path);
        err = dp_listen_unix(path, dp_config_mode(c->listen_socket_mode), &s->traffic[0],
                             &s->traffic_file, &why);
        n = 1;
    } else if (n == 0) {
        err = bind_ports(s, c, &why);
        n = s->n;
    }
    err = err ? err : share(s, n, &why);
    return failed(err, "listen", s->traffic_text, why);
}

static enum dp_err open_admin(struct dp_sockets *s, const struct dp_config *c,
                              struct dp_handed *handed)
{
    const struct dp_admin_addr *addr = &s->admin_addr;
    const char *why = "";
    enum dp_err err = dp_admin_addr_parse(c->admin_listen, &s->admin_addr, &why);
    uint16_t port = addr->port;
    if (err != DP_OK) {
        return failed(err, "admin.listen", c->admin_listen, why);
    }
    const struct wanted want = {"admin.listen", addr->unix_path, addr->ip, addr->port};
    err = adopt(handed, DP_HANDED_ADMIN, &want, &s->admin, &s->admin_file, s->admin_text);
    if (err != DP_OK || s->admin >= 0) {
        return err;
    }
    if (addr->unix_path) {
        err = dp_listen_unix(addr->unix_path, dp_config_mode(c->admin_socket_mode), &s->admin,
                             &s->admin_file, &why);
        unix_text(s->admin_text, addr->unix_path);
    } else {
        err = dp_listen_tcp(addr->ip, addr->port, 0, &s->admin, &port, &why);
        address_text(s->admin_text, addr->ip, port);
    }
    return failed(err, "admin.listen", c->admin_listen, why);
}

/* ---------------------------------------------------------------------------------------------- */

void dp_sockets_init(struct dp_sockets *s, const struct dp_config *config)
{
    *s = (struct dp_sockets){.admin = -1};
    s->n = config->workers ? (uint32_t)config->workers : uv_available_parallelism();
    if (s->n > DP_WORKERS_MAX) {
        s->n = DP_WORKERS_MAX;
    }
    for (size_t i = 0; i < DP_WORKERS_MAX; i++) {
        s->traffic[i] = -1;
    }
}

enum dp_err dp_sockets_open(struct dp_sockets *s, const struct dp_config *config,
                            struct dp_handed *handed)
{
    enum dp_err err = open_traffic(s, config, handed);
    return err ? err : open_admin(s, config, handed);
}

void dp_sockets_fini(struct dp_sockets *s)
{
    for (uint32_t i = 0; i < DP_WORKERS_MAX; i++) {
        if (s->traffic[i] >= 0) {
            (void)close(s->traffic[i]);
        }
    }
    if (s->admin >= 0) {
        (void)close(s->admin);
    }
    dp_listen_unix_remove(&s->traffic_file);
    dp_listen_unix_remove(&s->admin_file);
}
