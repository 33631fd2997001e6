/* Location and Destination. */
#include "proxy/origin.h"

#include <string.h>

/* Take "http://" or "https://" and the authority off; false: it is no such URL. The rest begins with '/', '?', or is
 * empty. */
static bool take_origin(struct dp_span *url, struct dp_span *authority)
{
    static const struct dp_span schemes[] = {DP_SPAN_INIT("http://"), DP_SPAN_INIT("https://")};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = schemes[i].n;
        if (url->n < n || !dp_span_ieq((struct dp_span){url->p, n}, schemes[i]))
            continue;
        size_t end = n;
        while (end < url->n && url->p[end] != '/' && url->p[end] != '?' && url->p[end] != '#')
            end++;
        *authority = (struct dp_span){url->p + n, end - n};
        *url = (struct dp_span){url->p + end, url->n - end};
        return true;
    }
    return false;
}

static bool take(struct dp_span *s, struct dp_span prefix)
{
    if (!dp_span_starts(*s, prefix))
        return false;
    *s = (struct dp_span){s->p + prefix.n, s->n - prefix.n};
    return true;
}

static struct dp_span join(struct dp_arena *a, const struct dp_span *parts, size_t n)
{
    struct dp_span out = {NULL, 0};
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += parts[i].n;
    char *p = dp_arena_alloc(a, bytes + 1);
    if (!p)
        return out;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0)
            memcpy(p + out.n, parts[i].p, parts[i].n);
        out.n += parts[i].n;
    }
    out.p = p;
    return out;
}

struct dp_span dp_origin_location(struct dp_arena *a, struct dp_span location, const char *host,
                                  const struct dp_origin *o)
{
    struct dp_span path = location, authority = {NULL, 0};
    if (take_origin(&path, &authority)) {
        const bool theirs = authority.n > 0 && dp_span_ieq(authority, dp_span_str(host));
        const bool ours = o->authority.n > 0 && dp_span_ieq(authority, o->authority);
        if (!theirs && (!ours || o->prefix.n == 0)) /* elsewhere, or right as it is */
            return location;
    } else if (o->prefix.n == 0 || location.n == 0 || location.p[0] != '/' ||
               (location.n > 1 && location.p[1] == '/')) {
        return location;
    }
    const struct dp_span none = {NULL, 0};
    const bool whole = authority.n > 0 && o->authority.n > 0;
    const struct dp_span scheme = o->tls ? DP_SPAN("https://") : DP_SPAN("http://");
    const struct dp_span parts[] = {whole ? scheme : none, whole ? o->authority : none, o->prefix,
                                    path.n > 0 ? path : DP_SPAN("/")};
    return join(a, parts, sizeof(parts) / sizeof(parts[0]));
}

struct dp_span dp_origin_destination(struct dp_span destination, struct dp_span db,
                                     const struct dp_origin *o)
{
    struct dp_span rest = destination, authority;
    if (!take_origin(&rest, &authority) || !dp_span_ieq(authority, o->authority))
        return destination;
    if (o->prefix.n > 0)
        (void)take(&rest, o->prefix);
    if (db.n == 0 || !take(&rest, DP_SPAN("/")) || !take(&rest, db) || !take(&rest, DP_SPAN("/")) ||
        rest.n == 0)
        return destination;
    return rest;
}
