/* One HTTP request with libcurl's easy interface: loopback or a Unix socket, never through a proxy. */
#include "app/admin_client.h"

#include "davenport/app/config.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#define TIMEOUT_MS   5000L
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
                       const char *body, const struct curl_slist *headers, struct dp_text *answer)
{
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_PROXY, "");
    code = code ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    code = code ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (addr->unix_path) {
        code = code ? code : curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, addr->unix_path);
    }
    if (body) {
        code = code ? code : curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    return code;
}

static struct curl_slist *make_headers(void)
{
    struct curl_slist *list = curl_slist_append(NULL, "Davenport-Admin: 1");
    struct curl_slist *more = curl_slist_append(list, "Content-Type: application/json");
    return more ? more : list;
}

enum dp_err dp_admin_call(const char *addr, const char *path, const char *body, uint16_t *status,
                          struct dp_text *answer, char why[DP_CLIENT_WHY])
{
    struct dp_admin_addr parsed;
    struct dp_text url = {0};
    const char *reason = "";
    long http = 0;
    if (dp_admin_addr_parse(addr, &parsed, &reason) != DP_OK) {
        explain(why, addr, reason);
        return DP_EINVAL;
    }
    make_url(&parsed, path, &url);
    struct curl_slist *headers = make_headers();
    CURL *curl = curl_easy_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (curl && headers) {
        code = set_up(curl, &parsed, dp_text_str(&url), body, headers, answer);
        code = code ? code : curl_easy_perform(curl);
        code = code ? code : curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    dp_text_fini(&url);
    if (code != CURLE_OK) {
        explain(why, addr, curl_easy_strerror(code));
        return DP_ECONNECT;
    }
    *status = (uint16_t)http;
    return DP_OK;
}
