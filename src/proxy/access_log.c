/* Lines of the access log, in JSON, in the combined format of Apache and nginx, and in HAProxy's. */
#include "proxy/access_log.h"

#include "davenport/base/clock.h"
#include "davenport/base/log.h"
#include "davenport/http/writer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- pieces ---- */

#define LITERAL(w, text) dp_write_bytes((w), DP_SPAN(text))

static void put_char(struct dp_writer *w, char c)
{
    dp_write_bytes(w, (struct dp_span){&c, 1});
}

/* n < 1000, always three digits. */
static void put_thousandths(struct dp_writer *w, unsigned n)
{
    const char digits[] = {(char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10)};
    dp_write_bytes(w, (struct dp_span){digits, sizeof(digits)});
}

/* Milliseconds with three decimals. */
static void put_ms(struct dp_writer *w, uint64_t ns)
{
    uint64_t us = ns / 1000;
    dp_write_u64(w, us / 1000);
    put_char(w, '.');
    put_thousandths(w, (unsigned)(us % 1000));
}

/* The bytes of a line that `limit` leaves for one value. */
static size_t room(const struct dp_writer *w, size_t limit)
{
    size_t left = w->cap - w->n;
    return left < limit ? left : limit;
}

/* One byte as Apache shows it: \" \\ and \xhh for what is not printable ASCII. Returns its length. */
static size_t escape(unsigned char c, char out[4])
{
    static const char hex[] = "0123456789abcdef";
    out[0] = '\\';
    if (c == '"' || c == '\\') {
        out[1] = (char)c;
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

/* False when it was cut at `limit`. */
static bool put_escaped(struct dp_writer *w, struct dp_span s, size_t limit)
{
    const size_t end = w->n + room(w, limit);
    while (s.n > 0) {
        size_t left = end - w->n;
        size_t run = dp_span_plain((struct dp_span){s.p, s.n < left ? s.n : left});
        char out[4];
        dp_write_bytes(w, (struct dp_span){s.p, run});
        s.p += run;
        s.n -= run;
        if (s.n == 0)
            break;
        size_t n = escape((unsigned char)*s.p, out);
        if (end - w->n < n)
            return false;
        dp_write_bytes(w, (struct dp_span){out, n});
        s.p++;
        s.n--;
    }
    return true;
}

/* ---- time ---- */

/* Month names and time zone of the common log format; not strftime, whose names follow the locale. */
static void clf_time(const char *rfc3339, char out[32])
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned month = (unsigned)(rfc3339[5] - '0') * 10 + (unsigned)(rfc3339[6] - '0');
    if (month < 1 || month > 12)
        month = 1;
    (void)snprintf(out, 32, "[%.2s/%.3s/%.4s:%.8s +0000]", rfc3339 + 8, months + 3 * (month - 1),
                   rfc3339, rfc3339 + 11);
}

static void refresh(struct dp_access_time *t, int64_t second)
{
    char text[DP_TIME_TEXT];
    dp_time_text(second * 1000, text);
    t->second = second;
    (void)snprintf(t->text[DP_ACCESS_JSON], sizeof(t->text[0]), "%.19s", text);
    clf_time(text, t->text[DP_ACCESS_COMBINED]);
    (void)snprintf(t->text[DP_ACCESS_HAPROXY], sizeof(t->text[0]), "%.20s",
                   t->text[DP_ACCESS_COMBINED] + 1);
    for (unsigned i = 0; i < DP_ACCESS_FORMAT_COUNT; i++)
        t->n[i] = strlen(t->text[i]);
}

static struct dp_span second_text(struct dp_access_time *t, enum dp_access_format f,
                                  int64_t wall_ms)
{
    int64_t second = wall_ms / 1000;
    if (t->second != second || t->n[f] == 0)
        refresh(t, second);
    return (struct dp_span){t->text[f], t->n[f]};
}

/* ---- JSON ---- */

/* `key` is ,"name": and `token` has nothing to escape. */
static void json_token(struct dp_writer *w, struct dp_span key, struct dp_span token)
{
    dp_write_bytes(w, key);
    if (!token.p) {
        LITERAL(w, "null");
        return;
    }
    put_char(w, '"');
    dp_write_bytes(w, token);
    put_char(w, '"');
}

static void json_word(struct dp_writer *w, struct dp_span key, const char *word)
{
    json_token(w, key, dp_span_str(word));
}

static void json_u64(struct dp_writer *w, struct dp_span key, uint64_t v)
{
    dp_write_bytes(w, key);
    dp_write_u64(w, v);
}

/* What a client chose. `cut` follows it when not all of it is there. */
static void json_text(struct dp_writer *w, struct dp_span key, struct dp_span s, size_t limit,
                      struct dp_span cut)
{
    size_t used;
    dp_write_bytes(w, key);
    if (!s.p) {
        LITERAL(w, "null");
        return;
    }
    put_char(w, '"');
    w->n += dp_json_text(w->p + w->n, room(w, limit), s, &used);
    put_char(w, '"');
    if (used < s.n)
        dp_write_bytes(w, cut);
}

static void format_json(struct dp_writer *w, const struct dp_access_record *r,
                        struct dp_access_time *time)
{
    LITERAL(w, "{\"time\":\"");
    dp_write_bytes(w, second_text(time, DP_ACCESS_JSON, r->wall_ms));
    put_char(w, '.');
    put_thousandths(w, (unsigned)(r->wall_ms % 1000));
    json_word(w, DP_SPAN("Z\",\"client\":"), r->client);
    json_text(w, DP_SPAN(",\"method\":"), r->method, DP_ACCESS_AGENT_BYTES,
              DP_SPAN(",\"method_cut\":true"));
    json_word(w, DP_SPAN(",\"class\":"), r->klass);
    json_text(w, DP_SPAN(",\"target\":"), r->target, DP_ACCESS_TARGET_BYTES,
              DP_SPAN(",\"target_cut\":true"));
    json_word(w, DP_SPAN(",\"http\":"), r->method.p ? (r->minor ? "1.1" : "1.0") : NULL);
    json_u64(w, DP_SPAN(",\"status\":"), r->status);
    json_u64(w, DP_SPAN(",\"bytes_in\":"), r->bytes_in);
    json_u64(w, DP_SPAN(",\"bytes_out\":"), r->bytes_out);
    LITERAL(w, ",\"total_ms\":");
    put_ms(w, r->total_ns);
    LITERAL(w, ",\"queue_ms\":");
    put_ms(w, r->queue_ns);
    LITERAL(w, ",\"hold_ms\":");
    put_ms(w, r->hold_ns);
    LITERAL(w, ",\"first_byte_ms\":");
    if (r->first_byte_ns == DP_NO_TIME)
        LITERAL(w, "null");
    else
        put_ms(w, r->first_byte_ns);
    json_word(w, DP_SPAN(",\"region\":"), r->region);
    json_u64(w, DP_SPAN(",\"attempts\":"), r->attempts);
    json_word(w, DP_SPAN(",\"end\":"), dp_end_word(r->end));
    json_word(w, DP_SPAN(",\"reason\":"), dp_reason_word(r->reason));
    json_token(w, DP_SPAN(",\"request_id\":"), r->request_id);
    json_token(w, DP_SPAN(",\"trace_id\":"), r->trace_id);
    json_text(w, DP_SPAN(",\"user_agent\":"), r->user_agent, DP_ACCESS_AGENT_BYTES,
              DP_SPAN(",\"user_agent_cut\":true"));
    LITERAL(w, "}\n");
}

/* ---- combined ---- */

/* What a client chose; "..." stands for what is left out. */
static void combined_text(struct dp_writer *w, struct dp_span s, size_t limit)
{
    if (!put_escaped(w, s, limit))
        LITERAL(w, "...");
}

/* client - - [time] "request line" status bytes "referer" "agent". Who the user is stands in Authorization, and a
 * Referer may hold another's secrets: neither is logged. */
static void format_combined(struct dp_writer *w, const struct dp_access_record *r,
                            struct dp_access_time *time)
{
    dp_write_bytes(w, dp_span_str(r->client));
    LITERAL(w, " - - ");
    dp_write_bytes(w, second_text(time, DP_ACCESS_COMBINED, r->wall_ms));
    if (r->method.p) {
        LITERAL(w, " \"");
        combined_text(w, r->method, DP_ACCESS_AGENT_BYTES);
        put_char(w, ' ');
        if (r->target.p)
            combined_text(w, r->target, DP_ACCESS_TARGET_BYTES);
        else
            put_char(w, '-');
        dp_write_bytes(w, r->minor ? DP_SPAN(" HTTP/1.1\" ") : DP_SPAN(" HTTP/1.0\" "));
    } else {
        LITERAL(w, " \"-\" ");
    }
    put_thousandths(w, r->status);
    put_char(w, ' ');
    dp_write_u64(w, r->bytes_out);
    LITERAL(w, " \"-\" \"");
    if (r->user_agent.p)
        combined_text(w, r->user_agent, DP_ACCESS_AGENT_BYTES);
    else
        put_char(w, '-');
    LITERAL(w, "\"\n");
}

/* ---- HAProxy ---- */

/* What a client chose, as HAProxy shows it: "#" and two digits for quotes, "#" itself and what is not printable ASCII.
 * "..." stands for what is left out. */
static void haproxy_text(struct dp_writer *w, struct dp_span s, size_t limit)
{
    static const char hex[] = "0123456789ABCDEF";
    const size_t end = w->n + room(w, limit);
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const bool plain = c >= 0x20 && c < 0x7F && c != '"' && c != '#';
        const char out[3] = {plain ? (char)c : '#', hex[c >> 4], hex[c & 15]};
        const size_t n = plain ? 1 : sizeof(out);
        if (end - w->n < n) {
            LITERAL(w, "...");
            return;
        }
        dp_write_bytes(w, (struct dp_span){out, n});
    }
}

