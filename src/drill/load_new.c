/* Making and ending a load: its configuration, copied and judged; where it connects to; its memory. */
#include "davenport/net/lookup.h"

#include "drill/load_private.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define FREE_CHUNKS 16

const char *dp_load_kind_name(enum dp_load_kind kind)
{
    static const char *const names[] = {
#define KIND_NAME(ID, name) name,
        DP_LOAD_KIND_TABLE(KIND_NAME)
#undef KIND_NAME
    };
    return names[kind];
}

bool dp_load_kind_find(const char *name, enum dp_load_kind *out)
{
    for (unsigned i = 0; i < DP_LOAD_TARGET; i++) {
        if (strcmp(dp_load_kind_name((enum dp_load_kind)i), name) == 0) {
            *out = (enum dp_load_kind)i;
            return true;
        }
    }
    return false;
}

const char *dp_load_failure_name(enum dp_load_failure failure)
{
    static const char *const names[] = {
#define FAILURE_NAME(ID, name) name,
        DP_LOAD_FAILURE_TABLE(FAILURE_NAME)
#undef FAILURE_NAME
    };
    return names[failure];
}

void dp_load_config_init(struct dp_load_config *c)
{
    *c = (struct dp_load_config){
        .connections = 64,
        .timeout_ms = 10000,
        .tick_us = 200,
        .documents = 500,
        .document_bytes = 256,
        .attachment_bytes = 4096,
        .region_header = "Davenport-Region",
    };
}

/* ---- the configuration ---- */

static enum dp_err refuse(char why[DP_LOAD_WHY], const char *fmt, ...) DP_PRINTF(2, 3);
static enum dp_err refuse(char why[DP_LOAD_WHY], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, DP_LOAD_WHY, fmt, args);
    va_end(args);
    return DP_EINVAL;
}

static enum dp_err check_stages(const struct dp_load_config *c, char why[DP_LOAD_WHY])
{
    double seconds = c->warmup_s;
    double requests = 0;
    if (c->n_stages < 1 || c->n_stages > DP_LOAD_STAGES) {
        return refuse(why, "a load has 1 to %d stages", DP_LOAD_STAGES);
    }
    for (size_t i = 0; i < c->n_stages; i++) {
        const struct dp_load_stage *s = &c->stages[i];
        if (!(s->from >= 0 && s->from <= DP_LOAD_MAX_RATE && s->to >= 0 &&
              s->to <= DP_LOAD_MAX_RATE)) {
            return refuse(why, "a rate is 0 to %.0f requests a second", DP_LOAD_MAX_RATE);
        }
        if (!(s->seconds > 0 && s->seconds <= DP_LOAD_MAX_SECONDS)) {
            return refuse(why, "a stage takes more than 0 and at most %.0f seconds",
                          DP_LOAD_MAX_SECONDS);
        }
        seconds += s->seconds;
        requests += (s->from + s->to) / 2 * s->seconds;
    }
    if (!(c->warmup_s >= 0 && seconds <= DP_LOAD_MAX_SECONDS)) {
        return refuse(why, "a load takes at most %.0f seconds", DP_LOAD_MAX_SECONDS);
    }
    return requests < 1 ? refuse(why, "no request is due in any stage") : DP_OK;
}

static enum dp_err check_database(const struct dp_load_config *c, const struct dp_ledger *ledger,
                                  char why[DP_LOAD_WHY])
{
    unsigned weights = 0;
    for (unsigned i = 0; i < DP_LOAD_KINDS; i++) {
        if (c->weights[i] > 1000000) {
            return refuse(why, "a weight is at most 1000000");
        }
        weights += c->weights[i];
    }
    if (!c->database || !*c->database || strpbrk(c->database, "/?# \r\n")) {
        return refuse(why, "the database's name is written as in a path");
    }
    if (weights == 0 || c->weights[DP_LOAD_TARGET] > 0) {
        return refuse(why, "no kind of request has a weight");
    }
    if (!ledger) {
        return refuse(why, "writes need a ledger");
    }
    if (c->documents <= c->connections || c->documents > DP_LOAD_MAX_DOCUMENTS) {
        return refuse(why, "there must be more documents than connections (%u), and at most %d",
                      c->connections, DP_LOAD_MAX_DOCUMENTS);
    }
    if (c->document_bytes > DP_LOAD_MAX_BYTES || c->attachment_bytes > DP_LOAD_MAX_BYTES) {
        return refuse(why, "a body has at most %d bytes", DP_LOAD_MAX_BYTES);
    }
    if (c->longpoll > DP_LOAD_MAX_FOLLOWERS || c->continuous > DP_LOAD_MAX_FOLLOWERS) {
        return refuse(why, "there are at most %d followers of a sort", DP_LOAD_MAX_FOLLOWERS);
    }
    return DP_OK;
}

