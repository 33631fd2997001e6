/* libcurl's multi interface driven by libuv. curl says which sockets to watch (on_socket) and when
 * to wake it (on_timer); both only arrange things with the loop. Requests end in `drain`, which
 * runs on the loop after curl has returned, so a callback may start, cancel and destroy as it
 * likes.
 *
 * Ownership: the fetcher lists its fetches; a fetch ends by completion, cancel or the fetcher's
 * end. A watched socket's memory goes in its close callback; the fetcher's own after the last of
 * them. */
#include "davenport/client/fetch.h"

#include "davenport/base/list.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <uv.h>

#define MAX_IDLE_CONNECTIONS 32L
/* curl takes a time to live in seconds; CouchDB closes idle connections after 300 s. */
#define MAX_IDLE_SECONDS 60L
/* What curl's cache of names tells apart, and some room. */
#define MAX_NAME 200

struct dp_fetcher {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct dp_list fetches;
    unsigned open_handles;  /* uv handles whose close callback has not run */
    bool starved;           /* a fetch is, and is to end */
    bool knows_authorities; /* curl has a file of the system's */
    bool dead;
    void (*done)(void *ctx);
    void *done_ctx;
};

struct dp_fetch {
    struct dp_list node;
    struct dp_fetcher *fetcher;
    CURL *easy;
    struct curl_slist *headers, *connect_to, *resolve;
    dp_fetch_done done;
    void *ctx;
    char *body;
    size_t body_bytes, body_cap, max_body_bytes;
    bool fresh; /* a connection of its own was asked for */
    bool too_large, no_memory;
    bool starved; /* nobody watches its socket: it would wait for ever */
    char error[CURL_ERROR_SIZE];
};

struct watch {
    uv_poll_t poll;
    struct dp_fetcher *fetcher;
    curl_socket_t fd;
};

/* The loop's side. */

static void maybe_free(struct dp_fetcher *f)
{
    if (!f->dead || f->open_handles)
        return;
    void (*done)(void *) = f->done;
    void *ctx = f->done_ctx;
    free(f);
    curl_global_cleanup();
    if (done)
        done(ctx);
}

static void on_timer_closed(uv_handle_t *h)
{
    struct dp_fetcher *f = h->data;
    f->open_handles--;
    maybe_free(f);
}

static void on_watch_closed(uv_handle_t *h)
{
    struct watch *w = h->data;
    struct dp_fetcher *f = w->fetcher;
    free(w);
    f->open_handles--;
    maybe_free(f);
}

static void drain(struct dp_fetcher *f);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct dp_fetcher *f = w->fetcher; /* w may be gone after the call */
    /* What is wrong with the socket curl finds out by reading it: a kept connection that was reset before a byte of the
     * answer came is replaced, as one that was closed. Told of an error it would not look, and the fetch would fail. */
    int flags = status < 0 ? CURL_CSELECT_IN : 0;
    int running;
    /* libuv watches no longer then, and more than curl reads at once may have come before the error. */
    if (status < 0)
        (void)uv_poll_start(poll, UV_READABLE, on_poll);
    if (events & (UV_READABLE | UV_DISCONNECT))
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(f->multi, w->fd, flags, &running);
    drain(f);
}

static void on_timeout(uv_timer_t *timer)
{
    struct dp_fetcher *f = timer->data;
    int running;
    curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    drain(f);
}

