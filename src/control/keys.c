/* See keys.h. A token file is read on a thread of libuv's pool, for it may lie on a slow disk. */
#include "control/keys.h"

#include "davenport/base/base64.h"
#include "davenport/base/log.h"
#include "davenport/core/refresh.h"
#include "davenport/core/view.h"
#include "davenport/couch/login.h"
#include "davenport/net/secret.h"

#include "control/iam.h"
#include "control/token_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define ASK_TIMEOUT_MS   10000
#define ANSWER_BYTES_MAX 65536
/* A region that does not answer the question is asked again so soon. */
#define ASK_AGAIN_MS 5000
/* A doubt is not settled more often. */
#define DOUBT_MS 10000
/* How often a token's file is looked at. */
#define READ_MS 1000

struct key {
    struct dp_keys *keys;
    uint16_t region;
    const struct dp_key_config *config;
    const struct dp_fetch_tls *tls;
    char *session_url;
    struct dp_credential *requests, *us; /* in use; the same but for couchdb_proxy */
    enum dp_key_state state;
    int64_t since_wall_ms, renewed_wall_ms;
    uint64_t retry_ns;   /* REFUSED */
    uint64_t doubt_ns;   /* when a doubt was settled last; 0: never */
    uint64_t refused_ns; /* the last time; 0: never */
    uint64_t refusals, renewals, failures;
    char why[DP_KEY_WHY];
    /* IAM, BEARER */
    struct dp_refresh refresh;
    struct dp_fetch *ask;
    struct dp_token_file *file;
    /* a question whether it is good; may be none */
    struct dp_fetch *question;
    struct dp_credential *candidate;
};

struct dp_keys {
    struct dp_keys_options opt;
    struct dp_fetcher *fetcher;
    bool dead;
    unsigned open;
    void (*done)(void *ctx);
    void *done_ctx;
    uint16_t n;
    struct key key[DP_MAX_REGIONS];
};

const char *dp_key_state_name(enum dp_key_state s)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_KEY_STATE_TABLE(X)
#undef X
    };
    return s < DP_KEY_STATE_COUNT ? names[s] : "?";
}

static uint64_t now_ns(const struct dp_keys *k)
{
    return dp_clock_mono_ns(k->opt.clock);
}

static bool has_token(const struct key *k)
{
    return k->config->type == DP_CREDENTIAL_IAM || k->config->type == DP_CREDENTIAL_BEARER;
}

/* ---- making them ---- */

static struct dp_credential *basic(const struct dp_key_config *c, bool injected)
{
    struct dp_credential *out = NULL;
    const size_t user = strlen(c->username), pass = strlen(c->password);
    const struct dp_span prefix = DP_SPAN("Authorization: Basic ");
    const size_t plain_n = user + 1 + pass;
    char *plain = malloc(plain_n + 1);
    char *line = malloc(prefix.n + DP_BASE64_BYTES(plain_n) + 2);
    if (plain && line) {
        memcpy(plain, c->username, user);
        plain[user] = ':';
        memcpy(plain + user + 1, c->password, pass);
        memcpy(line, prefix.p, prefix.n);
        size_t n = prefix.n + dp_base64_encode(DP_BASE64, plain, plain_n, line + prefix.n);
        memcpy(line + n, "\r\n", 2);
        out = dp_credential_new(c->type, injected, (struct dp_span){line, n + 2});
        explicit_bzero(line, n);
        explicit_bzero(plain, plain_n);
    }
    free(plain);
    free(line);
    return out;
}

static struct dp_credential *bearer(enum dp_credential_type type, struct dp_span token)
{
    char line[DP_TOKEN_BYTES_MAX + 32];
    int n = snprintf(line, sizeof(line), "Authorization: Bearer %.*s\r\n", (int)token.n, token.p);
    struct dp_credential *c = n > 0 && (size_t)n < sizeof(line)
                                  ? dp_credential_new(type, true, (struct dp_span){line, (size_t)n})
                                  : NULL;
    explicit_bzero(line, sizeof(line));
    return c;
}

