/* Error bodies in CouchDB's own form. */
#include "davenport/base/log.h"
#include "davenport/couch/request.h"

size_t dp_couch_error_body(char *buf, size_t cap, struct dp_span error, struct dp_span reason)
{
    const struct dp_kv kv[] = {DP_KV_SPAN("error", error), DP_KV_SPAN("reason", reason)};
    bool cut;
    size_t n = dp_kv_write(buf, cap, kv, DP_ARRAY_LEN(kv), &cut);
    if (cut || cap - n < 2)
        return 0;
    buf[0] = '{'; /* dp_kv_write begins with a comma */
    buf[n++] = '}';
    buf[n++] = '\n';
    return n;
}
