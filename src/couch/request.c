/* What a request means to CouchDB: the part that failover needs. The path is taken apart as CouchDB
 * itself does it (chttpd): split at "/", empty segments dropped, each segment decoded, and then a
 * handler is chosen by position: the first segment, the second behind a database, the fourth behind
 * a design document. So a document or attachment may be called "_find" and is not taken for it.
 * What is forwarded is the target as it came. Pure, no memory of its own. */
#include "davenport/couch/request.h"

#include "davenport/base/attr.h"

#define MAX_SEGMENTS 8  /* one more than any name of CouchDB's needs, with its partition */
#define NAME_BYTES   32 /* what is longer is none of the names we look for */

struct path {
    struct dp_span segments[MAX_SEGMENTS]; /* decoded, empty ones left out */
    size_t n;                              /* capped at MAX_SEGMENTS */
    struct dp_span raw[MAX_SEGMENTS];      /* as they stand in the target */
    bool partition;                        /* "_partition/x" was cut out: [db, what follows it] */
    char text[MAX_SEGMENTS][NAME_BYTES];
};

static const struct dp_span system_databases[] = {
    DP_SPAN_INIT("_users"),
    DP_SPAN_INIT("_replicator"),
    DP_SPAN_INIT("_global_changes"),
};

/* POSTs that only read (couchdb-facts §1): of the server, */
static const struct dp_span server_reads[] = {
    DP_SPAN_INIT("_dbs_info"),
    DP_SPAN_INIT("_search_analyze"),
    DP_SPAN_INIT("_nouveau_analyze"),
};

/* of a database or a partition, */
static const struct dp_span partition_reads[] = {
    DP_SPAN_INIT("_find"),
    DP_SPAN_INIT("_explain"),
    DP_SPAN_INIT("_all_docs"),
};

/* of a database only, */
static const struct dp_span database_reads[] = {
    DP_SPAN_INIT("_bulk_get"),    DP_SPAN_INIT("_revs_diff"),  DP_SPAN_INIT("_missing_revs"),
    DP_SPAN_INIT("_design_docs"), DP_SPAN_INIT("_local_docs"), DP_SPAN_INIT("_changes"),
};

/* those that take …/queries, */
static const struct dp_span list_reads[] = {
    DP_SPAN_INIT("_all_docs"),
    DP_SPAN_INIT("_design_docs"),
    DP_SPAN_INIT("_local_docs"),
};

/* and of a design document, with a name behind. */
static const struct dp_span design_reads[] = {
    DP_SPAN_INIT("_view"),
    DP_SPAN_INIT("_search"),
    DP_SPAN_INIT("_nouveau"),
};

/* Of a database: not replicated, or with tokens and checkpoints of one region, or part of a replication, whose steps
 * belong together. */
static const struct dp_span bound_parts[] = {
    DP_SPAN_INIT("_changes"),    DP_SPAN_INIT("_local"),        DP_SPAN_INIT("_local_docs"),
    DP_SPAN_INIT("_revs_diff"),  DP_SPAN_INIT("_missing_revs"), DP_SPAN_INIT("_bulk_docs"),
    DP_SPAN_INIT("_bulk_get"),   DP_SPAN_INIT("_security"),     DP_SPAN_INIT("_ensure_full_commit"),
    DP_SPAN_INIT("_revs_limit"), DP_SPAN_INIT("_purge"),        DP_SPAN_INIT("_purged_infos_limit"),
    DP_SPAN_INIT("_compact"),    DP_SPAN_INIT("_view_cleanup"), DP_SPAN_INIT("_shards"),
    DP_SPAN_INIT("_sync_shards")};

/* Of a query: asks for revisions that one region told of, or for its sequence. */
static const struct dp_span bound_queries[] = {DP_SPAN_INIT("open_revs"), DP_SPAN_INIT("revs"),
                                               DP_SPAN_INIT("atts_since"),
                                               DP_SPAN_INIT("update_seq")};

