/* Listening sockets made by hand: libuv 1.44 has no SO_REUSEPORT of its own. */
#include "davenport/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool address_of(const char *ip, uint16_t port, struct sockaddr_storage *ss, socklen_t *len)
{
    memset(ss, 0, sizeof(*ss));
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ss;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ss;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *len = sizeof(*v6);
        return true;
    }
    return false;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } u = {.v6 = {0}};
    socklen_t len = sizeof(u);
    if (getsockname(fd, &u.any, &len) != 0)
        return 0;
    return ntohs(u.any.sa_family == AF_INET6 ? u.v6.sin6_port : u.v4.sin_port);
}

enum dp_err dp_listen_tcp(const char *ip, uint16_t port, bool reuse_port, int *fd,
                          uint16_t *bound_port, const char **why)
{
    struct sockaddr_storage ss;
    socklen_t len = 0;
    if (!address_of(ip, port, &ss, &len)) {
        *why = "not a numeric IP address";
        return DP_EINVAL;
    }
    int s = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (s < 0)
        goto failed;
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        goto failed;
    if (reuse_port && setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        goto failed;
    if (ss.ss_family == AF_INET6 && setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        goto failed;
    if (bind(s, (struct sockaddr *)&ss, len) != 0)
        goto failed;
    uint16_t bound = port_of(s);
    if (bound == 0)
        goto failed;
    *fd = s;
    *bound_port = bound;
    return DP_OK;
failed:
    *why = strerror(errno);
    if (s >= 0)
        (void)close(s);
    return DP_EIO;
}

/* A socket file that nobody listens on is left over from a crash and may be removed. */
static bool remove_stale(const char *path, const struct sockaddr_un *sun, const char **why)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return true;
    if (!S_ISSOCK(st.st_mode)) {
        *why = "a file that is not a socket is in the way";
        return false;
    }
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) {
        *why = strerror(errno);
        return false;
    }
    /* only a refusal says that nobody is there: a busy listener does not answer at once, one of
     * another user or kind says something else */
    int r = connect(s, (const struct sockaddr *)sun, sizeof(*sun));
    bool refused = r != 0 && errno == ECONNREFUSED;
    (void)close(s);
    if (!refused) {
        *why = "another process listens on it";
        return false;
    }
    if (unlink(path) != 0) {
        *why = strerror(errno);
        return false;
    }
    return true;
}

enum dp_err dp_listen_unix(const char *path, uint32_t mode, int *fd, const char **why)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
    if (n <= 0 || (size_t)n >= sizeof(sun.sun_path)) {
        *why = "the path is empty or too long for a Unix socket";
        return DP_EINVAL;
    }
    if (!remove_stale(path, &sun, why))
        return DP_EIO;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        goto failed;
    /* never open to more than it should be, not even between bind and chmod */
    mode_t old = umask(0177);
    int r = bind(s, (struct sockaddr *)&sun, sizeof(sun));
    (void)umask(old);
    if (r != 0 || chmod(path, (mode_t)mode) != 0)
        goto failed;
    *fd = s;
    return DP_OK;
failed:
    *why = strerror(errno);
    if (s >= 0)
        (void)close(s);
    return DP_EIO;
}
