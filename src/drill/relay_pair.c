#include "drill/relay_pair.h"

#include "davenport/base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What waits to leave: bytes, or the end of them. */
struct piece {
    struct dp_list node;
    uint64_t due_ns;
    size_t n, left; /* bytes; of them, how many have gone on */
    bool end;       /* the sender has ended: so do we */
    bool cut;       /* end: of the whole connection, for it was cut here */
    char bytes[];
};

/* One way. An end of a lane is the socket it reads from or writes to. */
struct lane {
    struct dp_relay_pair *pair;
    enum dp_relay_way way;
    struct dp_relay_pace pace;
    struct dp_list pieces;
    size_t waiting; /* bytes in pieces */
    uv_write_t write;
    uv_shutdown_t shutdown;
    size_t writing; /* bytes of the first piece that are on their way */
    bool reading;
    bool over;  /* its sender has said all */
    bool ended; /* and the receiver knows */
    bool deaf;  /* nobody is there to receive: bytes are dropped */
};

enum state { WAITING, DIALING, PASSING, HALF, CLOSED };

struct dp_relay_pair {
    struct dp_list node;
    struct dp_relay *relay;
    enum state state;
    unsigned open; /* handles not yet closed */
    bool gone[DP_RELAY_WAYS];
    uv_tcp_t ends[DP_RELAY_WAYS]; /* by where bytes to it go: the server, the client */
    uv_connect_t connect;
    uv_timer_t timer;
    struct lane lanes[DP_RELAY_WAYS];
};

static void pump(struct lane *l);

struct dp_relay_pair *dp_relay_pair_of(struct dp_list *node)
{
    return DP_CONTAINER_OF(node, struct dp_relay_pair, node);
}

static uv_stream_t *receiver(struct lane *l)
{
    return (uv_stream_t *)&l->pair->ends[l->way];
}

static uv_stream_t *sender(struct lane *l)
{
    return (uv_stream_t *)&l->pair->ends[!l->way];
}

/* ---- the end ---- */

static void on_closed(uv_handle_t *h)
{
    const struct lane *l = h->data;
    struct dp_relay_pair *pair = l->pair;
    struct dp_relay *r = pair->relay;
    if (--pair->open > 0) {
        return;
    }
    for (unsigned way = 0; way < DP_RELAY_WAYS; way++) {
        struct dp_list *next;
        for (struct dp_list *n = pair->lanes[way].pieces.next; n != &pair->lanes[way].pieces;
             n = next) {
            next = n->next;
            free(DP_CONTAINER_OF(n, struct piece, node));
        }
    }
    dp_list_remove(&pair->node);
    r->stats.open--;
    free(pair);
    dp_relay_gone(r);
}

static void close_end(struct dp_relay_pair *pair, unsigned end, bool reset)
{
    if (pair->gone[end]) {
        return;
    }
    pair->gone[end] = true;
    if (!reset || uv_tcp_close_reset(&pair->ends[end], on_closed) != 0) {
        uv_close((uv_handle_t *)&pair->ends[end], on_closed);
    }
}

void dp_relay_pair_end(struct dp_relay_pair *pair, bool reset)
{
    if (pair->state == CLOSED) {
        return;
    }
    pair->state = CLOSED;
    close_end(pair, DP_RELAY_TO_CLIENT, reset);
    close_end(pair, DP_RELAY_TO_SERVER, reset);
    uv_close((uv_handle_t *)&pair->timer, on_closed);
}

void dp_relay_pair_half(struct dp_relay_pair *pair, enum dp_relay_way closed)
{
    if (pair->state != PASSING) {
        return;
    }
    pair->state = HALF;
    pair->relay->stats.half_opened++;
    pair->lanes[closed].deaf = true;
    close_end(pair, closed, false);
    dp_relay_pair_changed(pair);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    const struct lane *l = h->data;
    (void)suggested;
    *buf = uv_buf_init(l->pair->relay->buffer, (unsigned)DP_RELAY_READ_BYTES);
}