static enum dp_err check_target(const struct dp_load_config *c, char why[DP_LOAD_WHY])
{
    if (*c->target != '/' || strpbrk(c->target, " \r\n#")) {
        return refuse(why, "a target begins with / and has no blanks");
    }
    if (c->method && (!*c->method || strlen(c->method) > 32 || strpbrk(c->method, " \r\n"))) {
        return refuse(why, "the method is none");
    }
    if (c->body_bytes > DP_LOAD_MAX_BYTES) {
        return refuse(why, "a body has at most %d bytes", DP_LOAD_MAX_BYTES);
    }
    if (c->longpoll > 0 || c->continuous > 0) {
        return refuse(why, "followers need a database");
    }
    return DP_OK;
}

static enum dp_err check(const struct dp_load_config *c, const struct dp_ledger *ledger,
                         char why[DP_LOAD_WHY])
{
    enum dp_err err = check_stages(c, why);
    if (err != DP_OK) {
        return err;
    }
    if (c->connections < 1 || c->connections > DP_LOAD_MAX_CONNECTIONS) {
        return refuse(why, "there are 1 to %d connections", DP_LOAD_MAX_CONNECTIONS);
    }
    if (c->timeout_ms < 1 || c->timeout_ms > DP_LOAD_MAX_TIMEOUT_MS) {
        return refuse(why, "a timeout is 1 to %d ms", DP_LOAD_MAX_TIMEOUT_MS);
    }
    if (c->tick_us < 1 || c->tick_us > 1000000) {
        return refuse(why, "a tick is 1 to 1000000 us");
    }
    if ((c->username && (strchr(c->username, ':') || strlen(c->username) > 512)) ||
        (c->password && strlen(c->password) > 512)) {
        return refuse(
            why, "a user's name has no colon, and neither it nor a password more than 512 bytes");
    }
    if (c->region_header && strlen(c->region_header) >= DP_ANSWER_NAME) {
        return refuse(why, "the name of the region's header is too long");
    }
    return c->target ? check_target(c, why) : check_database(c, ledger, why);
}

/* A copy that the load owns. */
static bool own(struct dp_load *load, const char **text)
{
    if (!*text) {
        return true;
    }
    assert(load->n_owned < DP_ARRAY_LEN(load->owned));
    char *copy = strdup(*text);
    load->owned[load->n_owned++] = copy;
    *text = copy;
    return copy != NULL;
}

static bool own_config(struct dp_load *load, const struct dp_load_config *config)
{
    struct dp_load_config *c = &load->config;
    *c = *config;
    if (!own(load, &c->url) || !own(load, &c->unix_path) || !own(load, &c->username) ||
        !own(load, &c->password) || !own(load, &c->ca_file) || !own(load, &c->region_header) ||
        !own(load, &c->target) || !own(load, &c->method) || !own(load, &c->fields) ||
        !own(load, &c->database)) {
        return false;
    }
    c->stages = NULL; /* they are in the schedule */
    for (char *p = (char *)(uintptr_t)c->region_header; p && *p; p++) {
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    }
    load->links.field = c->region_header;
    load->links.unix_path = c->unix_path;
    return true;
}

/* ---- where to ---- */

struct place {
    bool tls;
    char host[256];
    char authority[300]; /* for Host */
    char port[6];
    const char *base; /* "" or "/couch", no slash at its end; within the url */
    size_t base_n;
};

