/* token: what lets an operator in over TCP, and its hash. */
#include "davenport/net/secret.h"

#include "app/cli_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A new file, for its owner alone. */
static bool write_token(const char *path, const char *token)
{
    const struct dp_span line[] = {dp_span_str(token), DP_SPAN("\n")};
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    for (size_t i = 0; i < DP_ARRAY_LEN(line) && good; i++) {
        good = write(fd, line[i].p, line[i].n) == (ssize_t)line[i].n;
    }
    good = good && fsync(fd) == 0;
    if (!good) {
        dp_cli_error("token: %.200s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

/* file: where the token is; NULL: it is told here. */
static void tell(const char *token, const char *hash, const char *file, bool json,
                 struct dp_text *out)
{
    if (json) {
        json_t *root = json_pack("{s:s}", "hash", hash);
        (void)json_object_set_new(root, file ? "file" : "token", json_string(file ? file : token));
        dp_text_json(out, root, JSON_COMPACT);
        json_decref(root);
    } else if (file) {
        dp_text_addf(out, "%s\n", hash);
    } else {
        dp_text_addf(out, "token  %s\nhash   %s\n", token, hash);
    }
}

int dp_cli_token(const struct dp_cli_call *call)
{
    const char *file = dp_cli_value(call, "output");
    char token[DP_TOKEN_BYTES];
    char hash[DP_TOKEN_HASH_BYTES];
    struct dp_text text = {0};
    bool good = dp_token_make(token) && dp_token_hash(dp_span_str(token), hash);
    if (!good) {
        dp_cli_error("token: the system gives no random bytes");
    }
    good = good && (!file || write_token(file, token));
    if (good) {
        tell(token, hash, file, dp_cli_value(call, "json") != NULL, &text);
        good = dp_cli_print(&text);
    }
    explicit_bzero(token, sizeof token);
    if (text.n > 0) {
        explicit_bzero(text.p, text.n);
    }
    dp_text_fini(&text);
    return good ? DP_EXIT_OK : DP_EXIT_FAILED;
}
