/* One HTTP request with libcurl's easy interface, never through a proxy. A token goes over TLS, loopback or a Unix socket only. */
#include "app/admin_client.h"

#include "davenport/app/config.h"
#include "davenport/net/secret.h"

#include "app/file.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#define TIMEOUT_MS 5000L
/* What changes something may wait for disks and name servers; see admin.c. */
#define CHANGE_MS        60000L
#define SILENCE_S        60L /* four of the stream's empty lines are missing: nobody is there */
#define LINE_BYTES       65536
#define ACTOR_CHARS      64
#define ANSWER_BYTES     ((size_t)32 * 1024 * 1024)
#define TOKEN_FILE_BYTES 4096
#define DEFAULT_PORT     "8985"

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

/* An address taken apart. */
struct target {
    const char *unix_path; /* NULL: TCP */
    bool tls;
    struct dp_text origin; /* "https://ops.example:8985" */
};

/* "HOST", "HOST:PORT", the host perhaps in brackets: no path, no user, nothing that a URL could be bent with. */
static bool is_authority(const char *text)
{
    const size_t n = strlen(text);
    return n > 0 && n < 300 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") ==
               n;
}

static const char *read_https(const char *authority, struct target *out)
{
    if (!is_authority(authority)) {
        return "must be https://HOST or https://HOST:PORT, without a path";
    }
    const char *colon = strrchr(authority, ':');
    const char *bracket = strrchr(authority, ']');
    const bool port = colon && (!bracket || colon > bracket);
    out->tls = true;
    dp_text_addf(&out->origin, "https://%s%s", authority, port ? "" : ":" DEFAULT_PORT);
    return NULL;
}

/* NULL, or why it is no address. */
static const char *read_target(const char *text, struct target *out)
{
    static const char https[] = "https://";
    static const char http[] = "http://";
    struct dp_admin_addr addr;
    const char *why = "";
    *out = (struct target){0};
    if (strncmp(text, https, sizeof https - 1) == 0) {
        return read_https(text + sizeof https - 1, out);
    }
    const bool url = strncmp(text, http, sizeof http - 1) == 0;
    if (dp_admin_addr_parse(url ? text + sizeof http - 1 : text, &addr, &why) != DP_OK) {
        return "must be unix:PATH, a loopback address with its port (127.0.0.1:8985, [::1]:8985) "
               "or "
               "https://HOST:PORT";
    }
    if (!addr.unix_path && !addr.loopback) {
        return "must be https://HOST:PORT: beyond this host nothing is asked without TLS";
    }
    out->unix_path = addr.unix_path ? dp_config_unix_path(text) : NULL;
    if (out->unix_path) {
        dp_text_addf(&out->origin, "http://localhost");
    } else {
        const bool v6 = strchr(addr.ip, ':') != NULL;
        dp_text_addf(&out->origin, "http://%s%s%s:%u", v6 ? "[" : "", addr.ip, v6 ? "]" : "",
                     (unsigned)addr.port);
    }
    return NULL;
}

const char *dp_admin_server_fault(const char *addr)
{
    struct target target;
    const char *why = read_target(addr, &target);
    dp_text_fini(&target.origin);
    return why;
}

/* CURLE_OK when every option was taken. */
static CURLcode set_up(CURL *curl, const struct target *target, const char *ca_file,
                       const char *url, const struct curl_slist *headers)
{
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    code =
        code ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, target->tls ? "https" : "http");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_PROXY, "");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, TIMEOUT_MS);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (ca_file) {
        code = code ? code : curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
    }
    if (target->unix_path) {
        code = code ? code : curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, target->unix_path);
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

static bool add_header(struct curl_slist **list, const char *header)
{
    struct curl_slist *more = curl_slist_append(*list, header);
    *list = more ? more : *list;
    return more != NULL;
}

/* "Authorization: Bearer TOKEN", of the file, which holds nothing else but white space. */
static enum dp_err add_token(struct curl_slist **list, const char *path, char why[DP_CLIENT_WHY])
{
    struct dp_text text = {0};
    char reason[DP_FILE_WHY];
    char hash[DP_TOKEN_HASH_BYTES];
    char header[sizeof "Authorization: Bearer " + DP_TOKEN_BYTES];
    enum dp_err err = dp_file_read(path, TOKEN_FILE_BYTES, &text, reason);
    struct dp_span token = dp_text_span(&text);
    while (token.n > 0 && isspace((unsigned char)token.p[token.n - 1])) {
        token.n--;
    }
    if (err != DP_OK) {
        explain(why, path, reason);
        err = DP_EIO;
    } else if (!dp_token_hash(token, hash)) {
        explain(why, path, "holds no token: davenport token makes one");
        err = DP_EIO;
    } else if (snprintf(header, sizeof header, "Authorization: Bearer %.*s", (int)token.n,
                        token.p) < 0 ||
               !add_header(list, header)) {
        err = DP_ENOMEM;
    }
    explicit_bzero(header, sizeof header);
    if (text.n > 0) {
        explicit_bzero(text.p, text.n);
    }
    dp_text_fini(&text);
    return err;
}

static enum dp_err make_headers(const struct dp_admin_server *server, struct curl_slist **list,
                                char why[DP_CLIENT_WHY])
{
    char actor[2 * ACTOR_CHARS];
    actor_header(actor, sizeof actor);
    if (!add_header(list, "Davenport-Admin: 1") ||
        !add_header(list, "Content-Type: application/json") || !add_header(list, actor)) {
        explain(why, server->addr, curl_easy_strerror(CURLE_OUT_OF_MEMORY));
        return DP_ENOMEM;
    }
    return server->token_file ? add_token(list, server->token_file, why) : DP_OK;
}

