/* A drill's page: whatever the result says, it comes out of the page as it went in, and no markup can begin in it. */
#include "davenport/web/page.h"

#include "app/drill_report.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct dp_web_page parts = dp_web_report();
    struct dp_text page = {0};
    json_t *result = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    const enum dp_err err = dp_drill_report_html(result, &page);
    fuzz_check(err == (json_is_object(result) ? DP_OK : DP_EINVAL), "every object has a page");
    if (!err) {
        fuzz_check(page.n > parts.head.n + parts.tail.n, "there are data");
        const char *p = page.p + parts.head.n;
        const size_t n = page.n - parts.head.n - parts.tail.n;
        fuzz_check(memchr(p, '<', n) == NULL, "no markup");
        json_t *read = json_loadb(p, n, JSON_ALLOW_NUL, NULL);
        fuzz_check(json_equal(read, result), "the same result");
        json_decref(read);
    }
    json_decref(result);
    dp_text_fini(&page);
    return 0;
}