/* curl's side. */

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct dp_fetcher *f = ctx;
    (void)multi;
    if (f->dead)
        return 0;
    if (f->starved)
        timeout_ms = 0;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&f->timer);
    else
        (void)uv_timer_start(&f->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

static struct watch *watch_new(struct dp_fetcher *f, curl_socket_t fd)
{
    struct watch *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    if (uv_poll_init_socket(f->loop, &w->poll, fd) != 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->fetcher = f;
    w->fd = fd;
    f->open_handles++;
    return w;
}

static struct dp_fetch *fetch_of(CURL *easy)
{
    char *private = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    return (struct dp_fetch *)(void *)private;
}

/* Its socket can't be watched, so it ends at the next turn. To tell curl of it would end all others too, and every later
 * one: it holds an error of this callback for the application's wish to stop. */
static int starve(struct dp_fetcher *f, CURL *easy)
{
    struct dp_fetch *t = fetch_of(easy);
    if (!t)
        return 0;
    t->starved = f->starved = true;
    (void)uv_timer_start(&f->timer, on_timeout, 0, 0);
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct dp_fetcher *f = ctx;
    struct watch *w = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            (void)curl_multi_assign(f->multi, fd, NULL);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = watch_new(f, fd);
        if (!w)
            return starve(f, easy);
        (void)curl_multi_assign(f->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : starve(f, easy);
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
    struct dp_fetch *t = ctx;
    size_t n = size * count;
    if (n > t->max_body_bytes - t->body_bytes) {
        t->too_large = true;
        return 0;
    }
    if (n > t->body_cap - t->body_bytes) {
        size_t cap = t->body_cap ? t->body_cap : 1024;
        while (cap - t->body_bytes < n)
            cap *= 2;
        char *bigger = realloc(t->body, cap);
        if (!bigger) {
            t->no_memory = true;
            return 0;
        }
        t->body = bigger;
        t->body_cap = cap;
    }
    memcpy(t->body + t->body_bytes, p, n);
    t->body_bytes += n;
    return n;
}

/* A fetch. */

static void fetch_free(struct dp_fetch *t)
{
    dp_list_remove(&t->node);
    if (t->easy)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    curl_slist_free_all(t->resolve);
    free(t->body);
    free(t);
}

static enum dp_err error_of(const struct dp_fetch *t, CURLcode code, uint16_t status)
{
    if (code == CURLE_OK)
        return status ? DP_OK : DP_EBADRESPONSE;
    if (t->too_large)
        return DP_EBODYSIZE;
    if (t->no_memory)
        return DP_ENOMEM;
    static const struct {
        CURLcode code;
        enum dp_err err;
    } map[] = {
        {CURLE_COULDNT_CONNECT, DP_ECONNECT},
        {CURLE_INTERFACE_FAILED, DP_ECONNECT},
        {CURLE_COULDNT_RESOLVE_HOST, DP_ERESOLVE},
        {CURLE_COULDNT_RESOLVE_PROXY, DP_ERESOLVE},
        {CURLE_OPERATION_TIMEDOUT, DP_ETIMEOUT},
        {CURLE_GOT_NOTHING, DP_ECLOSED},
        {CURLE_RECV_ERROR, DP_ERESET},
        {CURLE_SEND_ERROR, DP_ERESET},
        {CURLE_PARTIAL_FILE, DP_ETRUNCATED},
        {CURLE_SSL_CONNECT_ERROR, DP_ETLS},
        {CURLE_SSL_CERTPROBLEM, DP_ETLS},
        {CURLE_SSL_CIPHER, DP_ETLS},
        {CURLE_PEER_FAILED_VERIFICATION, DP_ETLS},
        {CURLE_SSL_PINNEDPUBKEYNOTMATCH, DP_ETLS},
        {CURLE_SSL_CACERT_BADFILE, DP_ETLS},
        {CURLE_SSL_ISSUER_ERROR, DP_ETLS},
        {CURLE_WEIRD_SERVER_REPLY, DP_EBADRESPONSE},
        {CURLE_UNSUPPORTED_PROTOCOL, DP_EBADRESPONSE}, /* HTTP/0.9; other schemes never start */
        {CURLE_BAD_CONTENT_ENCODING, DP_EBADRESPONSE},
        {CURLE_OUT_OF_MEMORY, DP_ENOMEM},
    };
    for (size_t i = 0; i < DP_ARRAY_LEN(map); i++) {
        if (map[i].code == code)
            return map[i].err;
    }
    return DP_EIO;
}

static uint64_t time_of(CURL *easy, CURLINFO what)
{
    curl_off_t us = 0;
    if (curl_easy_getinfo(easy, what, &us) != CURLE_OK || us < 0)
        return 0;
    return (uint64_t)us * 1000;
}

static const char *detail_of(const struct dp_fetch *t, CURLcode code)
{
    if (t->too_large)
        return "the answer is larger than expected";
    if (code == CURLE_OK)
        return ""; /* whatever an attempt on a kept connection met */
    return t->error[0] ? t->error : curl_easy_strerror(code);
}

/* A connection stood, or was refused or ended by the other side. */
static bool was_reached(const struct dp_fetch *t, const struct dp_fetch_result *r)
{
    long os_errno = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno);
    return r->connected || r->err == DP_OK || r->status > 0 || r->connect_ns > 0 ||
           r->err == DP_ECLOSED || r->err == DP_ERESET || os_errno == ECONNREFUSED;
}

static void complete(struct dp_fetch *t, CURLcode code)
{
    long status = 0, connects = 0;
    curl_off_t retry_after_s = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
    (void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    struct dp_fetch_result r = {
        .retry_after_s =
            retry_after_s > 0 && retry_after_s < UINT32_MAX ? (uint32_t)retry_after_s : 0,
        .status = status > 0 && status <= 999 ? (uint16_t)status : 0,
        .body = {t->body, t->body_bytes},
        .connect_ns = time_of(t->easy, CURLINFO_CONNECT_TIME_T),
        .tls_ns = time_of(t->easy, CURLINFO_APPCONNECT_TIME_T),
        .first_byte_ns = time_of(t->easy, CURLINFO_STARTTRANSFER_TIME_T),
        .total_ns = time_of(t->easy, CURLINFO_TOTAL_TIME_T),
        .connected = connects > 0, /* also where no time of it is told: a handshake failed on it */
        .reused = connects == 0 && !t->fresh, /* curl counts those that stood */
    };
    r.err = error_of(t, code, r.status);
    r.detail = detail_of(t, code);
    r.reached = was_reached(t, &r);
    (void)curl_multi_remove_handle(t->fetcher->multi, t->easy);
    dp_list_remove(&t->node);
    t->done(t->ctx, &r);
    fetch_free(t);
}

static struct dp_fetch *a_starved_one(struct dp_fetcher *f)
{
    for (struct dp_list *n = f->fetches.next; n != &f->fetches; n = n->next) {
        struct dp_fetch *t = DP_CONTAINER_OF(n, struct dp_fetch, node);
        if (t->starved)
            return t;
    }
    return NULL;
}

static void drain(struct dp_fetcher *f)
{
    CURLMsg *msg;
    int left;
    /* The fetcher's memory outlives this turn of the loop, so `dead` may be read after a callback.
     */
    while (!f->dead && (msg = curl_multi_info_read(f->multi, &left)) != NULL) {
        CURLcode code = msg->data.result;
        if (msg->msg == CURLMSG_DONE)
            complete(fetch_of(msg->easy_handle), code);
    }
    while (!f->dead && f->starved) {
        struct dp_fetch *t = a_starved_one(f);
        f->starved = t != NULL;
        if (t)
            complete(t, CURLE_OUT_OF_MEMORY);
    }
}

/* Options of one request. The first that fails is remembered. */

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (rc == CURLE_OK)                                                                        \
            rc = curl_easy_setopt(e, (option), (value));                                           \
    } while (0)

static CURLcode set_transport(CURL *e, const struct dp_fetch_request *req)
{
    CURLcode rc = CURLE_OK;
    SET(CURLOPT_URL, req->url);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CURLOPT_QUICK_EXIT, 1L); /* a resolver's thread that hangs must not hold the loop */
#endif
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
    if (req->race_delay_ms)
        SET(CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, (long)req->race_delay_ms);
    SET(CURLOPT_MAXAGE_CONN, MAX_IDLE_SECONDS);
    SET(CURLOPT_USERAGENT, "davenport");
    if (req->fresh_connection) {
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 1L);
    }
    return rc;
}

