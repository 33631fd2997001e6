/* Cookies, as clients send them (RFC 6265 5.4) and servers set them (5.2). Pure; nothing is decoded. */
#ifndef DAVENPORT_HTTP_COOKIE_H
#define DAVENPORT_HTTP_COOKIE_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"
#include "davenport/http/head.h"
#include "davenport/http/writer.h"

#include <stdbool.h>

/* The next pair of a Cookie field's value, or the next attribute of a Set-Cookie's, cut from *rest: without white space
 * around; value.p == NULL: there is no "=". False at the end (rest->p == NULL). Empty pairs are passed over. */
bool dp_cookie_next(struct dp_span *rest, struct dp_span *name, struct dp_span *value);

/* The first cookie of that name in any Cookie field of a request. False: there is none. */
DP_MUST_USE bool dp_cookie_find(const struct dp_head *h, struct dp_span name,
                                struct dp_span *value);
/* The Cookie fields of a request without the cookies of that name: at most twice as long as what came. */
void dp_write_cookies_without(struct dp_writer *w, const struct dp_head *h, struct dp_span name);

/* The Set-Cookie fields of an answer as somebody may set them who is asked under another name: without Domain, which
 * names the other, and Secure as `secure` says, for over plain HTTP it would never come back; nor does SameSite=None
 * without it. At most twice as long as what came, and DP_SET_COOKIE_MORE bytes each. */
#define DP_SET_COOKIE_MORE 16
void dp_write_set_cookies(struct dp_writer *w, const struct dp_head *h, bool secure);

#endif
