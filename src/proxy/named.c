/* Which region a request names. */
#include "proxy/named.h"

static const struct dp_span path_word = DP_SPAN_INIT("/_region/");

static bool by_header(const struct dp_head *h, struct dp_span *name)
{
    const struct dp_header *field = dp_head_only(h, DP_HEADER_DAVENPORT_REGION);
    if (field)
        *name = field->value;
    return field != NULL;
}

static void by_path(struct dp_head *h, struct dp_span *name, struct dp_span *prefix)
{
    const struct dp_span whole = h->target;
    size_t end = path_word.n;
    while (end < whole.n && whole.p[end] != '/')
        end++;
    *name = (struct dp_span){whole.p + path_word.n, end - path_word.n};
    *prefix = (struct dp_span){whole.p, end};
    h->target = end < whole.n ? (struct dp_span){whole.p + end, whole.n - end} : DP_SPAN("/");
}

enum dp_err dp_named_region(struct dp_head *h, const struct dp_proxy_config *c,
                            struct dp_span *name, struct dp_span *prefix)
{
    struct dp_span told = {NULL, 0};
    const bool header = c->named_by_header && dp_head_has(h, DP_HEADER_DAVENPORT_REGION);
    *name = *prefix = told;
    if (header && !by_header(h, &told))
        return DP_ENOSUCHREGION;
    if (c->named_by_path && dp_span_starts(h->target, path_word))
        by_path(h, name, prefix);
    if (header && name->p && !dp_span_eq(told, *name))
        return DP_ENOSUCHREGION;
    if (header)
        *name = told;
    return DP_OK;
}
