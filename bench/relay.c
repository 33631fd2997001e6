/* The floor: a relay on libuv that only copies bytes. It parses nothing, routes nothing, pools
 * nothing: for each client it opens one connection to the origin and copies both ways until either
 * side ends. What a proxy costs over this is what its HTTP costs.
 *
 * usage: bench_relay ORIGIN-PORT
 * Listens on 127.0.0.1 on a port of the kernel's choice and prints that port on a line of its own.
 *
 * Words: a pair is a client's connection and its origin's; each is a half, and the other one its
 * peer.
 *
 * Invariants: one read buffer serves all, so what is read is written (or kept in a copy) before the
 * read callback returns. A half whose peer has a write under way does not read. A pair is freed
 * when both halves have been closed. One thread; it runs until a signal ends it. */
#include "loopback.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE 65536

struct half {
    uv_tcp_t tcp;
    struct pair *pair;
    struct half *peer;
};

struct pair {
    struct half client;
    struct half origin;
    uv_connect_t connect;
    bool closing;
    int open; /* halves not yet closed */
};

/* The rest of a read that the peer's socket did not take at once. */
struct remainder {
    uv_write_t write;
    struct half *source;
    char bytes[];
};

static struct sockaddr_in origin_address;
static char read_buffer[BUFFER_SIZE];

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf);

static uv_stream_t *stream_of(struct half *half)
{
    return (uv_stream_t *)&half->tcp;
}

static void on_closed(uv_handle_t *handle)
{
    struct half *half = handle->data;
    struct pair *pair = half->pair;

    if (--pair->open == 0) {
        free(pair);
    }
}

static void close_pair(struct pair *pair)
{
    if (!pair->closing) {
        pair->closing = true;
        uv_close((uv_handle_t *)&pair->client.tcp, on_closed);
        uv_close((uv_handle_t *)&pair->origin.tcp, on_closed);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void start_reading(struct half *half)
{
    if (uv_read_start(stream_of(half), on_alloc, on_read) != 0) {
        close_pair(half->pair);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct remainder *rest = write->data;
    struct half *source = rest->source;

    free(rest);
    if (source->pair->closing) {
        return;
    }
    if (status < 0) {
        close_pair(source->pair);
        return;
    }
    start_reading(source);
}

/* Keep what the peer did not take, and read no more from the source until it has. */
static void write_later(struct half *source, const char *bytes, size_t size)
{
    struct remainder *rest = malloc(sizeof *rest + size);

    if (rest == NULL) {
        close_pair(source->pair);
        return;
    }
    rest->source = source;
    rest->write.data = rest;
    memcpy(rest->bytes, bytes, size);
    (void)uv_read_stop(stream_of(source));
    uv_buf_t buf = uv_buf_init(rest->bytes, (unsigned int)size);
    if (uv_write(&rest->write, stream_of(source->peer), &buf, 1, on_written) != 0) {
        free(rest);
        close_pair(source->pair);
    }
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct half *source = stream->data;

    if (size < 0) {
        close_pair(source->pair);
        return;
    }
    if (size == 0) {
        return;
    }
    uv_buf_t out = uv_buf_init(buf->base, (unsigned int)size);
    int written = uv_try_write(stream_of(source->peer), &out, 1);
    if (written == UV_EAGAIN) {
        written = 0;
    }
    if (written < 0) {
        close_pair(source->pair);
    } else if (written < size) {
        write_later(source, buf->base + written, (size_t)(size - written));
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct pair *pair = connect->data;

    if (pair->closing) {
        return;
    }
    if (status < 0) {
        close_pair(pair);
        return;
    }
    start_reading(&pair->client);
    if (!pair->closing) {
        start_reading(&pair->origin);
    }
}

static void init_half(uv_loop_t *loop, struct half *half, struct pair *pair, struct half *peer)
{
    must(uv_tcp_init(loop, &half->tcp), "uv_tcp_init");
    half->tcp.data = half;
    half->pair = pair;
    half->peer = peer;
    pair->open++;
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0) {
        return;
    }
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL) {
        must(UV_ENOMEM, "a pair");
        return;
    }
    init_half(listener->loop, &pair->client, pair, &pair->origin);
    init_half(listener->loop, &pair->origin, pair, &pair->client);
    pair->connect.data = pair;
    if (uv_accept(listener, stream_of(&pair->client)) != 0 ||
        uv_tcp_connect(&pair->connect, &pair->origin.tcp, (const struct sockaddr *)&origin_address,
                       on_connected) != 0) {
        close_pair(pair);
        return;
    }
    (void)uv_tcp_nodelay(&pair->client.tcp, 1);
    (void)uv_tcp_nodelay(&pair->origin.tcp, 1);
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long port = argc == 2 ? strtol(argv[1], &end, 10) : 0;

    if (port < 1 || port > 65535 || *end != '\0') {
        fprintf(stderr, "usage: bench_relay ORIGIN-PORT\n");
        return 2;
    }
    must(uv_ip4_addr("127.0.0.1", (int)port, &origin_address), "origin");

    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    listen_and_say(loop, &listener, on_connection);
    return uv_run(loop, UV_RUN_DEFAULT);
}
