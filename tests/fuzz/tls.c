/* A TLS client and a server of ours, joined by a pipe whose pieces the input cuts: records split and merged at
 * will, bytes of garbage between them, ends and closes at odd times. What arrives must be a beginning of what
 * was sent (tls_ends.c), every stream is closed once, and all memory comes back.
 *
 * Input: orders of a letter and an operand ('0' to '9').
 *   s n  deliver pieces of size n, once   r n  until nothing moves   c n, S n  client, server write
 *   g n  garbage behind what the client wrote (what follows, to '|'), G from the server
 *   x, X shut down   y, Y close   z, Z close with a reset   b, B the connection breaks here
 *   p, P stop reading, q, Q go on */
#include "davenport/net/tls.h"

#include "fuzz.h"
#include "support/tls_certs.h"
#include "support/tls_ends.h"

#include <stdlib.h>
#include <string.h>

/* By each end: enough to pass the high mark, little enough to try much. */
#define WRITTEN_MAX 200000

static struct dp_tls *client_tls, *server_tls;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char why[DP_TLS_TEXT_BYTES];
    (void)argc;
    (void)argv;
    fuzz_check(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0 && tls_certs_make() == 0, "certificates");
    const struct dp_tls_client_config c = {.server_name = "localhost",
                                           .ca_file = tls_certs_path("ca.crt")};
    const struct dp_tls_server_config s = {.cert_file = tls_certs_path("server.crt"),
                                           .key_file = tls_certs_path("server.key")};
    fuzz_check(dp_tls_client_new(&c, &client_tls, why, sizeof(why)) == DP_OK, why);
    fuzz_check(dp_tls_server_new(&s, &server_tls, why, sizeof(why)) == DP_OK, why);
    tls_certs_remove();
    return 0;
}

struct input {
    const uint8_t *p;
    size_t n;
};

static unsigned next(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

static size_t size_operand(struct input *in)
{
    static const size_t sizes[] = {TLS_PIPE_NEVER, 1, 2, 5, 16, 100, 1000, 16384, 40000, 150000};
    return sizes[(next(in) - '0') % 10U];
}

/* A stream that may be written to; the pipe's end is there. */
static bool is_open(const struct tls_end *e)
{
    return e->s && !e->closed_by_us && (e->connects > 0 || e->tls == server_tls) && !e->connect_err;
}

static void garbage(struct tls_pair *p, int from, struct input *in)
{
    const uint8_t *end = in->n > 0 ? memchr(in->p, '|', in->n) : NULL;
    const struct dp_span s = {(const char *)in->p, end ? (size_t)(end - in->p) : in->n};
    if (p->pipe.end[from]) {
        const enum dp_err err = dp_stream_write(tls_pipe_stream(&p->pipe, from), &s, 1);
        (void)err; /* it may be closed */
    }
    in->p += s.n;
    in->n -= s.n;
}

static void end_order(struct tls_pair *p, int which, char letter, struct input *in)
{
    struct tls_end *e = which == 0 ? &p->client : &p->server;
    size_t n = 0;
    if (letter == 'c')
        n = size_operand(in);
    if (letter == 'g')
        garbage(p, which, in);
    if (!e->s || e->closed_by_us)
        return;
    switch (letter) {
    case 'c':
        if (is_open(e) && n < TLS_PIPE_NEVER && e->written + n <= WRITTEN_MAX)
            (void)tls_end_write(e, n); /* it may have ended */
        return;
    case 'x':
        tls_end_shutdown(e);
        return;
    case 'y':
    case 'z':
        e->reset = letter == 'z';
        tls_end_close(e);
        return;
    case 'b':
        p->pipe.cut_at[which] = p->pipe.sent[which];
        return;
    case 'p':
        if (is_open(e))
            dp_stream_read_stop(e->s);
        return;
    case 'q':
        if (is_open(e))
            tls_end_read_start(e);
        return;
    default: /* no such letter */
        return;
    }
}

static void order(struct tls_pair *p, struct input *in)
{
    const char letter = (char)next(in);
    size_t n;
    if (letter == '\0')
        return;
    if (strchr("cgxyzbpq", letter)) {
        end_order(p, 0, letter, in);
    } else if (strchr("SGXYZBPQ", letter)) {
        end_order(p, 1, letter == 'S' ? 'c' : (char)(letter - 'A' + 'a'), in);
    } else if (letter == 's') {
        (void)tls_pipe_step(&p->pipe, size_operand(in));
    } else if (letter == 'r') {
        n = size_operand(in);
        /* Byte by byte is for handshakes, not for what is large. */
        for (size_t i = 0; i < 5000 && tls_pipe_step(&p->pipe, n); i++)
            continue;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct tls_pair p;
    tls_pair_start(&p, client_tls, server_tls);
    while (in.n > 0)
        order(&p, &in);
    tls_pair_run(&p, TLS_PIPE_NEVER);
    tls_pair_stop(&p);
    return 0;
}
