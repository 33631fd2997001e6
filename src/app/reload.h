/* Reading the configuration again while the program runs: the whole of it is read, checked, looked up, compared and its
 * files tried, on a thread of libuv's pool, so that neither a slow disk nor a name server holds the control loop up.
 * Nothing that runs is touched: what came of it is handed to the main thread, which puts it in force or refuses it.
 *
 *   idle --ask--> reading --done--> idle, or reading again for who asked meanwhile */
#ifndef DAVENPORT_SRC_APP_RELOAD_H
#define DAVENPORT_SRC_APP_RELOAD_H

#include "davenport/app/problems.h"
#include "davenport/app/text.h"

#include "app/generation.h"

typedef struct uv_loop_s uv_loop_t;

struct dp_reloader;

/* What came of one reading. */
struct dp_reload {
    uint64_t asked; /* it serves everybody who asked up to this number */
    const char *actor;
    struct dp_generation *next; /* NULL: refused, and `problems` say why; the receiver owns it */
    struct dp_tls_ticket_keys ticket_keys; /* of `next`'s listener */
    struct dp_text changes;      /* a line each; none: nothing changed but, perhaps, files */
    struct dp_problems problems; /* warnings too */
};

struct dp_reload_options {
    uv_loop_t *loop;
    uint32_t n_workers;
    /* On the loop. What is in force then; `keys` are copied. */
    struct dp_generation *(*in_force)(void *ctx, struct dp_tls_ticket_keys *keys);
    void (*done)(void *ctx, struct dp_reload *reload);
    void *ctx;
};

/* path: of the file; NULL: the built-in default; "-": stdin, which can't be read twice. Borrowed. Never NULL. */
struct dp_reloader *dp_reloader_new(const struct dp_reload_options *opt, const char *path);
/* Returns the number of this wish, from 1 on. actor: who wishes, copied. */
uint64_t dp_reloader_ask(struct dp_reloader *r, const char *actor);
/* One is under way. */
DP_MUST_USE bool dp_reloader_busy(const struct dp_reloader *r);
/* Nothing is told any more; the memory goes when no thread uses it. */
void dp_reloader_destroy(struct dp_reloader *r);

#endif