/* What we assert of ourselves: the same fields that a worker writes for a client. */
static struct dp_credential *asserted(const struct dp_key_config *c)
{
    unsigned char mac[DP_HMAC_BYTES];
    char hex[2 * DP_HMAC_BYTES];
    char line[1024];
    const struct dp_span name = dp_span_str(c->username);
    const size_t n_mac =
        dp_hmac(c->sha256 ? DP_HMAC_SHA256 : DP_HMAC_SHA1, dp_span_str(c->secret), &name, 1, mac);
    dp_hex(mac, n_mac, hex);
    int n = snprintf(line, sizeof(line),
                     "X-Auth-CouchDB-UserName: %s\r\nX-Auth-CouchDB-Roles: %s\r\n"
                     "X-Auth-CouchDB-Token: %.*s\r\n",
                     c->username, c->roles ? c->roles : "", (int)(2 * n_mac), hex);
    return n_mac > 0 && n > 0 && (size_t)n < sizeof(line)
               ? dp_credential_new(DP_CREDENTIAL_COUCHDB_PROXY, false,
                                   (struct dp_span){line, (size_t)n})
               : NULL;
}

/* The pair that a configuration gives at once. False: out of memory. */
static bool make(struct key *k)
{
    const struct dp_key_config *c = k->config;
    switch (c->type) {
    case DP_CREDENTIAL_PASSTHROUGH:
        if (!c->username)
            return true;
        k->us = basic(c, false);
        return k->us != NULL;
    case DP_CREDENTIAL_BASIC:
        k->requests = basic(c, true);
        k->us = dp_credential_ref(k->requests);
        return k->us != NULL;
    case DP_CREDENTIAL_COUCHDB_PROXY:
        k->requests = dp_credential_new(DP_CREDENTIAL_COUCHDB_PROXY, true, dp_span_str(c->secret));
        if (k->requests)
            k->requests->sha256 = c->sha256;
        k->us = c->username ? asserted(c) : NULL;
        return k->requests && (!c->username || k->us);
    case DP_CREDENTIAL_IAM:
    case DP_CREDENTIAL_BEARER:
    case DP_CREDENTIAL_TYPE_COUNT:
        break;
    }
    return true;
}

/* ---- states ---- */

static void enter(struct key *k, enum dp_key_state state)
{
    if (k->state == state)
        return;
    k->state = state;
    k->since_wall_ms = dp_clock_wall_ms(k->keys->opt.clock);
}

static void tell(struct key *k, enum dp_keys_event event)
{
    k->keys->opt.event(k->keys->opt.ctx, k->region, event);
}

static void say(struct key *k, const char *what, const char *more)
{
    (void)snprintf(k->why, sizeof(k->why), "%s%s%s", what, more[0] ? ": " : "", more);
}

static void let_go(struct key *k)
{
    dp_credential_unref(k->requests);
    dp_credential_unref(k->us);
    k->requests = k->us = NULL;
}

/* Takes the reference over. Not for couchdb_proxy. */
static void use(struct key *k, struct dp_credential *c)
{
    const bool again = k->state != DP_KEY_GOOD;
    let_go(k);
    k->us = c;
    k->requests = c->injected ? dp_credential_ref(c) : NULL;
    k->why[0] = '\0';
    enter(k, DP_KEY_GOOD);
    tell(k, again ? DP_KEYS_RESTORED : DP_KEYS_RENEWED);
}

/* A no. One new token is asked for at once, but not after each no. */
static void withhold(struct key *k, const char *why)
{
    const uint64_t now = now_ns(k->keys), retry = k->keys->opt.retry_ms * DP_NS_PER_MS;
    const bool often = k->refused_ns != 0 && now - k->refused_ns < retry;
    k->refusals++;
    k->refused_ns = now;
    k->retry_ns = now + retry;
    if (k->config->type == DP_CREDENTIAL_IAM && !often)
        dp_refresh_discard(&k->refresh);
    (void)snprintf(k->why, sizeof(k->why), "%s", why);
    if (k->state != DP_KEY_REFUSED) {
        enter(k, DP_KEY_REFUSED);
        tell(k, DP_KEYS_WITHHELD);
    }
}

/* ---- asking the region ---- */