/* curl copies it. */
static CURLcode set_pem(CURL *e, CURLoption option, struct dp_span pem)
{
    CURLcode rc = CURLE_OK;
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)pem.p, .len = pem.n, .flags = CURL_BLOB_COPY};
    if (pem.p)
        SET(option, &blob);
    return rc;
}

/* The system's authorities are kept for so long, for to read them takes 27 ms of the loop. curl keeps a file of
 * them, but not where it has a folder beside it, as Debian's does. */
#define AUTHORITIES_KEPT_S 600L

static CURLcode keep_authorities(CURL *e)
{
    CURLcode rc = CURLE_OK;
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_CA_CACHE_TIMEOUT, AUTHORITIES_KEPT_S);
    return rc;
}

static CURLcode set_tls(CURL *e, const struct dp_fetch_tls *tls)
{
    CURLcode rc = CURLE_OK;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* or newer */
    if (!tls)
        return rc;
    rc = rc ? rc : set_pem(e, CURLOPT_CAINFO_BLOB, tls->ca);
    rc = rc ? rc : set_pem(e, CURLOPT_SSLCERT_BLOB, tls->cert);
    rc = rc ? rc : set_pem(e, CURLOPT_SSLKEY_BLOB, tls->key);
    if (tls->pins)
        SET(CURLOPT_PINNEDPUBLICKEY, tls->pins);
    return rc;
}