static bool holds(const struct lane *l)
{
    return dp_relay_faults_on(&l->pair->relay->faults, DP_RELAY_BLACKHOLE, l->way) != NULL;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* Read while there is room, and while bytes may come in at all: in a blackhole they wait where they are. */
static void read_or_not(struct lane *l)
{
    struct dp_relay_pair *pair = l->pair;
    bool wanted = (pair->state == PASSING || (pair->state == HALF && l->deaf)) && !l->over &&
                  !pair->gone[!l->way] && !holds(l) &&
                  l->waiting < pair->relay->options.buffer_bytes;
    if (wanted == l->reading) {
        return;
    }
    l->reading = wanted;
    if (!wanted) {
        (void)uv_read_stop(sender(l));
    } else if (uv_read_start(sender(l), on_alloc, on_read) != 0) {
        dp_relay_pair_end(pair, true);
    }
}

/* A piece that waits for its time. NULL: no memory, and the connection is reset. */
static struct piece *add_piece(struct lane *l, const char *bytes, size_t n)
{
    struct dp_relay *r = l->pair->relay;
    struct piece *p = malloc(sizeof *p + n);
    if (!p) {
        dp_relay_pair_end(l->pair, true);
        return NULL;
    }
    *p = (struct piece){.n = n, .left = n};
    p->due_ns = dp_relay_due(&r->faults, l->way, &l->pace, dp_clock_mono_ns(&dp_clock_system),
                             dp_random_next(&r->random));
    if (n > 0) {
        memcpy(p->bytes, bytes, n);
    }
    dp_list_push_back(&l->pieces, &p->node);
    l->waiting += n;
    return p;
}

static void add_end(struct lane *l, bool cut)
{
    struct piece *p = add_piece(l, NULL, 0);
    l->over = true;
    if (p) {
        p->end = true;
        p->cut = cut;
    }
}

static bool untouched(const struct lane *l)
{
    const struct dp_relay_faults *f = &l->pair->relay->faults;
    return dp_list_empty(&l->pieces) && !dp_relay_faults_on(f, DP_RELAY_LATENCY, l->way) &&
           !dp_relay_faults_on(f, DP_RELAY_BANDWIDTH, l->way) &&
           !dp_relay_faults_on(f, DP_RELAY_SLICE, l->way);
}

static void take(struct lane *l, const char *bytes, size_t n)
{
    struct dp_relay *r = l->pair->relay;
    const struct dp_relay_fault *cut = dp_relay_faults_on(&r->faults, DP_RELAY_CUT, l->way);
    bool too_long = cut && n > cut->bytes;
    if (too_long) {
        n = (size_t)cut->bytes;
        r->stats.cut++;
    }
    if (n > 0 && untouched(l)) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)n);
        int gone = uv_try_write(receiver(l), &buf, 1);
        if (gone > 0) {
            r->stats.bytes[l->way] += (uint64_t)gone;
            bytes += gone;
            n -= (size_t)gone;
        }
    }
    if (n > 0 && !add_piece(l, bytes, n)) {
        return;
    }
    if (too_long) {
        add_end(l, true);
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct lane *l = stream->data;
    struct dp_relay_pair *pair = l->pair;
    if (pair->state == CLOSED || n == 0) {
        return;
    }
    if (pair->state == HALF) {
        if (n < 0) {
            dp_relay_pair_end(pair, false);
        }
        return;
    }
    if (n > 0) {
        take(l, buf->base, (size_t)n);
    } else if (n == UV_EOF) {
        add_end(l, false);
    } else {
        dp_relay_pair_end(pair, true);
        return;
    }
    pump(l);
}

/* ---- passing on ---- */

static void on_time(uv_timer_t *timer)
{
    const struct lane *l = timer->data;
    dp_relay_pair_changed(l->pair);
}

/* When to look again, for both ways. */
static void wake_at(const struct lane *l, uint64_t at_ns, uint64_t now_ns)
{
    uv_timer_t *timer = &l->pair->timer;
    if (at_ns == UINT64_MAX) {
        return; /* until the faults change */
    }
    uint64_t ms = at_ns > now_ns ? (at_ns - now_ns + DP_NS_PER_MS - 1) / DP_NS_PER_MS : 0;
    if (!uv_is_active((uv_handle_t *)timer) || uv_timer_get_due_in(timer) > ms) {
        uv_update_time(timer->loop);
        (void)uv_timer_start(timer, on_time, ms, 0);
    }
}

/* The sender has ended and all of it has gone on. */
static void end_lane(struct lane *l, bool cut)
{
    struct dp_relay_pair *pair = l->pair;
    l->ended = true;
    if (cut || pair->lanes[!l->way].ended) {
        dp_relay_pair_end(pair, false);
    } else if (uv_shutdown(&l->shutdown, receiver(l), NULL) != 0) {
        dp_relay_pair_end(pair, true);
    }
}

static struct piece *first_of(const struct lane *l)
{
    return dp_list_empty(&l->pieces) ? NULL : DP_CONTAINER_OF(l->pieces.next, struct piece, node);
}