/* POSTs to a database that change no document. */
static const struct dp_span upkeep[] = {
    DP_SPAN_INIT("_local"),        DP_SPAN_INIT("_ensure_full_commit"), DP_SPAN_INIT("_compact"),
    DP_SPAN_INIT("_view_cleanup"), DP_SPAN_INIT("_sync_shards"),
};

/* Of the server, and the same in every region or harmless where it is not. */
static const struct dp_span server_info[] = {
    DP_SPAN_INIT("_up"),
    DP_SPAN_INIT("_uuids"),
    DP_SPAN_INIT("_all_dbs"),
    DP_SPAN_INIT("_dbs_info"),
    DP_SPAN_INIT("_db_updates"),
    DP_SPAN_INIT("_utils"),
    DP_SPAN_INIT("_search_analyze"),
    DP_SPAN_INIT("_nouveau_analyze"),
};

/* Of a database: settings and purges, which replication leaves where they are, */
static const struct dp_span not_replicated[] = {
    DP_SPAN_INIT("_security"),
    DP_SPAN_INIT("_revs_limit"),
    DP_SPAN_INIT("_purge"),
    DP_SPAN_INIT("_purged_infos_limit"),
};

/* what concerns the files or checkpoints of one region, */
static const struct dp_span region_bound[] = {
    DP_SPAN_INIT("_local"),
    DP_SPAN_INIT("_local_docs"),
    DP_SPAN_INIT("_compact"),
    DP_SPAN_INIT("_view_cleanup"),
    DP_SPAN_INIT("_shards"),
    DP_SPAN_INIT("_sync_shards"),
    DP_SPAN_INIT("_ensure_full_commit"),
};

/* and lists of rows, whose answers tell an update_seq where they are asked for it. _find never does. */
static const struct dp_span row_lists[] = {
    DP_SPAN_INIT("_all_docs"),
    DP_SPAN_INIT("_design_docs"),
    DP_SPAN_INIT("_local_docs"),
};

/* Functions of a design document may do anything, whatever the method. */
static const struct dp_span design_functions[] = {
    DP_SPAN_INIT("_update"),
    DP_SPAN_INIT("_rewrite"),
    DP_SPAN_INIT("_show"),
    DP_SPAN_INIT("_list"),
};

static bool one_of(struct dp_span s, const struct dp_span *set, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (dp_span_eq(s, set[i]))
            return true;
    }
    return false;
}

#define ONE_OF(s, set) one_of((s), (set), DP_ARRAY_LEN(set))

/* `raw` with its %XX decoded into buf; `raw` itself when nothing is to decode, when it is malformed
 * or too long. */
struct dp_span dp_couch_decode(struct dp_span raw, char *buf, size_t cap)
{
    size_t n = 0;
    if (raw.n == 0 || !memchr(raw.p, '%', raw.n))
        return raw;
    for (size_t i = 0; i < raw.n; i++, n++) {
        char c = raw.p[i];
        if (n == cap)
            return raw;
        if (c == '%') {
            const int byte = dp_span_percent((struct dp_span){raw.p + i, raw.n - i});
            if (byte < 0)
                return raw;
            c = (char)byte;
            i += 2;
        }
        buf[n] = c;
    }
    return (struct dp_span){buf, n};
}

/* Too long to be a name we look for: `raw`. */
static struct dp_span decode(struct dp_span raw, char buf[NAME_BYTES])
{
    return dp_couch_decode(raw, buf, NAME_BYTES);
}

struct dp_span dp_couch_name(struct dp_span raw, char buf[DP_COUCH_NAME_BYTES])
{
    return dp_couch_decode(raw, buf, DP_COUCH_NAME_BYTES);
}

static void path_parse(struct path *p, struct dp_span text)
{
    p->n = 0;
    p->partition = false;
    while (text.p && p->n < MAX_SEGMENTS) {
        struct dp_span raw = dp_span_cut(&text, '/');
        if (raw.n == 0)
            continue;
        p->raw[p->n] = raw;
        p->segments[p->n] = decode(raw, p->text[p->n]);
        p->n++;
        if (p->n == 4 && !p->partition && dp_span_eq(p->segments[1], DP_SPAN("_partition"))) {
            p->raw[1] = raw;
            p->segments[1] = decode(raw, p->text[1]);
            p->n = 2;
            p->partition = true;
        }
    }
}