static enum dp_err read_url(const char *url, struct place *out, char why[DP_LOAD_WHY])
{
    *out = (struct place){.tls = strncasecmp(url, "https://", 8) == 0};
    if (!out->tls && strncasecmp(url, "http://", 7) != 0) {
        return refuse(why, "%.100s: a url begins with http:// or https://", url);
    }
    const char *from = url + (out->tls ? 8 : 7);
    size_t n = strcspn(from, "/?#");
    const char *end = from + n;
    const char *host_end = *from == '[' ? memchr(from, ']', n) : memchr(from, ':', n);
    if (memchr(from, '@', n)) {
        return refuse(why, "%.10s…: a user's name and password are options of their own", url);
    }
    if (*from == '[' && !host_end) {
        return refuse(why, "%.100s: ] is missing", url);
    }
    const char *host = *from == '[' ? from + 1 : from;
    host_end = host_end ? host_end : end;
    const char *port = *from == '[' ? host_end + 1 : host_end;
    size_t host_n = (size_t)(host_end - host);
    size_t port_n = port < end ? (size_t)(end - port) - 1 : 0;
    if (host_n == 0 || host_n >= sizeof(out->host) || n >= sizeof(out->authority)) {
        return refuse(why, "%.100s: the host is missing or too long", url);
    }
    uint64_t number = out->tls ? 443 : 80;
    if (port < end && (*port != ':' || port_n >= sizeof(out->port) ||
                       !dp_span_u64((struct dp_span){port + 1, port_n}, &number) || number == 0 ||
                       number > 65535)) {
        return refuse(why, "%.100s: a port is 1 to 65535", url);
    }
    if (strpbrk(end, "?# \r\n")) {
        return refuse(why, "%.100s: a path without a query belongs here", url);
    }
    memcpy(out->host, host, host_n);
    memcpy(out->authority, from, n);
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    out->base = end;
    out->base_n = strlen(end);
    while (out->base_n > 0 && out->base[out->base_n - 1] == '/') {
        out->base_n--;
    }
    return DP_OK;
}

static enum dp_err look_up(struct dp_load *load, const struct place *place, char why[DP_LOAD_WHY])
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (load->config.unix_path) {
        return DP_OK;
    }
    int e = getaddrinfo(place->host, place->port, &hints, &list);
    if (e != 0) {
        (void)snprintf(why, DP_LOAD_WHY, "%.100s: %s", place->host, gai_strerror(e));
        return DP_ERESOLVE;
    }
    dp_lookup_collect(list, (uint16_t)strtoul(place->port, NULL, 10), &load->links.addrs);
    freeaddrinfo(list);
    if (load->links.addrs.n == 0) {
        (void)snprintf(why, DP_LOAD_WHY, "%.100s has no address", place->host);
        return DP_ERESOLVE;
    }
    return DP_OK;
}

static enum dp_err prepare_tls(struct dp_load *load, const struct place *place,
                               char why[DP_LOAD_WHY])
{
    const struct dp_tls_client_config config = {.server_name = place->host,
                                                .ca_file = load->config.ca_file,
                                                .insecure = load->config.insecure};
    return place->tls ? dp_tls_client_new(&config, &load->links.tls, why, DP_LOAD_WHY) : DP_OK;
}

/* ---- its memory ---- */

static void free_load(struct dp_load *load)
{
    for (unsigned i = 0; load->clients && i < load->config.connections; i++) {
        free(load->clients[i].body);
    }
    for (unsigned i = 0; i < load->n_followers; i++) {
        dp_follow_fini(&load->followers[i]);
    }
    if (load->links.net.chunks) {
        dp_chunk_pool_fini(&load->links.chunks);
    }
    if (load->timer_fd >= 0) {
        (void)close(load->timer_fd);
    }
    for (unsigned i = 0; i < load->n_owned; i++) {
        if (load->owned[i]) {
            explicit_bzero(load->owned[i], strlen(load->owned[i]));
        }
        free(load->owned[i]);
    }
    dp_tls_unref(load->links.tls);
    dp_work_destroy(load->work);
    dp_tally_destroy(load->tally);
    free(load->clients);
    free(load->followers);
    free(load->rows);
    free(load->links.net.scratch);
    free(load);
}

