/* sd_notify(3). */
#include "app/notify.h"

#include "davenport/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_ENV "NOTIFY_SOCKET"
#define TEXT_MAX   1024
/* A manager that does not read must not stop the control loop. */
#define SEND_MS 500

/* "/run/systemd/notify", or "@name" in the abstract name space. 0: neither. */
static socklen_t address_of(const char *path, struct sockaddr_un *to)
{
    const size_t n = strlen(path);
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof to->sun_path) {
        return 0;
    }
    memcpy(to->sun_path, path, n);
    if (path[0] == '@') {
        to->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static bool send_to(const struct sockaddr_un *to, socklen_t size, const char *text, size_t n)
{
    const struct timeval limit = {.tv_usec = SEND_MS * 1000L};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool sent = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
                sendto(fd, text, n, MSG_NOSIGNAL, (const struct sockaddr *)to, size) == (ssize_t)n;
    const int error = errno;
    (void)close(fd);
    errno = error;
    return sent;
}

bool dp_notify_wanted(void)
{
    return getenv(SOCKET_ENV) != NULL;
}

void dp_notify(const char *fmt, ...)
{
    const char *path = getenv(SOCKET_ENV);
    struct sockaddr_un to;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!path) {
        return;
    }
    const socklen_t size = address_of(path, &to);
    errno = EINVAL;
    if (n <= 0 || (size_t)n >= sizeof text || size == 0 || !send_to(&to, size, text, (size_t)n)) {
        dp_log(DP_LOG_WARN, "notify_failed", DP_KV_STR("socket", path),
               DP_KV_STR("reason", strerror(errno)));
    }
}

void dp_notify_end(void)
{
    (void)unsetenv(SOCKET_ENV);
}

uint64_t dp_notify_watchdog_us(void)
{
    const char *us = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t n;
    uint64_t whose;
    if (!dp_notify_wanted() || !us || !dp_span_u64(dp_span_str(us), &n)) {
        return 0;
    }
    if (pid && (!dp_span_u64(dp_span_str(pid), &whose) || whose != (uint64_t)getpid())) {
        return 0;
    }
    return n;
}
