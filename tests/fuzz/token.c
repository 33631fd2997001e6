/* The tagger: what comes out does not depend on how the body is cut or on how much room there is, and is what a
 * byte-wise model of it says.
 *
 * Input: a byte that chooses the kind of answer and what is known of times, a byte that seeds the cuts, then the body. */
#include "davenport/couch/token.h"

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define TAG "r1"

/* The model: one byte at a time, a string is gathered until it ends. Shares nothing with the tagger but the
 * rules' meaning. */
struct model {
    enum dp_tokens kind;
    struct fuzz_text out;
    struct fuzz_text line; /* since the last line's end, strings included */
    char string[16];       /* the newest bytes of the string that is open */
    size_t string_n;
    bool in_string, escape;
    bool odd; /* the string that is open began behind a backslash, as none does in JSON: no key */
    char last;
    long depth;
    enum { PLAIN, KEY_DONE, COLON_DONE, TOKEN, DIGITS } at;
    struct dp_token_times times;
    uint64_t rows;
    const char *end; /* of the body */
};

static bool is(const struct model *m, const char *key)
{
    return m->string_n == strlen(key) && memcmp(m->string, key, m->string_n) == 0;
}

static bool is_key(const struct model *m)
{
    switch (m->kind) {
    case DP_TOKENS_CHANGES:
        return (is(m, "seq") && m->depth == 3) || (is(m, "last_seq") && m->depth == 1);
    case DP_TOKENS_LINES:
    case DP_TOKENS_EVENTS:
        return (is(m, "seq") || is(m, "last_seq")) && m->depth == 1;
    case DP_TOKENS_TOP:
        return is(m, "update_seq") && m->depth == 1;
    case DP_TOKENS_NESTED:
        return is(m, "update_seq") && m->depth == 3;
    case DP_TOKENS_BOOKMARK:
        return is(m, "bookmark") && m->depth == 1;
    case DP_TOKENS_NONE:
    case DP_TOKENS_COUNT:
        break;
    }
    return false;
}

static bool is_row(const struct model *m)
{
    return m->kind != DP_TOKENS_TOP && m->kind != DP_TOKENS_NESTED &&
           m->kind != DP_TOKENS_BOOKMARK && is(m, "seq");
}

static bool begins(const char *p, const char *end, const char *text)
{
    return (size_t)(end - p) >= strlen(text) && memcmp(p, text, strlen(text)) == 0;
}

/* The tag of a token that ends before `p`. */
static void add_tag(struct model *m, const char *p, bool last)
{
    char digits[48];
    struct dp_token_time t = m->times.before;
    if (last && m->times.whole.run_s > 0 &&
        (begins(p, m->end, ",\"pending\":0}") ||
         (begins(p, m->end, "}") && m->rows < m->times.limit)))
        t = m->times.whole;
    fuzz_add(&m->out, "~" TAG, sizeof(TAG));
    if (t.caught_up_s > 0 || t.run_s > 0)
        fuzz_add(
            &m->out, digits,
            (size_t)snprintf(digits, sizeof(digits), ".%llu", (unsigned long long)t.caught_up_s));
    if (t.run_s > 0)
        fuzz_add(&m->out, digits,
                 (size_t)snprintf(digits, sizeof(digits), ".%llu", (unsigned long long)t.run_s));
}

/* The key whose value is at hand: m->string is untouched since. */
static bool is_last(const struct model *m)
{
    return (m->kind == DP_TOKENS_CHANGES || m->kind == DP_TOKENS_LINES) && is(m, "last_seq");
}

static void keep(struct model *m, char c)
{
    if (m->string_n < sizeof(m->string))
        m->string[m->string_n] = c;
    if (m->string_n <= sizeof(m->string))
        m->string_n++;
}

static void bracket(struct model *m, char c)
{
    m->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
}

static void plain(struct model *m, char c)
{
    if (m->escape) {
        m->escape = false;
        if (m->in_string)
            keep(m, c);
        else
            bracket(m, c); /* no JSON has a backslash here */
    } else if (c == '\\') {
        m->escape = true;
        if (m->in_string)
            keep(m, c);
    } else if (c == '"' && m->in_string) {
        m->in_string = false;
        if (!m->odd && is_key(m))
            m->at = KEY_DONE;
    } else if (c == '"') {
        m->in_string = true;
        m->string_n = 0;
        m->odd = m->last == '\\';
        if (m->kind == DP_TOKENS_EVENTS && m->depth == 0 && m->line.n == 4 &&
            memcmp(m->line.p, "id: ", 4) == 0) {
            m->in_string = false;
            m->at = TOKEN;
        }
    } else if (m->in_string) {
        keep(m, c);
    } else {
        bracket(m, c);
    }
}

