/* The configuration's table, its defaults, its life. Parsing is in config_parse.c, the rules in
 * config_check.c. */
#include "davenport/app/config.h"

#include "davenport/base/buf.h"
#include "davenport/base/log.h"

#include "app/config_table.h"
#include "app/file.h"

#include <stdlib.h>
#include <string.h>

/* The document may be a few hundred lines; this is a thousand times more. */
#define CONFIG_BYTES_MAX ((size_t)1024 * 1024)

#define DP_SECTION(p, t) {.type = DP_CONFIG_SECTION, .path = (p), .text = (t)},
#define DP_UINT(p, f, d, lo, hi, fl, t)                                                            \
    {.type = DP_CONFIG_UINT,                                                                       \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config, f),                                                      \
     .def = (d),                                                                                   \
     .min = (lo),                                                                                  \
     .max = (hi)},
#define DP_TEXT(p, f, c, d, fl, t)                                                                 \
    {.type = DP_CONFIG_TEXT,                                                                       \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config, f),                                                      \
     .check = (c),                                                                                 \
     .def_text = (d)},
#define DP_TEXTS(p, f, c, n, fl, t)                                                                \
    {.type = DP_CONFIG_TEXTS,                                                                      \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config, f),                                                      \
     .min = 1,                                                                                     \
     .max = (n),                                                                                   \
     .check = (c)},
#define DP_CHOICE(p, f, w, d, fl, t)                                                               \
    {.type = DP_CONFIG_CHOICE,                                                                     \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config, f),                                                      \
     .choices = (w),                                                                               \
     .def = (d)},
#define DP_REGION_TEXT(p, f, c, fl, t)                                                             \
    {.type = DP_CONFIG_TEXT,                                                                       \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_region, f),                                               \
     .check = (c)},

#define DP_USER_TEXT(p, f, c, fl, t)                                                               \
    {.type = DP_CONFIG_TEXT,                                                                       \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_user, f),                                                 \
     .check = (c)},

#define DP_TOKEN_TEXT(p, f, c, fl, t)                                                              \
    {.type = DP_CONFIG_TEXT,                                                                       \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_token, f),                                                \
     .check = (c)},

#define DP_TOKEN_CHOICE(p, f, w, fl, t)                                                            \
    {.type = DP_CONFIG_CHOICE,                                                                     \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_token, f),                                                \
     .choices = (w)},

#define DP_REGION_TEXTS(p, f, c, n, fl, t)                                                         \
    {.type = DP_CONFIG_TEXTS,                                                                      \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_region, f),                                               \
     .min = 1,                                                                                     \
     .max = (n),                                                                                   \
     .check = (c)},

#define DP_REGION_UINT(p, f, lo, hi, fl, t)                                                        \
    {.type = DP_CONFIG_UINT,                                                                       \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_region, f),                                               \
     .min = (lo),                                                                                  \
     .max = (hi)},

#define DP_REGION_CHOICE(p, f, w, fl, t)                                                           \
    {.type = DP_CONFIG_CHOICE,                                                                     \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_region, f),                                               \
     .choices = (w)},

#define DP_DATABASE_CHOICE(p, f, w, like, fl, t)                                                   \
    {.type = DP_CONFIG_CHOICE,                                                                     \
     .path = (p),                                                                                  \
     .text = (t),                                                                                  \
     .flags = (fl),                                                                                \
     .offset = offsetof(struct dp_config_database, f),                                             \
     .choices = (w),                                                                               \
     .def = DP_CONFIG_UNSET},

const struct dp_config_row dp_config_rows[] = {
#include "davenport/app/config.def"
};
const size_t dp_config_n_rows = DP_ARRAY_LEN(dp_config_rows);

bool dp_config_row_under(const struct dp_config_row *row, const char *section, const char **leaf)
{
    size_t n = strlen(section);
    const char *rest = row->path;
    if (n) {
        if (strncmp(rest, section, n) != 0 || rest[n] != '.') {
            return false;
        }
        rest += n + 1;
    }
    if (strchr(rest, '.')) {
        return false;
    }
    *leaf = rest;
    return true;
}

const struct dp_config_row *dp_config_row_of(const char *section, const char *key)
{
    for (size_t i = 0; i < dp_config_n_rows; i++) {
        const char *leaf;
        if (dp_config_row_under(&dp_config_rows[i], section, &leaf) && strcmp(leaf, key) == 0) {
            return &dp_config_rows[i];
        }
    }
    return NULL;
}