static void passed(struct lane *l, struct piece *p, size_t n)
{
    l->pair->relay->stats.bytes[l->way] += n;
    l->waiting -= n;
    p->left -= n;
    if (p->left == 0) {
        dp_list_remove(&p->node);
        free(p);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct lane *l = request->data;
    size_t n = l->writing;
    l->writing = 0;
    if (l->pair->state != PASSING) {
        return;
    }
    if (status != 0) {
        dp_relay_pair_end(l->pair, true);
        return;
    }
    passed(l, first_of(l), n);
    pump(l);
}

/* Send n bytes of the first piece. False: they are on their way, and the lane goes on when they have gone. */
static bool pass_on(struct lane *l, struct piece *p, size_t n)
{
    uv_buf_t buf = uv_buf_init(p->bytes + (p->n - p->left), (unsigned)n);
    int gone = uv_try_write(receiver(l), &buf, 1);
    if (gone == (int)n) {
        passed(l, p, n);
        return true;
    }
    if (gone > 0) {
        passed(l, p, (size_t)gone);
        buf.base += gone;
        buf.len -= (size_t)gone;
    }
    l->writing = buf.len;
    l->write.data = l;
    if (uv_write(&l->write, receiver(l), &buf, 1, on_written) != 0) {
        l->writing = 0;
        dp_relay_pair_end(l->pair, true);
    }
    return false;
}

/* All that is due and may leave. */
static void pump(struct lane *l)
{
    const struct dp_relay_faults *f = &l->pair->relay->faults;
    uint64_t now_ns = dp_clock_mono_ns(&dp_clock_system);
    struct piece *p;
    while (l->pair->state == PASSING && l->writing == 0 && (p = first_of(l)) != NULL) {
        uint64_t wake_ns = p->due_ns;
        size_t n = 0;
        if (p->due_ns <= now_ns) {
            n = dp_relay_may_leave(f, l->way, &l->pace, p->end ? 1 : p->left, now_ns, &wake_ns);
        }
        if (n == 0) {
            wake_at(l, wake_ns, now_ns);
            break;
        }
        if (p->end) {
            bool cut = p->cut;
            passed(l, p, 0);
            end_lane(l, cut);
            break;
        }
        dp_relay_left(f, l->way, &l->pace, n, now_ns);
        if (!pass_on(l, p, n)) {
            break;
        }
    }
    if (l->pair->state != CLOSED) {
        read_or_not(l);
    }
}

/* ---- the beginning ---- */

static void on_connected(uv_connect_t *request, int status)
{
    struct dp_relay_pair *pair = request->data;
    if (pair->state != DIALING) {
        return;
    }
    if (status != 0) {
        pair->relay->stats.unreached++;
        dp_relay_pair_end(pair, true);
        return;
    }
    pair->state = PASSING;
    (void)uv_tcp_nodelay(&pair->ends[DP_RELAY_TO_SERVER], 1);
    dp_relay_pair_changed(pair);
}

static void dial(struct dp_relay_pair *pair)
{
    const struct dp_addr *to = &pair->relay->options.to;
    struct sockaddr_storage address;
    int r = strchr(to->ip, ':') ? uv_ip6_addr(to->ip, to->port, (struct sockaddr_in6 *)&address)
                                : uv_ip4_addr(to->ip, to->port, (struct sockaddr_in *)&address);
    pair->state = DIALING;
    pair->connect.data = pair;
    if (r != 0 || uv_tcp_connect(&pair->connect, &pair->ends[DP_RELAY_TO_SERVER],
                                 (const struct sockaddr *)&address, on_connected) != 0) {
        pair->relay->stats.unreached++;
        dp_relay_pair_end(pair, true);
    }
}

void dp_relay_pair_changed(struct dp_relay_pair *pair)
{
    switch (pair->state) {
    case WAITING:
        if (!holds(&pair->lanes[0]) && !holds(&pair->lanes[1])) {
            dial(pair);
        }
        break;
    case PASSING:
    case HALF:
        for (unsigned way = 0; way < DP_RELAY_WAYS && pair->state != CLOSED; way++) {
            pump(&pair->lanes[way]);
        }
        break;
    case DIALING:
    case CLOSED:
        break;
    }
}

void dp_relay_pair_take(struct dp_relay *r, int fd)
{
    struct dp_relay_pair *pair = calloc(1, sizeof *pair);
    if (!pair) {
        (void)close(fd);
        return;
    }
    pair->relay = r;
    pair->open = DP_RELAY_WAYS + 1;
    for (unsigned way = 0; way < DP_RELAY_WAYS; way++) {
        struct lane *l = &pair->lanes[way];
        l->pair = pair;
        l->way = (enum dp_relay_way)way;
        dp_list_init(&l->pieces);
        (void)uv_tcp_init(r->loop, &pair->ends[way]); /* cannot fail: it makes no socket */
        pair->ends[way].data = &pair->lanes[!way];    /* what comes from there */
    }
    (void)uv_timer_init(r->loop, &pair->timer); /* cannot fail */
    pair->timer.data = &pair->lanes[0];
    dp_list_push_back(&r->pairs, &pair->node);
    r->stats.open++;
    r->stats.taken++;
    if (uv_tcp_open(&pair->ends[DP_RELAY_TO_CLIENT], fd) != 0) {
        (void)close(fd);
        dp_relay_pair_end(pair, false);
        return;
    }
    (void)uv_tcp_nodelay(&pair->ends[DP_RELAY_TO_CLIENT], 1);
    if (r->faults.on[DP_RELAY_RESET] || r->stats.open > r->options.max_connections) {
        r->stats.reset++;
        dp_relay_pair_end(pair, true);
        return;
    }
    dp_relay_pair_changed(pair);
}
