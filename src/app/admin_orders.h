/* POST /switch, /drain, /resume, /freeze, /unfreeze, /approve, /revoke: an operator's order as JSON, and what became of it. Pure but for
 * what the source does. */
#ifndef DAVENPORT_SRC_APP_ADMIN_ORDERS_H
#define DAVENPORT_SRC_APP_ADMIN_ORDERS_H

#include "app/admin.h"

/* {"region":NAME, "reason":TEXT, "ttl_s":N, "epoch":N, "force":BOOL, "dry_run":BOOL}: all but region may be left out,
 * and region and ttl_s stand only where the kind takes them. When the order went through and waits for the disk,
 * answer->ticket says so, and the body ends with "kept":"pending" until dp_admin_kept. */
void dp_admin_order(const struct dp_admin_source *source, const struct dp_admin_request *request,
                    enum dp_order_kind kind, struct dp_admin_answer *answer);
/* The order is on the disk: say so in the body. */
void dp_admin_kept(struct dp_admin_answer *answer);

/* Who sent it, for the record: what the header Davenport-Actor claims (printable ASCII, cut), and what is known of the
 * connection: "ann@host (uid 1000)", or "operator (loopback)". */
void dp_admin_actor(const struct dp_head *head, const char *peer, char out[DP_ACTOR_TEXT]);

#endif
