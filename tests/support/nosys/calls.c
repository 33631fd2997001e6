/* The functions of calls.def, found before the C library's by everybody in the program: its own code, libuv, libcurl. Those of a
 * sanitizer, where there is one, come next. */
#include "support/nosys/ask.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of a socket, a file or a FIFO? Asked of the kernel directly: nothing here may come back here. */
static bool counts(int fd)
{
    struct stat st;
    return syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 &&
           (S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode));
}

static bool fails_on(enum nosys_call call, int fd)
{
    return nosys_armed(call) && counts(fd) && nosys_fails(call);
}

/* type name(parameters) { fails ? -1 : the next one's(arguments) } */
#define NEXT(type, name, parameters, arguments, condition)                                         \
    type name parameters;                                                                          \
    type name parameters                                                                           \
    {                                                                                              \
        static type(*next) parameters;                                                             \
        if (!next) {                                                                               \
            void *found = dlsym(RTLD_NEXT, #name);                                                 \
            memcpy(&next, &found, sizeof(next));                                                   \
        }                                                                                          \
        return (condition) ? -1 : next arguments;                                                  \
    }
#define ON_FD(type, name, parameters, arguments)                                                   \
    NEXT(type, name, parameters, arguments, fails_on(NOSYS_##name, fd))

ON_FD(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
ON_FD(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
ON_FD(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
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
    static int (*next)(const char *, int, ...);
    mode_t mode = 0;
    if (!next) {
        void *found = dlsym(RTLD_NEXT, "open");
        memcpy(&next, &found, sizeof(next));
    }
    if (flags & O_CREAT) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return nosys_fails(NOSYS_open) ? -1 : next(path, flags, mode);
}
