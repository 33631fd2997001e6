/* One HTTP request with libcurl's easy interface: loopback or a Unix socket, never through a proxy. */
#include "app/admin_client.h"

#include "davenport/app/config.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#define TIMEOUT_MS 5000L
/* What changes something may wait for disks and name servers; see admin.c. */
#define CHANGE_MS    60000L
#define SILENCE_S    60L /* four of the stream's empty lines are missing: nobody is there */
#define LINE_BYTES   65536
#define ACTOR_CHARS  64
#define ANSWER_BYTES ((size_t)32 * 1024 * 1024)

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct dp_text *answer = ctx;
    dp_text_add(answer, (struct dp_span){p, size * n});
    return answer->failed || answer->n > ANSWER_BYTES ? 0 : size * n;
}

static void explain(char why[DP_CLIENT_WHY], const char *addr, const char *reason)
{
    if (snprintf(why, DP_CLIENT_WHY, "%.128s: %.160s", addr, reason) < 0) {
        why[0] = '\0';
    }
}

static void make_url(const struct dp_admin_addr *addr, const char *path, struct dp_text *url)
{
    if (addr->unix_path) {
        dp_text_addf(url, "http://localhost%s", path);
    } else if (strchr(addr->ip, ':')) {
        dp_text_addf(url, "http://[%s]:%u%s", addr->ip, (unsigned)addr->port, path);
    } else {
        dp_text_addf(url, "http://%s:%u%s", addr->ip, (unsigned)addr->port, path);
    }
}

/* CURLE_OK when every option was taken. */
static CURLcode set_up(CURL *curl, const struct dp_admin_addr *addr, const char *url,
                       const struct curl_slist *headers)
{
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_PROXY, "");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, TIMEOUT_MS);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (addr->unix_path) {
        code = code ? code : curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, addr->unix_path);
    }
    return code;
}

/* "Davenport-Actor: user@host", for the journal: whom sudo works for, else who runs this. */
static void actor_header(char *out, size_t cap)
{
    char host[ACTOR_CHARS] = "";
    const char *user = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
    const struct passwd *entry = user ? NULL : getpwuid(geteuid());
    if (!user) {
        user = entry ? entry->pw_name : "unknown";
    }
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
        (void)snprintf(host, sizeof host, "unknown");
    }
    if (snprintf(out, cap, "Davenport-Actor: %.40s@%.40s", user, host) < 0) {
        out[0] = '\0';
    }
}

static struct curl_slist *make_headers(void)
{
    char actor[2 * ACTOR_CHARS];
    actor_header(actor, sizeof actor);
    struct curl_slist *list = curl_slist_append(NULL, "Davenport-Admin: 1");
    struct curl_slist *more = curl_slist_append(list, "Content-Type: application/json");
    list = more ? more : list;
    more = curl_slist_append(list, actor);
    return more ? more : list;
}

/* What both kinds of request are made of. */
struct call {
    struct dp_admin_addr addr;
    struct dp_text url;
    struct curl_slist *headers;
    CURL *curl;
};

static void call_end(struct call *c)
{
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    dp_text_fini(&c->url);
}

static enum dp_err call_begin(struct call *c, const char *addr, const char *path,
                              char why[DP_CLIENT_WHY])
{
    const char *reason = "";
    *c = (struct call){0};
    if (dp_admin_addr_parse(addr, &c->addr, &reason) != DP_OK) {
        explain(why, addr, reason);
        return DP_EINVAL;
    }
    make_url(&c->addr, path, &c->url);
    c->headers = make_headers();
    c->curl = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (c->curl && c->headers) {
        code = set_up(c->curl, &c->addr, dp_text_str(&c->url), c->headers);
    }
    if (code != CURLE_OK) {
        explain(why, addr, curl_easy_strerror(code));
        call_end(c);
        return DP_ECONNECT;
    }
    return DP_OK;
}

enum dp_err dp_admin_call(const char *addr, const char *path, const char *body, uint16_t *status,
                          struct dp_text *answer, char why[DP_CLIENT_WHY])
{
    struct call c;
    long http = 0;
    enum dp_err err = call_begin(&c, addr, path, why);
    if (err != DP_OK) {
        return err;
    }
    CURLcode code = curl_easy_setopt(c.curl, CURLOPT_TIMEOUT_MS, body ? CHANGE_MS : TIMEOUT_MS);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEFUNCTION, on_body);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEDATA, answer);
    if (body) {
        code = code ? code : curl_easy_setopt(c.curl, CURLOPT_POSTFIELDS, body);
    }
    code = code ? code : curl_easy_perform(c.curl);
    code = code ? code : curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &http);
    call_end(&c);
    if (code != CURLE_OK) {
        explain(why, addr, curl_easy_strerror(code));
        return DP_ECONNECT;
    }
    *status = (uint16_t)http;
    return DP_OK;
}

/* A stream that is being read. */
struct stream {
    bool (*line)(void *ctx, const char *text);
    void *ctx;
    struct dp_text text; /* of a line that is not whole yet */
    bool stopped;
};

static size_t on_stream(char *p, size_t size, size_t n, void *ctx)
{
    struct stream *s = ctx;
    struct dp_span rest = {p, size * n};
    while (rest.p) {
        struct dp_span piece = dp_span_cut(&rest, '\n');
        dp_text_add(&s->text, piece);
        if (!rest.p) {
            break; /* the newline is to come */
        }
        if (s->text.n > 0 && !s->line(s->ctx, dp_text_str(&s->text))) {
            s->stopped = true;
            return 0;
        }
        dp_text_clear(&s->text);
    }
    return s->text.failed || s->text.n > LINE_BYTES ? 0 : size * n;
}

enum dp_err dp_admin_follow(const char *addr, const char *path,
                            bool (*line)(void *ctx, const char *text), void *ctx,
                            char why[DP_CLIENT_WHY])
{
    struct call c;
    struct stream stream = {.line = line, .ctx = ctx};
    enum dp_err err = call_begin(&c, addr, path, why);
    if (err != DP_OK) {
        return err;
    }
    CURLcode code = curl_easy_setopt(c.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_FAILONERROR, 1L);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEFUNCTION, on_stream);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEDATA, &stream);
    code = code ? code : curl_easy_perform(c.curl);
    call_end(&c);
    dp_text_fini(&stream.text);
    if (code != CURLE_OK && !stream.stopped) {
        explain(why, addr, curl_easy_strerror(code));
        return DP_ECONNECT;
    }
    return DP_OK;
}