/* No underscore, and yet no databases: neither name is a legal one. */
static const struct dp_span no_databases[] = {DP_SPAN_INIT("*"), DP_SPAN_INIT("favicon.ico")};

/* The first segment is a database's name. */
static bool names_database(const struct path *p)
{
    if (p->n == 0 || ONE_OF(p->segments[0], no_databases))
        return false;
    return p->segments[0].p[0] != '_' || ONE_OF(p->segments[0], system_databases);
}

static bool in_database(const struct path *p)
{
    return p->n >= 2 && names_database(p);
}

/* An action of a design document: [db, _design, x, action, …]. */
static bool in_design(const struct path *p)
{
    return in_database(p) && p->n >= 4 && dp_span_eq(p->segments[1], DP_SPAN("_design"));
}

/* Which feed the query asks for. As CouchDB has it: names in any case, the last one counts. */
static enum dp_couch_feed feed_of(struct dp_span query)
{
    static const struct {
        struct dp_span value;
        enum dp_couch_feed feed;
    } feeds[] = {
        {DP_SPAN_INIT("longpoll"), DP_FEED_LONGPOLL},
        {DP_SPAN_INIT("continuous"), DP_FEED_CONTINUOUS},
        {DP_SPAN_INIT("live"), DP_FEED_CONTINUOUS},
        {DP_SPAN_INIT("eventsource"), DP_FEED_EVENTSOURCE},
    };
    enum dp_couch_feed found = DP_FEED_NONE;
    while (query.p) {
        char buf[NAME_BYTES];
        struct dp_span value = dp_span_cut(&query, '&');
        struct dp_span name = dp_span_cut(&value, '=');
        if (!dp_span_ieq(decode(name, buf), DP_SPAN("feed")))
            continue;
        value = decode(value, buf);
        found = DP_FEED_NONE;
        for (size_t i = 0; i < DP_ARRAY_LEN(feeds); i++) {
            if (dp_span_eq(value, feeds[i].value))
                found = feeds[i].feed;
        }
    }
    return found;
}

static bool names_feed(const struct path *p)
{
    if (p->n > 0 && dp_span_eq(p->segments[0], DP_SPAN("_db_updates")))
        return true;
    return in_database(p) && !p->partition && dp_span_eq(p->segments[1], DP_SPAN("_changes"));
}

static bool post_only_reads(const struct path *p)
{
    const struct dp_span *s = p->segments;
    if (p->n == 1)
        return ONE_OF(s[0], server_reads);
    if (in_design(p)) {
        bool queries =
            p->n == 6 && dp_span_eq(s[3], DP_SPAN("_view")) && dp_span_eq(s[5], DP_SPAN("queries"));
        return queries || (p->n == 5 && ONE_OF(s[3], design_reads));
    }
    if (!in_database(p))
        return false;
    if (p->n == 3)
        return !p->partition && ONE_OF(s[1], list_reads) && dp_span_eq(s[2], DP_SPAN("queries"));
    return p->n == 2 &&
           (ONE_OF(s[1], partition_reads) || (!p->partition && ONE_OF(s[1], database_reads)));
}

/* [db], [db, doc], [db, doc, attachment …], [db, _design|_local, x]: no index to build, nothing to
 * gather. */
static bool names_one_thing(const struct path *p)
{
    if (p->n == 0 || p->partition || (p->segments[0].p[0] == '_' && !in_database(p)))
        return false;
    if (p->n == 1 || p->segments[1].p[0] != '_')
        return true;
    return p->n == 3 && (dp_span_eq(p->segments[1], DP_SPAN("_design")) ||
                         dp_span_eq(p->segments[1], DP_SPAN("_local")));
}

