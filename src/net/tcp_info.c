/* TCP_INFO with linux/tcp.h: glibc's own struct tcp_info ends before the field that matters. */
#include "net/tcp_info.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

bool dp_tcp_acked(int fd, uint64_t *bytes)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
        return false;
    /* RFC 4898's count takes our SYN for one more byte */
    *bytes = info.tcpi_bytes_acked > 0 ? info.tcpi_bytes_acked - 1 : 0;
    return true;
}
