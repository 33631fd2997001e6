/* load: an open-loop load by itself, against whatever speaks HTTP, and what came of it. */
#include "davenport/base/clock.h"
#include "davenport/drill/ledger.h"
#include "davenport/drill/load.h"

#include "app/cli.h"
#include "app/cli_ask.h"
#include "app/cli_signals.h"
#include "app/file.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <uv.h>

#define HEADERS_BYTES 16384
#define MOST_WRITES   50000000.0 /* 64 bytes each */
#define DATABASE_MIX  "get=60,put=25,post=5,bulk=2,attachment=2"

struct run {
    uv_loop_t loop;
    struct dp_cli_signals signals;
    struct dp_load *load;
    struct dp_ledger *ledger;
    bool live;     /* a line of progress */
    unsigned told; /* to stop: how often */
    enum dp_err err;
    char why[DP_LOAD_WHY];
    bool done;
};

/* ---- the command line ---- */

static bool number_of(const struct dp_cli_call *call, const char *option, double least, double most,
                      double *out)
{
    const char *text = dp_cli_value(call, option);
    char *end = NULL;
    if (!text) {
        return true;
    }
    double n = strtod(text, &end);
    if (end == text || *end || !(n >= least && n <= most)) {
        dp_cli_error("load: --%s takes a number from %.15g to %.15g", option, least, most);
        return false;
    }
    *out = n;
    return true;
}

static bool whole_of(const struct dp_cli_call *call, const char *option, double least, double most,
                     size_t *out)
{
    double n = (double)*out;
    if (!number_of(call, option, least, most, &n)) {
        return false;
    }
    *out = (size_t)n;
    return true;
}

/* "get=60,put=20" */
static bool mix_of(const char *text, unsigned weights[DP_LOAD_KINDS])
{
    struct dp_span rest = dp_span_str(text);
    while (rest.p) {
        struct dp_span value = dp_span_cut(&rest, ',');
        struct dp_span name = dp_span_cut(&value, '=');
        char word[16] = "";
        uint64_t weight = 0;
        enum dp_load_kind kind;
        memcpy(word, name.p, name.n < sizeof(word) ? name.n : 0);
        if (!dp_load_kind_find(word, &kind) || !value.p || !dp_span_u64(value, &weight) ||
            weight > 1000000) {
            dp_cli_error(
                "load: --mix is written get=60,put=20 with the kinds get, put, post, bulk, find, "
                "view, attachment and weights up to 1000000");
            return false;
        }
        weights[kind] = (unsigned)weight;
    }
    return true;
}

/* Where the host ends and the path begins. */
static const char *path_in(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? host + 3 + strcspn(host + 3, "/?#") : url + strlen(url);
}

struct options {
    struct dp_load_config c;
    struct dp_load_stage stages[2];
    char *url, *path; /* cut in two */
    struct dp_text fields;
};

static bool read_fields(const struct dp_cli_call *call, struct options *o)
{
    const char *file = dp_cli_value(call, "headers");
    char why[DP_FILE_WHY];
    struct dp_text text = {0};
    if (!file) {
        return true;
    }
    bool good = dp_file_read(file, HEADERS_BYTES, &text, why) == DP_OK;
    if (!good) {
        dp_cli_error("load: %s: %s", file, why);
    }
    struct dp_span rest = dp_text_span(&text);
    while (good && rest.p) {
        struct dp_span line = dp_span_trim(dp_span_cut(&rest, '\n'));
        line.n -= line.n > 0 && line.p[line.n - 1] == '\r';
        good = line.n == 0 || memchr(line.p, ':', line.n);
        if (!good) {
            dp_cli_error("load: %s: a line without a colon is no header", file);
        } else if (line.n > 0) {
            dp_text_add(&o->fields, line);
            dp_text_add(&o->fields, DP_SPAN("\r\n"));
        }
    }
    dp_text_fini(&text);
    if (good && o->fields.n > 0) {
        o->c.fields = dp_text_str(&o->fields);
    }
    return good && !o->fields.failed;
}