const struct dp_config_row *dp_config_row_instead(const struct dp_config_row *row)
{
    const struct dp_config_row *next = row + 1;
    return next < dp_config_rows + dp_config_n_rows && (next->flags & DP_CONFIG_INSTEAD) ? next
                                                                                         : NULL;
}

bool dp_choice_next(struct dp_span *rest, struct dp_span *word)
{
    if (!rest->p) {
        return false;
    }
    *word = dp_span_cut(rest, '|');
    return true;
}

struct dp_span dp_choice_word(const char *choices, uint64_t index)
{
    struct dp_span rest = dp_span_str(choices);
    struct dp_span word;
    for (uint64_t i = 0; dp_choice_next(&rest, &word); i++) {
        if (i == index) {
            return word;
        }
    }
    return DP_SPAN("");
}

bool dp_config_is_bool(const struct dp_config_row *row)
{
    return row->type == DP_CONFIG_CHOICE && strcmp(row->choices, "false|true") == 0;
}

/* Every field as if the document were empty. */
static void set_defaults(struct dp_config *c)
{
#define DP_UINT(path, field, d, min, max, flags, text)  c->field = (d);
#define DP_TEXT(path, field, check, d, flags, text)     c->field = (d);
#define DP_CHOICE(path, field, choices, d, flags, text) c->field = (d);
#include "davenport/app/config.def"
}

struct dp_config *dp_config_new(void)
{
    struct dp_config *c = calloc(1, sizeof *c);
    if (!c) {
        abort();
    }
    dp_arena_init(&c->arena, NULL);
    set_defaults(c);
    return c;
}

void dp_config_destroy(struct dp_config *c)
{
    if (c) {
        dp_arena_reset(&c->arena);
        free(c);
    }
}

/* The folder of a path, "." when it names none. */
static struct dp_span folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return DP_SPAN(".");
    }
    return slash == path ? DP_SPAN("/") : (struct dp_span){path, (size_t)(slash - path)};
}

enum dp_err dp_config_file_read(struct dp_config_file *f, const char *path, size_t bytes_max,
                                struct dp_problems *problems)
{
    char why[DP_FILE_WHY];
    *f = (struct dp_config_file){.text = {0}};
    enum dp_err err = dp_file_read(path, bytes_max, &f->text, why);
    if (err != DP_OK) {
        dp_problem(problems, "", "%s", why);
        return err;
    }
    dp_text_add(&f->folder, folder_of(path));
    f->source.text = dp_text_span(&f->text);
    f->source.folder = dp_text_str(&f->folder);
    return DP_OK;
}

void dp_config_file_fini(struct dp_config_file *f)
{
    dp_text_fini(&f->folder);
    dp_text_fini(&f->text);
}

enum dp_err dp_config_load(const char *path, struct dp_problems *problems, struct dp_config **out)
{
    if (!path) {
        struct dp_config_source source = {.text = dp_span_str(dp_config_demo)};
        return dp_config_parse(&source, problems, out);
    }
    struct dp_config_file file;
    enum dp_err err = dp_config_file_read(&file, path, CONFIG_BYTES_MAX, problems);
    if (err == DP_OK) {
        err = dp_config_parse(&file.source, problems, out);
    }
    dp_config_file_fini(&file);
    return err;
}

bool dp_config_endpoint_tls(const struct dp_config *c, uint16_t endpoint,
                            struct dp_tls_client_config *out)
{
    const struct dp_config_endpoint *e = &c->endpoints[endpoint];
    const struct dp_config_region *r = &c->regions[e->region];
    *out = (struct dp_tls_client_config){
        .server_name = e->host,
        .ca_file = r->ca_file,
        .cert_file = r->cert_file,
        .key_file = r->key_file,
    };
    memcpy(out->pins, r->pin, sizeof out->pins);
    return e->https;
}

bool dp_config_listen_tls(const struct dp_config *c, struct dp_tls_server_config *out)
{
    *out = (struct dp_tls_server_config){
        .cert_file = c->listen_cert_file,
        .key_file = c->listen_key_file,
        .client_ca_file = c->listen_client_ca_file,
    };
    return c->listen_cert_file != NULL;
}

static struct dp_region_config control_region(const struct dp_config_region *r)
{
    return (struct dp_region_config){
        .name = r->name,
        .first = r->first,
        .n_endpoints = r->n_endpoints,
        .max_in_flight = (uint32_t)r->max_in_flight,
        .key = dp_config_key(r),
        .aliases = r->replication_urls.at,
        .n_aliases = r->replication_urls.n,
    };
}

