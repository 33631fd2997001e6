/* What a request means to CouchDB: the part that failover needs. Byte-exact on the path: nothing is
 * decoded here but what CouchDB itself would take as a separator. */
#include "davenport/couch/request.h"

/* POSTs whose last path segment says that they only read (couchdb-facts §1). */
static const struct dp_span read_posts[] = {
    DP_SPAN_INIT("_find"),       DP_SPAN_INIT("_explain"),        DP_SPAN_INIT("_all_docs"),
    DP_SPAN_INIT("_bulk_get"),   DP_SPAN_INIT("_revs_diff"),      DP_SPAN_INIT("_missing_revs"),
    DP_SPAN_INIT("_dbs_info"),   DP_SPAN_INIT("_search_analyze"), DP_SPAN_INIT("_design_docs"),
    DP_SPAN_INIT("_local_docs"),
};

/* POSTs where the segment before the last one says so: _view/NAME, _search/NAME, _nouveau/NAME. */
static const struct dp_span read_post_parents[] = {
    DP_SPAN_INIT("_view"),
    DP_SPAN_INIT("_search"),
    DP_SPAN_INIT("_nouveau"),
};

static bool one_of(struct dp_span s, const struct dp_span *set, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (dp_span_eq(s, set[i]))
            return true;
    }
    return false;
}

/* Cut the last segment off a path: "/db/_design/x" gives "x" and leaves "/db/_design". */
static struct dp_span last_segment(struct dp_span *path)
{
    size_t i = path->n;
    while (i > 0 && path->p[i - 1] != '/')
        i--;
    struct dp_span segment = {path->p + i, path->n - i};
    path->n = i > 0 ? i - 1 : 0;
    return segment;
}

/* The value of a query parameter; an empty span when it is absent. */
static struct dp_span query_value(struct dp_span query, struct dp_span key)
{
    while (query.p) {
        struct dp_span pair = dp_span_cut(&query, '&');
        struct dp_span value = pair;
        struct dp_span name = dp_span_cut(&value, '=');
        if (dp_span_eq(name, key) && value.p)
            return value;
    }
    return (struct dp_span){NULL, 0};
}

static enum dp_couch_feed feed_of(struct dp_span query)
{
    struct dp_span feed = query_value(query, DP_SPAN("feed"));
    if (dp_span_eq(feed, DP_SPAN("longpoll")))
        return DP_FEED_LONGPOLL;
    if (dp_span_eq(feed, DP_SPAN("continuous")))
        return DP_FEED_CONTINUOUS;
    if (dp_span_eq(feed, DP_SPAN("eventsource")))
        return DP_FEED_EVENTSOURCE;
    return DP_FEED_NONE;
}

static bool post_only_reads(struct dp_span path)
{
    struct dp_span last = last_segment(&path);
    if (dp_span_eq(last, DP_SPAN("queries")))
        last = last_segment(&path); /* _all_docs/queries, _view/x/queries */
    if (one_of(last, read_posts, sizeof(read_posts) / sizeof(read_posts[0])))
        return true;
    struct dp_span parent = last_segment(&path);
    return one_of(parent, read_post_parents,
                  sizeof(read_post_parents) / sizeof(read_post_parents[0]));
}

/* Functions of a design document may do anything, whatever the method. */
static bool runs_design_function(struct dp_span path)
{
    while (path.n > 0) {
        struct dp_span segment = last_segment(&path);
        if (dp_span_eq(segment, DP_SPAN("_update")) || dp_span_eq(segment, DP_SPAN("_rewrite")))
            return true;
    }
    return false;
}

struct dp_couch_request dp_couch_classify(struct dp_span method, struct dp_span override,
                                          struct dp_span target)
{
    struct dp_span query = target;
    struct dp_span path = dp_span_cut(&query, '?');
    struct dp_couch_request r = {.klass = DP_COUCH_POST};
    bool post = dp_span_eq(method, DP_SPAN("POST"));
    if (post && override.n > 0)
        return r; /* means something else in the region: never sent twice */

    struct dp_span rest = path;
    struct dp_span last = last_segment(&rest);
    bool get = dp_span_eq(method, DP_SPAN("GET"));
    if ((get || post) &&
        (dp_span_eq(last, DP_SPAN("_changes")) || dp_span_eq(last, DP_SPAN("_db_updates")))) {
        r.feed = feed_of(query);
        r.klass = r.feed == DP_FEED_NONE ? DP_COUCH_READ : DP_COUCH_FEED;
        r.idempotent = true;
        return r;
    }
    if (runs_design_function(path))
        return r;
    if (get || dp_span_eq(method, DP_SPAN("HEAD")) || dp_span_eq(method, DP_SPAN("OPTIONS")) ||
        (post && post_only_reads(path))) {
        r.klass = DP_COUCH_READ;
        r.idempotent = true;
    } else if (dp_span_eq(method, DP_SPAN("PUT")) || dp_span_eq(method, DP_SPAN("DELETE"))) {
        r.klass = DP_COUCH_WRITE;
        r.idempotent = true;
    }
    return r;
}
