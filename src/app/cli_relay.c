/* relay: a TCP relay in front of a server, which fails when it is told to. */
#include "davenport/base/log.h"
#include "davenport/drill/relay.h"
#include "davenport/net/listener.h"
#include "davenport/net/lookup.h"

#include "app/cli.h"
#include "app/cli_signals.h"
#include "app/file.h"
#include "app/relay_admin.h"

#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#define ADMIN_MODE       0600U
#define CONNECTIONS      1024
#define CONNECTIONS_MOST 100000
#define BUFFER_BYTES     ((size_t)1 << 20)
#define BUFFER_MOST      ((size_t)1 << 30)
#define AUTHORITY_CHARS  300

struct run {
    uv_loop_t loop;
    struct dp_cli_signals signals;
    struct dp_relay *relay;
    struct dp_admin *admin;
    struct dp_socket_file admin_file;
    char admin_text[DP_ADDR_TEXT + 160];
};

/* ---- the command line ---- */

/* "HOST:PORT", the host perhaps in brackets; its first address. flags: of getaddrinfo. */
static bool address_of(const char *option, const char *text, int flags, struct dp_addr *out)
{
    char host[AUTHORITY_CHARS];
    const char *colon = strrchr(text, ':');
    const size_t n = colon ? (size_t)(colon - text) : 0;
    const bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';
    uint64_t port = 0;
    if (n == 0 || n >= sizeof host || !dp_span_u64(dp_span_str(colon + 1), &port) || port > 65535 ||
        (port == 0 && !(flags & AI_PASSIVE))) {
        dp_cli_error("relay: --%s takes HOST:PORT, not %s", option, text);
        return false;
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n),
                   bracketed ? text + 1 : text);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    struct dp_addrs found = {0};
    int r = getaddrinfo(host, NULL, &hints, &list);
    if (r == 0) {
        dp_lookup_collect(list, (uint16_t)port, &found);
        freeaddrinfo(list);
    }
    if (found.n == 0) {
        dp_cli_error("relay: --%s %s: %s", option, text, r ? gai_strerror(r) : "no address");
        return false;
    }
    *out = found.at[0];
    return true;
}

static bool count_of(const struct dp_cli_call *call, const char *option, uint64_t most,
                     uint64_t *out)
{
    const char *text = dp_cli_value(call, option);
    if (!text) {
        return true;
    }
    if (!dp_span_u64(dp_span_str(text), out) || *out < 1 || *out > most) {
        dp_cli_error("relay: --%s takes a whole number from 1 to %" PRIu64, option, most);
        return false;
    }
    return true;
}

/* ---- at work ---- */

static void on_healed(void *ctx, enum dp_relay_fault_kind kind)
{
    (void)ctx;
    dp_log(DP_LOG_INFO, "fault_ended", DP_KV_STR("kind", dp_relay_fault_name(kind)));
}

static void on_trouble(void *ctx, const char *why)
{
    (void)ctx;
    dp_log(DP_LOG_ERROR, "listen_failed", DP_KV_STR("reason", why));
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *r = handle->data;
    (void)number;
    if (!r->relay) {
        return;
    }
    dp_relay_destroy(r->relay, NULL, NULL);
    dp_admin_destroy(r->admin, NULL, NULL);
    r->relay = NULL;
    dp_cli_signals_close(&r->signals);
}

static enum dp_err start_admin(struct run *r, const struct dp_admin_addr *addr, const char **why)
{
    const struct dp_admin_source source = {.ctx = r->relay, .answer = dp_relay_answer};
    uint16_t port;
    int fd = -1;
    enum dp_err err;
    if (addr->unix_path) {
        err = dp_listen_unix(addr->unix_path, ADMIN_MODE, &fd, &r->admin_file, why);
        (void)snprintf(r->admin_text, sizeof r->admin_text, "unix:%s", addr->unix_path);
    } else {
        err = dp_listen_tcp(addr->ip, addr->port, 0, &fd, &port, why);
        const bool v6 = err == DP_OK && strchr(addr->ip, ':');
        (void)snprintf(r->admin_text, sizeof r->admin_text, "%s%s%s:%u", v6 ? "[" : "", addr->ip,
                       v6 ? "]" : "", err == DP_OK ? (unsigned)port : 0U);
    }
    if (err == DP_OK) {
        err = dp_admin_new(&r->loop, fd, !addr->unix_path, NULL, &source, &r->admin, why);
    }
    return err;
}

