/* See clients.h. */
#include "proxy/clients.h"

#include "davenport/couch/gunzip.h"
#include "davenport/couch/login.h"
#include "davenport/http/cookie.h"
#include "davenport/http/writer.h"
#include "davenport/proxy/login_limit.h"

#include "proxy/exchange.h"
#include "proxy/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Passwords that wait to be hashed, a worker. */
#define WAITING_MAX 32
/* Of all names from one address, for each of one name. */
#define ADDRESS_FACTOR 10
/* POST /_session holds no more. */
#define LOGIN_BODY_BYTES 4096
/* A cookie is renewed when a tenth of its life is over: as CouchDB does. */
#define RENEW_PART 10
/* Of a Set-Cookie field, but for the value. */
#define COOKIE_BYTES 256

/* A password that is being verified. It may outlive all who wait for it. */
struct dp_login {
    struct dp_hash_job job; /* first */
    struct dp_list node;    /* clients.queue */
    struct dp_list waiters; /* (dp_exchange.login_node) */
    struct dp_engine *engine;
    bool running, known, right; /* known: there is such a user */
    unsigned char mac[DP_HMAC_BYTES];
    char hash[DP_PASSWORD_TEXT];
    size_t password_n;
    char password[DP_LOGIN_PASSWORD_BYTES];
};

static const struct dp_span none = {NULL, 0};

void dp_clients_init(struct dp_clients *c)
{
    *c = (struct dp_clients){.waiting = 0};
    dp_list_init(&c->queue);
}

void dp_clients_fini(struct dp_clients *c)
{
    assert(dp_list_empty(&c->queue));
    dp_hmac_key_free(c->known_key);
    dp_hmac_key_free(c->session_key);
    explicit_bzero(c->session_bytes, sizeof(c->session_bytes));
}

static struct dp_hmac_key *known_key(struct dp_clients *c)
{
    unsigned char bytes[DP_SECRET_BYTES];
    if (!c->known_key && dp_secret_of_process(bytes)) {
        c->known_key =
            dp_hmac_key_new(DP_HMAC_SHA256, (struct dp_span){(char *)bytes, sizeof(bytes)});
        explicit_bzero(bytes, sizeof(bytes));
    }
    return c->known_key;
}

static struct dp_hmac_key *session_key(struct dp_engine *e)
{
    struct dp_clients *c = &e->clients;
    const struct dp_clients_config *config = e->config->clients;
    if (c->session_key && memcmp(c->session_bytes, config->session_key, DP_SECRET_BYTES) == 0)
        return c->session_key;
    dp_hmac_key_free(c->session_key);
    memcpy(c->session_bytes, config->session_key, DP_SECRET_BYTES);
    c->session_key = dp_hmac_key_new(
        DP_HMAC_SHA256, (struct dp_span){(const char *)c->session_bytes, DP_SECRET_BYTES});
    return c->session_key;
}

static int64_t wall_s(const struct dp_exchange *x)
{
    return dp_clock_wall_ms(x->engine->clock) / 1000;
}

static uint64_t mono_s(const struct dp_exchange *x)
{
    return x->engine->wheel.now_ns / DP_NS_PER_S;
}

/* ---- failures ---- */

static enum dp_err locked(const struct dp_exchange *x, struct dp_span name)
{
    const struct dp_engine *e = x->engine;
    const struct dp_clients_config *c = e->config->clients;
    const struct dp_login_limit *l = e->logins;
    const uint64_t now = mono_s(x), all = dp_login_limit_key(l, none, x->conn->peer);
    if (dp_login_limit_past(l, all, ADDRESS_FACTOR * c->lock_failures, c->lock_s, now))
        return DP_ELOGINS;
    const uint64_t one = dp_login_limit_key(l, name, x->conn->peer);
    return dp_login_limit_past(l, one, c->lock_failures, c->lock_s, now) ? DP_ELOCKED : DP_OK;
}

static void count_failure(const struct dp_exchange *x, struct dp_span name)
{
    struct dp_engine *e = x->engine;
    const struct dp_clients_config *c = e->config->clients;
    dp_counter_add(&e->traffic->logins_wrong, 1);
    dp_login_limit_failed(e->logins, dp_login_limit_key(e->logins, name, x->conn->peer), c->lock_s,
                          mono_s(x));
    dp_login_limit_failed(e->logins, dp_login_limit_key(e->logins, none, x->conn->peer), c->lock_s,
                          mono_s(x));
}

