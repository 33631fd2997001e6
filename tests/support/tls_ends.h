/* Owners of streams for tests of TLS: they count what they are told, and check at every event that it
 * does not come from inside a call to the stream, nor behind a close. What goes over the wire is
 * byte_at() of its position, so that any loss shows. */
#ifndef DAVENPORT_TESTS_SUPPORT_TLS_ENDS_H
#define DAVENPORT_TESTS_SUPPORT_TLS_ENDS_H

#include "davenport/net/stream.h"

#include "support/tls_pipe.h"

#include <stdbool.h>
#include <stddef.h>

struct dp_tls;

struct tls_end {
    struct dp_stream *s;
    struct dp_tls *tls;
    int connects, ends, drains, closes, reads;
    enum dp_err connect_err, end_err;
    char text[256]; /* dp_tls_last_error when a failure was told */
    size_t received, written;
    bool in_call, closed_by_us, reset; /* reset: how to close */
    bool lazy;                         /* does not start reading in on_connect */
    bool echo, stop_on_read;
    bool close_on_connect, close_on_read, close_on_end, close_on_drain;
    size_t write_on_connect; /* so many bytes at once */
    size_t to_write;         /* on_drain writes on until this much was written in all */
};

extern const struct dp_stream_events tls_end_events;

void tls_end_close(struct tls_end *e);
void tls_end_read_start(struct tls_end *e);
void tls_end_shutdown(struct tls_end *e);
enum dp_err tls_end_write_spans(struct tls_end *e, const struct dp_span *spans, size_t n);
/* The next n bytes, as one span. */
enum dp_err tls_end_write(struct tls_end *e, size_t n);

/* A client (end 0 of the pipe) and a server, both begun, nothing delivered yet. */
struct tls_pair {
    struct tls_pipe pipe;
    struct tls_end client, server;
};
void tls_pair_start(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server);
/* The same where what end `which` writes has room for `room` bytes. False: the client's first flight
 * had none, and only the server is there. */
bool tls_pair_start_with(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server,
                         int which, size_t room);
/* The same where memory may run out. False: an end could not be made, and the pair is to be run and
 * stopped all the same. */
bool tls_pair_try(struct tls_pair *p, struct dp_tls *client, struct dp_tls *server);
/* Until nothing happens any more. */
void tls_pair_run(struct tls_pair *p, size_t max);
/* Close what is open and check that each end was closed once. */
void tls_pair_stop(struct tls_pair *p);

#endif
