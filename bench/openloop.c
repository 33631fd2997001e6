/* An open-loop load generator: requests are due at a fixed rate, whether or not earlier ones were
 * answered, and each one's latency counts from the moment it was due. So a server that stalls is
 * charged for every request that had to wait meanwhile (a closed loop would just ask less often).
 *
 *   timer ──► due ──► free connection? ── yes ──► sent ──whole answer──► counted, connection free
 *                          └── no: waits in line, oldest first, its clock runs
 *
 * All requests are alike, so the line is two numbers: requests with numbers from `taken` to `due - 1`
 * wait, and number k was due at start + k * period.
 *
 * A request fails by its status (400 and above), because its connection ended, by --timeout, or by
 * never finding a free connection. Failed ones have no latency. A connection that ended is opened again
 * after RETRY_MS. What was due in the first --warmup seconds is not counted at all.
 *
 * One thread. The timer is a timerfd: libuv's own timers are as coarse as a millisecond. With --tick-us it
 * fires that seldom and what became due meanwhile is sent at once: it costs less, and the wait is counted. */
#include "histogram.h"
#include "loopback.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <llhttp.h>

#define BUFFER_SIZE ((size_t)262144)
#define NS_PER_S    UINT64_C(1000000000)
#define SWEEP_MS    50 /* how often timeouts, lost connections and the end are looked for */
#define RETRY_MS    100
#define HEAD_BYTES  16384

enum state { CLOSED, CONNECTING, FREE, BUSY };

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    llhttp_t parser;
    struct client *next; /* in the line of free ones */
    enum state state;
    uint64_t number;    /* BUSY: which request */
    uint64_t expires;   /* BUSY: when it fails. CLOSED: when to connect again */
    bool close_pending; /* uv_close was called and its callback has not come */
};

enum failure { FAILED_STATUS, FAILED_CLOSED, FAILED_TIMEOUT, FAILED_UNSENT, FAILURES };
static const char *const failure_names[FAILURES] = {"status", "closed", "timeout", "unsent"};

static struct {
    double rate, seconds, warmup, timeout, tick_us;
    unsigned connections;
    const char *method, *target;
    size_t body_bytes;
    struct sockaddr_in address;
    char authority[64];
    char fields[HEAD_BYTES]; /* further head lines */
} options = {
    .rate = 1000, .seconds = 5, .warmup = 1, .timeout = 10, .connections = 64, .method = "GET"};

static struct {
    uv_loop_t *loop;
    uv_poll_t ticker;
    uv_timer_t sweeper;
    int timer_fd;
    uv_buf_t request;
    struct client *clients;
    struct client *first_free, *last_free;
    unsigned standing; /* connections that stand */
    bool started;
    uint64_t give_up;                          /* when to wait no longer for connections */
    uint64_t start, period_ns, skipped, total; /* requests 0 .. skipped-1 are the warm-up */
    uint64_t due, taken, finished;
    uint64_t failed[FAILURES];
    struct histogram latency;
    struct histogram lag; /* from due to sent */
} run;

static char buffer[BUFFER_SIZE];
static llhttp_settings_t settings;

/* ---- requests ---- */

static uint64_t due_at(uint64_t number)
{
    return run.start + number * run.period_ns;
}

static uint64_t timeout_ns(void)
{
    return (uint64_t)(options.timeout * (double)NS_PER_S);
}

static bool counts(uint64_t number)
{
    return number >= run.skipped;
}

static void fail(uint64_t number, enum failure how)
{
    run.finished++;
    if (counts(number))
        run.failed[how]++;
}

static void set_free(struct client *c)
{
    c->state = FREE;
    c->next = NULL;
    if (run.first_free)
        run.last_free->next = c;
    else
        run.first_free = c;
    run.last_free = c;
}

static void leave_free(const struct client *c)
{
    struct client **at = &run.first_free, *before = NULL;
    while (*at != c) {
        before = *at;
        at = &before->next;
    }
    *at = c->next;
    if (run.last_free == c)
        run.last_free = before;
}

