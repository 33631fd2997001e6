/* A drill's result → what a person sees at its end. Reads the result as a report does: what is missing is left out. */
#include "app/drill_result.h"

#include <math.h>
#include <string.h>

#define FINDINGS_SHOWN 10

struct paint {
    const char *bold, *good, *bad, *dim, *plain;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : 0;
}

static void headline(const json_t *result, const struct paint *c, struct dp_text *out)
{
    static const struct {
        const char *word, *shown;
    } words[] = {{"passed", "PASSED"}, {"missed", "MISSED"}, {"aborted", "ABORTED"}};
    const char *verdict = text_of(result, "verdict");
    const char *shown = "FAILED";
    for (size_t i = 0; i < DP_ARRAY_LEN(words); i++) {
        if (strcmp(words[i].word, verdict) == 0) {
            shown = words[i].shown;
        }
    }
    const json_t *aborted = json_object_get(result, "aborted");
    dp_text_addf(out, "\n%s%s: %s%s%s", c->bold, text_of(result, "name"),
                 strcmp(shown, "PASSED") == 0 ? c->good : c->bad, shown, c->plain);
    if (json_is_object(aborted)) {
        dp_text_addf(out, " after %.1f s: %s", number_of(aborted, "at_s"), text_of(aborted, "why"));
    }
    dp_text_addf(out, "\n");
}

static void objectives(const json_t *result, const struct paint *c, struct dp_text *out)
{
    size_t i;
    json_t *o;
    const json_t *array = json_object_get(result, "objectives");
    if (json_array_size(array) == 0) {
        return;
    }
    dp_text_addf(out, "\n  %s      %-18s %-18s %s%s\n", c->dim, "WANTED", "MEASURED", "OF",
                 c->plain);
    json_array_foreach (array, i, o) {
        bool ok = json_is_true(json_object_get(o, "ok"));
        dp_text_addf(out, "  %s%-5s%s %-18s %-18s %s\n", ok ? c->good : c->bad, ok ? "ok" : "MISS",
                     c->plain, text_of(o, "wanted"), text_of(o, "measured"), text_of(o, "words"));
    }
}

static void requests(const json_t *result, const struct paint *c, struct dp_text *out)
{
    size_t i;
    json_t *kind;
    if (!json_is_number(json_object_get(result, "requests"))) {
        return;
    }
    dp_text_addf(out, "\n  %s%-11s %9s %7s %9s %9s %9s%s\n", c->dim, "", "REQUESTS", "FAILED",
                 "P50", "P99", "SLOWEST", c->plain);
    json_array_foreach (json_object_get(result, "kinds"), i, kind) {
        if (number_of(kind, "requests") > 0) {
            dp_text_addf(out, "  %-11s %9.0f %7.0f %6.1f ms %6.1f ms %6.1f ms\n",
                         text_of(kind, "kind"), number_of(kind, "requests"),
                         number_of(kind, "failed"), number_of(kind, "p50_ms"),
                         number_of(kind, "p99_ms"), number_of(kind, "max_ms"));
        }
    }
    dp_text_addf(out, "  %-11s %9.0f %7.0f %6.1f ms %6.1f ms %6.1f ms\n", "all",
                 number_of(result, "requests"), number_of(result, "failed"),
                 number_of(result, "p50_ms"), number_of(result, "p99_ms"),
                 number_of(result, "max_ms"));
    json_array_foreach (json_object_get(result, "outages"), i, kind) {
        dp_text_addf(out, "  outage from %.2f to %.2f s: %.0f failed, %.0f slow\n",
                     number_of(kind, "from_s"), number_of(kind, "to_s"), number_of(kind, "failed"),
                     number_of(kind, "slow"));
    }
}