/* What is asserted of us is no proof by itself that what is asserted of clients holds, but the secret is the same. */
static void restore(struct key *k)
{
    const bool again = k->state != DP_KEY_GOOD;
    let_go(k);
    if (!make(k))
        return;
    k->why[0] = '\0';
    enter(k, DP_KEY_GOOD);
    tell(k, again ? DP_KEYS_RESTORED : DP_KEYS_RENEWED);
}

static void on_answer(void *ctx, const struct dp_fetch_result *r)
{
    struct key *k = ctx;
    struct dp_credential *c = k->candidate;
    k->question = NULL;
    k->candidate = NULL;
    if (r->err != DP_OK || (r->status >= 400 && r->status != 401 && r->status != 403)) {
        k->retry_ns = now_ns(k->keys) + ASK_AGAIN_MS * DP_NS_PER_MS; /* it did not say */
        dp_credential_unref(c);
        return;
    }
    if (r->status >= 400 || !dp_couch_session_named(r->body)) {
        dp_credential_unref(c);
        if (k->us)
            (void)dp_credential_say(k->us, DP_CREDENTIAL_REFUSED);
        withhold(k, "the region refuses it: to GET /_session nobody is logged in by it");
    } else if (k->config->type == DP_CREDENTIAL_COUCHDB_PROXY) {
        dp_credential_unref(c);
        restore(k);
    } else {
        use(k, c);
    }
}

/* Is it good? `c` is taken over. */
static void question(struct key *k, struct dp_credential *c)
{
    const struct dp_fetch_request req = {.url = k->session_url,
                                         .headers = dp_credential_text(c),
                                         .connect_timeout_ms = ASK_TIMEOUT_MS,
                                         .timeout_ms = ASK_TIMEOUT_MS,
                                         .max_body_bytes = ANSWER_BYTES_MAX,
                                         .tls = k->tls};
    k->doubt_ns = now_ns(k->keys);
    k->candidate = c;
    if (dp_fetch_start(k->keys->fetcher, &req, on_answer, k, &k->question) == DP_OK)
        return;
    k->question = NULL;
    k->candidate = NULL;
    k->retry_ns = now_ns(k->keys) + ASK_AGAIN_MS * DP_NS_PER_MS;
    dp_credential_unref(c);
}

/* The same text, unblemished. */
static struct dp_credential *again(const struct dp_credential *c)
{
    struct dp_credential *copy = dp_credential_new(c->type, c->injected, dp_credential_text(c));
    if (copy)
        copy->sha256 = c->sha256;
    return copy;
}

static void ask_about(struct key *k)
{
    struct dp_credential *copy = k->us && !k->question ? again(k->us) : NULL;
    if (copy)
        question(k, copy);
}

/* What workers, probes and others heard. */
static void hear(struct key *k)
{
    static const char *const why = "the region refused it: wrong name or password, or locked out";
    if (!k->us || k->state != DP_KEY_GOOD)
        return;
    struct dp_credential *const both[] = {k->us, k->requests};
    int word = DP_CREDENTIAL_FINE;
    for (size_t i = 0; i < DP_ARRAY_LEN(both); i++) {
        const int one = both[i] ? atomic_load_explicit(&both[i]->word, memory_order_relaxed) : word;
        word = one > word ? one : word;
    }
    if (word == DP_CREDENTIAL_REFUSED) {
        for (size_t i = 0; i < DP_ARRAY_LEN(both); i++) {
            if (both[i])
                (void)dp_credential_say(both[i], DP_CREDENTIAL_REFUSED);
        }
        withhold(k, why);
    } else if (word == DP_CREDENTIAL_DOUBTED &&
               (k->doubt_ns == 0 || now_ns(k->keys) - k->doubt_ns > DOUBT_MS * DP_NS_PER_MS)) {
        ask_about(k);
    }
}

/* ---- tokens ---- */

/* Another token than the one in use. */
static void take_token(struct key *k, struct dp_span token)
{
    struct dp_credential *c = bearer(k->config->type, token);
    if (!c)
        return;
    k->renewals++;
    k->renewed_wall_ms = dp_clock_wall_ms(k->keys->opt.clock);
    if (k->state != DP_KEY_REFUSED) {
        use(k, c);
    } else if (!k->question) {
        dp_credential_unref(k->us); /* no further use of the old one */
        dp_credential_unref(k->requests);
        k->us = dp_credential_ref(c);
        k->requests = NULL;
        question(k, c);
    } else {
        dp_credential_unref(c);
    }
}

