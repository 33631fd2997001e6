/* How requests are routed, as configured: a rule for all databases, and others for those whose names match
 * a pattern. Immutable once made; its strings belong to the configuration. Pure. */
#ifndef DAVENPORT_CORE_RULES_H
#define DAVENPORT_CORE_RULES_H

#include "davenport/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define DP_MAX_RULES 64

#define DP_MODE_TABLE(X)                                                                           \
    X(ACTIVE_PASSIVE, "active-passive") /* all of it to the active region */                       \
    X(ACTIVE_ACTIVE, "active-active")   /* all of it to the nearest regions */                     \
    X(WRITE_PRIMARY, "write-primary")   /* writes to one region, reads to the nearest */

enum dp_mode {
#define X(name, word) DP_MODE_##name,
    DP_MODE_TABLE(X)
#undef X
};
const char *dp_mode_name(enum dp_mode m);

/* What makes requests those of one client, who is to read what it wrote. */
enum dp_sticky { DP_STICKY_NONE, DP_STICKY_CONNECTION, DP_STICKY_HEADER, DP_STICKY_ADDRESS };

/* What its requests do when its region is lost. */
enum dp_on_loss { DP_ON_LOSS_MOVE, DP_ON_LOSS_REFUSE };

struct dp_rule {
    enum dp_mode mode;
    bool writes_failover; /* WRITE_PRIMARY: writes move to another region when theirs is lost */
    enum dp_sticky sticky;
    enum dp_on_loss on_loss;
};

struct dp_rules {
    struct dp_rule all; /* of what no pattern matches, and of what concerns no database */
    uint16_t n;
    struct dp_span patterns[DP_MAX_RULES]; /* the most specific first */
    struct dp_rule rules[DP_MAX_RULES];
    struct dp_span sticky_header; /* its name; empty: there is none */
    bool nearest;                 /* some rule sends reads to the nearest region */
};

/* Takes its place among the patterns. False: there are too many. */
bool dp_rules_add(struct dp_rules *r, struct dp_span pattern, const struct dp_rule *rule);

/* db: the database's name, decoded; empty: the request concerns none. */
const struct dp_rule *dp_rules_find(const struct dp_rules *r, struct dp_span db);

/* Is every request of this rule the active region's? */
static inline bool dp_rule_plain(const struct dp_rule *r)
{
    return r->mode == DP_MODE_ACTIVE_PASSIVE;
}

#endif
