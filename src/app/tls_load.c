/* Reading TLS files. The texts are kept: probes need them, and a reload is told by them what changed. */
#include "app/tls_load.h"

#include "app/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest bundle of authorities is some hundred KiB. */
#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

enum { CA, CERT, KEY, FILES };

/* What one region, or the listener, has. */
struct identity {
    bool tls;
    struct dp_text text[FILES];
    struct dp_fetch_tls probe; /* what libcurl is told: regions, the collector */
    int64_t not_after;
};

struct dp_tls_load {
    struct identity listen, admin, collector, regions[DP_MAX_REGIONS];
    struct dp_tls *admin_tls; /* NULL: none */
    uint32_t n_workers;
    struct dp_worker_tls *workers[]; /* NULL once taken */
};

static enum dp_err read_files(struct identity *id, const char *const path[FILES], const char *whose,
                              char why[DP_TLS_LOAD_WHY])
{
    for (unsigned i = 0; i < FILES; i++) {
        char reason[DP_FILE_WHY];
        if (!path[i]) {
            continue;
        }
        enum dp_err err = dp_file_read(path[i], FILE_BYTES_MAX, &id->text[i], reason);
        if (err != DP_OK) {
            (void)snprintf(why, DP_TLS_LOAD_WHY, "%s: %s %s", whose, path[i], reason);
            return err;
        }
    }
    id->tls = true;
    return DP_OK;
}

static struct dp_span text_or_none(struct identity *id, unsigned i, const char *path)
{
    return path ? dp_text_span(&id->text[i]) : (struct dp_span){NULL, 0};
}

static enum dp_err refused(const char *whose, const char *reason, enum dp_err err,
                           char why[DP_TLS_LOAD_WHY])
{
    (void)snprintf(why, DP_TLS_LOAD_WHY, "%s: %s", whose, reason);
    return err;
}

/* The contexts of one endpoint, which differ by the name that the certificate must be for. */
static enum dp_err load_endpoint(struct dp_tls_load *l, const struct dp_config *config, uint16_t i,
                                 const char *whose, char why[DP_TLS_LOAD_WHY])
{
    struct dp_tls_client_config c;
    char reason[DP_TLS_TEXT_BYTES];
    (void)dp_config_endpoint_tls(config, i, &c);
    for (uint32_t w = 0; w < l->n_workers; w++) {
        struct dp_tls **tls = &l->workers[w]->endpoints[i];
        enum dp_err err = dp_tls_client_new(&c, tls, reason, sizeof reason);
        if (err != DP_OK) {
            return refused(whose, reason, err, why);
        }
        l->regions[config->endpoints[i].region].not_after = dp_tls_not_after(*tls);
    }
    return DP_OK;
}

static enum dp_err load_region(struct dp_tls_load *l, const struct dp_config *config, uint16_t i,
                               const char *whose, char why[DP_TLS_LOAD_WHY])
{
    const struct dp_config_region *r = &config->regions[i];
    struct identity *id = &l->regions[i];
    const char *const path[FILES] = {r->ca_file, r->cert_file, r->key_file};
    if (!r->https) {
        return DP_OK;
    }
    enum dp_err err = read_files(id, path, whose, why);
    if (err != DP_OK) {
        return err;
    }
    id->probe = (struct dp_fetch_tls){.ca = text_or_none(id, CA, r->ca_file),
                                      .cert = text_or_none(id, CERT, r->cert_file),
                                      .key = text_or_none(id, KEY, r->key_file),
                                      .pins = r->pins};
    for (uint16_t e = r->first; e < r->first + r->n_endpoints && err == DP_OK; e++) {
        err = load_endpoint(l, config, e, whose, why);
    }
    return err;
}

static enum dp_err load_listen(struct dp_tls_load *l, const struct dp_config *config,
                               const struct dp_tls_ticket_keys *keys, const char *whose,
                               char why[DP_TLS_LOAD_WHY])
{
    struct dp_tls_server_config c;
    char reason[DP_TLS_TEXT_BYTES];
    if (!dp_config_listen_tls(config, &c)) {
        return DP_OK;
    }
    const char *const path[FILES] = {c.client_ca_file, c.cert_file, c.key_file};
    c.ticket_keys = keys;
    enum dp_err err = read_files(&l->listen, path, whose, why);
    for (uint32_t w = 0; w < l->n_workers && err == DP_OK; w++) {
        struct dp_tls **tls = &l->workers[w]->listen;
        err = dp_tls_server_new(&c, tls, reason, sizeof reason);
        if (err != DP_OK) {
            return refused(whose, reason, err, why);
        }
        l->listen.not_after = dp_tls_not_after(*tls);
    }
    return err;
}

