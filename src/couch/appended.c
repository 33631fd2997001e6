/* Read from left to right; whatever is no such error is left at its first byte that is not. */
#include "davenport/couch/appended.h"

static bool take(struct dp_span *s, struct dp_span what)
{
    if (!dp_span_starts(*s, what))
        return false;
    s->p += what.n;
    s->n -= what.n;
    return true;
}

static void take_line_feeds(struct dp_span *s)
{
    while (s->n > 0 && (*s->p == '\n' || *s->p == '\r')) {
        s->p++;
        s->n--;
    }
}

/* 400 to 599 */
static bool take_code(struct dp_span *s)
{
    bool good = s->n > 3 && (s->p[0] == '4' || s->p[0] == '5') && s->p[1] >= '0' &&
                s->p[1] <= '9' && s->p[2] >= '0' && s->p[2] <= '9';
    if (good) {
        s->p += 3;
        s->n -= 3;
    }
    return good;
}

/* The rest of a string whose quote was taken, with the closing one. */
static bool take_string(struct dp_span *s)
{
    while (s->n > 0) {
        char c = *s->p;
        size_t n = c == '\\' && s->n > 1 ? 2 : 1;
        s->p += n;
        s->n -= n;
        if (c == '"')
            return true;
    }
    return false;
}

bool dp_couch_appended_error(struct dp_span piece)
{
    struct dp_span s = piece;
    take_line_feeds(&s);
    if (!take(&s, DP_SPAN("{\"code\":")) || !take_code(&s) || !take(&s, DP_SPAN(",\"error\":\"")) ||
        !take_string(&s) || !take(&s, DP_SPAN(",\"reason\":\"")) || !take_string(&s) ||
        !take(&s, DP_SPAN("}")))
        return false;
    take_line_feeds(&s);
    return s.n == 0;
}