static CURLcode set_content(CURL *e, const struct dp_fetch_request *req)
{
    CURLcode rc = CURLE_OK;
    if (req->username) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, req->username);
        SET(CURLOPT_PASSWORD, req->password ? req->password : "");
    }
    if (req->body.n) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.n);
        SET(CURLOPT_COPYPOSTFIELDS, req->body.p);
    }
    if (req->method && strcmp(req->method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    else if (req->method)
        SET(CURLOPT_CUSTOMREQUEST, req->method);
    else if (req->body.n)
        SET(CURLOPT_CUSTOMREQUEST, "GET");
    return rc;
}

static CURLcode set_fetch(CURL *e, struct dp_fetch *t)
{
    CURLcode rc = CURLE_OK;
    SET(CURLOPT_PRIVATE, (void *)t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, (void *)t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_HTTPHEADER, t->headers);
    if (t->connect_to)
        SET(CURLOPT_CONNECT_TO, t->connect_to);
    if (t->resolve)
        SET(CURLOPT_RESOLVE, t->resolve);
    return rc;
}

static bool append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        return false;
    *list = longer;
    return true;
}

/* curl connects to one host. Several addresses are one of a made-up name: the addresses themselves, so that curl
 * keeps connections to other addresses apart. The "+" lets it forget the name after a minute. */
static bool connect_there(struct dp_fetch *t, const struct dp_fetch_request *req)
{
    char name[MAX_NAME + 1], line[2 * sizeof(name) + 512];
    const char *ips = req->connect_ips;
    unsigned port = req->connect_port;
    bool one = strchr(ips, ',') == NULL;
    bool v6 = one && strchr(ips, ':') != NULL;
    (void)snprintf(name, sizeof(name), "%s", ips);
    for (char *p = name; !one && *p; p++) {
        if (*p == ':')
            *p = '-';
    }
    int n = snprintf(line, sizeof(line), v6 ? "::[%s]:%u" : "::%s:%u", name, port);
    if (n < 0 || (size_t)n >= sizeof(line) || !append(&t->connect_to, line))
        return false;
    if (one)
        return true;
    n = snprintf(line, sizeof(line), "+%s:%u:%s", name, port, ips);
    return n > 0 && (size_t)n < sizeof(line) && append(&t->resolve, line);
}

/* curl takes lines without their ends. */
static bool append_fields(struct dp_fetch *t, struct dp_span fields)
{
    while (fields.n > 0) {
        const char *end = memmem(fields.p, fields.n, "\r\n", 2);
        const size_t n = end ? (size_t)(end - fields.p) : fields.n;
        char *line = malloc(n + 1);
        if (line) {
            memcpy(line, fields.p, n);
            line[n] = '\0';
        }
        bool good = line && append(&t->headers, line);
        if (line)
            explicit_bzero(line, n);
        free(line);
        if (!good)
            return false;
        fields.p += end ? n + 2 : n;
        fields.n -= end ? n + 2 : n;
    }
    return true;
}

