/* See report_keys.h. */
#include "app/report_keys.h"

#include "app/metric.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ISO 8601, UTC; NULL: never. */
static json_t *time_json(int64_t wall_ms)
{
    char text[32];
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (wall_ms == 0 || !gmtime_r(&s, &tm) || strftime(text, sizeof text, "%FT%TZ", &tm) == 0) {
        return json_null();
    }
    return json_string(text);
}

void dp_keys_put(json_t *region, const struct dp_key_status *s)
{
    json_t *o = json_object();
    (void)json_object_set_new(o, "type", json_string(dp_credential_type_name(s->type)));
    (void)json_object_set_new(o, "state", json_string(dp_key_state_name(s->state)));
    (void)json_object_set_new(o, "since", time_json(s->since_wall_ms));
    if (s->type == DP_CREDENTIAL_IAM || s->type == DP_CREDENTIAL_BEARER) {
        (void)json_object_set_new(o, "renewed_at", time_json(s->renewed_wall_ms));
        (void)json_object_set_new(o, "ends_at", time_json(s->ends_wall_ms));
        (void)json_object_set_new(o, "renewals", json_integer((json_int_t)s->renewals));
        (void)json_object_set_new(o, "failures", json_integer((json_int_t)s->failures));
    }
    (void)json_object_set_new(o, "refusals", json_integer((json_int_t)s->refusals));
    (void)json_object_set_new(o, "retry_at", time_json(s->retry_wall_ms));
    (void)json_object_set_new(o, "why", s->why[0] ? json_string(s->why) : json_null());
    (void)json_object_set_new(region, "credentials", o);
}

const char *dp_keys_words(const struct dp_key_status *s, int64_t now_wall_ms, char *buf, size_t cap)
{
    const char *const takes =
        s->injected ? "it takes no requests" : "it is probed without credentials";
    const int64_t left_ms = s->retry_wall_ms > now_wall_ms ? s->retry_wall_ms - now_wall_ms : 0;
    buf[0] = '\0';
    switch (s->state) {
    case DP_KEY_NONE:
        break;
    case DP_KEY_GOOD:
        if (s->why[0]) {
            (void)snprintf(buf, cap, "credentials: the token in use is not renewed: %s", s->why);
        }
        break;
    case DP_KEY_WAITING:
        (void)snprintf(buf, cap, "credentials: there is no token yet, so %s%s%s", takes,
                       s->why[0] ? ": " : "", s->why);
        break;
    case DP_KEY_REFUSED:
        (void)snprintf(buf, cap, "credentials: %s; so %s. Asked again in %" PRId64 " s", s->why,
                       takes, (left_ms + 999) / 1000);
        break;
    case DP_KEY_EXPIRED:
        (void)snprintf(buf, cap, "credentials: the token's time is over, so %s: %s", takes, s->why);
        break;
    case DP_KEY_STATE_COUNT:
        break;
    }
    return buf;
}

void dp_keys_metrics(const struct dp_status *s, struct dp_text *out)
{
#define EACH_REGION(metric, value)                                                                 \
    dp_metric_family(out, DP_METRIC_##metric);                                                     \
    for (uint16_t i = 0; i < s->n_regions; i++) {                                                  \
        const struct dp_key_status *k = &s->regions[i].key;                                        \
        dp_metric_uint(out, DP_METRIC_##metric, DP_LABELS(s->regions[i].name), value);             \
    }
    EACH_REGION(credentials_withheld, k->state != DP_KEY_NONE && k->state != DP_KEY_GOOD)
    EACH_REGION(credentials_refused, k->refusals)
    EACH_REGION(region_tokens, k->renewals)
    EACH_REGION(region_token_failures, k->failures)
#undef EACH_REGION
}
