/* Questions to regions. */
#include "drill/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define CONNECT_MS 5000

enum dp_err dp_drill_ask(struct dp_fetcher *f, const struct dp_drill_region *region,
                         const struct dp_drill_ask *ask, dp_fetch_done done, void *ctx,
                         struct dp_fetch **out)
{
    char *url = malloc(strlen(region->url) + strlen(ask->path) + 1);
    if (!url)
        return DP_ENOMEM;
    memcpy(url, region->url, strlen(region->url));
    memcpy(url + strlen(region->url), ask->path, strlen(ask->path) + 1);
    const struct dp_fetch_request req = {
        .method = ask->method,
        .url = url,
        .username = region->username,
        .password = region->password,
        .headers = DP_SPAN("Accept: application/json\r\n"),
        .body = ask->body,
        .content_type = ask->body.n > 0 ? "application/json" : NULL,
        .connect_timeout_ms = ask->timeout_ms < CONNECT_MS ? ask->timeout_ms : CONNECT_MS,
        .timeout_ms = ask->timeout_ms,
        .max_body_bytes = ask->max_body_bytes,
        .tls = region->tls,
    };
    enum dp_err err = dp_fetch_start(f, &req, done, ctx, out);
    free(url);
    return err;
}

bool dp_drill_good(const struct dp_fetch_result *res)
{
    return res->err == DP_OK && res->status >= 200 && res->status < 300;
}

/* A text of somebody else's, without what would break a line. */
static void add_plain(char *out, size_t cap, const char *lead, const json_t *v)
{
    const char *text = json_string_value(v);
    size_t at = strlen(out);
    if (!text || !*text)
        return;
    (void)snprintf(out + at, cap - at, "%s%s", lead, text);
    for (; out[at]; at++) {
        if ((unsigned char)out[at] < ' ' || out[at] == 0x7F)
            out[at] = ' ';
    }
}

void dp_drill_word(const struct dp_fetch_result *res, char *out, size_t cap)
{
    if (res->err != DP_OK) {
        (void)snprintf(out, cap, "%s",
                       res->detail && *res->detail ? res->detail : dp_err_info(res->err)->word);
        return;
    }
    (void)snprintf(out, cap, "%u", res->status);
    json_t *root = json_loadb(res->body.n > 0 ? res->body.p : "", res->body.n, 0, NULL);
    add_plain(out, cap, " ", json_object_get(root, "error"));
    add_plain(out, cap, ": ", json_object_get(root, "reason"));
    json_decref(root);
}
