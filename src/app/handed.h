/* Listening sockets that another process opened for us, by inherited descriptors: systemd (socket activation), or the process
 * whose place we take (app/upgrade.h).
 *
 *   systemd             LISTEN_FDS=2 LISTEN_PID=812 LISTEN_FDNAMES=traffic:admin      from descriptor 3 on
 *   the process before  DAVENPORT_HANDED=traffic+:traffic+:admin+:before DAVENPORT_HANDED_BY=811      likewise
 *
 * "+": the file of that Unix socket is ours to remove at the end. "before": a socket pair to that process, the last one. All of them may have
 * come to us by mistake: who is meant has the number LISTEN_PID; was given a pair that process 811 made, or without HANDED_BY its parent. */
#ifndef DAVENPORT_SRC_APP_HANDED_H
#define DAVENPORT_SRC_APP_HANDED_H

#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define DP_HANDED_MAX   258 /* a socket a worker, the admin's, and the pair */
#define DP_HANDED_FIRST 3
#define DP_HANDED_ENV   "DAVENPORT_HANDED"
#define DP_HANDED_WHY   160

#define DP_HANDED_BY_ENV DP_HANDED_ENV "_BY"

enum dp_handed_kind { DP_HANDED_TRAFFIC, DP_HANDED_ADMIN, DP_HANDED_BEFORE };

struct dp_handed_fd {
    int fd; /* -1: taken */
    enum dp_handed_kind kind;
    bool owns_file;
};

struct dp_handed {
    struct dp_handed_fd fds[DP_HANDED_MAX];
    size_t n;
    const char *who; /* "systemd", "the process before"; "" when n is 0 */
    bool ignored;    /* the variable of a process before was there, and not meant for us */
};

const char *dp_handed_name(enum dp_handed_kind kind);
/* What the environment tells, which then does not tell it any more (nor to our children). The descriptors become
 * close-on-exec. Errors: DP_EINVAL, *why. Before there are threads. */
DP_MUST_USE enum dp_err dp_handed_take(struct dp_handed *out, char why[DP_HANDED_WHY]);
/* The next one of that kind, the caller's from now on; NULL: none is left. */
struct dp_handed_fd *dp_handed_next(struct dp_handed *h, enum dp_handed_kind kind);
/* What nobody took is closed. */
void dp_handed_close(struct dp_handed *h);

#endif