static struct dp_endpoint_config control_endpoint(const struct dp_config_endpoint *e)
{
    if (!e->base_url) {
        return (struct dp_endpoint_config){.region = DP_NO_REGION};
    }
    return (struct dp_endpoint_config){
        .region = e->region,
        .url = e->base_url,
        .host = e->host_header,
        .addrs = e->addrs,
        .port = e->port,
        .lookup = dp_config_is_ip(e->host) ? NULL : e->host,
    };
}

/* They were checked when they were read; absent ones are never open. */
static struct dp_windows windows_of(const struct dp_config *c)
{
    struct dp_windows w = {0};
    if (dp_utc_offset_parse(c->failback_utc_offset, &w.utc_offset_m) != NULL ||
        (c->failback_windows && dp_windows_parse(c->failback_windows, &w) != NULL))
        w.n = 0;
    return w;
}

static unsigned conditions_of(const struct dp_config *c)
{
    unsigned bits = 0;
    return dp_gate_parse(c->failback_conditions, &bits) == NULL ? bits : 0;
}

const char *dp_config_watch_off(const struct dp_config *c)
{
    enum { AUTO, ON };
    if (c->n_regions < 2)
        return "there is one region only";
    if (c->replication_watch == ON)
        return NULL;
    if (c->replication_watch != AUTO)
        return "replication.watch is off";
    for (uint16_t i = 0; i < c->n_regions; i++) {
        if (c->regions[i].credentials == DP_CREDENTIAL_PASSTHROUGH && !c->regions[i].username)
            return "replication.watch is auto, and not every region has credentials";
    }
    return NULL;
}

/* Times are told in whole seconds, rounded down, so of what seems this old one second may be missing. */
static uint32_t settle_s(const struct dp_config *c)
{
    return (uint32_t)((c->sequence_min_age_ms + 999) / 1000 + 1);
}

/* What waits must not give up just before it may go on; and who holds no requests can't let writes wait. */
static uint32_t pause_ms(const struct dp_config *c)
{
    uint64_t most = c->hold_ms / 4 * 3;
    return (uint32_t)(c->failback_pause_ms < most ? c->failback_pause_ms : most);
}

bool dp_config_asks_window(const struct dp_config *c)
{
    return c->failback == DP_FAILBACK_WINDOW ||
           (c->failback == DP_FAILBACK_GATED &&
            (conditions_of(c) & DP_GATE_BIT(DP_GATE_WINDOW)) != 0);
}