static void failed_to_renew(struct key *k, const char *what, const char *more)
{
    k->failures++;
    if (k->state != DP_KEY_REFUSED)
        say(k, what, more);
}

static bool texts_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* One API key may be good in several regions: then one ask is for all of them. */
static bool shares_token(const struct key *a, const struct key *b)
{
    return a->config->type == DP_CREDENTIAL_IAM && b->config->type == DP_CREDENTIAL_IAM &&
           texts_same(a->config->api_key, b->config->api_key) &&
           texts_same(a->config->token_url, b->config->token_url);
}

/* What the service said, for one of them. why: of a failure. */
static void hear_token(struct key *k, enum dp_iam_answer answer, const struct dp_iam_token *t,
                       const char *why)
{
    if (answer == DP_IAM_TOKEN) {
        dp_refresh_got(&k->refresh, t->life_s * DP_NS_PER_S);
        take_token(k, (struct dp_span){t->token, t->n});
        return;
    }
    const bool first = k->refresh.failures == 0;
    dp_refresh_failed(&k->refresh, now_ns(k->keys),
                      answer == DP_IAM_REFUSED ? k->keys->opt.retry_ms * DP_NS_PER_MS : 0);
    failed_to_renew(k, "no token", why);
    if (first)
        tell(k, DP_KEYS_FAILING);
}

static void on_token(void *ctx, const struct dp_fetch_result *r)
{
    struct key *k = ctx;
    struct dp_keys *all = k->keys;
    struct dp_iam_token *t = calloc(1, sizeof(*t));
    char why[DP_IAM_WHY] = "out of memory";
    enum dp_iam_answer answer = DP_IAM_TROUBLE;
    k->ask = NULL;
    if (r->err != DP_OK)
        (void)snprintf(why, sizeof(why), "%s",
                       r->detail && r->detail[0] ? r->detail : dp_err_info(r->err)->reason);
    else if (t)
        answer = dp_iam_read(r->status, r->body, t, why);
    for (uint16_t i = 0; i < all->n; i++) {
        if (shares_token(&all->key[i], k))
            hear_token(&all->key[i], answer, t, why);
    }
    if (t)
        explicit_bzero(t, sizeof(*t));
    free(t);
}

static void ask_for_token(struct key *k)
{
    char form[DP_IAM_FORM_BYTES];
    const uint64_t now = now_ns(k->keys);
    struct dp_keys *all = k->keys;
    for (uint16_t i = 0; i < all->n; i++) {
        if (shares_token(&all->key[i], k))
            dp_refresh_asked(&all->key[i].refresh, now);
    }
    enum dp_err err = DP_EINVAL;
    if (dp_iam_form(k->config->api_key, form)) {
        const struct dp_fetch_request req = {.method = "POST",
                                             .url = k->config->token_url,
                                             .body = dp_span_str(form),
                                             .content_type = "application/x-www-form-urlencoded",
                                             .connect_timeout_ms = ASK_TIMEOUT_MS,
                                             .timeout_ms = ASK_TIMEOUT_MS,
                                             .max_body_bytes = ANSWER_BYTES_MAX};
        err = dp_fetch_start(k->keys->fetcher, &req, on_token, k, &k->ask);
    }
    explicit_bzero(form, sizeof(form));
    if (err == DP_OK)
        return;
    k->ask = NULL;
    for (uint16_t i = 0; i < all->n; i++) {
        if (shares_token(&all->key[i], k))
            dp_refresh_failed(&all->key[i].refresh, now, 0);
    }
}

