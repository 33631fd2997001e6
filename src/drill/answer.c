/* llhttp's callbacks. It is paused at the end of each message, so that what comes behind it is seen. */
#include "drill/answer.h"

#include <string.h>

static struct dp_answer *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_begin(llhttp_t *parser)
{
    struct dp_answer *a = of(parser);
    a->status = 0;
    a->name_n = a->value_n = a->outcome_n = a->head_bytes = 0;
    a->name_done = a->wanted = a->is_outcome = false;
    return HPE_OK;
}

static bool too_long(struct dp_answer *a, size_t n)
{
    a->head_bytes += n;
    return a->head_bytes > DP_ANSWER_HEAD_BYTES;
}

static int on_status(llhttp_t *parser, const char *p, size_t n)
{
    (void)p;
    return too_long(of(parser), n) ? HPE_USER : HPE_OK;
}

static int on_name(llhttp_t *parser, const char *p, size_t n)
{
    struct dp_answer *a = of(parser);
    if (a->name_done) {
        a->name_n = 0;
        a->name_done = false;
    }
    for (size_t i = 0; i < n && a->name_n < DP_ANSWER_NAME; i++) {
        char c = p[i];
        a->name[a->name_n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return too_long(a, n) ? HPE_USER : HPE_OK;
}

static int on_name_done(llhttp_t *parser)
{
    struct dp_answer *a = of(parser);
    a->name_done = true;
    const struct dp_span name = {a->name, a->name_n};
    a->wanted = a->field && a->value_n == 0 && dp_span_eq(name, dp_span_str(a->field));
    a->is_outcome = a->outcome_n == 0 && dp_span_eq(name, DP_SPAN("davenport-outcome"));
    return HPE_OK;
}

static int on_value(llhttp_t *parser, const char *p, size_t n)
{
    struct dp_answer *a = of(parser);
    if (a->wanted && a->value_n + n <= DP_ANSWER_VALUE) {
        memcpy(a->value + a->value_n, p, n);
        a->value_n += n;
    } else if (a->wanted) {
        a->value_n = 0;
        a->wanted = false;
    }
    for (size_t i = 0; a->is_outcome && i < n && a->outcome_n < DP_ANSWER_OUTCOME; i++) {
        a->outcome[a->outcome_n++] = p[i];
    }
    return too_long(a, n) ? HPE_USER : HPE_OK;
}

static int on_value_done(llhttp_t *parser)
{
    struct dp_answer *a = of(parser);
    if (a->wanted) {
        a->value_n =
            dp_span_trim((struct dp_span){a->value, a->value_n}).n; /* llhttp leaves the end's */
    }
    a->wanted = a->is_outcome = false;
    return HPE_OK;
}

static int on_head(llhttp_t *parser)
{
    struct dp_answer *a = of(parser);
    a->status = parser->status_code;
    bool none = a->no_body || a->status == 204 || a->status == 304;
    return none ? 1 : HPE_OK; /* 1: no body follows, whatever the head says */
}

static int on_body(llhttp_t *parser, const char *p, size_t n)
{
    struct dp_answer *a = of(parser);
    if (a->on_body) {
        a->on_body(a, (struct dp_span){p, n});
    }
    return HPE_OK;
}

static int on_whole(llhttp_t *parser)
{
    struct dp_answer *a = of(parser);
    if (a->status < 200) { /* interim: the answer itself follows */
        return HPE_OK;
    }
    a->whole = true;
    a->keep_alive = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_status = on_status,
    .on_header_field = on_name,
    .on_header_field_complete = on_name_done,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_done,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_whole,
};

void dp_answer_init(struct dp_answer *a, const char *field,
                    void (*body)(struct dp_answer *a, struct dp_span part))
{
    memset(a, 0, sizeof(*a));
    a->field = field;
    a->on_body = body;
}

void dp_answer_expect(struct dp_answer *a)
{
    llhttp_init(&a->parser, HTTP_RESPONSE, &settings);
    a->parser.data = a;
    a->status = 0;
    a->whole = a->keep_alive = false;
    a->value_n = a->outcome_n = 0;
}

bool dp_answer_unsettled(const struct dp_answer *a)
{
    return dp_span_eq(dp_span_trim((struct dp_span){a->outcome, a->outcome_n}),
                      DP_SPAN("unsettled"));
}

enum dp_answer_state dp_answer_take(struct dp_answer *a, const char *p, size_t n)
{
    if (a->whole) {
        return DP_ANSWER_BAD;
    }
    llhttp_errno_t e = llhttp_execute(&a->parser, p, n);
    if (e == HPE_OK) {
        return DP_ANSWER_MORE;
    }
    return e == HPE_PAUSED && a->whole && llhttp_get_error_pos(&a->parser) == p + n
               ? DP_ANSWER_WHOLE
               : DP_ANSWER_BAD;
}

enum dp_answer_state dp_answer_end(struct dp_answer *a)
{
    if (a->whole || a->status < 200) {
        return DP_ANSWER_BAD;
    }
    llhttp_errno_t e = llhttp_finish(&a->parser);
    return a->whole && (e == HPE_OK || e == HPE_PAUSED) ? DP_ANSWER_WHOLE : DP_ANSWER_BAD;
}