static bool read_numbers(const struct dp_cli_call *call, struct options *o)
{
    struct dp_load_config *c = &o->c;
    double rate = 100;
    double seconds = 10;
    double ramp = 0;
    size_t connections = c->connections;
    size_t documents = c->documents;
    size_t timeout = c->timeout_ms;
    size_t tick = c->tick_us;
    size_t longpoll = 0;
    size_t continuous = 0;
    size_t seed = 0;
    bool good = number_of(call, "rate", 0.001, DP_LOAD_MAX_RATE, &rate) &&
                number_of(call, "seconds", 0.001, DP_LOAD_MAX_SECONDS, &seconds) &&
                number_of(call, "ramp", 0, DP_LOAD_MAX_SECONDS, &ramp) &&
                number_of(call, "warmup", 0, DP_LOAD_MAX_SECONDS, &c->warmup_s) &&
                whole_of(call, "connections", 1, DP_LOAD_MAX_CONNECTIONS, &connections) &&
                whole_of(call, "timeout", 1, DP_LOAD_MAX_TIMEOUT_MS, &timeout) &&
                whole_of(call, "tick-us", 1, 1e6, &tick) &&
                whole_of(call, "seed", 0, 4e15, &seed) &&
                whole_of(call, "body-bytes", 0, DP_LOAD_MAX_BYTES, &c->body_bytes) &&
                whole_of(call, "documents", 1, DP_LOAD_MAX_DOCUMENTS, &documents) &&
                whole_of(call, "document-bytes", 0, DP_LOAD_MAX_BYTES, &c->document_bytes) &&
                whole_of(call, "attachment-bytes", 0, DP_LOAD_MAX_BYTES, &c->attachment_bytes) &&
                whole_of(call, "longpoll", 0, DP_LOAD_MAX_FOLLOWERS, &longpoll) &&
                whole_of(call, "continuous", 0, DP_LOAD_MAX_FOLLOWERS, &continuous);
    c->connections = (unsigned)connections;
    c->documents = (unsigned)documents;
    c->timeout_ms = (uint32_t)timeout;
    c->tick_us = (uint32_t)tick;
    c->seed = seed;
    c->longpoll = (unsigned)longpoll;
    c->continuous = (unsigned)continuous;
    size_t n = 0;
    if (ramp > 0) {
        o->stages[n++] = (struct dp_load_stage){0, rate, ramp};
    }
    o->stages[n++] = (struct dp_load_stage){rate, rate, seconds};
    c->stages = o->stages;
    c->n_stages = n;
    return good;
}

static bool read_options(const struct dp_cli_call *call, struct options *o)
{
    const char *mix = dp_cli_value(call, "mix");
    const char *path = path_in(call->args[0]);
    struct dp_load_config *c = &o->c;
    dp_load_config_init(c);
    o->url = strndup(call->args[0], (size_t)(path - call->args[0]));
    o->path = strdup(*path ? path : "/");
    if (!o->url || !o->path || !read_numbers(call, o) || !read_fields(call, o)) {
        return false;
    }
    c->url = o->url;
    c->unix_path = dp_cli_value(call, "unix");
    c->ca_file = dp_cli_value(call, "ca");
    c->insecure = dp_cli_value(call, "insecure") != NULL;
    c->username = dp_cli_value(call, "user");
    c->password = c->username ? getenv("DAVENPORT_LOAD_PASSWORD") : NULL;
    c->method = dp_cli_value(call, "method");
    if (c->username && !c->password) {
        dp_cli_error(
            "load: --user takes the password from $DAVENPORT_LOAD_PASSWORD, which is not set");
        return false;
    }
    if (!dp_cli_value(call, "database")) {
        c->target = o->path;
        return true;
    }
    c->database = dp_cli_value(call, "database");
    if (strcmp(o->path, "/") != 0) { /* a path before all others */
        free(o->url);
        o->url = strdup(call->args[0]);
        c->url = o->url;
    }
    return o->url && mix_of(mix ? mix : DATABASE_MIX, c->weights);
}

/* DP_EXIT_OK, or the code to exit with after a word on stderr. */
static int may_load(const struct dp_cli_call *call, const struct dp_load_config *c)
{
    const char *url = call->args[0];
    double rate = c->stages[c->n_stages - 1].to;
    bool foreign = !c->unix_path && !dp_cli_is_loopback(url);
    if (foreign && !dp_cli_owns(call, url)) {
        return DP_EXIT_REFUSED;
    }
    return dp_cli_may_load(call, "--rate", rate, foreign);
}

