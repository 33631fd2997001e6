/* What an answer to a probe says of the endpoint that gave it. */
#include "control/prober.h"

#include <string.h>

#include <jansson.h>

/* The string member `name` of the JSON object `body`, or "". */
static void member(struct dp_span body, const char *name, char out[DP_PROBE_WORD])
{
    out[0] = 0;
    if (body.n == 0)
        return;
    json_t *doc = json_loadb(body.p, body.n, 0, NULL);
    const char *word = json_string_value(json_object_get(doc, name));
    if (word && strlen(word) < DP_PROBE_WORD)
        memcpy(out, word, strlen(word) + 1);
    json_decref(doc);
}

static bool is_drain_word(const char *word)
{
    static const char *const words[] = {"maintenance_mode", "nolb", "seeding"};
    for (size_t i = 0; i < DP_ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0)
            return true;
    }
    return false;
}

/* {"error":"not_found","reason":"Database does not exist."}; clusters say no_db_file too. */
static bool says_no_database(struct dp_span body)
{
    char word[DP_PROBE_WORD];
    member(body, "reason", word);
    return strcmp(word, "Database does not exist.") == 0 || strcmp(word, "no_db_file") == 0;
}

enum dp_probe_kind dp_probe_classify(enum dp_probe_layer layer, enum dp_err err, uint16_t status,
                                     struct dp_span body, char what[DP_PROBE_WORD])
{
    char word[DP_PROBE_WORD] = "";
    if (what)
        what[0] = 0;
    if (err == DP_EBODYSIZE)
        return DP_PROBE_OTHER;
    if (err == DP_ETLS)
        return DP_PROBE_TLS;
    if (err != DP_OK)
        return DP_PROBE_DARK;
    if (status >= 200 && status < 300)
        return DP_PROBE_OK;
    if (status == 429)
        return DP_PROBE_THROTTLED;
    if (status == 401 || status == 403)
        return DP_PROBE_CREDENTIALS;
    if (status >= 500)
        return DP_PROBE_UNHEALTHY;
    if (status == 412) {
        member(body, "error", word);
        return strcmp(word, "nodedown") == 0 ? DP_PROBE_UNHEALTHY : DP_PROBE_OTHER;
    }
    if (status == 402)
        return DP_PROBE_QUOTA;
    if (status == 404 && layer != DP_LAYER_UP && says_no_database(body))
        return DP_PROBE_UNPROVISIONED;
    if (status == 404) {
        member(body, "status", word);
        if (is_drain_word(word)) {
            if (what)
                memcpy(what, word, sizeof(word));
            return DP_PROBE_DRAINING;
        }
    }
    return DP_PROBE_OTHER;
}
