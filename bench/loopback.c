#include "loopback.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

void must(int status, const char *what)
{
    if (status < 0) {
        (void)fprintf(stderr, "bench: %s: %s\n", what, uv_strerror(status));
        exit(1);
    }
}

void ignore_broken_pipes(void)
{
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        must(UV_EINVAL, "signal");
}

void listen_and_say(uv_loop_t *loop, uv_tcp_t *listener, uv_connection_cb accepted)
{
    struct sockaddr_in address;
    int size = sizeof address;

    ignore_broken_pipes();
    must(uv_ip4_addr("127.0.0.1", 0, &address), "address");
    must(uv_tcp_init(loop, listener), "uv_tcp_init");
    must(uv_tcp_bind(listener, (const struct sockaddr *)&address, 0), "bind");
    must(uv_listen((uv_stream_t *)listener, LOOPBACK_BACKLOG, accepted), "listen");
    must(uv_tcp_getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    if (fflush(stdout) != 0)
        exit(1);
}