/* What was done, and what the proxy decided, in the order of time. */
static void story(const json_t *result, const struct paint *c, struct dp_text *out)
{
    const json_t *steps = json_object_get(result, "timeline");
    const json_t *decisions = json_object_get(result, "decisions");
    size_t i = 0;
    size_t k = 0;
    dp_text_addf(out, "\n");
    while (i < json_array_size(steps) || k < json_array_size(decisions)) {
        const json_t *step = json_array_get(steps, i);
        const json_t *decision = json_array_get(decisions, k);
        if (step && (!decision || number_of(step, "at_s") <= number_of(decision, "at_s"))) {
            const json_t *until = json_object_get(step, "until_s");
            const char *detail = text_of(step, "detail");
            dp_text_addf(out, "  %7.1f s  %s%s%s", number_of(step, "at_s"), c->bold,
                         text_of(step, "name"), c->plain);
            if (json_is_number(until)) {
                dp_text_addf(out, " until %.1f s", json_number_value(until));
            }
            dp_text_addf(out, "%s%s\n", *detail ? ": " : "", detail);
            i++;
        } else {
            const char *region = text_of(decision, "region");
            const char *reason = text_of(decision, "reason");
            dp_text_addf(out, "  %7.1f s    %s%s%s%s%s%s%s\n", number_of(decision, "at_s"), c->dim,
                         text_of(decision, "event"), *region ? " " : "", region, c->plain,
                         *reason ? ": " : "", reason);
            k++;
        }
    }
}

static void checker(const json_t *result, const struct paint *c, struct dp_text *out)
{
    const json_t *found = json_object_get(result, "checker");
    const json_t *unknown = json_object_get(found, "unknown");
    const json_t *converged = json_object_get(found, "converged_s");
    size_t i;
    json_t *one;
    if (!json_is_object(found)) {
        dp_text_addf(out, "\n  writes were not looked up\n");
        return;
    }
    dp_text_addf(out,
                 "\n  %.0f writes: %.0f acknowledged, %.0f refused, %.0f of unknown outcome (%.0f "
                 "are there, %.0f are not)\n",
                 number_of(found, "writes"), number_of(found, "acknowledged"),
                 number_of(found, "refused"),
                 number_of(unknown, "present") + number_of(unknown, "absent"),
                 number_of(unknown, "present"), number_of(unknown, "absent"));
    if (json_is_number(converged)) {
        dp_text_addf(out, "  the regions agreed after %.1f s\n", json_number_value(converged));
    } else {
        dp_text_addf(out, "  %sthe regions did not come to agree%s\n", c->bad, c->plain);
    }
    json_array_foreach (json_object_get(found, "regions"), i, one) {
        dp_text_addf(out, "  %-11s %.0f present, %.0f lost, %.0f duplicated, %.0f conflicted\n",
                     text_of(one, "name"), number_of(one, "present"), number_of(one, "lost"),
                     number_of(one, "duplicated"), number_of(one, "conflicted"));
    }
    json_array_foreach (json_object_get(found, "feeds"), i, one) {
        dp_text_addf(out, "  %-11s %.0f rows, %.0f again, %.0f missed\n", text_of(one, "kind"),
                     number_of(one, "rows"), number_of(one, "redelivered"),
                     number_of(one, "missed"));
    }
    const json_t *findings = json_object_get(found, "findings");
    json_array_foreach (findings, i, one) {
        if (i == FINDINGS_SHOWN) {
            dp_text_addf(out, "  … and %zu more\n", json_array_size(findings) - i);
            break;
        }
        const char *region = text_of(one, "region");
        dp_text_addf(out, "  %s%s%s %s %s%s%s: %s\n", c->bad, text_of(one, "kind"), c->plain,
                     text_of(one, "document"), text_of(one, "revision"), *region ? " in " : "",
                     region, text_of(one, "detail"));
    }
}

void dp_drill_summary(const json_t *result, bool colour, struct dp_text *out)
{
    static const struct paint colours = {"\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m"};
    static const struct paint none = {"", "", "", "", ""};
    const struct paint *c = colour ? &colours : &none;
    headline(result, c, out);
    objectives(result, c, out);
    requests(result, c, out);
    story(result, c, out);
    checker(result, c, out);
}
