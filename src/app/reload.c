/* A reading at a time; see reload.h. `work` runs on another thread and touches only the job. */
#include "app/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

struct dp_reloader {
    struct dp_reload_options opt;
    const char *path;
    uint64_t asked;
    char actor[DP_ACTOR_TEXT]; /* of the last one */
    bool dead;
    /* the job */
    uv_work_t work;
    bool busy;
    struct dp_generation *now; /* what it is compared with */
    struct dp_reload result;
    char job_actor[DP_ACTOR_TEXT];
};

struct dp_reloader *dp_reloader_new(const struct dp_reload_options *opt, const char *path)
{
    struct dp_reloader *r = calloc(1, sizeof *r);
    if (!r) {
        abort(); /* small and fixed */
    }
    r->opt = *opt;
    r->path = path;
    return r;
}

/* ---- on the other thread ---- */

static const char *file_name(const char *path)
{
    return path ? path : "the built-in configuration";
}

static struct dp_config *read_again(struct dp_reloader *r, struct dp_reload *out)
{
    struct dp_config *config = NULL;
    if (r->path && strcmp(r->path, "-") == 0) {
        dp_problem(&out->problems, "", "stdin can't be read twice: it needs a restart");
        return NULL;
    }
    if (dp_config_load(r->path, &out->problems, &config) != DP_OK) {
        return NULL;
    }
    dp_config_diff(r->now->config, config, &out->changes, &out->problems);
    if (!dp_config_place(r->now->config, config)) {
        dp_problem(&out->problems, "regions",
                   "there is no room for so many new endpoints beside the old ones: it needs a "
                   "restart, or two steps");
    }
    return config;
}

/* The order tells more at once: files are tried even where a key needs a restart. */
static void work(uv_work_t *request)
{
    struct dp_reloader *r = request->data;
    struct dp_reload *out = &r->result;
    struct dp_generation *next = NULL;
    char why[DP_TLS_LOAD_WHY];
    struct dp_config *config = read_again(r, out);
    if (!config) {
        goto end;
    }
    if (dp_config_resolve(config, false, &out->problems) != DP_OK) {
        dp_problem(&out->problems, "regions", "a name could not be looked up");
    }
    if (!dp_tls_ticket_keys_rotate(&out->ticket_keys)) {
        dp_problem(&out->problems, "", "no random bytes for a new ticket key");
    } else if (dp_generation_new(config, config, &out->ticket_keys, r->opt.n_workers, &next, why) !=
               DP_OK) {
        dp_problem(&out->problems, "", "%s", why);
        dp_config_destroy(config);
        config = NULL;
    }
    if (next && out->problems.errors == 0) {
        out->next = next;
    } else if (next) {
        dp_generation_unref(next);
    } else {
        dp_config_destroy(config);
    }
end:
    dp_problems_close(&out->problems);
}

/* ---- on the loop ---- */

static void begin(struct dp_reloader *r);

static void fini_result(struct dp_reloader *r)
{
    dp_generation_unref(r->result.next);
    dp_generation_unref(r->now);
    dp_text_fini(&r->result.changes);
    dp_problems_fini(&r->result.problems);
    explicit_bzero(&r->result.ticket_keys, sizeof r->result.ticket_keys);
    r->result.next = NULL;
    r->now = NULL;
}

static void on_done(uv_work_t *request, int status)
{
    struct dp_reloader *r = request->data;
    (void)status; /* it is never cancelled */
    r->busy = false;
    if (!r->dead) {
        r->opt.done(r->opt.ctx, &r->result);
    }
    uint64_t served = r->result.asked;
    fini_result(r);
    if (r->dead) {
        free(r);
    } else if (r->asked > served) {
        begin(r);
    }
}

static void begin(struct dp_reloader *r)
{
    struct dp_reload *out = &r->result;
    memset(out, 0, sizeof *out);
    out->asked = r->asked;
    memcpy(r->job_actor, r->actor, sizeof r->job_actor);
    out->actor = r->job_actor;
    dp_problems_init(&out->problems, file_name(r->path));
    r->now = dp_generation_ref(r->opt.in_force(r->opt.ctx, &out->ticket_keys));
    r->busy = true;
    r->work.data = r;
    /* Fails only without a function to run. */
    (void)uv_queue_work(r->opt.loop, &r->work, work, on_done);
}

uint64_t dp_reloader_ask(struct dp_reloader *r, const char *actor)
{
    (void)snprintf(r->actor, sizeof r->actor, "%s", actor);
    r->asked++;
    if (!r->busy) {
        begin(r);
    }
    return r->asked;
}

bool dp_reloader_busy(const struct dp_reloader *r)
{
    return r->busy;
}

void dp_reloader_destroy(struct dp_reloader *r)
{
    if (!r) {
        return;
    }
    r->dead = true;
    if (!r->busy) {
        free(r);
    }
}