/* Whole milliseconds, and what follows; -1: it was not come to. */
static void haproxy_timer(struct dp_writer *w, uint64_t ns, bool reached, char next)
{
    if (reached && ns != DP_NO_TIME)
        dp_write_u64(w, ns / DP_NS_PER_MS);
    else
        LITERAL(w, "-1");
    put_char(w, next);
}

static void haproxy_number(struct dp_writer *w, uint64_t v, char next)
{
    dp_write_u64(w, v);
    put_char(w, next);
}

/* client:0 [begun] davenport region/endpoint TR/Tw/Tc/Tr/Ta status bytes - - state clients/clients/regions/in_flight/retries
 * in_line/held "request line". The client's port is not kept. */
static void format_haproxy(struct dp_writer *w, const struct dp_access_record *r,
                           struct dp_access_time *time)
{
    const int64_t begun_ms = r->wall_ms - (int64_t)(r->total_ns / DP_NS_PER_MS);
    const bool moved = r->reason == DP_REASON_FAILED_OVER || r->reason == DP_REASON_HEDGED;
    const char state[] = {dp_reason_cause(r->reason), r->reached, '-', '-', ' '};
    dp_write_bytes(w, dp_span_str(r->client));
    LITERAL(w, ":0 [");
    dp_write_bytes(w, second_text(time, DP_ACCESS_HAPROXY, begun_ms));
    put_char(w, '.');
    put_thousandths(w, (unsigned)(begun_ms % 1000));
    LITERAL(w, "] davenport ");
    dp_write_bytes(w, r->region ? dp_span_str(r->region) : DP_SPAN("davenport"));
    put_char(w, '/');
    dp_write_bytes(w, r->region ? dp_span_str(r->endpoint) : DP_SPAN("<NOSRV>"));
    put_char(w, ' ');
    haproxy_timer(w, r->head_ns, true, '/');
    haproxy_timer(w, r->hold_ns, r->attempts > 0 || r->hold_ns > 0, '/');
    haproxy_timer(w, r->queue_ns, r->sent, '/');
    haproxy_timer(w, r->first_byte_ns, r->sent, '/');
    haproxy_timer(w, r->total_ns, true, ' ');
    if (r->status > 0)
        dp_write_u64(w, r->status);
    else
        LITERAL(w, "-1");
    put_char(w, ' ');
    haproxy_number(w, r->bytes_out, ' ');
    LITERAL(w, "- - ");
    dp_write_bytes(w, (struct dp_span){state, sizeof(state)});
    haproxy_number(w, r->clients, '/');
    haproxy_number(w, r->clients, '/');
    haproxy_number(w, r->regions, '/');
    haproxy_number(w, r->in_flight, '/');
    if (moved)
        put_char(w, '+');
    haproxy_number(w, r->attempts > 0 ? r->attempts - 1 : 0, ' ');
    haproxy_number(w, r->in_line, '/');
    haproxy_number(w, r->held, ' ');
    put_char(w, '"');
    if (r->method.p) {
        haproxy_text(w, r->method, DP_ACCESS_AGENT_BYTES);
        put_char(w, ' ');
        haproxy_text(w, r->target.p ? r->target : DP_SPAN("-"), DP_ACCESS_TARGET_BYTES);
        dp_write_bytes(w, r->minor ? DP_SPAN(" HTTP/1.1") : DP_SPAN(" HTTP/1.0"));
    } else {
        LITERAL(w, "<BADREQ>");
    }
    LITERAL(w, "\"\n");
}