/* ---- at work ---- */

static void on_tick(void *ctx, const struct dp_load_progress *now)
{
    struct run *r = ctx;
    if (r->live) {
        (void)fprintf(
            stderr,
            "\r%-15s %5.0f s  %6u ok  %4u failed  p50 %8.2f ms  p99 %8.2f ms  in line %" PRIu64
            "   ",
            now->phase, now->at_s > 0 ? now->at_s : 0.0, now->last.ok, now->last.failed,
            (double)now->last.p50_ns / 1e6, (double)now->last.p99_ns / 1e6, now->waiting);
        (void)fflush(stderr);
    }
}

static void on_closed(void *ctx)
{
    struct run *r = ctx;
    r->load = NULL;
    dp_cli_signals_close(&r->signals);
}

static void on_done(void *ctx, enum dp_err err, const char *why)
{
    struct run *r = ctx;
    r->err = err;
    (void)snprintf(r->why, sizeof(r->why), "%s", why);
    r->done = true;
    if (r->live) {
        (void)fputs("\r\033[K", stderr);
    }
    uv_stop(&r->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *r = handle->data;
    (void)number;
    dp_load_stop(r->load, r->told++ > 0);
}

/* ---- the summary ---- */

static const char *ms_text(const json_t *o, const char *key, char buf[24])
{
    const json_t *value = json_object_get(o, key);
    (void)snprintf(buf, 24, "-");
    if (json_is_number(value)) {
        (void)snprintf(buf, 24, "%.2f", json_number_value(value));
    }
    return buf;
}

static void add_failures(struct dp_text *out, const json_t *failures)
{
    const char *name;
    json_t *count;
    const char *separator = "";
    json_object_foreach ((json_t *)(uintptr_t)failures, name, count) {
        dp_text_addf(out, "%s%s: %" JSON_INTEGER_FORMAT, separator, name,
                     json_integer_value(count));
        separator = ", ";
    }
}

static void add_row(struct dp_text *out, const json_t *o, const char *name, const char *requests)
{
    char p50[24];
    char p90[24];
    char p99[24];
    char max[24];
    dp_text_addf(out,
                 "%-10s %9" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT " %10s %10s %10s %10s  ",
                 name, json_integer_value(json_object_get(o, requests)),
                 json_integer_value(json_object_get(o, "failed")), ms_text(o, "p50_ms", p50),
                 ms_text(o, "p90_ms", p90), ms_text(o, "p99_ms", p99), ms_text(o, "max_ms", max));
    add_failures(out, json_object_get(o, "failures"));
    dp_text_addf(out, "\n");
}

static void render(const json_t *o, struct dp_text *out)
{
    const json_t *row;
    size_t i;
    dp_text_addf(out,
                 "%" JSON_INTEGER_FORMAT
                 " requests were due in %.1f s, %.1f a second; sent at most %.2f ms later (p99)\n\n"
                 "%-10s %9s %8s %10s %10s %10s %10s\n",
                 json_integer_value(json_object_get(o, "requests")),
                 json_number_value(json_object_get(o, "seconds")),
                 json_number_value(json_object_get(o, "rate")),
                 json_number_value(json_object_get(o, "lag_p99_ms")), "KIND", "REQUESTS", "FAILED",
                 "P50 ms", "P90 ms", "P99 ms", "MAX ms");
    json_array_foreach (json_object_get(o, "kinds"), i, row) {
        add_row(out, row, json_string_value(json_object_get(row, "kind")), "requests");
    }
    if (json_array_size(json_object_get(o, "kinds")) > 1) {
        add_row(out, o, "all", "requests");
    }
    json_array_foreach (json_object_get(o, "outages"), i, row) {
        dp_text_addf(out,
                     "%sout from %.2f s to %.2f s: %" JSON_INTEGER_FORMAT
                     " failed, %" JSON_INTEGER_FORMAT " took longer than 2 s\n",
                     i == 0 ? "\n" : "", json_number_value(json_object_get(row, "from_s")),
                     json_number_value(json_object_get(row, "to_s")),
                     json_integer_value(json_object_get(row, "failed")),
                     json_integer_value(json_object_get(row, "slow")));
    }
}

static bool tell(const struct dp_cli_call *call, const struct run *r)
{
    struct dp_text out = {0};
    json_t *o = dp_load_json(r->load);
    if (!o) {
        dp_cli_error("%s", dp_err_info(DP_ENOMEM)->reason);
        return false;
    }
    if (dp_cli_value(call, "json")) {
        dp_text_json(&out, o, JSON_COMPACT);
    } else {
        render(o, &out);
    }
    bool good = dp_cli_print(&out);
    json_decref(o);
    dp_text_fini(&out);
    return good;
}

/* ---- all of it ---- */

/* As many writes as the load may come to, and the first documents' own. */
static struct dp_ledger *make_ledger(const struct dp_load_config *c)
{
    char run[DP_LEDGER_RUN];
    double requests = c->stages[0].from * c->warmup_s;
    for (size_t i = 0; i < c->n_stages; i++) {
        requests += (c->stages[i].from + c->stages[i].to) / 2 * c->stages[i].seconds;
    }
    double writes = (requests + 10) * (c->weights[DP_LOAD_BULK] > 0 ? DP_LOAD_BULK_ROWS : 1) +
                    4.0 * c->documents;
    (void)snprintf(run, sizeof(run), "%" PRIx64 "x%x", (uint64_t)dp_clock_wall_ms(&dp_clock_system),
                   (unsigned)getpid());
    const struct dp_ledger_options options = {
        .run = run,
        .slots = c->documents,
        .max_writes = (uint32_t)(writes < MOST_WRITES ? writes : MOST_WRITES),
        .max_rows = (uint32_t)(writes < MOST_WRITES ? writes : MOST_WRITES),
    };
    return dp_ledger_new(&options);
}

static int exit_code(const struct run *r)
{
    if (r->err == DP_OK) {
        return DP_EXIT_OK;
    }
    dp_cli_error("load: %s", *r->why ? r->why : dp_err_info(r->err)->reason);
    return r->err == DP_ECONNECT ? DP_EXIT_UNREACHABLE : DP_EXIT_FAILED;
}

static int run_load(const struct dp_cli_call *call, const struct dp_load_config *c, struct run *r)
{
    const struct dp_load_events events = {.tick = on_tick, .done = on_done};
    char why[DP_LOAD_WHY];
    int code = DP_EXIT_FAILED;
    enum dp_err err = dp_load_new(&r->loop, c, r->ledger, &events, r, &r->load, why);
    if (err != DP_OK) {
        dp_cli_error("load: %s", why);
        return err == DP_EINVAL ? DP_EXIT_USAGE : DP_EXIT_FAILED;
    }
    if (dp_cli_signals_watch(&r->signals, &r->loop, on_signal, r, false)) {
        dp_load_start(r->load);
        (void)uv_run(&r->loop, UV_RUN_DEFAULT);
        code = exit_code(r);
        if (code == DP_EXIT_OK && !tell(call, r)) {
            code = DP_EXIT_FAILED;
        }
    }
    dp_load_destroy(r->load, on_closed, r);
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
    return code;
}

int dp_cli_load(const struct dp_cli_call *call)
{
    struct options o = {0};
    struct run r = {.live = isatty(STDERR_FILENO) && !dp_cli_value(call, "json")};
    int code = read_options(call, &o) ? may_load(call, &o.c) : DP_EXIT_USAGE;
    if (code == DP_EXIT_OK) {
        (void)dp_cli_raise_files();
        (void)signal(SIGPIPE, SIG_IGN);
        r.ledger = o.c.database ? make_ledger(&o.c) : NULL;
        code = DP_EXIT_FAILED;
        if ((o.c.database && !r.ledger) || uv_loop_init(&r.loop) != 0) {
            dp_cli_error("%s", dp_err_info(DP_ENOMEM)->reason);
        } else {
            code = run_load(call, &o.c, &r);
            (void)uv_run(&r.loop, UV_RUN_DEFAULT);
            (void)uv_loop_close(&r.loop);
        }
    }
    dp_ledger_free(r.ledger);
    dp_text_fini(&o.fields);
    free(o.url);
    free(o.path);
    return code;
}
