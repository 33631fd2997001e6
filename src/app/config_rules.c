/* How requests are routed, of the configuration: checked, completed, and made the rules that workers go by. */
#include "app/config_table.h"

#include <stdio.h>
#include <string.h>

/* CouchDB's own limit of a database's name. */
#define PATTERN_BYTES_MAX 238

_Static_assert(DP_MODE_ACTIVE_PASSIVE == 0 && DP_MODE_ACTIVE_ACTIVE == 1 &&
                   DP_MODE_WRITE_PRIMARY == 2,
               "the words of mode stand in the order of enum dp_mode");
_Static_assert(DP_STICKY_NONE == 0 && DP_STICKY_CONNECTION == 1 && DP_STICKY_HEADER == 2 &&
                   DP_STICKY_ADDRESS == 3,
               "the words of sticky.by stand in the order of enum dp_sticky");
_Static_assert(DP_ON_LOSS_MOVE == 0 && DP_ON_LOSS_REFUSE == 1,
               "the words of sticky.on_loss stand in the order of enum dp_on_loss");

static void check_sticky(const struct dp_config *c, const char *path, uint64_t mode,
                         uint64_t sticky, struct dp_problems *problems)
{
    if (sticky == DP_STICKY_HEADER && !c->sticky_header) {
        dp_problem(problems, path, "needs sticky.header, the header's name");
    }
    if (sticky == DP_STICKY_ADDRESS && mode == DP_MODE_WRITE_PRIMARY) {
        dp_problem(problems, path,
                   "must not be \"address\" in mode write-primary: every client has one, so all "
                   "reads would go where writes go; \"connection\" and \"header\" tell who wrote");
    }
}

void dp_config_check_rules(struct dp_config *c, struct dp_problems *problems)
{
    bool header = c->sticky == DP_STICKY_HEADER;
    check_sticky(c, "sticky.by", c->mode, c->sticky, problems);
    for (uint16_t i = 0; i < c->n_databases; i++) {
        struct dp_config_database *d = &c->databases[i];
        char shown[DP_SHOWN_KEY];
        char path[DP_SHOWN_KEY + 32];
        dp_config_show_key(d->pattern, shown);
        if (snprintf(path, sizeof path, "databases.%s", shown) < 0) {
            path[0] = '\0';
        }
        if (*d->pattern == '\0' || strlen(d->pattern) > PATTERN_BYTES_MAX) {
            dp_problem(problems, path, "must be a pattern of 1 to %d bytes", PATTERN_BYTES_MAX);
        }
#define DP_DATABASE_CHOICE(p, field, choices, like, flags, text)                                   \
    if (d->field == DP_CONFIG_UNSET) {                                                             \
        d->field = c->like;                                                                        \
    }
#include "davenport/app/config.def"
        check_sticky(c, path, d->mode, d->sticky, problems);
        header = header || d->sticky == DP_STICKY_HEADER;
    }
    if (c->sticky_header && !header) {
        dp_problem_warning(problems, "sticky.header", "is not used: no sticky.by is \"header\"");
    }
}

void dp_config_rules(const struct dp_config *c, struct dp_rules *out)
{
    *out = (struct dp_rules){
        .all = {.mode = (enum dp_mode)c->mode,
                .writes_failover = c->writes_failover != 0,
                .sticky = (enum dp_sticky)c->sticky,
                .on_loss = (enum dp_on_loss)c->sticky_on_loss},
        .sticky_header = dp_span_str(c->sticky_header),
        .nearest = c->mode != DP_MODE_ACTIVE_PASSIVE,
    };
    for (uint16_t i = 0; i < c->n_databases; i++) {
        const struct dp_config_database *d = &c->databases[i];
        const struct dp_rule rule = {.mode = (enum dp_mode)d->mode,
                                     .writes_failover = d->writes_failover != 0,
                                     .sticky = (enum dp_sticky)d->sticky,
                                     .on_loss = (enum dp_on_loss)d->sticky_on_loss};
        (void)dp_rules_add(out, dp_span_str(d->pattern), &rule); /* as many as there is room for */
    }
}

bool dp_config_nearest(const struct dp_config *c)
{
    bool nearest = c->mode != DP_MODE_ACTIVE_PASSIVE;
    for (uint16_t i = 0; i < c->n_databases; i++) {
        nearest = nearest || c->databases[i].mode != DP_MODE_ACTIVE_PASSIVE;
    }
    return nearest;
}