static enum dp_couch_class class_of(struct dp_span method, const struct path *p)
{
    if (in_design(p) && ONE_OF(p->segments[3], design_functions))
        return DP_COUCH_POST;
    if (dp_span_eq(method, DP_SPAN("GET")) || dp_span_eq(method, DP_SPAN("HEAD")) ||
        dp_span_eq(method, DP_SPAN("OPTIONS")))
        return DP_COUCH_READ;
    if (dp_span_eq(method, DP_SPAN("PUT")) || dp_span_eq(method, DP_SPAN("DELETE")))
        return DP_COUCH_WRITE;
    bool reads = dp_span_eq(method, DP_SPAN("POST")) && post_only_reads(p);
    return reads ? DP_COUCH_READ : DP_COUCH_POST;
}

static bool names_in(struct dp_span query, const struct dp_span *set, size_t n)
{
    while (query.p) {
        char buf[NAME_BYTES];
        struct dp_span value = dp_span_cut(&query, '&');
        struct dp_span name = dp_span_cut(&value, '=');
        if (one_of(decode(name, buf), set, n))
            return true;
    }
    return false;
}

/* To one region? A database itself is: nobody replicates its making, and what it tells of itself has a token. */
static bool is_bound(const struct path *p, struct dp_span query)
{
    if (p->n == 0)
        return false;
    if (p->n == 1 || p->segments[0].p[0] == '_')
        return true;
    return (p->segments[1].p[0] == '_' && !p->partition && ONE_OF(p->segments[1], bound_parts)) ||
           names_in(query, bound_queries, DP_ARRAY_LEN(bound_queries));
}

static bool changes_documents(const struct path *p, enum dp_couch_class klass)
{
    if ((klass != DP_COUCH_WRITE && klass != DP_COUCH_POST) || !names_database(p))
        return false;
    return p->n == 1 || !ONE_OF(p->segments[1], upkeep);
}

const char *dp_couch_class_name(enum dp_couch_class c)
{
    static const char *const names[] = {[DP_COUCH_READ] = "read",
                                        [DP_COUCH_WRITE] = "write",
                                        [DP_COUCH_POST] = "post",
                                        [DP_COUCH_FEED] = "feed"};
    return c < DP_COUCH_CLASS_COUNT ? names[c] : "?";
}

const char *dp_couch_kind_name(enum dp_couch_kind k)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_COUCH_KIND_TABLE(X)
#undef X
    };
    return k < DP_COUCH_KIND_COUNT ? names[k] : "?";
}

static bool is_part(const struct path *p, const struct dp_span *set, size_t n)
{
    return in_database(p) && !p->partition && one_of(p->segments[1], set, n);
}

#define IS_PART(p, set) is_part((p), (set), DP_ARRAY_LEN(set))

/* By place alone: what is of the server, of one region, or not replicated. */
static bool kind_by_place(const struct path *p, struct dp_span method, enum dp_couch_kind *out)
{
    bool changes = dp_span_eq(method, DP_SPAN("PUT")) || dp_span_eq(method, DP_SPAN("DELETE"));
    if (p->n > 0 && dp_span_eq(p->segments[0], DP_SPAN("_session")))
        *out = DP_COUCH_KIND_SESSION;
    else if (p->n == 0 || ONE_OF(p->segments[0], server_info) ||
             ONE_OF(p->segments[0], no_databases))
        *out = DP_COUCH_KIND_SERVER;
    else if (!names_database(p) || dp_span_eq(p->segments[0], DP_SPAN("_replicator")) ||
             IS_PART(p, region_bound))
        *out = DP_COUCH_KIND_BOUND;
    else if (IS_PART(p, not_replicated) || (p->n == 1 && changes))
        *out = DP_COUCH_KIND_NOT_REPLICATED;
    else
        return false;
    return true;
}