static enum dp_err load_admin(struct dp_tls_load *l, const struct dp_config *config,
                              const char *whose, char why[DP_TLS_LOAD_WHY])
{
    struct dp_tls_server_config c;
    char reason[DP_TLS_TEXT_BYTES];
    if (!dp_config_admin_tls(config, &c)) {
        return DP_OK;
    }
    const char *const path[FILES] = {c.client_ca_file, c.cert_file, c.key_file};
    enum dp_err err = read_files(&l->admin, path, whose, why);
    if (err != DP_OK) {
        return err;
    }
    err = dp_tls_server_new(&c, &l->admin_tls, reason, sizeof reason);
    if (err != DP_OK) {
        return refused(whose, reason, err, why);
    }
    l->admin.not_after = dp_tls_not_after(l->admin_tls);
    return DP_OK;
}

/* libcurl would say what is wrong with it only when there are spans to be told. */
static enum dp_err load_collector(struct dp_tls_load *l, const struct dp_config *config,
                                  const char *whose, char why[DP_TLS_LOAD_WHY])
{
    const struct dp_tls_client_config c = {.server_name = "collector",
                                           .ca_file = config->trace_ca_file};
    const char *const path[FILES] = {config->trace_ca_file};
    char reason[DP_TLS_TEXT_BYTES];
    struct dp_tls *tried;
    if (!config->trace_ca_file) {
        return DP_OK;
    }
    enum dp_err err = read_files(&l->collector, path, whose, why);
    if (err != DP_OK) {
        return err;
    }
    err = dp_tls_client_new(&c, &tried, reason, sizeof reason);
    if (err != DP_OK) {
        return refused(whose, reason, err, why);
    }
    dp_tls_unref(tried);
    l->collector.probe.ca = dp_text_span(&l->collector.text[CA]);
    return DP_OK;
}

static enum dp_err no_memory(char why[DP_TLS_LOAD_WHY])
{
    (void)snprintf(why, DP_TLS_LOAD_WHY, "out of memory");
    return DP_ENOMEM;
}

/* Nothing loaded yet. NULL: out of memory. */
static struct dp_tls_load *empty_new(uint32_t n_workers)
{
    struct dp_tls_load *l = calloc(1, sizeof *l + n_workers * sizeof(struct dp_worker_tls *));
    if (!l) {
        return NULL;
    }
    l->n_workers = n_workers;
    for (uint32_t w = 0; w < n_workers; w++) {
        l->workers[w] = dp_worker_tls_new();
        if (!l->workers[w]) {
            dp_tls_load_free(l);
            return NULL;
        }
    }
    return l;
}

enum dp_err dp_tls_load_new(const struct dp_config *config,
                            const struct dp_tls_ticket_keys *ticket_keys, uint32_t n_workers,
                            struct dp_tls_load **out, char why[DP_TLS_LOAD_WHY])
{
    struct dp_tls_load *l = empty_new(n_workers);
    if (!l) {
        return no_memory(why);
    }
    enum dp_err err = load_listen(l, config, ticket_keys, "listen", why);
    err = err ? err : load_admin(l, config, "admin", why);
    err = err ? err : load_collector(l, config, "tracing", why);
    for (uint16_t i = 0; i < config->n_regions && err == DP_OK; i++) {
        char whose[96];
        (void)snprintf(whose, sizeof whose, "region %s", config->regions[i].name);
        err = load_region(l, config, i, whose, why);
    }
    if (err != DP_OK) {
        dp_tls_load_free(l);
        return err;
    }
    *out = l;
    return DP_OK;
}

/* `why` of a loader without its beginning, "WHOSE: ". */
static void add_problem(struct dp_problems *problems, const char *whose, const char *why)
{
    dp_problem(problems, whose, "%s", why + strlen(whose) + 2);
}

