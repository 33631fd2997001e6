/* The error table, from err.def. */
#include "davenport/base/err.h"

#include "davenport/base/attr.h"

static const struct dp_err_info table[DP_ERR_COUNT] = {
    [DP_OK] = {"OK", 200, "ok", "ok"},
#define DP_ERR(code, status, word, text) [DP_##code] = {#code, (status), (word), (text)},
#include "davenport/base/err.def"
#undef DP_ERR
};

const struct dp_err_info *dp_err_info(enum dp_err err)
{
    unsigned i = (unsigned)err;
    return i < DP_ARRAY_LEN(table) ? &table[i] : &table[DP_EINVAL];
}