size_t dp_access_format(enum dp_access_format format, const struct dp_access_record *r,
                        struct dp_access_time *time, char *out)
{
    struct dp_writer w;
    dp_writer_init(&w, out, DP_ACCESS_LINE_BYTES);
    switch (format) {
    case DP_ACCESS_JSON:
        format_json(&w, r, time);
        break;
    case DP_ACCESS_COMBINED:
        format_combined(&w, r, time);
        break;
    case DP_ACCESS_HAPROXY:
        format_haproxy(&w, r, time);
        break;
    case DP_ACCESS_FORMAT_COUNT:
        break;
    }
    assert(!w.overflow); /* every value has its limit */
    return w.n;
}

/* ---- the worker's buffer ---- */

void dp_access_log_init(struct dp_access_log *log, const struct dp_access_config *config,
                        struct dp_traffic *traffic)
{
    *log = (struct dp_access_log){.config = *config, .traffic = traffic};
}

static void hand_over(struct dp_access_log *log)
{
    if (log->chunk)
        dp_sink_give(log->config.sink, log->chunk);
    log->chunk = NULL;
}

void dp_access_log_fini(struct dp_access_log *log)
{
    hand_over(log);
}

void dp_access_log_tick(struct dp_access_log *log, uint64_t now_ns)
{
    log->starved = false;
    if (now_ns < log->flush_at_ns)
        return;
    log->flush_at_ns = now_ns + log->config.flush_ms * DP_NS_PER_MS;
    hand_over(log);
}