enum dp_err dp_tls_load_check(const struct dp_config *config, struct dp_problems *problems)
{
    static const char listen[] = "listen.tls";
    struct dp_tls_load *l = empty_new(1);
    char why[DP_TLS_LOAD_WHY];
    if (!l) {
        dp_problem(problems, "", "out of memory");
        return DP_ENOMEM;
    }
    enum dp_err result = load_listen(l, config, NULL, listen, why);
    if (result != DP_OK) {
        add_problem(problems, listen, why);
    }
    const enum dp_err admin_result = load_admin(l, config, "admin.tls", why);
    if (admin_result != DP_OK) {
        add_problem(problems, "admin.tls", why);
        result = admin_result;
    }
    const enum dp_err collector_result = load_collector(l, config, "tracing.tls", why);
    if (collector_result != DP_OK) {
        add_problem(problems, "tracing.tls", why);
        result = collector_result;
    }
    for (uint16_t i = 0; i < config->n_regions; i++) {
        char whose[32];
        (void)snprintf(whose, sizeof whose, "regions[%u].tls", (unsigned)i);
        const enum dp_err r = load_region(l, config, i, whose, why);
        if (r != DP_OK) {
            add_problem(problems, whose, why);
            result = r;
        }
    }
    dp_tls_load_free(l);
    return result;
}

static void identity_fini(struct identity *id)
{
    struct dp_text *key = &id->text[KEY];
    if (key->n) {
        explicit_bzero(key->p, key->n);
    }
    for (unsigned i = 0; i < FILES; i++) {
        dp_text_fini(&id->text[i]);
    }
}

void dp_tls_load_free(struct dp_tls_load *l)
{
    if (!l) {
        return;
    }
    for (uint32_t w = 0; w < l->n_workers; w++) {
        dp_worker_tls_free(l->workers[w]);
    }
    dp_tls_unref(l->admin_tls);
    identity_fini(&l->listen);
    identity_fini(&l->admin);
    identity_fini(&l->collector);
    for (unsigned i = 0; i < DP_MAX_REGIONS; i++) {
        identity_fini(&l->regions[i]);
    }
    free(l);
}

struct dp_worker_tls *dp_tls_load_take(struct dp_tls_load *l, uint32_t i)
{
    struct dp_worker_tls *tls = l->workers[i];
    l->workers[i] = NULL;
    return tls;
}

struct dp_tls *dp_tls_load_admin(const struct dp_tls_load *l)
{
    return l->admin_tls;
}

const struct dp_fetch_tls *dp_tls_load_probe(const struct dp_tls_load *l, uint16_t i)
{
    return l->regions[i].tls ? &l->regions[i].probe : NULL;
}

const struct dp_fetch_tls *dp_tls_load_collector(const struct dp_tls_load *l)
{
    return l->collector.tls ? &l->collector.probe : NULL;
}

static bool differs(const struct identity *a, const struct identity *b)
{
    for (unsigned i = 0; i < FILES; i++) {
        if (!dp_span_eq(dp_text_span(&a->text[i]), dp_text_span(&b->text[i]))) {
            return true;
        }
    }
    return false;
}

bool dp_tls_load_region_differs(const struct dp_tls_load *a, uint16_t i,
                                const struct dp_tls_load *b, uint16_t k)
{
    return differs(&a->regions[i], &b->regions[k]);
}

bool dp_tls_load_listen_differs(const struct dp_tls_load *a, const struct dp_tls_load *b)
{
    return differs(&a->listen, &b->listen);
}

bool dp_tls_load_admin_differs(const struct dp_tls_load *a, const struct dp_tls_load *b)
{
    return differs(&a->admin, &b->admin);
}

bool dp_tls_load_collector_differs(const struct dp_tls_load *a, const struct dp_tls_load *b)
{
    return differs(&a->collector, &b->collector);
}

int64_t dp_tls_load_admin_not_after(const struct dp_tls_load *l)
{
    return l->admin.not_after;
}

int64_t dp_tls_load_listen_not_after(const struct dp_tls_load *l)
{
    return l->listen.not_after;
}

int64_t dp_tls_load_region_not_after(const struct dp_tls_load *l, uint16_t i)
{
    return l->regions[i].not_after;
}