static void maybe_free(struct dp_load *load)
{
    if (load->dying && load->handles == 0 && load->links.streams == 0) {
        void (*closed)(void *) = load->closed;
        void *ctx = load->closed_ctx;
        free_load(load);
        if (closed) {
            closed(ctx);
        }
    }
}

static void on_stream_closed(struct dp_link_net *shared)
{
    maybe_free(DP_CONTAINER_OF(shared, struct dp_load, links));
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct dp_load *load = handle->data;
    load->handles--;
    maybe_free(load);
}

static double plan(struct dp_load *load, const struct dp_load_config *c)
{
    struct dp_load_stage stages[DP_LOAD_STAGES + 1];
    struct dp_schedule counted;
    size_t n = 0;
    if (c->warmup_s > 0) {
        stages[n++] = (struct dp_load_stage){c->stages[0].from, c->stages[0].from, c->warmup_s};
    }
    memcpy(stages + n, c->stages, c->n_stages * sizeof(*stages));
    dp_schedule_init(&load->schedule, stages, n + c->n_stages);
    load->skipped = (uint64_t)ceil(c->stages[0].from * c->warmup_s - 1e-6);
    dp_schedule_init(&counted, c->stages, c->n_stages);
    return counted.seconds;
}

static enum dp_err make_memory(struct dp_load *load, const struct place *place, double seconds)
{
    struct dp_load_config *c = &load->config;
    struct dp_link_net *links = &load->links;
    size_t chunks = (dp_work_request_bytes(c) / DP_CHUNK_BYTES + 2) *
                    (c->connections + c->longpoll + c->continuous);
    char base[512];
    if (place->base_n >= sizeof(base)) {
        return DP_EINVAL;
    }
    memcpy(base, place->base, place->base_n);
    base[place->base_n] = '\0';
    dp_chunk_pool_init(&links->chunks, chunks, FREE_CHUNKS);
    links->net = (struct dp_net){load->loop, &links->chunks, malloc(DP_READ_BYTES)};
    links->closed = on_stream_closed;
    load->work = dp_work_new(c, place->authority, base, load->ledger);
    load->tally = dp_tally_new(seconds, c->timeout_ms);
    load->rows = calloc((size_t)seconds + 2, sizeof(*load->rows));
    load->clients = calloc(c->connections, sizeof(*load->clients));
    load->followers = calloc(c->longpoll + c->continuous + 1, sizeof(*load->followers));
    if (!links->net.scratch || !load->work || !load->tally || !load->rows || !load->clients ||
        !load->followers) {
        return DP_ENOMEM;
    }
    for (unsigned i = 0; i < c->connections; i++) {
        load->clients[i].load = load;
        dp_list_init(&load->clients[i].node);
        dp_link_init(&load->clients[i].link, links, &dp_load_link_events);
        load->clients[i].link.answer.no_body = c->method && strcasecmp(c->method, "HEAD") == 0;
    }
    for (; load->n_followers < c->longpoll + c->continuous; load->n_followers++) {
        enum dp_err err =
            dp_follow_init(&load->followers[load->n_followers], load->n_followers >= c->longpoll,
                           links, load->work, load->ledger);
        if (err != DP_OK) {
            return err;
        }
    }
    return DP_OK;
}

static enum dp_err make_clocks(struct dp_load *load, char why[DP_LOAD_WHY])
{
    load->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load->timer_fd < 0) {
        (void)snprintf(why, DP_LOAD_WHY, "no timer: %s", strerror(errno));
        return DP_EIO;
    }
    int e = uv_timer_init(load->loop, &load->sweeper); /* can't fail */
    load->sweeper.data = load->ticker.data = load;
    load->handles++;
    e = e == 0 ? uv_poll_init(load->loop, &load->ticker, load->timer_fd) : e;
    if (e != 0) {
        (void)snprintf(why, DP_LOAD_WHY, "no timer: %s", uv_strerror(e));
        return DP_EIO;
    }
    load->handles++;
    return DP_OK;
}

