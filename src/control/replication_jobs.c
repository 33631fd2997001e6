/* What regions say of the replications that they run: one list a region, matched with the ways of the databases in use.
 * A list is of documents; who replicates by other means is not in it, and then the data alone tells. */
#include "control/replication_state.h"

#include <stdio.h>
#include <string.h>

#define MAX_ANSWER_ROWS "1000"
/* Where nobody may look, or nothing is there: often enough for it to be known all the while (dp_replica_config.fresh_ns). */
#define RARELY_MS 20000

static const char scheduler_path[] = "/_scheduler/docs/_replicator?limit=" MAX_ANSWER_ROWS;
static const char documents_path[] =
    "/_replicator/_all_docs?include_docs=true&limit=" MAX_ANSWER_ROWS;

bool replication_jobs_known(const struct dp_replication *r)
{
    for (uint16_t i = 0; i < r->n; i++) {
        if (r->jobs[i].answer == JOBS_NOT_YET)
            return false;
    }
    return true;
}

static struct database *named(const struct dp_replication *r, const char *name)
{
    for (unsigned i = 0; i < r->n_databases; i++) {
        if (strcmp(r->databases[i]->name, name) == 0)
            return r->databases[i];
    }
    return NULL;
}

static enum dp_replica_run run_of(const char *state)
{
    if (strcmp(state, "running") == 0 || strcmp(state, "triggered") == 0)
        return DP_REPLICA_RUN_RUNNING;
    return DP_REPLICA_RUN_TROUBLED;
}

/* What a region tells of a fault may hold an URL with its credentials. */
static void trouble(char out[DP_REPLICA_WORD], const struct dp_replica_job *job)
{
    bool tells = job->error[0] && !strchr(job->error, '@');
    replication_say(out, DP_REPLICA_WORD, "%.20s%s%.70s", job->state[0] ? job->state : "no state",
                    tells ? ": " : "", tells ? job->error : "");
    for (char *c = out; *c; c++) {
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
    }
}

static void on_one(void *ctx, const struct dp_replica_job *job)
{
    struct region_jobs *j = ctx;
    struct dp_replication *r = j->watch;
    char base[DP_REPLICA_BASE], name[DP_REPLICA_NAME], other[DP_REPLICA_NAME],
        word[DP_REPLICA_WORD] = "";
    if (!job->continuous || !dp_replica_url(job->source, base, name))
        return;
    uint16_t from = replication_region_of(r, base);
    if (!dp_replica_url(job->target, base, other) || strcmp(name, other) != 0)
        return;
    uint16_t to = replication_region_of(r, base);
    struct database *d = named(r, name);
    if (!d || from == DP_NO_REGION || to == DP_NO_REGION || from == to)
        return;
    struct way *w = replication_way(d, from, to);
    enum dp_replica_run run = run_of(job->state);
    bool again = w->job.region == j->region && w->job.listed == j->lists;
    if (again && w->known.run == DP_REPLICA_RUN_RUNNING)
        return; /* another document for the same: CouchDB runs one of them */
    if (run == DP_REPLICA_RUN_TROUBLED)
        trouble(word, job);
    w->job.region = j->region;
    w->job.listed = j->lists;
    w->job.whole = job->whole;
    replication_say(w->job.id, sizeof(w->job.id), "%s", job->id);
    replication_say(w->job.doc_id, sizeof(w->job.doc_id), "%s", job->doc_id);
    dp_replica_job_said(&w->known, run, job->doc_write_failures, word, replication_now(r));
}

/* A job that its region does not list any more, and ways that no region speaks of. */
static void unlisted(struct region_jobs *j)
{
    struct dp_replication *r = j->watch;
    uint64_t now = replication_now(r);
    const char *word = "no _replicator document tells of it";
    for (uint16_t i = 0; i < r->n; i++) {
        if (r->jobs[i].answer == JOBS_DENIED)
            word = r->jobs[i].word;
    }
    for (unsigned i = 0; i < r->n_databases; i++) {
        for (unsigned k = 0; k < (unsigned)r->n * r->n; k++) {
            struct way *w = &r->databases[i]->ways[k];
            if (w->job.region == j->region && w->job.listed != j->lists)
                w->job.region = DP_NO_REGION;
            if (w->job.region == DP_NO_REGION && replication_jobs_known(r))
                dp_replica_job_said(&w->known, DP_REPLICA_RUN_UNSEEN, -1, word, now);
        }
    }
}

static void told(struct region_jobs *j, enum jobs_answer answer, uint64_t again_ms)
{
    j->answer = answer;
    if (answer == JOBS_TOLD || answer == JOBS_DENIED)
        unlisted(j);
    j->due_ns = replication_later(j->watch, again_ms);
    replication_told(j->watch);
}

static void on_jobs(void *ctx, const struct dp_fetch_result *res)
{
    struct region_jobs *j = ctx;
    struct dp_replication *r = j->watch;
    uint64_t soon = replication_interval_ms(r);
    enum dp_err err = DP_EINVAL;
    char word[ANSWER_WORD];
    j->fetch = NULL;
    r->asking--;
    replication_word(word, res);
    replication_say(j->word, sizeof(j->word), "%.40s of its list in %.40s", word,
                    r->config->regions[j->region].name);
    bool missing = res->err == DP_OK && (res->status == 404 || res->status == 400);
    if (missing && !j->no_scheduler) {
        j->no_scheduler = true;
        j->due_ns = 0;
    } else if (missing) { /* no _replicator either: there are none */
        j->lists++;
        told(j, JOBS_TOLD, soon > RARELY_MS ? soon : RARELY_MS);
        j->no_scheduler = false;
    } else if (replication_denied(res)) {
        told(j, JOBS_DENIED, soon > RARELY_MS ? soon : RARELY_MS);
    } else {
        if (res->err == DP_OK && res->status == 200) {
            j->lists++;
            err = j->no_scheduler ? dp_replica_replicator_docs(res->body, on_one, j)
                                  : dp_replica_scheduler_docs(res->body, on_one, j);
        }
        told(j, err ? JOBS_NO_ANSWER : JOBS_TOLD, soon);
    }
    replication_arm(r);
}

void replication_ask_jobs(struct region_jobs *j)
{
    enum dp_reach why;
    const char *path = j->no_scheduler ? documents_path : scheduler_path;
    if (replication_ask(j->watch, j->region, path, (struct dp_span){NULL, 0}, on_jobs, j, &j->fetch,
                        &why))
        return;
    replication_say(j->word, sizeof(j->word), "%.60s refused our credentials",
                    j->watch->config->regions[j->region].name);
    told(j, why == DP_REACH_NO_KEYS ? JOBS_DENIED : JOBS_NO_ANSWER,
         replication_interval_ms(j->watch));
}