void dp_config_control(const struct dp_config *c, struct dp_control_config *out)
{
    *out = (struct dp_control_config){
        .n_regions = c->n_regions,
        .n_endpoints = c->n_endpoints,
        .mode = (enum dp_mode)c->mode,
        .writes_failover = c->writes_failover != 0,
        .nearest = dp_config_nearest(c),
        .n_rules = c->n_databases,
        .up_percent = (uint32_t)c->up_percent,
        .probe_path = c->probe_path,
        .probe_interval_ms = (uint32_t)c->probe_interval_ms,
        .probe_fast_ms = (uint32_t)c->probe_fast_ms,
        .probe_timeout_ms = (uint32_t)c->probe_timeout_ms,
        .probe_jitter_percent = (uint32_t)c->probe_jitter_percent,
        .silent = (uint32_t)c->silent,
        .probe_databases = c->probe_databases.at,
        .n_probe_databases = c->probe_databases.n,
        .canary_database = c->canary_database,
        .deep_interval_ms = (uint32_t)c->deep_interval_ms,
        .deep_timeout_ms = (uint32_t)c->deep_timeout_ms,
        .trial_requests = (uint32_t)c->trial_requests,
        .fall = (uint32_t)c->fall,
        .rise = (uint32_t)c->rise,
        .traffic_failures = (uint32_t)c->traffic_failures,
        .late_ms = (uint32_t)c->late_ms,
        .hedging = c->hedge_percent > 0,
        .slow_ms = (uint32_t)c->slow_ms,
        .failure_window_ms = (uint32_t)c->failure_window_ms,
        .failure_requests = (uint32_t)c->failure_requests,
        .failure_percent = (uint32_t)c->failure_percent,
        .sample_ms = (uint32_t)c->sample_ms,
        .dns_refresh_ms = (uint32_t)c->dns_refresh_ms,
        .race_delay_ms = (uint32_t)c->dns_race_delay_ms,
        .failback = (enum dp_failback)c->failback,
        .failback_hold_ms = (uint32_t)c->failback_hold_ms,
        .failback_hold_max_ms = (uint32_t)c->failback_hold_max_ms,
        .failback_forget_ms = (uint32_t)c->failback_forget_ms,
        .failback_ramp_ms = (uint32_t)c->failback_ramp_ms,
        .failback_conditions = conditions_of(c),
        .failback_error_percent = (uint32_t)c->failback_error_percent,
        .failback_windows = windows_of(c),
        .failback_unseen_manual = c->failback_unseen != 0,
        .failback_pause_ms = pause_ms(c),
        .replication_off = dp_config_watch_off(c),
        .replication_databases = c->replication_databases,
        .replication_interval_ms =
            dp_config_watch_off(c) ? 0 : (uint32_t)c->replication_interval_ms,
        .share_sequences = c->sequence_share != 0,
        .replication_samples = (uint32_t)c->replication_samples,
        .replication_max_missing = (uint32_t)c->replication_max_missing,
        .replication_canary = dp_config_watch_off(c) ? NULL : c->replication_canary,
        .replication_canary_interval_ms = (uint32_t)c->replication_canary_interval_ms,
        .replication_canary_max_ms = (uint32_t)c->replication_canary_max_ms,
        .no_region = (enum dp_no_region)c->no_region,
        .retry_after_s = (uint32_t)c->retry_after_s,
        .key_retry_ms = (uint32_t)c->key_retry_ms,
        .min_regions = (uint16_t)c->min_regions,
        .dwell_ms = (uint32_t)c->dwell_ms,
        .drills_allowed = c->drills_allowed != 0,
        .drills_max_ms = (uint32_t)c->drills_max_ms,
        .journal_path = c->journal_path,
        .journal_max_bytes = c->journal_max_bytes,
        .journal_keep = (uint32_t)c->journal_keep,
    };
    for (uint16_t i = 0; i < c->n_regions; i++) {
        out->regions[i] = control_region(&c->regions[i]);
    }
    for (uint16_t i = 0; i < c->n_endpoints; i++) {
        out->endpoints[i] = control_endpoint(&c->endpoints[i]);
    }
}

/* A full line moves when connections come free or dials fail, so give it a few dials' time. */
#define LINE_FACTOR 3