/* ---- hashing ---- */

static void run_next(struct dp_engine *e);

static void work(struct dp_hash_job *job)
{
    struct dp_login *l = (struct dp_login *)(void *)job;
    l->right =
        dp_password_verify(l->hash, (struct dp_span){l->password, l->password_n}) && l->known;
}

static unsigned char *known_at(struct dp_clients *c, const unsigned char *mac)
{
    return c->known[mac[0]];
}

_Static_assert(DP_CLIENTS_KNOWN == UINT8_MAX + 1, "a byte of the MAC is the place");

static void refuse(struct dp_exchange *x, enum dp_err err);

static struct dp_exchange *next_waiter(struct dp_login *l)
{
    if (dp_list_empty(&l->waiters))
        return NULL;
    struct dp_exchange *x = DP_CONTAINER_OF(l->waiters.next, struct dp_exchange, login_node);
    dp_list_remove(&x->login_node);
    x->login = NULL;
    return x;
}

static void forget(struct dp_engine *e, struct dp_login *l)
{
    dp_list_remove(&l->node);
    e->clients.waiting--;
    explicit_bzero(l, sizeof(*l));
    free(l);
}

/* Whoever waits learns it. They may end, and be followed by others, as they do. */
static void done(struct dp_hash_job *job)
{
    struct dp_login *l = (struct dp_login *)(void *)job;
    struct dp_engine *e = l->engine;
    struct dp_exchange *x;
    if (l->right) {
        dp_counter_add(&e->traffic->logins, 1);
        memcpy(known_at(&e->clients, l->mac), l->mac, sizeof(l->mac));
    }
    while ((x = next_waiter(l)) != NULL) {
        if (l->right)
            dp_exchange_route(x);
        else
            refuse(x, DP_EPASSWORD);
    }
    forget(e, l);
    run_next(e);
}

static void run_next(struct dp_engine *e)
{
    while (!dp_list_empty(&e->clients.queue)) {
        struct dp_login *l = DP_CONTAINER_OF(e->clients.queue.next, struct dp_login, node);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was forgotten is not in the queue */
        if (l->running)
            return;
        if (dp_list_empty(&l->waiters)) { /* they are gone */
            forget(e, l);
            continue;
        }
        l->running = true;
        if (e->hash(e->dial_ctx, &l->job) == DP_OK)
            return;
        struct dp_exchange *x;
        while ((x = next_waiter(l)) != NULL)
            dp_exchange_refuse(x, DP_ENOMEM);
        forget(e, l);
    }
}

static struct dp_login *underway(struct dp_clients *c, const unsigned char *mac)
{
    for (struct dp_list *n = c->queue.next; n != &c->queue; n = n->next) {
        struct dp_login *l = DP_CONTAINER_OF(n, struct dp_login, node);
        if (dp_secret_same(l->mac, mac, sizeof(l->mac)))
            return l;
    }
    return NULL;
}

/* EAGAIN: x waits. */
static enum dp_err wait_for_hash(struct dp_exchange *x, const struct dp_couch_asked_login *asked,
                                 const char *hash, bool known, const unsigned char *mac)
{
    struct dp_engine *e = x->engine;
    struct dp_login *l = underway(&e->clients, mac);
    if (!l) {
        if (e->clients.waiting >= WAITING_MAX)
            return DP_ESHED;
        l = calloc(1, sizeof(*l));
        if (!l)
            return DP_ENOMEM;
        l->job = (struct dp_hash_job){work, done};
        l->engine = e;
        l->known = known;
        l->password_n = asked->password_n;
        memcpy(l->mac, mac, sizeof(l->mac));
        memcpy(l->password, asked->password, asked->password_n);
        (void)snprintf(l->hash, sizeof(l->hash), "%s", hash);
        dp_list_init(&l->waiters);
        dp_list_push_back(&e->clients.queue, &l->node);
        e->clients.waiting++;
    }
    x->login = l;
    x->login_name = dp_arena_copy(&x->arena, (struct dp_span){asked->name, asked->name_n});
    dp_list_push_back(&l->waiters, &x->login_node);
    run_next(e);
    return DP_EAGAIN;
}