static void lose(struct client *c, enum failure how);

static void on_sent(uv_write_t *write, int status)
{
    struct client *c = write->data;
    if (status < 0 && status != UV_ECANCELED)
        lose(c, FAILED_CLOSED);
}

static void send_request(struct client *c)
{
    uint64_t now = uv_hrtime();
    uv_buf_t rest = run.request;
    c->state = BUSY;
    c->number = run.taken++;
    c->expires = now + timeout_ns();
    if (counts(c->number))
        histogram_add(&run.lag, now - due_at(c->number));
    int written = uv_try_write((uv_stream_t *)&c->tcp, &rest, 1);
    if (written == UV_EAGAIN)
        written = 0;
    if (written < 0) {
        lose(c, FAILED_CLOSED);
        return;
    }
    rest.base += written;
    rest.len -= (size_t)written;
    c->write.data = c;
    if (rest.len > 0 && uv_write(&c->write, (uv_stream_t *)&c->tcp, &rest, 1, on_sent) != 0)
        lose(c, FAILED_CLOSED);
}

static void send_due(void)
{
    while (run.taken < run.due && run.first_free) {
        struct client *c = run.first_free;
        run.first_free = c->next;
        send_request(c);
    }
}

static int on_whole(llhttp_t *parser)
{
    struct client *c = parser->data;
    if (parser->status_code < 200) /* interim */
        return 0;
    if (c->state != BUSY)
        return -1; /* an answer that nobody asked for */
    if (parser->status_code >= 400) {
        fail(c->number, FAILED_STATUS);
    } else {
        run.finished++;
        if (counts(c->number))
            histogram_add(&run.latency, uv_hrtime() - due_at(c->number));
    }
    if (llhttp_should_keep_alive(parser))
        set_free(c);
    else
        c->state = CONNECTING; /* its end follows */
    return 0;
}

/* ---- connections ---- */

static void on_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    c->close_pending = false;
}

/* The connection is of no more use; so is what it was doing. */
static void lose(struct client *c, enum failure how)
{
    if (c->state == CLOSED)
        return;
    if (c->state == BUSY)
        fail(c->number, how);
    else if (c->state == FREE)
        leave_free(c);
    c->state = CLOSED;
    c->expires = uv_hrtime() + RETRY_MS * (NS_PER_S / 1000);
    c->close_pending = true;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(buffer, BUFFER_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct client *c = stream->data;
    if (size > 0 && llhttp_execute(&c->parser, buf->base, (size_t)size) == HPE_OK) {
        send_due();
        return;
    }
    if (size < 0 && c->state == BUSY)
        (void)llhttp_finish(&c->parser); /* a body that ends with its connection */
    if (size != 0)
        lose(c, FAILED_CLOSED);
}

static void start(void);

static void on_connected(uv_connect_t *connect, int status)
{
    struct client *c = connect->data;
    if (c->state != CONNECTING)
        return;
    if (status < 0 || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        lose(c, FAILED_CLOSED);
        return;
    }
    run.standing++;
    set_free(c);
    if (!run.started && run.standing == options.connections)
        start();
    send_due();
}

static void open_client(struct client *c)
{
    must(uv_tcp_init(run.loop, &c->tcp), "uv_tcp_init");
    c->tcp.data = c;
    c->connect.data = c;
    c->state = CONNECTING;
    llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
    c->parser.data = c;
    if (uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&options.address,
                       on_connected) != 0)
        lose(c, FAILED_CLOSED);
    else
        (void)uv_tcp_nodelay(&c->tcp, 1);
}

/* ---- time ---- */

static void on_tick(uv_poll_t *poll, int status, int events)
{
    uint64_t times;
    (void)poll;
    (void)events;
    must(status, "timer");
    if (read(run.timer_fd, &times, sizeof times) < 0 && errno != EAGAIN)
        must(uv_translate_sys_error(errno), "timer");
    uint64_t passed = (uv_hrtime() - run.start) / run.period_ns + 1;
    run.due = passed < run.total ? passed : run.total;
    send_due();
}