enum dp_err dp_load_new(uv_loop_t *loop, const struct dp_load_config *config,
                        struct dp_ledger *ledger, const struct dp_load_events *events, void *ctx,
                        struct dp_load **out, char why[DP_LOAD_WHY])
{
    struct place place;
    why[0] = '\0';
    enum dp_err err = check(config, ledger, why);
    if (err == DP_OK) {
        err = read_url(config->url, &place, why);
    }
    if (err != DP_OK) {
        return err;
    }
    struct dp_load *load = calloc(1, sizeof(*load));
    if (!load) {
        (void)snprintf(why, DP_LOAD_WHY, "%s", dp_err_info(DP_ENOMEM)->reason);
        return DP_ENOMEM;
    }
    load->loop = loop;
    load->ledger = config->target ? NULL : ledger;
    load->events = *events;
    load->ctx = ctx;
    load->timer_fd = -1;
    load->origin_ns = config->origin_ns;
    dp_list_init(&load->free);
    double seconds = plan(load, config);
    err = own_config(load, config) ? DP_OK : DP_ENOMEM;
    if (err == DP_OK) {
        err = look_up(load, &place, why);
    }
    if (err == DP_OK) {
        err = prepare_tls(load, &place, why);
    }
    if (err == DP_OK) {
        err = make_memory(load, &place, seconds);
    }
    if (err == DP_OK) {
        err = make_clocks(load, why);
    }
    if (err == DP_OK) {
        *out = load;
        return DP_OK;
    }
    if (!*why) {
        (void)snprintf(why, DP_LOAD_WHY, "%s", dp_err_info(err)->reason);
    }
    if (load->handles > 0) {
        dp_load_destroy(load, NULL, NULL);
    } else {
        free_load(load);
    }
    return err;
}

void dp_load_start(struct dp_load *load)
{
    uint64_t now_ns = uv_hrtime();
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* wake when due, not up to 50 us later */
    load->phase = DP_PHASE_CONNECTING;
    load->phase_ns = load->seen_ns = now_ns;
    load->second_ns = now_ns + DP_NS_PER_S;
    load->origin_ns = load->origin_ns > 0 ? load->origin_ns : now_ns;
    (void)uv_timer_start(&load->sweeper, dp_load_on_sweep, 0, DP_LOAD_SWEEP_MS);
    (void)uv_poll_start(&load->ticker, UV_READABLE, dp_load_on_tick);
}

void dp_load_stop(struct dp_load *load, bool at_once)
{
    load->stop = true;
    load->stop_at_once = load->stop_at_once || at_once;
}

void dp_load_destroy(struct dp_load *load, void (*closed)(void *ctx), void *ctx)
{
    load->closed = closed;
    load->closed_ctx = ctx;
    for (unsigned i = 0; load->clients && i < load->config.connections; i++) {
        dp_link_drop(&load->clients[i].link, 0);
    }
    for (unsigned i = 0; i < load->n_followers; i++) {
        dp_link_drop(&load->followers[i].link, 0);
    }
    uv_close((uv_handle_t *)&load->sweeper, on_handle_closed);
    if (load->handles > 1) {
        uv_close((uv_handle_t *)&load->ticker, on_handle_closed);
    }
    load->dying = true;
}

const struct dp_histogram *dp_load_latency(const struct dp_load *load, enum dp_load_kind kind)
{
    static const struct dp_histogram none;
    const struct dp_tally_kind *k = dp_tally_kind(load->tally, kind);
    return k ? &k->latency : &none;
}

const struct dp_histogram *dp_load_lag(const struct dp_load *load)
{
    return &load->lag;
}

const char *dp_load_region(const struct dp_load *load, unsigned i)
{
    return dp_tally_region(load->tally, i);
}

size_t dp_load_bytes(const struct dp_load *load)
{
    const struct dp_load_config *c = &load->config;
    return sizeof(*load) + dp_tally_bytes(load->tally) + DP_READ_BYTES +
           c->connections * (sizeof(*load->clients) + c->document_bytes) +
           load->n_followers * sizeof(*load->followers) + 2 * dp_work_request_bytes(c);
}
