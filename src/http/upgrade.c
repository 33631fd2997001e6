/* Upgrade, read. */
#include "davenport/http/upgrade.h"

#include "davenport/base/attr.h"

/* Does a list of this field have an element for which `is` holds? */
static bool any_element(const struct dp_head *h, enum dp_header_id id, bool (*is)(struct dp_span))
{
    for (uint32_t i = 0; dp_head_has(h, id) && i < h->n_headers; i++) {
        struct dp_span rest = h->headers[i].value;
        while (h->headers[i].id == id && rest.p) {
            if (is(dp_span_trim(dp_span_cut(&rest, ','))))
                return true;
        }
    }
    return false;
}

static bool says_upgrade(struct dp_span option)
{
    return dp_span_ieq(option, DP_SPAN("upgrade"));
}

/* protocol-name ["/" protocol-version]: one without which the same is said in HTTP/1.1. */
static bool is_no_mere_offer(struct dp_span protocol)
{
    static const struct dp_span offers[] = {DP_SPAN_INIT("h2c"), DP_SPAN_INIT("h2"),
                                            DP_SPAN_INIT("HTTP"), DP_SPAN_INIT("TLS")};
    const struct dp_span name = dp_span_cut(&protocol, '/');
    for (size_t i = 0; i < DP_ARRAY_LEN(offers); i++) {
        if (dp_span_ieq(name, offers[i]))
            return false;
    }
    return name.n > 0; /* a list may have empty places */
}

bool dp_upgrade_insists(const struct dp_head *h)
{
    return dp_head_has(h, DP_HEADER_UPGRADE) && h->minor > 0 &&
           any_element(h, DP_HEADER_CONNECTION, says_upgrade) &&
           any_element(h, DP_HEADER_UPGRADE, is_no_mere_offer);
}