/* What both kinds of request are made of. */
struct call {
    const char *addr;
    struct target target;
    struct curl_slist *headers;
    CURL *curl;
};

static void call_end(struct call *c)
{
    curl_easy_cleanup(c->curl);
    for (struct curl_slist *h = c->headers; h; h = h->next) { /* the token is in one of them */
        explicit_bzero(h->data, strlen(h->data));
    }
    curl_slist_free_all(c->headers);
    dp_text_fini(&c->target.origin);
}

static enum dp_err call_begin(struct call *c, const struct dp_admin_server *server,
                              const char *path, char why[DP_CLIENT_WHY])
{
    struct dp_text url = {0};
    *c = (struct call){.addr = server->addr};
    const char *reason = read_target(server->addr, &c->target);
    if (reason) {
        explain(why, server->addr, reason);
        call_end(c);
        return DP_EINVAL;
    }
    enum dp_err err = make_headers(server, &c->headers, why);
    if (err != DP_OK) {
        call_end(c);
        return err;
    }
    dp_text_addf(&url, "%s%s", dp_text_str(&c->target.origin), path);
    c->curl = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (c->curl && !url.failed) {
        code = set_up(c->curl, &c->target, server->ca_file, dp_text_str(&url), c->headers);
    }
    dp_text_fini(&url);
    if (code != CURLE_OK) {
        explain(why, server->addr, curl_easy_strerror(code));
        call_end(c);
        return DP_ECONNECT;
    }
    return DP_OK;
}

/* What went wrong, for people: where a connection could not be made the system's own word, else what curl says of it. */
static enum dp_err explain_curl(const struct call *c, CURLcode code, const char *detail,
                                char why[DP_CLIENT_WHY])
{
    long number = 0;
    const char *reason = *detail ? detail : curl_easy_strerror(code);
    (void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_CONNECT && number == EACCES && c->target.unix_path) {
        explain(why, c->addr,
                "Permission denied: the socket is for the proxy's own user, or its group too "
                "(admin.socket_mode)");
        return DP_EUNKNOWN;
    }
    if (code == CURLE_COULDNT_CONNECT && number != 0) {
        reason = strerror((int)number);
    }
    explain(why, c->addr, reason);
    return DP_ECONNECT;
}

enum dp_err dp_admin_send(const struct dp_admin_server *server, const char *method,
                          const char *path, const char *body, uint16_t *status,
                          struct dp_text *answer, char why[DP_CLIENT_WHY])
{
    struct call c;
    char detail[CURL_ERROR_SIZE] = "";
    long http = 0;
    bool changes = strcmp(method, "GET") != 0;
    enum dp_err err = call_begin(&c, server, path, why);
    if (err != DP_OK) {
        return err;
    }
    CURLcode code = curl_easy_setopt(c.curl, CURLOPT_ERRORBUFFER, detail);
    code = code ? code
                : curl_easy_setopt(c.curl, CURLOPT_TIMEOUT_MS, changes ? CHANGE_MS : TIMEOUT_MS);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEFUNCTION, on_body);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEDATA, answer);
    if (body) {
        code = code ? code : curl_easy_setopt(c.curl, CURLOPT_POSTFIELDS, body);
    }
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_CUSTOMREQUEST, method);
    code = code ? code : curl_easy_perform(c.curl);
    code = code ? code : curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &http);
    err = code == CURLE_OK ? DP_OK : explain_curl(&c, code, detail, why);
    call_end(&c);
    if (err == DP_OK) {
        *status = (uint16_t)http;
    }
    return err;
}

enum dp_err dp_admin_call(const struct dp_admin_server *server, const char *path, const char *body,
                          uint16_t *status, struct dp_text *answer, char why[DP_CLIENT_WHY])
{
    return dp_admin_send(server, body ? "POST" : "GET", path, body, status, answer, why);
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

enum dp_err dp_admin_follow(const struct dp_admin_server *server, const char *path,
                            bool (*line)(void *ctx, const char *text), void *ctx,
                            char why[DP_CLIENT_WHY])
{
    struct call c;
    struct stream stream = {.line = line, .ctx = ctx};
    char detail[CURL_ERROR_SIZE] = "";
    long http = 0;
    enum dp_err err = call_begin(&c, server, path, why);
    if (err != DP_OK) {
        return err;
    }
    CURLcode code = curl_easy_setopt(c.curl, CURLOPT_ERRORBUFFER, detail);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_FAILONERROR, 1L);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEFUNCTION, on_stream);
    code = code ? code : curl_easy_setopt(c.curl, CURLOPT_WRITEDATA, &stream);
    code = code ? code : curl_easy_perform(c.curl);
    (void)curl_easy_getinfo(c.curl, CURLINFO_RESPONSE_CODE, &http);
    if (code == CURLE_OK || stream.stopped) {
        err = DP_OK;
    } else if (http == 401 || http == 403 || http == 429) {
        explain(why, server->addr, "a token is needed; --token-file names the file that holds one");
        err = DP_EUNKNOWN;
    } else {
        err = explain_curl(&c, code, detail, why);
    }
    call_end(&c);
    dp_text_fini(&stream.text);
    return err;
}