/* DP_OK and *user; EAGAIN: x waits and will be routed again; else why not. */
static enum dp_err verify(struct dp_exchange *x, const struct dp_couch_asked_login *asked,
                          const struct dp_client_user **user)
{
    struct dp_engine *e = x->engine;
    struct dp_hmac_key *key = known_key(&e->clients);
    const struct dp_clients_config *c = e->config->clients;
    const struct dp_span name = {asked->name, asked->name_n};
    const enum dp_err err = locked(x, name);
    unsigned char mac[DP_HMAC_BYTES];
    if (err) {
        dp_counter_add(&e->traffic->logins_locked, 1);
        return err;
    }
    const struct dp_client_user *found = dp_clients_find(c, name);
    /* Nobody shall learn by time who is known here: an unknown name takes as long. */
    const char *hash = found ? found->password : c->users[0].password;
    const struct dp_span parts[] = {found ? DP_SPAN("+") : DP_SPAN("-"),
                                    {hash, strlen(hash) + 1},
                                    {asked->password, asked->password_n},
                                    DP_SPAN("\0"),
                                    name};
    if (!key || dp_hmac_with(key, parts, DP_ARRAY_LEN(parts), mac) != sizeof(mac))
        return DP_ENOMEM;
    if (!found || !dp_secret_same(known_at(&e->clients, mac), mac, sizeof(mac)))
        return wait_for_hash(x, asked, hash, found != NULL, mac);
    *user = found;
    return DP_OK;
}

/* ---- cookies ---- */

/* Set-Cookie of a session, or of none. */
static struct dp_span cookie_field(struct dp_exchange *x, const struct dp_client_user *user)
{
    struct dp_engine *e = x->engine;
    char value[DP_SESSION_BYTES], expires[DP_TIME_TEXT];
    const uint32_t life_s = user ? e->config->clients->session_s : 0;
    const int64_t now_s = wall_s(x);
    struct dp_hmac_key *key = user ? session_key(e) : NULL;
    struct dp_span made = none;
    if (user && key)
        made = dp_session_make(user, key, now_s, value);
    if (user && made.n == 0)
        return none;
    char *p = dp_arena_alloc(&x->arena, COOKIE_BYTES + made.n);
    if (!p)
        return none;
    dp_http_date((now_s + life_s) * 1000, expires);
    int n = snprintf(p, COOKIE_BYTES + made.n,
                     "Set-Cookie: " DP_SESSION_COOKIE
                     "=%.*s; Version=1; Expires=%s; Max-Age=%u; Path=/; HttpOnly; "
                     "SameSite=Strict%s\r\n",
                     (int)made.n, made.n > 0 ? made.p : "", expires, (unsigned)life_s,
                     e->client_tls ? "; Secure" : "");
    if (n <= 0 || (size_t)n >= COOKIE_BYTES + made.n)
        return none;
    dp_counter_add(&e->traffic->sessions, user != NULL);
    return (struct dp_span){p, (size_t)n};
}

struct dp_span dp_clients_renewed(struct dp_exchange *x)
{
    const struct dp_client_user *user =
        x->engine->config->clients
            ? dp_clients_find(x->engine->config->clients, dp_span_str(x->user->name))
            : NULL;
    return user ? cookie_field(x, user) : none;
}

static const struct dp_client_user *by_cookie(struct dp_exchange *x)
{
    struct dp_engine *e = x->engine;
    struct dp_span value;
    uint32_t age_s = 0;
    if (!dp_cookie_find(&x->request, DP_SPAN(DP_SESSION_COOKIE), &value) || value.n == 0)
        return NULL;
    struct dp_hmac_key *key = session_key(e);
    const struct dp_client_user *user =
        key ? dp_session_read(e->config->clients, key, value, wall_s(x), &age_s) : NULL;
    if (user)
        x->renew_session = age_s > e->config->clients->session_s / RENEW_PART;
    return user;
}

/* ---- answers ---- */

static bool asks_in(const struct dp_exchange *x)
{
    return x->couch.kind == DP_COUCH_KIND_SESSION && x->request.method == DP_METHOD_POST;
}

