/* A region that answers as it is told: an HTTP/1.1 server on the test's own loop, loopback, ephemeral port. */
#ifndef DAVENPORT_TESTS_SUPPORT_SCRIPT_SERVER_H
#define DAVENPORT_TESTS_SUPPORT_SCRIPT_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define SCRIPT_HEAD_BYTES 4096

enum script_mode {
    SCRIPT_ANSWER,  /* status and body, keep-alive */
    SCRIPT_CUT,     /* a head that promises more than comes, then closed */
    SCRIPT_SILENT,  /* takes the request, never answers: frozen */
    SCRIPT_CLOSE,   /* closes without an answer */
    SCRIPT_RESET,   /* the same with a reset */
    SCRIPT_TORN,    /* some of a body, more than is read at once, then a reset */
    SCRIPT_GARBAGE, /* not HTTP */
    SCRIPT_ENDLESS  /* a megabyte of a body that never ends */
};

struct script_server {
    uv_loop_t *loop;
    uv_tcp_t *listener; /* NULL: nobody listens */
    uint16_t port;
    enum script_mode mode;
    uint16_t status;
    const char *body;
    unsigned accepted, open, requests;
    char head[SCRIPT_HEAD_BYTES]; /* of the last request, with what came of its body; NUL ended */
    struct script_conn *conns;
    /* Looks at `head` and sets what this request meets; NULL: it meets what the last one met. */
    void (*choose)(void *ctx, struct script_server *s);
    void *ctx;
};

/* Listens; mode SCRIPT_ANSWER, 200, {"status":"ok"}. Aborts where the machine has no loopback. */
void script_server_start(struct script_server *s, uv_loop_t *loop);
/* Set what requests from now on meet. */
void script_server_says(struct script_server *s, enum script_mode mode, uint16_t status,
                        const char *body);
/* The listener and all connections go: from now on connections are refused. */
void script_server_kill(struct script_server *s);
/* Listen again on the same port. */
void script_server_revive(struct script_server *s);
/* "http://127.0.0.1:<port>" into buf, which is returned. */
char *script_server_url(const struct script_server *s, char *buf, size_t cap);

/* Run the loop until `ready(ctx)`, for at most 30 s of real time: false then. */
bool script_run_until(uv_loop_t *loop, bool (*ready)(void *ctx), void *ctx);
/* Run the loop until nothing is left, then close it; fails the test when handles stay. */
void script_loop_finish(uv_loop_t *loop);

#endif
