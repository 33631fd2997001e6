/* Who wants to log in: Basic there and back, bodies of any kind, and what CouchDB may say of it.
 *
 * Input: a byte of choices, then a field's value or a body. */
#include "davenport/couch/login.h"

#include "davenport/base/base64.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_bounds(const struct dp_couch_asked_login *l)
{
    fuzz_check(l->name_n <= sizeof(l->name), "the name fits");
    fuzz_check(l->password_n <= sizeof(l->password), "the password fits");
}

/* What is written by the book is read; the name ends at the first colon. */
static void basic_by_the_book(const char *p, size_t n)
{
    struct dp_couch_asked_login l;
    char *line = malloc(6 + DP_BASE64_BYTES(n) + 1);
    fuzz_check(line != NULL, "memory");
    memcpy(line, "Basic ", 6);
    const size_t length = 6 + dp_base64_encode(DP_BASE64, p, n, line + 6);
    const char *colon = n > 0 ? memchr(p, ':', n) : NULL;
    const bool fits = colon && (size_t)(colon - p) <= sizeof(l.name) &&
                      n - (size_t)(colon - p) - 1 <= sizeof(l.password) && n < 760;
    if (dp_couch_basic((struct dp_span){line, length}, &l)) {
        check_bounds(&l);
        fuzz_check(colon != NULL && l.name_n == (size_t)(colon - p), "up to the colon");
        fuzz_check(l.name_n + 1 + l.password_n == n, "all of it");
        fuzz_check(memcmp(l.name, p, l.name_n) == 0, "the same name");
        fuzz_check(memcmp(l.password, colon + 1, l.password_n) == 0, "the same password");
    } else {
        fuzz_check(!fits, "what fits is taken");
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
                                        "application/json; charset=utf-8", "x"};
    struct dp_couch_asked_login l;
    if (size < 1)
        return 0;
    const size_t n = size - 1;
    char *text = fuzz_copy((const char *)data + 1, n);
    const struct dp_span s = {text, n};
    if (dp_couch_basic(s, &l))
        check_bounds(&l);
    basic_by_the_book(text, n);
    if (dp_couch_login_body(dp_span_str(types[data[0] % 4]), s, &l) == DP_OK)
        check_bounds(&l);
    (void)dp_couch_login_said(data[0] & 1 ? 401 : 403, s);
    (void)dp_couch_session_named(s);
    free(text);
    return 0;
}
