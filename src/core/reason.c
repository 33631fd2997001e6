/* Reasons: the table's columns, and which row it is. */
#include "davenport/core/reason.h"

#include <stddef.h>

static const struct {
    const char *word, *text;
    char cause;
} table[DP_REASON_COUNT] = {
    [DP_REASON_NONE] = {NULL, "", '-'},
#define DP_REASON(name, word, cause, text) [DP_REASON_##name] = {word, text, cause},
#include "davenport/core/reason.def"
};

/* DP_REASON_NONE for errors without a row. */
static const unsigned char by_err[DP_ERR_COUNT] = {
#define DP_REASON_ERR(name, word, cause, err, text) [err] = DP_REASON_##name,
#include "davenport/core/reason.def"
};
_Static_assert(DP_REASON_COUNT <= UINT8_MAX, "by_err holds bytes");

static const char *const end_words[DP_END_COUNT] = {
#define X(name, word) [DP_END_##name] = (word),
    DP_END_TABLE(X)
#undef X
};

const char *dp_end_word(enum dp_end end)
{
    return end_words[end];
}

enum dp_reason dp_reason_of_err(enum dp_err err)
{
    if (err == DP_OK)
        return DP_REASON_NONE;
    return by_err[err] != DP_REASON_NONE ? (enum dp_reason)by_err[err] : DP_REASON_INTERNAL;
}

static enum dp_reason of_answer(const struct dp_reason_facts *f)
{
    if (f->status >= 500)
        return DP_REASON_REGION_5XX;
    if (f->status >= 400)
        return DP_REASON_REGION_4XX;
    if (f->hedged)
        return DP_REASON_HEDGED;
    if (f->elsewhere)
        return DP_REASON_FAILED_OVER;
    if (f->attempts > 1)
        return DP_REASON_RETRIED;
    return f->held ? DP_REASON_HELD : DP_REASON_NONE;
}

static enum dp_reason err_or(enum dp_err err, enum dp_reason otherwise)
{
    return err != DP_OK ? dp_reason_of_err(err) : otherwise;
}

enum dp_reason dp_reason_of(const struct dp_reason_facts *f)
{
    switch (f->end) {
    case DP_END_ANSWERED:
        return of_answer(f);
    case DP_END_REFUSED: /* without an error it is an answer that is ours to give, as to OPTIONS */
        return dp_reason_of_err(f->err);
    case DP_END_CUT:
        return err_or(f->err, DP_REASON_CUT);
    case DP_END_FEED_ENDED:
        return err_or(f->err, DP_REASON_FEED_ENDED);
    case DP_END_CLIENT_GONE:
        return DP_REASON_CLIENT_GONE;
    case DP_END_CLIENT_SLOW:
        return f->err == DP_ERATE ? DP_REASON_CLIENT_SLOW : DP_REASON_CLIENT_STALLED;
    case DP_END_ABORTED:
    case DP_END_COUNT:
        break;
    }
    return DP_REASON_ABORTED;
}

const char *dp_reason_word(enum dp_reason r)
{
    return table[r].word;
}

const char *dp_reason_text(enum dp_reason r)
{
    return table[r].text;
}

char dp_reason_cause(enum dp_reason r)
{
    return table[r].cause;
}