/* Where it listens: for people, or as JSON; and into a file once it does. */
static bool announce(const struct dp_cli_call *call, const struct run *r, const char *ip)
{
    struct dp_text json = {0};
    struct dp_text words = {0};
    char why[DP_FILE_WHY];
    const char *file = dp_cli_value(call, "port-file");
    const bool v6 = strchr(ip, ':') != NULL;
    dp_text_addf(&json, "{\"listen\":\"%s%s%s:%u\",\"admin\":\"%s\",\"pid\":%ld}\n", v6 ? "[" : "",
                 ip, v6 ? "]" : "", (unsigned)dp_relay_port(r->relay), r->admin_text,
                 (long)getpid());
    dp_text_addf(&words, "relay on %s%s%s:%u to %s, faults by %s\n", v6 ? "[" : "", ip,
                 v6 ? "]" : "", (unsigned)dp_relay_port(r->relay), dp_cli_value(call, "to"),
                 r->admin_text);
    bool good = dp_cli_print(dp_cli_value(call, "json") ? &json : &words);
    if (good && file && dp_file_write(file, dp_text_span(&json), why) != DP_OK) {
        dp_cli_error("relay: %s: %s", file, why);
        good = false;
    }
    dp_text_fini(&json);
    dp_text_fini(&words);
    return good;
}

static int serve(const struct dp_cli_call *call, const struct dp_relay_options *options,
                 const struct dp_admin_addr *admin, const struct dp_relay_fault *fault,
                 uint64_t for_ms)
{
    struct run r = {0};
    const char *why = "";
    int code = DP_EXIT_FAILED;
    if (uv_loop_init(&r.loop) != 0) {
        dp_cli_error("relay: the event loop could not be made");
        return code;
    }
    if (!dp_cli_signals_watch(&r.signals, &r.loop, on_signal, &r, false)) {
        why = "signals can't be watched";
    } else if (dp_relay_new(&r.loop, options, &r.relay, &why) == DP_OK &&
               start_admin(&r, admin, &why) == DP_OK) {
        if (fault) {
            dp_relay_break(r.relay, fault, for_ms);
        }
        if (announce(call, &r, options->ip)) {
            code = DP_EXIT_OK;
            (void)uv_run(&r.loop, UV_RUN_DEFAULT);
        }
        why = "";
    }
    if (*why) {
        dp_cli_error("relay: %s", why);
    }
    if (r.relay) { /* it was not ended by a signal */
        if (r.admin) {
            dp_admin_destroy(r.admin, NULL, NULL);
        }
        dp_relay_destroy(r.relay, NULL, NULL);
    }
    dp_cli_signals_close(&r.signals);
    (void)uv_run(&r.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&r.loop);
    dp_listen_unix_remove(&r.admin_file);
    return code;
}

int dp_cli_relay(const struct dp_cli_call *call)
{
    const char *listen = dp_cli_value(call, "listen");
    const char *to = dp_cli_value(call, "to");
    const char *first = dp_cli_value(call, "fault");
    const char *admin = dp_cli_value(call, "admin");
    const char *wrong;
    struct dp_addr here;
    struct dp_admin_addr admin_addr;
    struct dp_relay_fault fault;
    uint64_t for_ms = 0;
    uint64_t connections = CONNECTIONS;
    uint64_t bytes = BUFFER_BYTES;
    char why[DP_RELAY_WHY];
    struct dp_relay_options options = {.healed = on_healed, .trouble = on_trouble};
    if (!to) {
        dp_cli_error("relay: --to HOST:PORT is needed: whom it passes bytes to");
        return DP_EXIT_USAGE;
    }
    if (!address_of("listen", listen ? listen : "127.0.0.1:0", AI_PASSIVE | AI_NUMERICHOST,
                    &here) ||
        !address_of("to", to, 0, &options.to) ||
        !count_of(call, "connections", CONNECTIONS_MOST, &connections) ||
        !count_of(call, "buffer-bytes", BUFFER_MOST, &bytes)) {
        return DP_EXIT_USAGE;
    }
    if (dp_admin_addr_parse(admin ? admin : "127.0.0.1:0", &admin_addr, &wrong) != DP_OK) {
        dp_cli_error("relay: --admin: %s", wrong);
        return DP_EXIT_USAGE;
    }
    if (!admin_addr.unix_path && !admin_addr.loopback) {
        dp_cli_error(
            "relay: --admin must be a loopback address or unix:PATH: it asks for no token");
        return DP_EXIT_USAGE;
    }
    if (first && !dp_relay_fault_read(dp_span_str(first), &fault, &for_ms, why)) {
        dp_cli_error("relay: --fault: %s", why);
        return DP_EXIT_USAGE;
    }
    options.ip = here.ip;
    options.port = here.port;
    options.max_connections = (unsigned)connections;
    options.buffer_bytes = (size_t)bytes;
    options.seed = (uint64_t)getpid();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)dp_cli_raise_files();
    return serve(call, &options, &admin_addr, first ? &fault : NULL, for_ms);
}
