/* Bookmarks: what is found lies within the text, stands behind its name, and is found again where it was put. */
#include "davenport/couch/bookmark.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void inside(struct dp_span found, const char *p, size_t n)
{
    fuzz_check(!found.p || (found.p >= p && found.p + found.n <= p + n), "within the text");
}

/* As a member of an object that has no other of that name. */
static void put_and_find(const char *p, size_t n)
{
    struct fuzz_text t = {0};
    if (memchr(p, '"', n) || memchr(p, '\\', n))
        return;
    fuzz_add(&t, "{\"a\":[{\"bookmark\":1}],\"bookmark\" : \"", 36);
    fuzz_add(&t, p, n);
    fuzz_add(&t, "\",\"b\":2}", 8);
    const struct dp_span found = dp_bookmark_in_body((struct dp_span){t.p, t.n});
    fuzz_check(found.p && found.n == n && memcmp(found.p, p, n) == 0, "found where it was put");
    fuzz_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy((const char *)data, size);
    const struct dp_span all = {text, size};
    const struct dp_span in_body = dp_bookmark_in_body(all), in_query = dp_bookmark_in_query(all);
    inside(in_body, text, size);
    inside(in_query, text, size);
    fuzz_check(!in_body.p || (in_body.p[-1] == '"' && in_body.p[in_body.n] == '"' &&
                              !memchr(in_body.p, '"', in_body.n)),
               "between two quotes");
    fuzz_check(!in_query.p || in_query.p[-1] == '=', "behind its name");
    (void)dp_bookmark_is_portable(all);
    if (size > 0)
        put_and_find(text, size);
    free(text);
    return 0;
}