static void start(void)
{
    struct itimerspec every = {0};
    run.started = true;
    uint64_t tick_ns = (uint64_t)(options.tick_us * 1000);
    if (tick_ns < run.period_ns)
        tick_ns = run.period_ns;
    every.it_interval.tv_sec = (time_t)(tick_ns / NS_PER_S);
    every.it_interval.tv_nsec = (long)(tick_ns % NS_PER_S);
    every.it_value = every.it_interval;
    run.start = uv_hrtime() + run.period_ns;
    if (timerfd_settime(run.timer_fd, 0, &every, NULL) != 0)
        must(uv_translate_sys_error(errno), "timer");
    must(uv_poll_start(&run.ticker, UV_READABLE, on_tick), "timer");
}

static void on_sweep(uv_timer_t *timer)
{
    uint64_t now = uv_hrtime();
    (void)timer;
    for (unsigned i = 0; i < options.connections; i++) {
        struct client *c = &run.clients[i];
        if (c->state == BUSY && c->expires <= now)
            lose(c, FAILED_TIMEOUT);
        else if (c->state == CLOSED && c->expires <= now && !c->close_pending)
            open_client(c);
    }
    if (!run.started) {
        if (now > run.give_up)
            must(UV_ETIMEDOUT, "connecting");
        return;
    }
    uint64_t end = due_at(run.total) + timeout_ns();
    if (run.due == run.total && (run.finished == run.total || now > end))
        uv_stop(run.loop);
}

/* ---- the program ---- */

static void report(void)
{
    uint64_t unfinished = run.total - run.finished;
    run.failed[FAILED_UNSENT] += unfinished;
    printf("{\"rate\": %.1f, \"seconds\": %g, \"requests\": %" PRIu64 ", \"answered\": %" PRIu64
           ", \"failed\": {",
           options.rate, options.seconds, run.total - run.skipped, run.latency.count);
    for (int i = 0; i < FAILURES; i++)
        printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", failure_names[i], run.failed[i]);
    static const double percents[] = {50, 90, 99, 99.9, 100};
    printf("}, \"mean_us\": %.1f", histogram_mean(&run.latency) / 1e3);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        printf(", \"p%g_us\": %.1f", percents[i],
               (double)histogram_percentile(&run.latency, percents[i]) / 1e3);
    printf(", \"lag_p99_us\": %.1f}\n", (double)histogram_percentile(&run.lag, 99) / 1e3);
}

static int usage(void)
{
    (void)fprintf(
        stderr,
        "usage: bench_openloop [option]... http://ADDRESS:PORT/TARGET (a numeric IPv4 address)\n"
        "  --rate N         requests a second (1000)\n"
        "  --seconds S      how long to count (5)\n"
        "  --warmup S       how long before that (1)\n"
        "  --connections N  kept alive, used in turn (64)\n"
        "  --timeout S      for an answer (10)\n"
        "  --tick-us N      send what is due this often at most (0: each when it is due)\n"
        "  --method M       (GET)\n"
        "  --body-bytes N   of the request (0)\n"
        "  --header 'N: V'  any number\n"
        "Prints one line of JSON; latencies in microseconds, from when a request was due.\n");
    return 2;
}

static bool parse_url(const char *url)
{
    static const char scheme[] = "http://";
    char ip[32];
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return false;
    url += sizeof scheme - 1;
    const char *slash = strchr(url, '/');
    const char *colon = strchr(url, ':');
    options.target = slash ? slash : "/";
    size_t whole = slash ? (size_t)(slash - url) : strlen(url);
    size_t n = colon ? (size_t)(colon - url) : whole;
    if (n >= sizeof ip || whole >= sizeof options.authority || n > whole)
        return false;
    memcpy(options.authority, url, whole);
    memcpy(ip, url, n);
    ip[n] = '\0';
    long port = colon ? strtol(colon + 1, NULL, 10) : 80;
    return port > 0 && port < 65536 && uv_ip4_addr(ip, (int)port, &options.address) == 0;
}