static bool make_lists(struct dp_fetch *t, const struct dp_fetch_request *req)
{
    char line[512];
    /* No Expect: 100-continue: a second of waiting for nothing. */
    if (!append(&t->headers, "Accept: application/json") || !append(&t->headers, "Expect:"))
        return false;
    if (!append_fields(t, req->headers))
        return false;
    if (req->body.n || req->content_type) {
        int n = snprintf(line, sizeof(line), "Content-Type: %s",
                         req->content_type ? req->content_type : "application/json");
        if (n < 0 || (size_t)n >= sizeof(line) || !append(&t->headers, line))
            return false;
    }
    return !req->connect_ips || connect_there(t, req);
}

static bool url_is_http(const char *url)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < DP_ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (dp_span_starts(dp_span_str(url), dp_span_str(schemes[i])) && url[n] != 0)
            return true;
    }
    return false;
}

enum dp_err dp_fetch_start(struct dp_fetcher *f, const struct dp_fetch_request *req,
                           dp_fetch_done done, void *ctx, struct dp_fetch **out)
{
    enum dp_err err = DP_ENOMEM;
    if (!url_is_http(req->url))
        return DP_EINVAL;
    struct dp_fetch *t = calloc(1, sizeof(*t));
    if (!t)
        return DP_ENOMEM;
    dp_list_init(&t->node);
    t->fetcher = f;
    t->done = done;
    t->ctx = ctx;
    t->max_body_bytes = req->max_body_bytes;
    t->fresh = req->fresh_connection;
    t->easy = curl_easy_init();
    if (!t->easy || !make_lists(t, req))
        goto fail;
    CURLcode rc = set_transport(t->easy, req);
    if (rc == CURLE_OK)
        rc = set_tls(t->easy, req->tls);
    if (rc == CURLE_OK && f->knows_authorities)
        rc = keep_authorities(t->easy);
    if (rc == CURLE_OK)
        rc = set_content(t->easy, req);
    if (rc == CURLE_OK)
        rc = set_fetch(t->easy, t);
    if (rc != CURLE_OK) {
        err = rc == CURLE_OUT_OF_MEMORY ? DP_ENOMEM : DP_EINVAL;
        goto fail;
    }
    if (curl_multi_add_handle(f->multi, t->easy) != CURLM_OK)
        goto fail;
    dp_list_push_back(&f->fetches, &t->node);
    *out = t;
    return DP_OK;
fail:
    fetch_free(t);
    return err;
}

void dp_fetch_cancel(struct dp_fetch *t)
{
    (void)curl_multi_remove_handle(t->fetcher->multi, t->easy);
    fetch_free(t);
}

/* The fetcher. */

struct dp_fetcher *dp_fetcher_new(uv_loop_t *loop)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct dp_fetcher *f = calloc(1, sizeof(*f));
    if (!f)
        goto fail;
    f->multi = curl_multi_init();
    if (!f->multi)
        goto fail;
    f->loop = loop;
    f->knows_authorities = curl_version_info(CURLVERSION_NOW)->cainfo != NULL;
    dp_list_init(&f->fetches);
    if (uv_timer_init(loop, &f->timer) != 0)
        goto fail;
    f->timer.data = f;
    f->open_handles = 1;
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    (void)curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE_CONNECTIONS);
    (void)curl_multi_setopt(f->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return f;
fail:
    if (f && f->multi)
        (void)curl_multi_cleanup(f->multi);
    free(f);
    curl_global_cleanup();
    return NULL;
}

void dp_fetcher_destroy(struct dp_fetcher *f, void (*done)(void *ctx), void *ctx)
{
    f->dead = true;
    f->done = done;
    f->done_ctx = ctx;
    for (struct dp_list *n = f->fetches.next, *next; n != &f->fetches; n = next) {
        next = n->next;
        dp_fetch_cancel(DP_CONTAINER_OF(n, struct dp_fetch, node));
    }
    /* Closes the pooled connections; on_socket lets go of what is still watched. */
    (void)curl_multi_cleanup(f->multi);
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
}

void dp_fetcher_destroy_with(struct dp_fetcher *f, uv_timer_t *timer, void (*done)(void *ctx),
                             void *ctx)
{
    timer->data = f;
    f->open_handles++;
    uv_close((uv_handle_t *)timer, on_timer_closed);
    dp_fetcher_destroy(f, done, ctx);
}
