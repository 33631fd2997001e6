/* What becomes of a canary, see canary.h. */
#include "davenport/core/canary.h"

#include <stdio.h>

void dp_canary_sent(struct dp_canary *c, uint64_t number, uint64_t sent_ns)
{
    if (c->out_ns)
        return;
    c->out = number;
    c->out_ns = sent_ns;
    c->missed_ns = 0;
}

void dp_canary_came(struct dp_canary *c, uint64_t number, uint64_t newest, uint64_t newest_ns,
                    uint64_t now_ns)
{
    if (c->out_ns == 0 || number < c->out)
        return;
    c->took_ns = now_ns > c->out_ns ? now_ns - c->out_ns : 1;
    c->came_ns = now_ns;
    c->denied = false;
    c->word[0] = '\0';
    dp_canary_withdrawn(c);
    if (newest > number)
        dp_canary_sent(c, newest, newest_ns);
}

void dp_canary_missed(struct dp_canary *c, uint64_t now_ns)
{
    if (c->out_ns)
        c->missed_ns = now_ns;
}

void dp_canary_withdrawn(struct dp_canary *c)
{
    c->out_ns = c->missed_ns = 0;
}

/* Names and bodies may hold whatever bytes: what is left must be text in JSON all the same. */
void dp_canary_failed(struct dp_canary *c, bool denied, const char *word)
{
    c->denied = denied;
    (void)snprintf(c->word, sizeof(c->word), "%s", word);
    for (char *p = c->word; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

bool dp_canary_overdue(const struct dp_canary *c, uint64_t most_ns)
{
    return c->out_ns && c->missed_ns > c->out_ns && c->missed_ns - c->out_ns > most_ns;
}