/* A wrong password also ends what the client took for its session, as with CouchDB. */
static void refuse(struct dp_exchange *x, enum dp_err err)
{
    struct dp_own_answer own = {.body = none, .fields = none};
    if (err == DP_EPASSWORD)
        count_failure(x, x->login_name);
    if (err == DP_EPASSWORD && asks_in(x))
        own.fields = cookie_field(x, NULL);
    dp_exchange_answer_ourselves(x, err, &own);
}

/* As an array's elements. Neither names nor roles hold what JSON would escape. */
static void write_roles(struct dp_writer *w, const char *roles)
{
    struct dp_span rest = dp_span_str(roles);
    for (bool first = true; rest.p && rest.n > 0; first = false) {
        dp_write_bytes(w, first ? DP_SPAN("\"") : DP_SPAN(",\""));
        dp_write_bytes(w, dp_span_cut(&rest, ','));
        dp_write_bytes(w, DP_SPAN("\""));
    }
}

/* `user` NULL: of nobody. */
static void answer(struct dp_exchange *x, const char *before, const char *after,
                   const struct dp_client_user *user, struct dp_span fields)
{
    const char *name = user ? user->name : NULL;
    const char *roles = user ? user->roles : "";
    const size_t cap = 512 + (name ? strlen(name) : 0) + 3 * strlen(roles);
    char *p = dp_arena_alloc(&x->arena, cap);
    struct dp_writer w;
    if (!p) {
        dp_exchange_refuse(x, DP_ENOMEM);
        return;
    }
    dp_writer_init(&w, p, cap);
    dp_write_bytes(&w, dp_span_str(before));
    if (name) {
        dp_write_bytes(&w, DP_SPAN("\""));
        dp_write_bytes(&w, dp_span_str(name));
        dp_write_bytes(&w, DP_SPAN("\""));
    } else {
        dp_write_bytes(&w, DP_SPAN("null"));
    }
    dp_write_bytes(&w, DP_SPAN(",\"roles\":["));
    write_roles(&w, roles);
    dp_write_bytes(&w, dp_span_str(after));
    const struct dp_own_answer own = {.body = {p, w.n}, .fields = fields};
    dp_exchange_answer_ourselves(x, DP_OK, &own);
}

/* A body as it is gathered. */
struct body {
    size_t n;
    char text[LOGIN_BODY_BYTES];
};

static enum dp_err take(void *ctx, const char *p, size_t n)
{
    struct body *b = ctx;
    if (n > sizeof(b->text) - b->n)
        return DP_EBODYSIZE;
    if (n > 0)
        memcpy(b->text + b->n, p, n);
    b->n += n;
    return DP_OK;
}

/* The whole of it, inflated: IBM's SDKs compress. */
static enum dp_err gather(struct dp_exchange *x, struct body *out)
{
    const struct dp_header *coding = dp_head_find(&x->request, DP_HEADER_CONTENT_ENCODING);
    struct dp_buf_iter it = dp_buf_begin(&x->replay);
    enum dp_err err = DP_OK;
    struct dp_span s;
    out->n = 0;
    if (coding && dp_span_ieq(coding->value, DP_SPAN("gzip"))) {
        err = dp_gunzip(&x->replay, take, out);
        return err == DP_EIO ? DP_ELOGINBODY : err;
    }
    while (!err && dp_buf_next(&it, &s))
        err = take(out, s.p, s.n);
    return err;
}

static void log_in(struct dp_exchange *x)
{
    const struct dp_header *type = dp_head_only(&x->request, DP_HEADER_CONTENT_TYPE);
    struct dp_couch_asked_login asked;
    const struct dp_client_user *user = NULL;
    if (x->body_bytes > LOGIN_BODY_BYTES) {
        dp_exchange_refuse(x, DP_EBODYSIZE);
        return;
    }
    if (!x->request_complete) { /* it comes again with more of it */
        if (x->conn->held) {    /* which may be more than what is kept of others */
            dp_conn_hold(x->conn, false);
            dp_patience_await(x->conn, DP_AWAIT_BODY);
        }
        return;
    }
    struct body body;
    enum dp_err err = gather(x, &body);
    if (!err)
        err = dp_couch_login_body(type ? type->value : none, (struct dp_span){body.text, body.n},
                                  &asked);
    if (!err)
        err = verify(x, &asked, &user);
    explicit_bzero(&asked, sizeof(asked));
    explicit_bzero(&body, sizeof(body));
    struct dp_span cookie = none;
    if (!err)
        cookie = cookie_field(x, user);
    if (!err && cookie.n == 0)
        err = DP_ENOMEM; /* logged in without a cookie is not logged in */
    if (err == DP_OK)
        answer(x, "{\"ok\":true,\"name\":", "]}\n", user, cookie);
    else if (err != DP_EAGAIN)
        refuse(x, err);
}