/* The file was read. */
static void on_file(void *ctx, struct dp_span token, const char *why)
{
    struct key *k = ctx;
    const bool first = k->refresh.failures == 0;
    if (k->keys->dead)
        return;
    if (!why && dp_token_sound(token)) {
        const bool other = !k->us || k->us->n < token.n + 2 ||
                           memcmp(k->us->text + k->us->n - token.n - 2, token.p, token.n) != 0 ||
                           k->us->text[k->us->n - token.n - 3] != ' ';
        dp_refresh_got(&k->refresh, 0);
        k->refresh.next_ns = now_ns(k->keys) + READ_MS * DP_NS_PER_MS;
        if (other)
            take_token(k, token);
        else if (k->state == DP_KEY_GOOD)
            k->why[0] = '\0';
        return;
    }
    /* what is in use stays in use: the file may be being written */
    dp_refresh_failed(&k->refresh, now_ns(k->keys), 0);
    k->refresh.next_ns = now_ns(k->keys) + READ_MS * DP_NS_PER_MS;
    failed_to_renew(k, "the token's file", why ? why : "holds no token");
    if (first)
        tell(k, DP_KEYS_FAILING);
}

static void read_file(struct key *k)
{
    dp_refresh_asked(&k->refresh, now_ns(k->keys));
    if (!dp_token_file_read(k->file))
        dp_refresh_failed(&k->refresh, now_ns(k->keys), 0);
}

static void renew(struct key *k)
{
    const uint64_t now = now_ns(k->keys);
    if (dp_refresh_due(&k->refresh, now)) {
        if (k->config->type == DP_CREDENTIAL_IAM)
            ask_for_token(k);
        else
            read_file(k);
    }
    if (k->config->type == DP_CREDENTIAL_IAM && k->state == DP_KEY_GOOD && k->us &&
        k->refresh.have && !dp_refresh_usable(&k->refresh, now)) {
        let_go(k);
        k->refresh.have = false;
        enter(k, DP_KEY_EXPIRED);
        tell(k, DP_KEYS_WITHHELD);
    }
}

/* ---- outside ---- */

static void tick(struct key *k)
{
    if (has_token(k))
        renew(k);
    hear(k);
    if (k->state != DP_KEY_REFUSED || k->question || now_ns(k->keys) < k->retry_ns)
        return;
    k->retry_ns = now_ns(k->keys) + k->keys->opt.retry_ms * DP_NS_PER_MS;
    if (!k->us)
        restore(k); /* there is none of ours to ask with */
    else if (k->config->type == DP_CREDENTIAL_IAM)
        dp_refresh_discard(&k->refresh); /* the new token is asked about when it is there */
    else
        ask_about(k);
}

void dp_keys_tick(struct dp_keys *k)
{
    for (uint16_t i = 0; i < k->n && !k->dead; i++)
        tick(&k->key[i]);
}

bool dp_keys_alike(const struct dp_key_config *a, const struct dp_key_config *b)
{
    return a->type == b->type && a->sha256 == b->sha256 && texts_same(a->username, b->username) &&
           texts_same(a->password, b->password) && texts_same(a->roles, b->roles) &&
           texts_same(a->api_key, b->api_key) && texts_same(a->token_url, b->token_url) &&
           texts_same(a->token_file, b->token_file) && texts_same(a->secret, b->secret);
}

void dp_keys_carry(struct dp_keys *k, uint16_t to, struct dp_keys *old, uint16_t from)
{
    struct key *a = &k->key[to];
    const struct key *b = &old->key[from];
    let_go(a);
    a->requests = dp_credential_ref(b->requests);
    a->us = dp_credential_ref(b->us);
    a->state = b->state;
    a->since_wall_ms = b->since_wall_ms;
    a->renewed_wall_ms = b->renewed_wall_ms;
    a->retry_ns = now_ns(k); /* a reload is a word of the operator's: it is tried at once */
    a->refused_ns = b->refused_ns;
    a->refusals = b->refusals;
    a->renewals = b->renewals;
    a->failures = b->failures;
    memcpy(a->why, b->why, sizeof(a->why));
    a->refresh = b->refresh;
    if (a->refresh.asking) { /* the old one's ask is canceled with it */
        a->refresh.asking = false;
        a->refresh.next_ns = now_ns(k);
    }
}

struct dp_credential *dp_keys_for_requests(const struct dp_keys *k, uint16_t region)
{
    return k->key[region].state == DP_KEY_GOOD ? k->key[region].requests : NULL;
}

