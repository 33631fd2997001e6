#include "app/paint.h"

static const char *const codes[] = {"",         "\033[0m",  "\033[1m", "\033[2m",
                                    "\033[31m", "\033[32m", "\033[33m"};

void dp_paint(const struct dp_text *marked, bool colour, struct dp_text *out)
{
    struct dp_span s = dp_text_span(marked);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < DP_ARRAY_LEN(codes)) {
            dp_text_add(out, dp_span_str(colour ? codes[c] : ""));
        } else if ((c < ' ' && c != '\n') || c == 127) {
            dp_text_add(out, DP_SPAN("?"));
        } else if (c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xA0) {
            dp_text_add(out, DP_SPAN("?"));
            i++;
        } else {
            dp_text_add(out, (struct dp_span){s.p + i, 1});
        }
    }
    out->failed |= marked->failed;
}

void dp_clip_lines(const struct dp_text *marked, unsigned columns, struct dp_text *out)
{
    struct dp_span s = dp_text_span(marked);
    unsigned at = 0;
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const bool mark = c < DP_ARRAY_LEN(codes);
        const bool inside = (c & 0xC0) == 0x80; /* of a character in UTF-8 */
        if (c == '\n') {
            at = 0;
        } else if (!mark && !inside) {
            at++;
        }
        if (mark || c == '\n' || at <= columns) {
            dp_text_add(out, (struct dp_span){s.p + i, 1});
        }
    }
    out->failed |= marked->failed;
}