/* method: the effective one. */
static enum dp_couch_kind kind_of(const struct path *p, struct dp_span method,
                                  const struct dp_couch_request *r)
{
    enum dp_couch_kind kind;
    const enum dp_couch_class klass = class_of(method, p);
    const bool post = dp_span_eq(method, DP_SPAN("POST"));
    if (in_design(p) && ONE_OF(p->segments[3], design_functions))
        return DP_COUCH_KIND_UNSAFE;
    if (klass == DP_COUCH_POST && !post && !dp_span_eq(method, DP_SPAN("COPY")))
        return DP_COUCH_KIND_UNSAFE;
    if (r->feed != DP_FEED_NONE)
        return DP_COUCH_KIND_FEED;
    if (kind_by_place(p, method, &kind))
        return kind;
    if (klass == DP_COUCH_READ)
        return post ? DP_COUCH_KIND_READ_POST : DP_COUCH_KIND_READ;
    return post && p->n == 2 && dp_span_eq(p->segments[1], DP_SPAN("_bulk_docs"))
               ? DP_COUCH_KIND_BULK
               : DP_COUCH_KIND_WRITE;
}

static enum dp_couch_mints mints_of(const struct path *p, struct dp_span method)
{
    if (!dp_span_eq(method, DP_SPAN("POST")) || !names_database(p) || p->partition)
        return DP_MINTS_NOTHING;
    if (p->n == 1)
        return DP_MINTS_DOCUMENT;
    return p->n == 2 && dp_span_eq(p->segments[1], DP_SPAN("_bulk_docs")) ? DP_MINTS_BULK
                                                                          : DP_MINTS_NOTHING;
}

/* In the query, or in the body of a POST, which nobody reads here. */
static bool may_ask_for_sequence(bool get, struct dp_span query)
{
    static const struct dp_span name = DP_SPAN_INIT("update_seq");
    return !get || names_in(query, &name, 1);
}

static enum dp_tokens tokens_of_rows(const struct path *p, bool get, struct dp_span query)
{
    const struct dp_span *s = p->segments;
    bool queries = dp_span_eq(s[p->n - 1], DP_SPAN("queries"));
    bool view = in_design(p) && p->n >= 5 && dp_span_eq(s[3], DP_SPAN("_view"));
    if (!view && !(in_database(p) && ONE_OF(s[1], row_lists)))
        return DP_TOKENS_NONE;
    if (queries && p->n == (view ? 6 : 3))
        return DP_TOKENS_NESTED;
    return may_ask_for_sequence(get, query) ? DP_TOKENS_TOP : DP_TOKENS_NONE;
}

/* Where a search goes on, and what comes of it: of an index in a design document, or of _find. */
static bool tells_bookmark(const struct path *p, bool get)
{
    const struct dp_span *s = p->segments;
    if (in_design(p))
        return p->n == 5 &&
               (dp_span_eq(s[3], DP_SPAN("_search")) || dp_span_eq(s[3], DP_SPAN("_nouveau")));
    return !get && in_database(p) && p->n == 2 && dp_span_eq(s[1], DP_SPAN("_find"));
}

static enum dp_tokens tokens_of(const struct path *p, struct dp_span method, struct dp_span query,
                                const struct dp_couch_request *r)
{
    bool get = dp_span_eq(method, DP_SPAN("GET")) || dp_span_eq(method, DP_SPAN("HEAD"));
    if (!get && !dp_span_eq(method, DP_SPAN("POST")))
        return DP_TOKENS_NONE;
    if (names_feed(p)) {
        switch (r->feed) {
        case DP_FEED_CONTINUOUS:
            return DP_TOKENS_LINES;
        case DP_FEED_EVENTSOURCE:
            return DP_TOKENS_EVENTS;
        case DP_FEED_NONE:
        case DP_FEED_LONGPOLL:
            return DP_TOKENS_CHANGES;
        }
    }
    if (p->n == 1 && dp_span_eq(p->segments[0], DP_SPAN("_dbs_info")))
        return DP_TOKENS_NESTED;
    if (p->n == 1)
        return get && names_database(p) ? DP_TOKENS_TOP : DP_TOKENS_NONE;
    if (tells_bookmark(p, get))
        return DP_TOKENS_BOOKMARK;
    return p->n > 0 ? tokens_of_rows(p, get, query) : DP_TOKENS_NONE;
}

