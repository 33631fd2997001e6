/* See session.h. */
#include "proxy/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A clock of another sidecar may be ahead. */
#define AHEAD_S 60

static int by_bytes(struct dp_span a, struct dp_span b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

const struct dp_client_user *dp_clients_find(const struct dp_clients_config *c, struct dp_span name)
{
    size_t from = 0, to = c->n_users;
    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        const int order = by_bytes(dp_span_str(c->users[mid].name), name);
        if (order == 0)
            return &c->users[mid];
        if (order < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static bool sign(struct dp_hmac_key *key, const struct dp_client_user *user, struct dp_span time,
                 unsigned char mac[DP_HMAC_BYTES])
{
    const struct dp_span colon = DP_SPAN(":");
    const struct dp_span parts[] = {dp_span_str(user->name), colon, time, colon,
                                    dp_span_str(user->password)};
    return dp_hmac_with(key, parts, DP_ARRAY_LEN(parts), mac) == DP_HMAC_BYTES;
}

struct dp_span dp_session_make(const struct dp_client_user *user, struct dp_hmac_key *key,
                               int64_t now_s, char out[DP_SESSION_BYTES])
{
    char plain[DP_SESSION_PLAIN_BYTES], time[17];
    unsigned char mac[DP_HMAC_BYTES];
    int n = snprintf(time, sizeof(time), "%" PRIX64, (uint64_t)now_s);
    const struct dp_span t = {time, n > 0 ? (size_t)n : 0};
    const size_t name_n = strlen(user->name);
    if (name_n > 256 || !sign(key, user, t, mac))
        return (struct dp_span){out, 0};
    memcpy(plain, user->name, name_n);
    plain[name_n] = ':';
    memcpy(plain + name_n + 1, time, t.n);
    plain[name_n + 1 + t.n] = ':';
    memcpy(plain + name_n + t.n + 2, mac, sizeof(mac));
    return (struct dp_span){
        out, dp_base64_encode(DP_BASE64_URL, plain, name_n + t.n + 2 + sizeof(mac), out)};
}

/* Upper case only, as we write it. */
static bool read_hex(struct dp_span s, int64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F')))
            return false;
        n = n << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'A' + 10);
    }
    *out = (int64_t)n;
    return s.n > 0 && s.n <= 12;
}

const struct dp_client_user *dp_session_read(const struct dp_clients_config *c,
                                             struct dp_hmac_key *key, struct dp_span value,
                                             int64_t now_s, uint32_t *age_s)
{
    char plain[DP_SESSION_PLAIN_BYTES + 4];
    unsigned char mac[DP_HMAC_BYTES];
    size_t n = 0;
    int64_t at = 0;
    if (value.n == 0 || value.n > DP_SESSION_BYTES ||
        !dp_base64_decode(DP_BASE64_URL, value, plain, &n))
        return NULL;
    struct dp_span rest = {plain, n};
    const struct dp_span name = dp_span_cut(&rest, ':');
    const struct dp_span time = rest.p ? dp_span_cut(&rest, ':') : rest;
    if (!rest.p || rest.n != DP_HMAC_BYTES || !read_hex(time, &at))
        return NULL;
    const struct dp_client_user *user = dp_clients_find(c, name);
    if (!user || !sign(key, user, time, mac) || !dp_secret_same(mac, rest.p, sizeof(mac)))
        return NULL;
    if (at > now_s + AHEAD_S || now_s - at >= (int64_t)c->session_s)
        return NULL;
    *age_s = at < now_s ? (uint32_t)(now_s - at) : 0;
    return user;
}
