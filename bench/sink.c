/* A region that takes uploads: it reads each request to its end and then answers as CouchDB answers
 * a stored document. What nginx can't do for a benchmark: its `return` answers before the body.
 *
 * usage: bench_sink
 * Listens on 127.0.0.1 on a port of the kernel's choice and prints that port on a line of its own.
 *
 * Invariants: one read buffer serves all. A peer answers a request before it reads the next one, so
 * an answer never waits: the socket's buffer has room for it. One thread; a signal ends it. */
#include "loopback.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#define BUFFER_SIZE ((size_t)262144)

static const char answer[] = "HTTP/1.1 201 Created\r\n"
                             "Server: CouchDB/3.4.3 (Erlang OTP/25)\r\n"
                             "Content-Type: application/json\r\n"
                             "Content-Length: 80\r\n"
                             "Cache-Control: must-revalidate\r\n"
                             "ETag: \"4-9c65296036141e575d32ba9c034dd3ee\"\r\n"
                             "X-Couch-Request-ID: 53ab9a1a7b\r\n"
                             "X-CouchDB-Body-Time: 0\r\n"
                             "\r\n"
                             "{\"ok\":true,\"id\":\"order:2026-000123\","
                             "\"rev\":\"4-9c65296036141e575d32ba9c034dd3ee\"}\n";
static const char well[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct peer {
    uv_tcp_t tcp;
    llhttp_t parser;
};

static char buffer[BUFFER_SIZE];
static llhttp_settings_t settings;

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_peer(struct peer *peer)
{
    if (!uv_is_closing((uv_handle_t *)&peer->tcp))
        uv_close((uv_handle_t *)&peer->tcp, on_closed);
}

static int on_whole(llhttp_t *parser)
{
    struct peer *peer = parser->data;
    bool stored = parser->method == HTTP_PUT || parser->method == HTTP_POST;
    const char *bytes = stored ? answer : well;
    uv_buf_t out = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)strlen(bytes));

    if (uv_try_write((uv_stream_t *)&peer->tcp, &out, 1) != (int)out.len ||
        !llhttp_should_keep_alive(parser))
        close_peer(peer);
    return 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(buffer, BUFFER_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct peer *peer = stream->data;

    if (size < 0 || (size > 0 && llhttp_execute(&peer->parser, buf->base, (size_t)size) != HPE_OK))
        close_peer(peer);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct peer *peer = status < 0 ? NULL : calloc(1, sizeof *peer);

    if (!peer)
        return;
    must(uv_tcp_init(listener->loop, &peer->tcp), "uv_tcp_init");
    peer->tcp.data = peer;
    llhttp_init(&peer->parser, HTTP_REQUEST, &settings);
    peer->parser.data = peer;
    if (uv_accept(listener, (uv_stream_t *)&peer->tcp) != 0 || uv_tcp_nodelay(&peer->tcp, 1) != 0 ||
        uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read) != 0)
        close_peer(peer);
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;

    llhttp_settings_init(&settings);
    settings.on_message_complete = on_whole;
    listen_and_say(loop, &listener, on_connection);
    return uv_run(loop, UV_RUN_DEFAULT);
}