/* From the first of some segments to the last, as they stand in the target. */
static struct dp_span raw_between(const struct path *p, size_t first, size_t last)
{
    const char *end = p->raw[last].p + p->raw[last].n;
    return (struct dp_span){p->raw[first].p, (size_t)(end - p->raw[first].p)};
}

static struct dp_span doc_of(const struct path *p)
{
    if (!in_database(p) || p->partition)
        return (struct dp_span){NULL, 0};
    if (p->segments[1].p[0] != '_')
        return p->raw[1];
    bool reserved = dp_span_eq(p->segments[1], DP_SPAN("_design")) ||
                    dp_span_eq(p->segments[1], DP_SPAN("_local"));
    if (reserved && p->n >= 3)
        return raw_between(p, 1, 2);
    /* "_design%2Fx" is a design document too */
    return dp_span_starts(p->segments[1], DP_SPAN("_design/")) ||
                   dp_span_starts(p->segments[1], DP_SPAN("_local/"))
               ? p->raw[1]
               : (struct dp_span){NULL, 0};
}

static bool asks_for_batch(struct dp_span query)
{
    while (query.p) {
        char buf[NAME_BYTES];
        struct dp_span value = dp_span_cut(&query, '&');
        struct dp_span name = dp_span_cut(&value, '=');
        if (dp_span_eq(decode(name, buf), DP_SPAN("batch")) &&
            dp_span_eq(decode(value, buf), DP_SPAN("ok")))
            return true;
    }
    return false;
}

struct dp_couch_request dp_couch_classify(struct dp_span method, struct dp_span override,
                                          struct dp_span target)
{
    static const struct dp_span overrides[] = {
        DP_SPAN_INIT("GET"), DP_SPAN_INIT("HEAD"),   DP_SPAN_INIT("POST"),
        DP_SPAN_INIT("PUT"), DP_SPAN_INIT("DELETE"), DP_SPAN_INIT("COPY"),
    };
    struct dp_span query = target;
    struct path path;
    struct dp_couch_request r = {.klass = DP_COUCH_POST};
    bool overridden = override.n > 0 && dp_span_eq(method, DP_SPAN("POST"));
    path_parse(&path, dp_span_cut(&query, '?'));
    if (overridden && ONE_OF(override, overrides))
        method = override;
    if (names_feed(&path) &&
        (dp_span_eq(method, DP_SPAN("GET")) || dp_span_eq(method, DP_SPAN("POST"))))
        r.feed = feed_of(query);
    if (r.feed != DP_FEED_NONE)
        r.klass = DP_COUCH_FEED;
    else if (!overridden)
        r.klass = class_of(method, &path);
    r.point = !overridden && (r.klass == DP_COUCH_READ || r.klass == DP_COUCH_WRITE) &&
              names_one_thing(&path);
    /* whether the region heeds an override is not ours to know: never sent twice */
    r.idempotent = !overridden && r.klass != DP_COUCH_POST;
    r.writes = changes_documents(&path, r.klass);
    r.bound = is_bound(&path, query);
    if (names_database(&path))
        r.db = path.raw[0];
    r.kind = kind_of(&path, method, &r);
    r.mints = mints_of(&path, method);
    r.tokens = tokens_of(&path, method, query, &r);
    r.doc = doc_of(&path);
    r.partition = path.partition;
    r.list = in_design(&path) && dp_span_eq(path.segments[3], DP_SPAN("_list"));
    r.batch = r.writes && asks_for_batch(query);
    return r;
}

struct dp_span dp_couch_behind(struct dp_span target, struct dp_span name)
{
    const char *at = name.p + name.n;
    const struct dp_span path = dp_span_cut(&target, '?');
    struct dp_span rest = {at, (size_t)(path.p + path.n - at)};
    while (rest.n > 0 && rest.p[0] == '/')
        rest = (struct dp_span){rest.p + 1, rest.n - 1};
    return rest;
}