static bool add_field(const char *line)
{
    size_t have = strlen(options.fields);
    int n = snprintf(options.fields + have, sizeof options.fields - have, "%s\r\n", line);
    return n > 0 && (size_t)n < sizeof options.fields - have;
}

static bool parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"rate", required_argument, NULL, 'r'},       {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},     {"connections", required_argument, NULL, 'c'},
        {"timeout", required_argument, NULL, 't'},    {"method", required_argument, NULL, 'm'},
        {"body-bytes", required_argument, NULL, 'b'}, {"header", required_argument, NULL, 'h'},
        {"tick-us", required_argument, NULL, 'k'},    {NULL, 0, NULL, 0}};
    int which;
    while ((which = getopt_long(argc, argv, "", known, NULL)) != -1) {
        double number = optarg ? strtod(optarg, NULL) : 0;
        switch (which) {
        case 'r':
            options.rate = number;
            break;
        case 's':
            options.seconds = number;
            break;
        case 'w':
            options.warmup = number;
            break;
        case 'c':
            options.connections = number >= 1 && number <= 1e6 ? (unsigned)number : 0;
            break;
        case 't':
            options.timeout = number;
            break;
        case 'k':
            options.tick_us = number;
            break;
        case 'm':
            options.method = optarg;
            break;
        case 'b':
            options.body_bytes = number > 0 ? (size_t)number : 0;
            break;
        case 'h':
            if (!add_field(optarg))
                return false;
            break;
        default:
            return false;
        }
    }
    return optind + 1 == argc && parse_url(argv[optind]) && options.rate > 0 &&
           options.rate <= 1e6 && options.seconds > 0 && options.warmup >= 0 &&
           options.timeout > 0 && options.tick_us >= 0 && options.tick_us <= 1e6 &&
           options.connections > 0;
}

static void make_request(void)
{
    static char length[64];
    if (options.body_bytes > 0)
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", options.body_bytes);
    char head[2 * HEAD_BYTES];
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", options.method,
                     options.target, options.authority, options.fields, length);
    if (n < 0 || (size_t)n >= sizeof head)
        must(UV_E2BIG, "the request");
    run.request.len = (size_t)n + options.body_bytes;
    run.request.base = malloc(run.request.len);
    if (!run.request.base)
        must(UV_ENOMEM, "the request");
    memcpy(run.request.base, head, (size_t)n);
    memset(run.request.base + n, 'x', options.body_bytes);
}

int main(int argc, char **argv)
{
    if (!parse_options(argc, argv))
        return usage();
    ignore_broken_pipes();
    make_request();
    run.period_ns = (uint64_t)((double)NS_PER_S / options.rate);
    run.skipped = (uint64_t)(options.warmup * options.rate);
    run.total = run.skipped + (uint64_t)(options.seconds * options.rate);
    run.loop = uv_default_loop();
    run.give_up = uv_hrtime() + timeout_ns();
    run.clients = calloc(options.connections, sizeof *run.clients);
    run.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!run.clients || run.timer_fd < 0)
        must(UV_ENOMEM, "start");
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* wake when due, not up to 50 us later */
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_whole;
    must(uv_poll_init(run.loop, &run.ticker, run.timer_fd), "timer");
    must(uv_timer_init(run.loop, &run.sweeper), "timer");
    must(uv_timer_start(&run.sweeper, on_sweep, SWEEP_MS, SWEEP_MS), "timer");
    for (unsigned i = 0; i < options.connections; i++)
        open_client(&run.clients[i]);
    must(uv_run(run.loop, UV_RUN_DEFAULT) < 0 ? UV_EIO : 0, "loop");
    report();
    return 0;
}