void dp_config_proxy(const struct dp_config *c, struct dp_proxy_config *out)
{
    *out = (struct dp_proxy_config){
        .head_timeout_ms = (uint32_t)c->head_timeout_ms,
        .idle_timeout_ms = (uint32_t)c->idle_timeout_ms,
        .body_timeout_ms = (uint32_t)c->body_timeout_ms,
        .max_head_bytes = (uint32_t)c->max_head_bytes,
        .max_target_bytes = (uint32_t)c->max_target_bytes,
        .max_headers = (uint32_t)c->max_headers,
        .max_body_bytes = c->max_body_bytes,
        .max_connections = (uint32_t)c->max_connections,
        .proxy_header = c->listen_proxy_protocol != 0,
        .max_requests = (uint32_t)c->max_requests,
        .trace_sample = (uint32_t)c->trace_sample,
        .min_bytes_per_s = (uint32_t)c->min_bytes_per_s,
        .rate_window_ms = (uint32_t)c->rate_window_ms,
        .waiting_timeout_ms =
            (uint32_t)(c->waiting_timeout_ms ? c->waiting_timeout_ms
                                             : LINE_FACTOR * c->connect_timeout_ms),
        .connect_timeout_ms = (uint32_t)c->connect_timeout_ms,
        .race_delay_ms = (uint32_t)c->dns_race_delay_ms,
        .answer_timeout_ms = (uint32_t)c->answer_timeout_ms,
        .partition_timeout_ms =
            (uint32_t)(c->partition_timeout_ms ? c->partition_timeout_ms : c->answer_timeout_ms),
        .stall_timeout_ms = (uint32_t)c->stall_timeout_ms,
        .feed_timeout_ms = (uint32_t)c->feed_timeout_ms,
        .pool_idle_timeout_ms = (uint32_t)c->pool_idle_timeout_ms,
        .pool_max_idle = (uint32_t)c->pool_max_idle,
        .pool_warm = (uint32_t)c->pool_warm,
        .max_upstream = (uint32_t)c->max_upstream,
        .max_waiting = (uint32_t)c->max_waiting,
        .replay_body_bytes = (uint32_t)c->replay_body_bytes,
        .mint_ids = c->mint_ids != 0,
        .resolve_conflicts = c->resolve_conflicts != 0,
        .whole_answer_bytes = (uint32_t)c->whole_answer_bytes,
        .tags_sequences = c->tag_sequences != 0,
        .sequence_settle_s = settle_s(c),
        .foreign_sequence = (enum dp_foreign_sequence)c->foreign_sequence,
        .tells_region = c->tell_region != 0,
        .tells_attempts = c->tell_attempts != 0,
        .try_timeout_ms = (uint32_t)c->try_timeout_ms,
        .request_timeout_ms = (uint32_t)c->request_timeout_ms,
        .budgets = {[DP_BUDGET_RETRY] = {(uint32_t)c->retry_percent, (uint32_t)c->retry_least},
                    [DP_BUDGET_FAILOVER] = {(uint32_t)c->failover_percent,
                                            (uint32_t)c->failover_least}},
        .hedge_percent = (uint32_t)c->hedge_percent,
        .feed_spread_ms = (uint32_t)c->feed_spread_ms,
        .feed_ends_on_move = c->feed_on_move == 0,
        .feed_grace_ms = (uint32_t)c->feed_grace_ms,
        .hold_ms = (uint32_t)c->hold_ms,
        .hold_requests = (uint32_t)c->hold_requests,
        .hold_bytes = c->hold_bytes,
        .hold_release_per_s = (uint32_t)c->hold_release_per_s,
        .max_buffer_chunks = (uint32_t)(c->buffer_bytes / DP_CHUNK_BYTES),
        .drain_timeout_ms = (uint32_t)c->drain_timeout_ms,
        .via = c->via,
        .via_answers = c->via_answers != 0,
        .max_via = (uint32_t)c->max_via,
        .recent_ms = (uint32_t)c->recent_ms,
        .refuses_upgrades = c->upgrade == 0,
        .not_replicated = (enum dp_spread_policy)c->not_replicated,
        .named_by_header = c->name_region == 1 || c->name_region == 3,
        .named_by_path = c->name_region == 2 || c->name_region == 3,
        .request_id = (enum dp_id_policy)c->request_id,
        .traceparent = (enum dp_id_policy)c->traceparent,
        .forwarded = (enum dp_forwarded_policy)c->forwarded,
        .x_forwarded = (enum dp_forwarded_policy)c->x_forwarded,
        .passes_assertions = c->couchdb_auth != 0,
        .clients = c->n_users > 0 ? &c->clients : NULL,
    };
    dp_config_rules(c, &out->rules);
}

void dp_config_access(const struct dp_config *c, struct dp_access_config *out)
{
    *out = (struct dp_access_config){
        .format = (enum dp_access_format)c->access_log_format,
        .sample_percent = (unsigned)c->access_log_sample_percent,
        .flush_ms = (uint32_t)c->access_log_flush_ms,
    };
}

_Static_assert(DP_ACCESS_JSON == 0 && DP_ACCESS_COMBINED == 1 && DP_ACCESS_HAPROXY == 2,
               "the words of access_log.format stand in the order of enum dp_access_format");
_Static_assert(DP_ID_MAKE == 0 && DP_ID_PASS == 1 && DP_ID_REMOVE == 2,
               "the words of headers.request_id stand in the order of enum dp_id_policy");
_Static_assert(DP_FORWARDED_PASS == 0 && DP_FORWARDED_ADD == 1 && DP_FORWARDED_REPLACE == 2 &&
                   DP_FORWARDED_REMOVE == 3,
               "the words of headers.forwarded stand in the order of enum dp_forwarded_policy");
_Static_assert(DP_FAILBACK_MANUAL == 0 && DP_FAILBACK_HOLD_DOWN == 1 && DP_FAILBACK_GATED == 2 &&
                   DP_FAILBACK_WINDOW == 3,
               "the words of failback.mode stand in the order of enum dp_failback");
_Static_assert(DP_NO_REGION_REFUSE == 0 && DP_NO_REGION_LAST_GOOD == 1 && DP_NO_REGION_PRIMARY == 2,
               "the words of no_region.policy stand in the order of enum dp_no_region");
_Static_assert(DP_SPREAD_FAN_OUT == 0 && DP_SPREAD_STRICT == 1 && DP_SPREAD_ACTIVE == 2,
               "the words of not_replicated stand in the order of enum dp_spread_policy");
_Static_assert(DP_LOG_DEBUG == 0 && DP_LOG_INFO == 1 && DP_LOG_WARN == 2 && DP_LOG_ERROR == 3,
               "the words of log.level stand in the order of enum dp_log_level");
