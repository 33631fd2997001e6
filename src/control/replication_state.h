/* What the files of the watch share: replication.c has its life, pace and judgement, replication_round.c a database's round,
 * replication_jobs.c what regions say of their replications, replication_canary.c documents of ours that they carry. */
#ifndef DAVENPORT_CONTROL_REPLICATION_STATE_H
#define DAVENPORT_CONTROL_REPLICATION_STATE_H

#include "davenport/base/random.h"
#include "davenport/couch/replica.h"

#include "control/replication.h"

#define DATABASE_NAME_BYTES 256
#define DATABASE_PATH_BYTES (3 * DATABASE_NAME_BYTES)
#define JOB_ID_BYTES        160

/* What a region says of a database. */
enum look {
    LOOK_NOT_YET,
    LOOK_HERE,
    LOOK_GONE,     /* there is none */
    LOOK_DENIED,   /* not for us */
    LOOK_NO_ANSWER /* or none that says anything */
};

struct look_at {
    enum look look;
    uint64_t asked_ns;
    struct dp_replica_info info; /* of the last time that it was HERE; seq "": never */
    char word[DP_REPLICA_WORD];
};

/* The job that writes a way, as its region told. */
struct job {
    char id[JOB_ID_BYTES], doc_id[JOB_ID_BYTES]; /* "": not known */
    uint16_t region; /* whose _replicator has it; DP_NO_REGION: none is known */
    uint32_t listed; /* in which of its lists: see region_jobs.lists */
    bool whole;      /* known to carry all */
};

struct way {
    struct dp_replica_way known;
    struct job job;
    char *
        place; /* token of `from`: all up to it is in `to`, but for what is in `missing`; NULL: none yet */
    char *end; /* update_seq of `from` when all of it was read; NULL: was not */
    struct dp_replica_set *missing; /* NULL: nothing */
    uint32_t page;                  /* rows to ask for */
};

enum step {
    STEP_IDLE,
    STEP_LOOK,
    STEP_SHARE,
    STEP_WAY,
    STEP_JOB,
    STEP_CHECKPOINT,
    STEP_CHANGES,
    STEP_DIFF,
};

struct database {
    struct dp_replication *watch;
    char name[DATABASE_NAME_BYTES], path[DATABASE_PATH_BYTES];
    bool configured, hurried;
    bool canary; /* documents of ours are sent through it */
    bool has_marks,
        not_shared;   /* there was something to be shared; the last time it could not be written */
    uint64_t used_ns; /* last seen in use */
    struct look_at *looks; /* one a region */
    struct way *ways;      /* from * n + to */
    /* the round */
    enum step step;
    uint64_t due_ns; /* of its next step, when nothing is under way */
    struct dp_fetch *fetch;
    uint16_t region, from, to;
    unsigned pages, tries;
    bool at_end; /* the last page was the feed's end */
    /* What came while the rest was missing; its documents' last state counts for the one before too. */
    struct dp_replica_set *newer; /* NULL: nothing */
    char *newer_place;            /* up to where; NULL: the way's own place */
    bool again;                   /* what was missing is asked for again */
    uint64_t shared_ns;           /* marks were exchanged with the regions; 0: never */
    uint64_t began_ns;            /* the request for it began */
    uint64_t asked_ns;            /* the present request began */
};

/* What a region says of the replications that it runs. */
enum jobs_answer { JOBS_NOT_YET, JOBS_TOLD, JOBS_DENIED, JOBS_NO_ANSWER };
struct region_jobs {
    struct dp_replication *watch;
    uint16_t region;
    struct dp_fetch *fetch;
    uint64_t due_ns;
    enum jobs_answer answer;
    bool no_scheduler; /* it has none: _replicator is read */
    uint32_t lists;    /* so far */
    char word[DP_REPLICA_WORD];
};

/* A document of ours in one region, see replication_canary.c. */
struct canary_source {
    struct dp_replication *watch;
    uint16_t region;
    struct dp_fetch *fetch;
    uint64_t due_ns;
    uint64_t asked_ns;           /* its PUT began */
    char rev[DP_REPLICA_REV];    /* that it has there; "": not known, or it is not there */
    bool looked;                 /* for its revision, since it was written last */
    char newest[DP_REPLICA_REV]; /* of the last one that was written; and: */
    uint64_t number, sent_ns;    /* 0: none was */
};

