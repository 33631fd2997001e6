/* hash-password: what stands in clients.users, made of what nobody sees. */
#include "davenport/net/secret.h"

#include "app/cli_ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 512

/* One line from stdin, without its end. A terminal shows nothing of it. */
static bool read_line(const char *prompt, char out[PASSWORD_MAX + 2], size_t *n)
{
    struct termios old;
    const bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
    if (terminal) {
        struct termios silent = old;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)fputs(prompt, stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    *n = 0;
    bool ended = false;
    while (*n < PASSWORD_MAX + 1 && !ended) {
        ssize_t got = read(STDIN_FILENO, out + *n, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        ended = got <= 0 || out[*n] == '\n';
        *n += !ended;
    }
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        (void)fputs("\n", stderr);
    }
    return ended;
}

static bool read_password(char out[PASSWORD_MAX + 2], size_t *n)
{
    char again[PASSWORD_MAX + 2];
    size_t again_n = 0;
    bool good = read_line("Password: ", out, n);
    if (!good) {
        dp_cli_error("the password is longer than %d bytes", PASSWORD_MAX);
    } else if (*n == 0) {
        dp_cli_error("the password is empty");
        good = false;
    } else if (isatty(STDIN_FILENO)) {
        good =
            read_line("Again: ", again, &again_n) && again_n == *n && memcmp(again, out, *n) == 0;
        explicit_bzero(again, sizeof again);
        if (!good) {
            dp_cli_error("these are two different ones");
        }
    }
    return good;
}

int dp_cli_hash_password(const struct dp_cli_call *call)
{
    const enum dp_password kind =
        dp_cli_value(call, "scrypt") ? DP_PASSWORD_SCRYPT : DP_PASSWORD_PBKDF2;
    char password[PASSWORD_MAX + 2];
    char hash[DP_PASSWORD_TEXT];
    struct dp_text text = {0};
    size_t n = 0;
    bool good = read_password(password, &n);
    if (good && !dp_password_hash(kind, (struct dp_span){password, n}, hash)) {
        dp_cli_error("the hash could not be made");
        good = false;
    }
    explicit_bzero(password, sizeof password);
    if (good) {
        if (dp_cli_value(call, "json")) {
            json_t *root = json_pack("{s:s}", "hash", hash);
            dp_text_json(&text, root, JSON_COMPACT);
            json_decref(root);
        } else {
            dp_text_addf(&text, "%s\n", hash);
        }
        good = dp_cli_print(&text);
    }
    dp_text_fini(&text);
    return good ? DP_EXIT_OK : DP_EXIT_FAILED;
}
