/* Log lines into a pipe, read back and parsed. */
#ifndef DAVENPORT_TESTS_BASE_LOG_PIPE_H
#define DAVENPORT_TESTS_BASE_LOG_PIPE_H

#include "davenport/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* A whole line, its newline included, as an object; the caller lets go of it. */
static inline json_t *parse_line(const char *line, size_t n)
{
    json_error_t e;
    if (n == 0 || line[n - 1] != '\n' || memchr(line, '\n', n - 1))
        fail_msg("not one line: %.*s", (int)n, line);
    json_t *root = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!root)
        fail_msg("not JSON: %s: %.*s", e.text, (int)n, line);
    assert_true(json_is_object(root));
    return root;
}

static inline const char *text_of(const json_t *root, const char *key)
{
    const json_t *v = json_object_get(root, key);
    if (!json_is_string(v))
        fail_msg("\"%s\" is no string", key);
    return json_string_value(v);
}

#endif