/* And the looks for it in another one. */
struct canary_look {
    struct dp_replication *watch;
    uint16_t from, to;
    struct dp_fetch *fetch;
    uint64_t due_ns;
    unsigned tries;
    char rev[DP_REPLICA_REV]; /* of the one that is waited for */
    /* as they were when it was asked */
    char newest[DP_REPLICA_REV];
    uint64_t newest_number;
};

struct dp_replication {
    struct dp_replication_options opt;
    const struct dp_control_config *config;
    uint16_t n; /* regions */
    struct dp_fetcher *fetcher;
    uv_timer_t timer;
    unsigned open;
    bool started, dead;
    void (*done)(void *ctx);
    void *done_ctx;
    struct dp_random random;
    bool eager, hurry;
    uint16_t hurry_from, hurry_to;
    uint64_t overflow_ns;
    unsigned asking; /* requests under way */
    unsigned turn;   /* whose turn it is */
    unsigned n_databases;
    struct database *databases[DP_WATCHED_DATABASES];
    struct region_jobs jobs[DP_MAX_REGIONS];
    struct canary_source canaries[DP_MAX_REGIONS];
    struct canary_look looks[DP_MAX_REGIONS][DP_MAX_REGIONS]; /* from, to */
};

static inline uint64_t replication_now(const struct dp_replication *r)
{
    return dp_clock_mono_ns(r->opt.clock);
}

/* Requests ask for it, or the configuration: our own documents alone are no use. */
static inline bool replication_in_use(const struct database *d)
{
    return d->configured || d->used_ns > 0;
}

static inline struct way *replication_way(struct database *d, uint16_t from, uint16_t to)
{
    return &d->ways[from * d->watch->n + to];
}

/* replication.c */

/* A time from now on, about `ms` later. */
uint64_t replication_later(struct dp_replication *r, uint64_t ms);
/* Ask a region. False: it is not asked now, *why says why (DOWN: also without memory). path: behind the base URL. */
DP_MUST_USE bool replication_ask(struct dp_replication *r, uint16_t region, const char *path,
                                 struct dp_span body, dp_fetch_done done, void *ctx,
                                 struct dp_fetch **out, enum dp_reach *why);
/* The same, with PUT. */
DP_MUST_USE bool replication_put(struct dp_replication *r, uint16_t region, const char *path,
                                 struct dp_span body, dp_fetch_done done, void *ctx,
                                 struct dp_fetch **out, enum dp_reach *why);
/* Look at what is due next. */
void replication_arm(struct dp_replication *r);
void replication_told(struct dp_replication *r);
/* Where the judgement of a way begins anew: nothing that was found of it holds. */
void replication_forget_way(struct way *w);
/* The region that a URL's base belongs to, or DP_NO_REGION. */
uint16_t replication_region_of(const struct dp_replication *r, const char *base);
/* How long until what is not urgent is looked at again. */
uint64_t replication_interval_ms(const struct dp_replication *r);
/* The words of an answer that can't be used. */
#define ANSWER_WORD 48
void replication_word(char out[ANSWER_WORD], const struct dp_fetch_result *res);
/* Text for people, cut where it does not fit. */
DP_PRINTF(3, 4) void replication_say(char *buf, size_t cap, const char *format, ...);
/* 401 or 403. */
bool replication_denied(const struct dp_fetch_result *res);

/* replication_round.c */

/* Its next step is due and nothing is under way. */
void replication_step(struct database *d);
void replication_drop_newer(struct database *d);
/* Break the round off. */
void replication_stop_round(struct database *d);
void replication_hurry_way(struct database *d, uint16_t from, uint16_t to);

/* replication_jobs.c */

void replication_ask_jobs(struct region_jobs *j);
/* Every region that can be asked has told, or refused to. */
bool replication_jobs_known(const struct dp_replication *r);

/* replication_canary.c */

/* Nothing is on its way: at the start, and with a new configuration. */
void replication_canary_init(struct dp_replication *r);
/* When something is to be written or looked for next; UINT64_MAX: nothing. */
uint64_t replication_canary_due_ns(const struct dp_replication *r);
/* Ask what is due, while fewer than `most` requests are under way. */
void replication_canary_step(struct dp_replication *r, unsigned most);
/* Somebody waits: write them anew. */
void replication_canary_soon(struct dp_replication *r);
void replication_canary_stop(struct dp_replication *r);

/* replication_share.c: a round's part between looking and the ways. */
bool replication_share_due(const struct database *d);
void replication_share_step(struct database *d);

#endif
