/* Another program in place of this one, while it serves: the new process gets the listening sockets, and then the state, from the
 * old one, which drains. Nothing that a client does in between is refused, for the sockets are the same all along.
 *
 *   old ─heirloom─► new, as soon as it is started
 *
 *   old: IDLE ─begin─► CHECKING ─check is content─► STARTING ─"t"─► LETTING_GO ─written─► WAITING ─"r"─► REPLACED
 *          ▲               │                            │               │                    │
 *          └───────────────┴── it ended, or takes too long: why is told, state is taken back ┘
 *   new: configuration, sockets, ─"t", waits for "y"─► state, workers ─"r"─► it is the service
 *
 * The new program is what lies at the path that this one was started from. Both sides on their main threads. */
#ifndef DAVENPORT_SRC_APP_UPGRADE_H
#define DAVENPORT_SRC_APP_UPGRADE_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/net/secret.h"
#include "davenport/net/tls.h"

#include "app/handed.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct uv_loop_s uv_loop_t;

struct dp_upgrade;

/* What a process knows and no file has: without it applications would have to log in anew, and begin TLS anew. */
struct dp_heirloom {
    unsigned char secret[DP_SECRET_BYTES]; /* dp_secret_of_process */
    struct dp_tls_ticket_keys ticket_keys;
};

#define DP_UPGRADE_WHY 512

struct dp_upgrade_options {
    uv_loop_t *loop;
    const char
        *config_path;      /* NULL: the built-in one; "-": it can't be read again, so no upgrade */
    const char *port_file; /* NULL: none */
    void *ctx;
    /* The sockets to be inherited, at most DP_HANDED_MAX - 1; borrowed until the next turn of the loop. */
    size_t (*sockets)(void *ctx, struct dp_handed_fd out[DP_HANDED_MAX]);
    /* False: there is nothing to inherit. */
    bool (*heirloom)(void *ctx, struct dp_heirloom *out);
    /* Write the state and leave it alone, then dp_upgrade_let_go, later. */
    void (*let_go)(void *ctx);
    /* The state is ours again, and why. let_go may be under way or done, or was never asked for. */
    void (*failed)(void *ctx, bool had_let_go, const char *why);
    /* Process `pid` is the service now. */
    void (*replaced)(void *ctx, long pid);
};

/* NULL: out of memory. Strings are borrowed. */
DP_MUST_USE struct dp_upgrade *dp_upgrade_new(const struct dp_upgrade_options *opt);
/* Begins, when none is under way; how it ends is told by failed, maybe at once, or replaced. */
void dp_upgrade_begin(struct dp_upgrade *u);
DP_MUST_USE bool dp_upgrade_under_way(const struct dp_upgrade *u);
/* The answer to let_go; NULL is fine. */
void dp_upgrade_let_go(struct dp_upgrade *u);
/* We are to end: a try fails, but for one whose new process has the state, and may serve already. NULL is fine. */
void dp_upgrade_cancel(struct dp_upgrade *u);
/* There is such a one: `replaced` or `failed` tells soon. */
DP_MUST_USE bool dp_upgrade_waits(const struct dp_upgrade *u);
/* A process that is being started is ended. Frees when handles are closed; NULL is fine. */
void dp_upgrade_destroy(struct dp_upgrade *u);

/* The new process, first of all: what it inherits. False: nothing that it understands, for it is of another version, or the
 * old one is gone. */
DP_MUST_USE bool dp_upgrade_inherit(int before, struct dp_heirloom *out);
/* The new process, by its end of the pair (DP_HANDED_BEFORE). Blocks until the old one has let go of the state; one that has
 * died has, too. Errors: DP_ETIMEOUT. */
DP_MUST_USE enum dp_err dp_upgrade_take_state(int before);
/* It serves. Closes `before`. */
void dp_upgrade_ready(int before);

#endif