struct dp_credential *dp_keys_for_us(const struct dp_keys *k, uint16_t region)
{
    return k->key[region].state == DP_KEY_GOOD ? k->key[region].us : NULL;
}

bool dp_keys_missing(const struct dp_keys *k, uint16_t region)
{
    return k->key[region].config->type != DP_CREDENTIAL_PASSTHROUGH &&
           k->key[region].state != DP_KEY_GOOD;
}

void dp_keys_status(const struct dp_keys *k, uint16_t region, struct dp_key_status *out)
{
    const struct key *key = &k->key[region];
    const uint64_t now = now_ns(k);
    const int64_t wall = dp_clock_wall_ms(k->opt.clock);
    *out = (struct dp_key_status){.type = key->config->type,
                                  .state = key->state,
                                  .injected = key->config->type != DP_CREDENTIAL_PASSTHROUGH,
                                  .since_wall_ms = key->since_wall_ms,
                                  .renewed_wall_ms = key->renewed_wall_ms,
                                  .refusals = key->refusals,
                                  .renewals = key->renewals,
                                  .failures = key->failures};
    if (key->refresh.have && key->refresh.ends_ns != UINT64_MAX && key->refresh.ends_ns > now)
        out->ends_wall_ms = wall + (int64_t)((key->refresh.ends_ns - now) / DP_NS_PER_MS);
    if (key->state == DP_KEY_REFUSED && key->retry_ns > now)
        out->retry_wall_ms = wall + (int64_t)((key->retry_ns - now) / DP_NS_PER_MS);
    memcpy(out->why, key->why, sizeof(out->why));
}

/* ---- life ---- */

static void closed(void *ctx)
{
    struct dp_keys *k = ctx;
    if (--k->open)
        return;
    void (*done)(void *) = k->done;
    void *done_ctx = k->done_ctx;
    for (uint16_t i = 0; i < k->n; i++) {
        let_go(&k->key[i]);
        dp_credential_unref(k->key[i].candidate);
        free(k->key[i].session_url);
    }
    free(k);
    if (done)
        done(done_ctx);
}

void dp_keys_destroy(struct dp_keys *k, void (*done)(void *ctx), void *ctx)
{
    k->dead = true;
    k->done = done;
    k->done_ctx = ctx;
    k->open = 1;
    for (uint16_t i = 0; i < k->n; i++) {
        if (k->key[i].file) {
            k->open++;
            dp_token_file_close(k->key[i].file, closed, k);
        }
    }
    if (k->fetcher) {
        k->open++;
        dp_fetcher_destroy(k->fetcher, closed, k);
    }
    closed(k);
}

static bool init_key(struct key *k, const struct dp_keys_target *t)
{
    k->config = t->config;
    k->tls = t->tls;
    int n = (int)strlen(t->url);
    while (n > 0 && t->url[n - 1] == '/')
        n--;
    if (asprintf(&k->session_url, "%.*s/_session", n, t->url) < 0) {
        k->session_url = NULL;
        return false;
    }
    dp_refresh_init(&k->refresh, now_ns(k->keys));
    k->since_wall_ms = dp_clock_wall_ms(k->keys->opt.clock);
    if (t->config->type == DP_CREDENTIAL_BEARER) {
        k->file = dp_token_file_new(k->keys->opt.loop, t->config->token_file, on_file, k);
        if (!k->file)
            return false;
    }
    if (!make(k))
        return false;
    k->state = has_token(k) ? DP_KEY_WAITING : k->us || k->requests ? DP_KEY_GOOD : DP_KEY_NONE;
    return true;
}

struct dp_keys *dp_keys_new(const struct dp_keys_options *opt, const struct dp_keys_target *targets,
                            uint16_t n)
{
    struct dp_keys *k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->opt = *opt;
    for (k->n = 0; k->n < n; k->n++) {
        struct key *key = &k->key[k->n];
        key->keys = k;
        key->region = k->n;
        if (!init_key(key, &targets[k->n])) {
            k->n++;
            goto fail;
        }
    }
    k->fetcher = dp_fetcher_new(opt->loop);
    if (k->fetcher)
        return k;
fail:
    dp_keys_destroy(k, NULL, NULL);
    return NULL;
}