/* What went wrong, or was no plain success, is worth a line whatever share of the rest is logged. */
static bool remarkable(const struct dp_access_record *r)
{
    return r->end != DP_END_ANSWERED || r->reason != DP_REASON_NONE;
}

/* An even share, without chance: of 100 lines in a row as many as sample_percent. */
static bool sampled(struct dp_access_log *log)
{
    log->due_percent += log->config.sample_percent;
    if (log->due_percent < 100)
        return false;
    log->due_percent -= 100;
    return true;
}

void dp_access_log_add(struct dp_access_log *log, const struct dp_access_record *r)
{
    if (!remarkable(r) && !sampled(log))
        return;
    if (log->chunk && DP_SINK_CHUNK_BYTES - log->chunk->n < DP_ACCESS_LINE_BYTES)
        hand_over(log);
    if (!log->chunk && !log->starved)
        log->chunk = dp_sink_take(log->config.sink);
    if (!log->chunk) {
        log->starved = true;
        dp_counter_add(&log->traffic->access_log_dropped, 1);
        return;
    }
    struct dp_sink_chunk *c = log->chunk;
    c->n += dp_access_format(log->config.format, r, &log->time, c->p + c->n);
    c->lines++;
    dp_counter_add(&log->traffic->access_log_lines, 1);
}