static void serve_session(struct dp_exchange *x, const struct dp_client_user *user,
                          bool from_cookie)
{
    static const char *const info[] = {"]},\"info\":{\"authentication_handlers\":[\"cookie\","
                                       "\"default\"]}}\n",
                                       "]},\"info\":{\"authentication_handlers\":[\"cookie\","
                                       "\"default\"],\"authenticated\":\"default\"}}\n",
                                       "]},\"info\":{\"authentication_handlers\":[\"cookie\","
                                       "\"default\"],\"authenticated\":\"cookie\"}}\n"};
    static const char said[] = "{\"ok\":true}\n";
    const struct dp_own_answer out = {.body = DP_SPAN_INIT(said), .fields = cookie_field(x, NULL)};
    switch (x->request.method) {
    case DP_METHOD_GET:
    case DP_METHOD_HEAD:
        answer(x, "{\"ok\":true,\"userCtx\":{\"name\":", info[user ? 1 + from_cookie : 0], user,
               user && x->renew_session ? cookie_field(x, user) : none);
        return;
    case DP_METHOD_POST:
        log_in(x);
        return;
    case DP_METHOD_DELETE:
        dp_exchange_answer_ourselves(x, DP_OK, &out);
        return;
    case DP_METHOD_OTHER:
    case DP_METHOD_PUT:
    case DP_METHOD_OPTIONS:
    case DP_METHOD_CONNECT:
    case DP_METHOD_TRACE:
        break;
    }
    dp_exchange_refuse(x, DP_ESESSIONMETHOD);
}

/* ---- the door ---- */

/* What a reload may take away is copied. */
static bool admit(struct dp_exchange *x, const struct dp_client_user *user)
{
    struct dp_client_user *copy = dp_arena_alloc(&x->arena, sizeof(*copy));
    const struct dp_span name =
        dp_arena_copy(&x->arena, (struct dp_span){user->name, strlen(user->name) + 1});
    const struct dp_span roles =
        dp_arena_copy(&x->arena, (struct dp_span){user->roles, strlen(user->roles) + 1});
    if (!copy || !name.p || !roles.p) {
        dp_exchange_refuse(x, DP_ENOMEM);
        return false;
    }
    *copy = (struct dp_client_user){.name = name.p, .roles = roles.p};
    x->user = copy;
    x->admitted = true;
    return true;
}

/* By Basic: DP_OK and *user, or NULL where there is none of it. */
static enum dp_err by_password(struct dp_exchange *x, const struct dp_client_user **user)
{
    struct dp_couch_asked_login asked;
    *user = NULL;
    if (!dp_head_has(&x->request, DP_HEADER_AUTHORIZATION))
        return DP_OK;
    const struct dp_header *h = dp_head_only(&x->request, DP_HEADER_AUTHORIZATION);
    if (!h || !dp_couch_basic(h->value, &asked))
        return DP_EUNKNOWN;
    enum dp_err err = verify(x, &asked, user);
    explicit_bzero(&asked, sizeof(asked));
    return err;
}

bool dp_clients_admit(struct dp_exchange *x)
{
    const struct dp_client_user *user = NULL;
    if (x->admitted || x->login)
        return x->admitted;
    const bool session = x->couch.kind == DP_COUCH_KIND_SESSION;
    user = by_cookie(x);
    const bool from_cookie = user != NULL;
    enum dp_err err = user || asks_in(x) ? DP_OK : by_password(x, &user);
    if (err == DP_EAGAIN)
        return false;
    if (err) {
        refuse(x, err);
        return false;
    }
    if (session) {
        serve_session(x, user, from_cookie);
        return false;
    }
    if (user)
        return admit(x, user);
    if (x->engine->config->clients->certificate_suffices) {
        x->admitted = true;
        return true;
    }
    refuse(x, DP_EUNKNOWN);
    return false;
}
