/* Reading what the environment says of inherited descriptors. */
#include "app/handed.h"

#include "davenport/base/span.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const names[] = {
    [DP_HANDED_TRAFFIC] = "traffic",
    [DP_HANDED_ADMIN] = "admin",
    [DP_HANDED_BEFORE] = "before",
};

const char *dp_handed_name(enum dp_handed_kind kind)
{
    return names[kind];
}

/* systemd names what has no FileDescriptorName= after its unit, or not at all. */
static bool is_unnamed(struct dp_span name)
{
    const struct dp_span unit = DP_SPAN(".socket");
    return name.n == 0 || dp_span_eq(name, DP_SPAN("unknown")) ||
           (name.n > unit.n &&
            dp_span_eq((struct dp_span){name.p + name.n - unit.n, unit.n}, unit));
}

static bool kind_of(struct dp_span name, enum dp_handed_kind last, enum dp_handed_kind *out)
{
    for (enum dp_handed_kind k = DP_HANDED_TRAFFIC; k <= last; k++) {
        if (dp_span_eq(name, dp_span_str(names[k]))) {
            *out = k;
            return true;
        }
    }
    *out = DP_HANDED_TRAFFIC;
    return is_unnamed(name);
}

static bool add(struct dp_handed *h, enum dp_handed_kind kind, bool owns_file)
{
    const int fd = DP_HANDED_FIRST + (int)h->n;
    if (h->n == DP_HANDED_MAX || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return false;
    }
    h->fds[h->n++] = (struct dp_handed_fd){fd, kind, owns_file};
    return true;
}

/* "traffic:admin", and `count` of them at least. */
static enum dp_err take_names(struct dp_handed *h, const char *variable, struct dp_span rest,
                              uint64_t count, enum dp_handed_kind last, char *why)
{
    for (uint64_t i = 0; i < count || rest.n > 0; i++) {
        struct dp_span name = dp_span_cut(&rest, ':');
        enum dp_handed_kind kind;
        const bool owns = name.n > 0 && name.p[name.n - 1] == '+';
        name.n -= owns;
        if (!kind_of(name, last, &kind)) {
            (void)snprintf(why, DP_HANDED_WHY,
                           "%s: descriptor %d is named \"%.*s\": only traffic and admin are known",
                           variable, DP_HANDED_FIRST + (int)i, name.n > 40 ? 40 : (int)name.n,
                           name.p);
            return DP_EINVAL;
        }
        if (!add(h, kind, owns)) {
            (void)snprintf(why, DP_HANDED_WHY, "%s: descriptor %d is not open", variable,
                           DP_HANDED_FIRST + (int)h->n);
            return DP_EINVAL;
        }
    }
    return DP_OK;
}

/* Not meant for us: a shell or a wrapper between systemd and us does not clear it (sd_listen_fds(3)). */
static bool is_for_us(void)
{
    const char *pid = getenv("LISTEN_PID");
    uint64_t n;
    return pid && dp_span_u64(dp_span_str(pid), &n) && n == (uint64_t)getpid();
}

static enum dp_err take_systemd(struct dp_handed *h, char *why)
{
    const char *count = getenv("LISTEN_FDS");
    const char *list = getenv("LISTEN_FDNAMES");
    uint64_t n;
    if (!count || !is_for_us()) {
        return DP_OK;
    }
    if (!dp_span_u64(dp_span_str(count), &n) || n > DP_HANDED_MAX) {
        (void)snprintf(why, DP_HANDED_WHY, "LISTEN_FDS is no number of descriptors");
        return DP_EINVAL;
    }
    h->who = "systemd";
    return take_names(h, "LISTEN_FDNAMES", dp_span_str(list ? list : ""), n, DP_HANDED_ADMIN, why);
}

/* The last descriptor is the pair's, and who made it, which the kernel knows, handed it to us. A version that does not tell its
 * number started us itself. */
static bool is_from_before(const char *list)
{
    const char *by = getenv(DP_HANDED_BY_ENV);
    struct ucred maker;
    socklen_t size = sizeof maker;
    uint64_t n = (uint64_t)getppid();
    int last = DP_HANDED_FIRST;
    for (const char *c = list; *c; c++) {
        last += *c == ':';
    }
    return (!by || dp_span_u64(dp_span_str(by), &n)) &&
           getsockopt(last, SOL_SOCKET, SO_PEERCRED, &maker, &size) == 0 &&
           n == (uint64_t)maker.pid;
}

enum dp_err dp_handed_take(struct dp_handed *out, char why[DP_HANDED_WHY])
{
    const char *before = getenv(DP_HANDED_ENV);
    enum dp_err err;
    *out = (struct dp_handed){.who = ""};
    if (before && is_from_before(before)) {
        out->who = "the process before";
        err = take_names(out, DP_HANDED_ENV, dp_span_str(before), 0, DP_HANDED_BEFORE, why);
        /* what a library there opened without close-on-exec would stay open for ever */
        (void)close_range(DP_HANDED_FIRST + (unsigned)out->n, ~0U, 0);
    } else {
        err = take_systemd(out, why);
        out->ignored = before != NULL;
    }
    (void)unsetenv(DP_HANDED_ENV);
    (void)unsetenv(DP_HANDED_BY_ENV);
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDNAMES");
    return err;
}

struct dp_handed_fd *dp_handed_next(struct dp_handed *h, enum dp_handed_kind kind)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->fds[i].fd >= 0 && h->fds[i].kind == kind) {
            return &h->fds[i];
        }
    }
    return NULL;
}

void dp_handed_close(struct dp_handed *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->fds[i].fd >= 0) {
            (void)close(h->fds[i].fd);
        }
        h->fds[i].fd = -1;
    }
}
