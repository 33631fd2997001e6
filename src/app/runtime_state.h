/* The runtime's own state, for the files that are the runtime: runtime.c begins and ends it, runtime_admin.c is what operators see and
 * order of it, runtime_reload.c another configuration, runtime_upgrade.c the time when two processes are it. */
#ifndef DAVENPORT_SRC_APP_RUNTIME_STATE_H
#define DAVENPORT_SRC_APP_RUNTIME_STATE_H

#include "davenport/control/governor.h"
#include "davenport/net/tls.h"
#include "davenport/proxy/worker.h"

#include "app/generation.h"
#include "app/instance.h"
#include "app/reload.h"
#include "app/runtime.h"
#include "app/supervisor.h"
#include "app/upgrade.h"

#include <uv.h>

struct dp_admin;

/* RUNNING: with `handing`, a new process is about to have the state. */
enum stage { STAGE_STARTING, STAGE_RUNNING, STAGE_DRAINING, STAGE_CLOSING };

struct dp_runtime {
    struct dp_generation *now;      /* in force */
    const struct dp_config *config; /* its, or before there is one: what it is to be made of */
    struct dp_sockets sockets;      /* until workers and admin server own them */
    struct dp_handed *handed;       /* while starting */
    const char *path;               /* of the configuration */
    uv_loop_t loop;
    uv_signal_t on_term, on_int, on_hup, on_usr1, on_usr2;
    uv_timer_t poll; /* while draining: have the threads ended? */
    uv_timer_t look; /* at the workers, for the service manager */
    struct dp_supervisor supervisor;
    enum stage stage;
    struct dp_governor *governor;
    struct dp_sequences *sequences;
    struct dp_admin *admin;
    struct dp_access_config access;     /* its sink is ours */
    struct dp_otlp_export *exporter;    /* NULL: no trace is recorded */
    struct dp_address_limit *addresses; /* NULL: no such limit */
    struct dp_recent *recent;
    struct dp_checkpoints *checkpoints;      /* NULL: none is forgotten */
    struct dp_login_limit *logins, *denials; /* of applications, of operators */
    struct dp_tls_ticket_keys ticket_keys;
    struct dp_reloader *reloader;
    struct dp_upgrade *upgrade;
    const char *port_file;
    int before;   /* to the process whose place we take; -1: none, or it knows that we are ready */
    bool handing; /* nothing may be ordered: it could be lost */
    bool sequences_away; /* while handing: their file is let go of */
    bool
        reload_owed; /* SIGHUP came while another process was being started, which may have read the file already */
    bool reloading; /* it is being put in force: views wait for the workers' part */
    uint64_t reloads_done, reloads_refused;
    uint32_t n_workers;
    struct dp_worker *workers[DP_WORKERS_MAX];
    const struct dp_traffic *traffic[DP_WORKERS_MAX];
    bool started[DP_WORKERS_MAX];
    int64_t started_wall_ms;
    char instance[DP_INSTANCE_TEXT];
    char canary_id[DP_BOUND_TEXT + 96]; /* see dp_control_config */
};

/* runtime.c */

/* A step of the start, in the log. */
void runtime_failed(const char *what, const char *why);
/* When the workers' threads have ended, the rest does. */
void runtime_await_end(struct dp_runtime *r);

/* runtime_admin.c */

/* A step of the start: operators are answered. */
DP_MUST_USE enum dp_err runtime_make_admin(struct dp_runtime *r);
/* They are not any more. */
void runtime_close_admin(struct dp_runtime *r);
/* For the governor, which begins before the admin server and ends after it: a line of the journal; something of it is on the disk. */
void runtime_tell_event(void *ctx, struct dp_span line);
void runtime_tell_saved(void *ctx);

/* runtime_reload.c */

DP_MUST_USE enum dp_err runtime_make_reloader(struct dp_runtime *r);
void runtime_on_reload(uv_signal_t *handle, int signum);
/* As dp_admin_source.reload. */
DP_MUST_USE enum dp_err runtime_ask_reload(void *ctx, const char *actor, uint64_t *asked);
/* An upgrade has ended; pid: of the process that is the service now, 0: we still are. A signal that came meanwhile is its. */
void runtime_catch_up_reload(struct dp_runtime *r, long pid);

/* runtime_crash.c */

/* From here on a crash tells what the workers were at, and leaves a file in state.dir. */
DP_MUST_USE enum dp_err runtime_report_crashes(struct dp_runtime *r);
/* Log and journal say what became of the process before, once. */
void runtime_tell_crash(struct dp_runtime *r);
/* The workers go. */
void runtime_forget_crashes(void);

/* runtime_tracing.c */

/* A step of the start: where spans are told of, r->exporter is there from then on. */
DP_MUST_USE enum dp_err runtime_begin_tracing(struct dp_runtime *r);
/* r->config is another. */
void runtime_follow_tracing(struct dp_runtime *r);

/* runtime_upgrade.c */

/* Something reached the disk: if all that is handed over did, the new process may have it. */
void runtime_look_at_handover(struct dp_runtime *r);
void runtime_on_upgrade(uv_signal_t *handle, int signum);
DP_MUST_USE enum dp_err runtime_make_upgrade(struct dp_runtime *r);
/* From here on state and journal are ours to read and write, where another process had them. */
DP_MUST_USE enum dp_err runtime_take_state(struct dp_runtime *r);
/* We serve: whose place we take may go. */
void runtime_take_over(struct dp_runtime *r);

#endif
