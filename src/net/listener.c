/* Listening sockets made by hand: libuv 1.44 has no SO_REUSEPORT of its own. */
#include "davenport/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* How long another's lock is waited for. */
#define LOCK_TRIES    100
#define LOCK_PAUSE_MS 10

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

enum dp_err dp_listen_tcp(const char *ip, uint16_t port, unsigned flags, int *fd,
                          uint16_t *bound_port, const char **why)
{
    struct sockaddr_storage ss;
    socklen_t len = 0;
    if (!address_of(ip, port, &ss, &len)) {
        *why = "not a numeric IP address";
        return DP_EINVAL;
    }
    int s = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1, v6_only = (flags & DP_LISTEN_BOTH) == 0;
    if (s < 0)
        goto failed;
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        goto failed;
    /* accepted ones inherit it */
    if (setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        goto failed;
    if ((flags & DP_LISTEN_REUSE_PORT) != 0 &&
        setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        goto failed;
    if (ss.ss_family == AF_INET6 &&
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) != 0)
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

/* Only a refusal says that nobody is there: a busy listener does not answer at once, one of another user or kind says
 * something else. */
static bool nobody_listens(const struct sockaddr_un *sun, const char **why)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) {
        *why = strerror(errno);
        return false;
    }
    int r = connect(s, (const struct sockaddr *)sun, sizeof(*sun));
    bool refused = r != 0 && errno == ECONNREFUSED;
    (void)close(s);
    if (!refused)
        *why = "another process listens on it";
    return refused;
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
    if (!nobody_listens(sun, why))
        return false;
    if (unlink(path) != 0) {
        *why = strerror(errno);
        return false;
    }
    return true;
}

/* The lock of the folder that `path` is in, or -1 where that can't be had: a folder that may not be read, or that
 * somebody else keeps locked. Bounded, for anybody who may read a folder may lock it. */
static int lock_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)n, path);
    if (n == 0)
        (void)snprintf(folder, sizeof(folder), "%s", slash ? "/" : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        (void)poll(NULL, 0, LOCK_PAUSE_MS);
    }
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

struct dp_socket_file dp_listen_unix_file(const char *path)
{
    struct dp_socket_file file = {.path = path};
    struct stat st;
    if (lstat(path, &st) == 0) {
        file.device = st.st_dev;
        file.inode = st.st_ino;
    }
    return file;
}

static enum dp_err listen_unix(const struct sockaddr_un *sun, uint32_t mode, int *fd,
                               const char **why)
{
    const char *path = sun->sun_path;
    if (!remove_stale(path, sun, why))
        return DP_EIO;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        goto failed;
    /* never open to more than it should be, not even between bind and chmod */
    mode_t old = umask(0177);
    int r = bind(s, (const struct sockaddr *)sun, sizeof(*sun));
    (void)umask(old);
    if (r != 0 || chmod(path, (mode_t)mode) != 0 || listen(s, SOMAXCONN) != 0)
        goto failed;
    *fd = s;
    return DP_OK;
failed:
    *why = strerror(errno);
    if (s >= 0)
        (void)close(s);
    return DP_EIO;
}

static bool unix_address(const char *path, struct sockaddr_un *sun)
{
    *sun = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(sun->sun_path, sizeof(sun->sun_path), "%s", path);
    return n > 0 && (size_t)n < sizeof(sun->sun_path);
}

/* An inode's number may be given again, to the file of whoever took ours over since we stopped listening. So it must be
 * that file, and nobody may listen on it. */
void dp_listen_unix_remove(struct dp_socket_file *file)
{
    struct sockaddr_un sun;
    struct stat st;
    const char *unused;
    if (!file->path || !unix_address(file->path, &sun))
        return;
    int lock = lock_folder(file->path);
    if (lstat(file->path, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode &&
        nobody_listens(&sun, &unused))
        (void)unlink(file->path);
    if (lock >= 0)
        (void)close(lock);
    file->path = NULL;
}

enum dp_err dp_listen_unix(const char *path, uint32_t mode, int *fd, struct dp_socket_file *file,
                           const char **why)
{
    struct sockaddr_un sun;
    if (!unix_address(path, &sun)) {
        *why = "the path is empty or too long for a Unix socket";
        return DP_EINVAL;
    }
    /* Without it two that start in the same instant could both take a stale file for theirs; no more than that. */
    int lock = lock_folder(path);
    enum dp_err err = listen_unix(&sun, mode, fd, why);
    if (!err && file)
        *file = dp_listen_unix_file(path);
    if (lock >= 0)
        (void)close(lock);
    return err;
}

static bool is_listening(int fd)
{
    int listening = 0, type = 0;
    socklen_t n = sizeof(listening), m = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_STREAM;
}

static bool place_of(int fd, struct dp_listen_place *place)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } u;
    socklen_t len = sizeof(u);
    memset(&u, 0, sizeof(u)); /* a path need not end in NUL */
    *place = (struct dp_listen_place){.port = 0};
    if (getsockname(fd, &u.any, &len) != 0)
        return false;
    switch (u.any.sa_family) {
    case AF_INET:
        place->port = ntohs(u.v4.sin_port);
        return inet_ntop(AF_INET, &u.v4.sin_addr, place->ip, sizeof(place->ip)) != NULL;
    case AF_INET6:
        place->port = ntohs(u.v6.sin6_port);
        return inet_ntop(AF_INET6, &u.v6.sin6_addr, place->ip, sizeof(place->ip)) != NULL;
    case AF_UNIX:
        (void)snprintf(place->path, sizeof(place->path), "%.107s", u.un.sun_path);
        return place->path[0] != '\0';
    default: /* not an enum */
        return false;
    }
}

enum dp_err dp_listen_adopt(int fd, struct dp_listen_place *place, const char **why)
{
    const int on = 1;
    if (!is_listening(fd)) {
        *why = "it is no stream socket that listens";
        return DP_EINVAL;
    }
    if (!place_of(fd, place)) {
        *why = "it listens neither on an IP address nor on a path";
        return DP_EINVAL;
    }
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        (!*place->path && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)) {
        *why = strerror(errno);
        return DP_EIO;
    }
    return DP_OK;
}
