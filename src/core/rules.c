/* Rules by pattern: sorted when they are added, so that the first that matches counts. */
#include "davenport/core/rules.h"

#include "davenport/core/glob.h"

const char *dp_mode_name(enum dp_mode m)
{
    static const char *const names[] = {
#define X(name, word) word,
        DP_MODE_TABLE(X)
#undef X
    };
    return m <= DP_MODE_WRITE_PRIMARY ? names[m] : "?";
}

bool dp_rules_add(struct dp_rules *r, struct dp_span pattern, const struct dp_rule *rule)
{
    uint16_t at = r->n;
    if (r->n == DP_MAX_RULES)
        return false;
    for (; at > 0 && dp_glob_compare(pattern, r->patterns[at - 1]) > 0; at--) {
        r->patterns[at] = r->patterns[at - 1];
        r->rules[at] = r->rules[at - 1];
    }
    r->patterns[at] = pattern;
    r->rules[at] = *rule;
    r->n++;
    r->nearest = r->nearest || !dp_rule_plain(rule);
    return true;
}

const struct dp_rule *dp_rules_find(const struct dp_rules *r, struct dp_span db)
{
    for (uint16_t i = 0; db.n > 0 && i < r->n; i++) {
        if (dp_glob_match(r->patterns[i], db))
            return &r->rules[i];
    }
    return &r->all;
}