static void end_number(struct model *m, const char *p)
{
    add_tag(m, p, is_last(m));
    fuzz_add(&m->out, "\"", 1);
    m->at = PLAIN;
}

/* True: the byte is to be looked at again. */
static bool take(struct model *m, const char *p)
{
    const char c = *p;
    bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    switch (m->at) {
    case PLAIN:
        plain(m, c);
        return false;
    case KEY_DONE:
        if (space)
            return false;
        m->at = c == ':' ? COLON_DONE : PLAIN;
        m->rows += c == ':' && is_row(m);
        return c != ':';
    case COLON_DONE:
        if (space)
            return false;
        m->at = c == '"' ? TOKEN : PLAIN;
        if (c != '-' && (c < '0' || c > '9'))
            return c != '"';
        fuzz_add(&m->out, "\"", 1);
        m->at = DIGITS;
        return false;
    case TOKEN:
        if (m->escape) {
            m->escape = false;
        } else if (c == '\\') {
            m->escape = true;
        } else if (c == '"') {
            if (m->kind != DP_TOKENS_BOOKMARK || m->out.n < 4 ||
                memcmp(m->out.p + m->out.n - 4, "\"nil", 4) != 0)
                add_tag(m, p + 1, is_last(m));
            m->at = PLAIN;
        }
        return false;
    case DIGITS:
        if (c != '\0' && strchr("0123456789+-.eE", c))
            return false;
        end_number(m, p);
        return true;
    }
    return false;
}

static struct fuzz_text model(enum dp_tokens kind, const struct dp_token_times *times,
                              const char *p, size_t n)
{
    struct model m = {.kind = kind, .times = *times, .end = p + n};
    for (size_t i = 0; i < n; i++) {
        while (kind != DP_TOKENS_NONE && take(&m, p + i))
            continue;
        m.last = p[i];
        fuzz_add(&m.out, p + i, 1);
        if (p[i] == '\n')
            m.line.n = 0;
        else
            fuzz_add(&m.line, p + i, 1);
    }
    if (m.at == DIGITS)
        end_number(&m, p + n);
    fuzz_free(&m.line);
    return m.out;
}

static struct fuzz_text run(enum dp_tokens kind, const struct dp_token_times *times, const char *p,
                            size_t n, uint32_t seed)
{
    struct fuzz_text all = {0};
    struct dp_tagger t;
    char end[DP_TAGGER_ROOM];
    dp_tagger_init(&t, kind, DP_SPAN(TAG), times);
    for (size_t at = 0; at < n;) {
        size_t piece = seed ? fuzz_piece(&seed, n - at) : n - at, used = 0;
        size_t cap = DP_TAGGER_ROOM + (seed ? seed % 200 : 60 * n);
        char *copy = fuzz_copy(p + at, piece), *out = malloc(cap);
        fuzz_check(out != NULL, "memory");
        size_t written = dp_tagger_run(&t, copy, piece, &used, out, cap);
        fuzz_check(used > 0 && used <= piece && written <= cap, "it moves, within bounds");
        fuzz_check(used == piece || written + DP_TAGGER_ROOM > cap || seed,
                   "it stops for room only");
        fuzz_add(&all, out, written);
        free(copy);
        free(out);
        at += used;
    }
    fuzz_add(&all, end, dp_tagger_finish(&t, end));
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    /* The seeds know of six kinds. */
    const bool bookmark = data[0] >= 0xf0;
    enum dp_tokens kind =
        bookmark ? DP_TOKENS_BOOKMARK : (enum dp_tokens)(data[0] % DP_TOKENS_BOOKMARK);
    const unsigned mode = bookmark ? 0 : data[0] / DP_TOKENS_BOOKMARK;
    const struct dp_token_times times = {{mode & 1 ? 17 : 0, mode & 8 ? 5 : 0},
                                         {mode & 16 ? 1764166866 : 0, mode & 2 ? 1764166800 : 0},
                                         mode & 4 ? 2 : UINT64_MAX};
    const char *body = (const char *)data + 2;
    struct fuzz_text want = model(kind, &times, body, size - 2);
    struct fuzz_text whole = run(kind, &times, body, size - 2, 0);
    struct fuzz_text cut = run(kind, &times, body, size - 2, data[1] + 1U);
    fuzz_check(fuzz_same(&whole, &want), "as the model says");
    fuzz_check(fuzz_same(&cut, &want), "however it is cut");
    fuzz_free(&want);
    fuzz_free(&whole);
    fuzz_free(&cut);
    return 0;
}
