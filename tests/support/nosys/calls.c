/* The functions of calls.def, found before the C library's by everybody in the program: its own code, libuv, libcurl. Those of a
 * sanitizer, where there is one, come next. */
#include "support/nosys/ask.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of a socket or a file? Asked of the kernel directly: nothing here may come back here. */
static bool counts(int fd)
{
    struct stat st;
    return syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 &&
           (S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode));
}

/* What ends a connection ends it for good: the kernel would not say so once and then go on. */
static void end_connection(int fd, int error)
{
    if (error == ECONNRESET || error == EPIPE || error == ETIMEDOUT)
        (void)syscall(SYS_shutdown, fd, SHUT_RDWR);
    errno = error;
}

static bool fails_on(enum nosys_call call, int fd)
{
    static const bool moves_bytes[NOSYS_COUNT] = {
        [NOSYS_read] = true, [NOSYS_write] = true,   [NOSYS_writev] = true,
        [NOSYS_send] = true, [NOSYS_sendmsg] = true, [NOSYS_recv] = true};
    if (!nosys_armed(call) || !counts(fd) || !nosys_fails(call))
        return false;
    if (moves_bytes[call])
        end_connection(fd, errno);
    return true;
}

/* What would have been called without us. */
static void *next_of(const char *name, _Atomic(void *) *found)
{
    void *f = atomic_load_explicit(found, memory_order_relaxed);
    if (!f) {
        f = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(found, f, memory_order_relaxed);
    }
    return f;
}

/* type name(parameters) { fails ? -1 : the next one's(arguments) } */
#define NEXT(type, name, parameters, arguments, condition)                                         \
    type name parameters;                                                                          \
    type name parameters                                                                           \
    {                                                                                              \
        static _Atomic(void *) found;                                                              \
        type(*next) parameters;                                                                    \
        void *f = next_of(#name, &found);                                                          \
        memcpy(&next, &f, sizeof(next));                                                           \
        return (condition) ? -1 : next arguments;                                                  \
    }
#define ON_FD(type, name, parameters, arguments)                                                   \
    NEXT(type, name, parameters, arguments, fails_on(NOSYS_##name, fd))

ON_FD(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
ON_FD(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
ON_FD(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
ON_FD(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
ON_FD(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
ON_FD(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
ON_FD(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
ON_FD(int, accept4, (int fd, __SOCKADDR_ARG a, socklen_t *n, int flags), (fd, a, n, flags))
ON_FD(int, connect, (int fd, __CONST_SOCKADDR_ARG a, socklen_t n), (fd, a, n))
NEXT(int, socket, (int family, int type, int protocol), (family, type, protocol),
     nosys_fails(NOSYS_socket))
ON_FD(int, bind, (int fd, __CONST_SOCKADDR_ARG a, socklen_t n), (fd, a, n))
ON_FD(int, listen, (int fd, int n), (fd, n))
ON_FD(int, setsockopt, (int fd, int level, int name, const void *p, socklen_t n),
      (fd, level, name, p, n))
ON_FD(int, getsockopt, (int fd, int level, int name, void *p, socklen_t *n),
      (fd, level, name, p, n))
ON_FD(int, getsockname, (int fd, __SOCKADDR_ARG a, socklen_t *n), (fd, a, n))
ON_FD(int, getpeername, (int fd, __SOCKADDR_ARG a, socklen_t *n), (fd, a, n))
ON_FD(int, shutdown, (int fd, int how), (fd, how))
ON_FD(int, fsync, (int fd), (fd))
NEXT(int, rename, (const char *from, const char *to), (from, to), nosys_fails(NOSYS_rename))

int open(const char *path, int flags, ...);
int open(const char *path, int flags, ...)
{
    static _Atomic(void *) found;
    int (*next)(const char *, int, ...);
    void *f = next_of("open", &found);
    mode_t mode = 0;
    memcpy(&next, &f, sizeof(next));
    if (flags & O_CREAT) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return nosys_fails(NOSYS_open) ? -1 : next(path, flags, mode);
}
