#include "app/relay_admin.h"

#include "davenport/base/clock.h"

#include "app/json_memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define FAULT DP_SPAN("/fault")

static const char *const way_names[DP_RELAY_WAYS] = {"to_server", "to_client"};

/* The numbers of faults: which kind has which, and between what bounds. */
enum member { MS, JITTER_MS, BYTES };
static const struct number {
    enum dp_relay_fault_kind kind;
    const char *key;
    enum member member;
    bool needed;
    uint64_t least, most;
} numbers[] = {
    {DP_RELAY_LATENCY, "ms", MS, true, 1, DP_RELAY_MAX_MS},
    {DP_RELAY_LATENCY, "jitter_ms", JITTER_MS, false, 0, DP_RELAY_MAX_MS},
    {DP_RELAY_BANDWIDTH, "bytes_per_s", BYTES, true, 1, DP_RELAY_MAX_BYTES},
    {DP_RELAY_SLICE, "bytes", BYTES, true, 1, DP_RELAY_MAX_BYTES},
    {DP_RELAY_SLICE, "delay_ms", MS, false, 0, DP_RELAY_MAX_MS},
    {DP_RELAY_CUT, "bytes", BYTES, true, 0, DP_RELAY_MAX_BYTES},
};

/* Which ways a kind may act on, and does where nothing is said. */
static const struct {
    bool has, both;
    enum dp_relay_way usual; /* not both */
} directions[DP_RELAY_FAULTS] = {
    [DP_RELAY_LATENCY] = {true, false, DP_RELAY_TO_CLIENT},
    [DP_RELAY_BANDWIDTH] = {true, true, DP_RELAY_TO_CLIENT},
    [DP_RELAY_SLICE] = {true, true, DP_RELAY_TO_CLIENT},
    [DP_RELAY_BLACKHOLE] = {true, true, DP_RELAY_TO_CLIENT},
    [DP_RELAY_CUT] = {true, false, DP_RELAY_TO_CLIENT},
    [DP_RELAY_HALF_OPEN] = {true, false, DP_RELAY_TO_SERVER},
};

static uint64_t *member_of(struct dp_relay_fault *f, enum member m)
{
    switch (m) {
    case MS:
        return &f->ms;
    case JITTER_MS:
        return &f->jitter_ms;
    case BYTES:
        break;
    }
    return &f->bytes;
}

/* ---- reading ---- */

/* The kinds' words, for who wrote another. */
static void list_kinds(char why[DP_RELAY_WHY])
{
    struct dp_text text = {0};
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS; kind++) {
        dp_text_addf(&text, "%s%s", kind ? ", " : "",
                     dp_relay_fault_name((enum dp_relay_fault_kind)kind));
    }
    (void)snprintf(why, DP_RELAY_WHY, "kind must be one of %s", dp_text_str(&text));
    dp_text_fini(&text);
}

static bool read_number(const char *key, const json_t *value, uint64_t least, uint64_t most,
                        uint64_t *out, char why[DP_RELAY_WHY])
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n < least || (uint64_t)n > most) {
        (void)snprintf(why, DP_RELAY_WHY, "%s must be a whole number from %" PRIu64 " to %" PRIu64,
                       key, least, most);
        return false;
    }
    *out = (uint64_t)n;
    return true;
}

static bool read_direction(const json_t *value, struct dp_relay_fault *f, char why[DP_RELAY_WHY])
{
    const char *text = json_string_value(value);
    bool both = text && strcmp(text, "both") == 0 && f->kind != DP_RELAY_HALF_OPEN;
    bool known = both;
    for (unsigned way = 0; way < DP_RELAY_WAYS; way++) {
        f->ways[way] = both || (text && strcmp(text, way_names[way]) == 0);
        known = known || f->ways[way];
    }
    if (!known) {
        (void)snprintf(why, DP_RELAY_WHY, "direction must be \"to_server\"%s\"to_client\"%s",
                       f->kind == DP_RELAY_HALF_OPEN ? " or " : ", ",
                       f->kind == DP_RELAY_HALF_OPEN ? "" : " or \"both\"");
    }
    return known;
}

static const struct number *number_of(enum dp_relay_fault_kind kind, const char *key)
{
    for (size_t i = 0; i < DP_ARRAY_LEN(numbers); i++) {
        if (numbers[i].kind == kind && strcmp(numbers[i].key, key) == 0) {
            return &numbers[i];
        }
    }
    return NULL;
}

static bool read_member(const char *key, const json_t *value, struct dp_relay_fault *f,
                        uint64_t *for_ms, char why[DP_RELAY_WHY])
{
    const struct number *n = number_of(f->kind, key);
    if (strcmp(key, "kind") == 0) {
        return true;
    }
    if (strcmp(key, "for_ms") == 0) {
        return read_number(key, value, 1, DP_RELAY_MAX_MS, for_ms, why);
    }
    if (strcmp(key, "direction") == 0 && directions[f->kind].has) {
        return read_direction(value, f, why);
    }
    if (n) {
        return read_number(key, value, n->least, n->most, member_of(f, n->member), why);
    }
    (void)snprintf(why, DP_RELAY_WHY, "%.64s: a fault of kind %s has no such key", key,
                   dp_relay_fault_name(f->kind));
    return false;
}

static bool read_object(json_t *doc, struct dp_relay_fault *f, uint64_t *for_ms,
                        char why[DP_RELAY_WHY])
{
    const char *key;
    json_t *value;
    const char *word = json_string_value(json_object_get(doc, "kind"));
    f->kind = word ? dp_relay_fault_kind_of(dp_span_str(word)) : DP_RELAY_FAULTS;
    if (f->kind == DP_RELAY_FAULTS) {
        list_kinds(why);
        return false;
    }
    for (unsigned way = 0; way < DP_RELAY_WAYS; way++) {
        f->ways[way] = directions[f->kind].has &&
                       (directions[f->kind].both || directions[f->kind].usual == way);
    }
    json_object_foreach (doc, key, value) {
        if (!read_member(key, value, f, for_ms, why)) {
            return false;
        }
    }
    for (size_t i = 0; i < DP_ARRAY_LEN(numbers); i++) {
        if (numbers[i].kind == f->kind && numbers[i].needed &&
            !json_object_get(doc, numbers[i].key)) {
            (void)snprintf(why, DP_RELAY_WHY, "a fault of kind %s needs %s", word, numbers[i].key);
            return false;
        }
    }
    return true;
}

bool dp_relay_fault_read(struct dp_span json, struct dp_relay_fault *out, uint64_t *for_ms,
                         char why[DP_RELAY_WHY])
{
    struct dp_relay_fault f = {0};
    uint64_t ms = 0;
    json_error_t error;
    json_t *doc = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &error);
    bool good = json_is_object(doc);
    if (!good) {
        (void)snprintf(why, DP_RELAY_WHY,
                       "the body must be a JSON object like {\"kind\":\"latency\",\"ms\":800}");
    }
    good = good && read_object(doc, &f, &ms, why);
    json_decref(doc);
    if (good) {
        *out = f;
        *for_ms = ms;
    }
    return good;
}

/* ---- answering ---- */

static const char *direction_of(const struct dp_relay_fault *f)
{
    return f->ways[DP_RELAY_TO_SERVER] && f->ways[DP_RELAY_TO_CLIENT] ? "both"
           : f->ways[DP_RELAY_TO_SERVER] ? way_names[DP_RELAY_TO_SERVER]
                                         : way_names[DP_RELAY_TO_CLIENT];
}

static json_t *fault_json(const struct dp_relay_fault *fault, uint64_t ends_ns, uint64_t now_ns)
{
    struct dp_relay_fault f = *fault;
    json_t *o = json_pack("{s:s}", "kind", dp_relay_fault_name(f.kind));
    for (size_t i = 0; i < DP_ARRAY_LEN(numbers); i++) {
        if (numbers[i].kind == f.kind) {
            (void)json_object_set_new(o, numbers[i].key,
                                      json_integer((json_int_t)*member_of(&f, numbers[i].member)));
        }
    }
    if (directions[f.kind].has) {
        (void)json_object_set_new(o, "direction", json_string(direction_of(&f)));
    }
    (void)json_object_set_new(
        o, "ends_in_ms",
        ends_ns == UINT64_MAX
            ? json_null()
            : json_integer((json_int_t)(ends_ns > now_ns ? (ends_ns - now_ns) / DP_NS_PER_MS : 0)));
    return o;
}

static void tell(const struct dp_relay *r, struct dp_admin_answer *answer)
{
    const struct dp_relay_faults *f = dp_relay_faults(r);
    const struct dp_relay_stats *s = dp_relay_stats(r);
    uint64_t now_ns = dp_clock_mono_ns(&dp_clock_system);
    json_t *faults = json_array();
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS; kind++) {
        if (f->on[kind]) {
            (void)json_array_append_new(faults, fault_json(&f->at[kind], f->ends_ns[kind], now_ns));
        }
    }
    json_t *o = json_pack(
        "{s:i, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:I}", "port", (int)dp_relay_port(r),
        "faults", faults, "connections", "open", (json_int_t)s->open, "taken", (json_int_t)s->taken,
        "reset", (json_int_t)s->reset, "unreached", (json_int_t)s->unreached, "half_opened",
        (json_int_t)s->half_opened, "bytes", "to_server", (json_int_t)s->bytes[DP_RELAY_TO_SERVER],
        "to_client", (json_int_t)s->bytes[DP_RELAY_TO_CLIENT], "cut", (json_int_t)s->cut);
    dp_text_json(&answer->body, o, JSON_COMPACT);
    json_decref(o);
}

static void put_fault(struct dp_relay *r, const struct dp_admin_request *request,
                      struct dp_admin_answer *answer)
{
    struct dp_relay_fault fault;
    uint64_t for_ms;
    char why[DP_RELAY_WHY];
    if (!dp_relay_fault_read(request->body, &fault, &for_ms, why)) {
        dp_admin_refuse(answer, 400, "bad_request", why);
        return;
    }
    dp_relay_break(r, &fault, for_ms);
    tell(r, answer);
}

/* word: of one kind; .n == 0: of all */
static void heal(struct dp_relay *r, struct dp_span word, struct dp_admin_answer *answer)
{
    enum dp_relay_fault_kind only = dp_relay_fault_kind_of(word);
    if (word.n > 0 && only == DP_RELAY_FAULTS) {
        char why[DP_RELAY_WHY];
        list_kinds(why);
        dp_admin_refuse(answer, 404, "not_found", why);
        return;
    }
    for (unsigned kind = 0; kind < DP_RELAY_FAULTS; kind++) {
        if (word.n == 0 || kind == only) {
            (void)dp_relay_heal(r, (enum dp_relay_fault_kind)kind);
        }
    }
    tell(r, answer);
}

static void answer_fault(struct dp_relay *r, const struct dp_admin_request *request,
                         struct dp_span kind, struct dp_admin_answer *answer)
{
    const enum dp_method method = request->head->method;
    const bool one = kind.n > 0;
    if (method != DP_METHOD_DELETE && (one || method != DP_METHOD_PUT)) {
        dp_admin_refuse_method(answer, one ? "DELETE" : "DELETE, PUT");
    } else if (!dp_admin_may_change(request->head, answer)) {
        return;
    } else if (method == DP_METHOD_PUT) {
        put_fault(r, request, answer);
    } else {
        heal(r, kind, answer);
    }
}

static void answer_by_path(struct dp_relay *r, const struct dp_admin_request *request,
                           struct dp_admin_answer *answer)
{
    const enum dp_method method = request->head->method;
    struct dp_span kind = request->head->target;
    struct dp_span path = dp_span_cut(&kind, '?');
    if (dp_span_eq(path, FAULT)) {
        answer_fault(r, request, (struct dp_span){NULL, 0}, answer);
        return;
    }
    if (dp_span_starts(path, DP_SPAN("/fault/")) && path.n > FAULT.n + 1) {
        kind = (struct dp_span){path.p + FAULT.n + 1, path.n - FAULT.n - 1};
        answer_fault(r, request, kind, answer);
        return;
    }
    if (!dp_span_eq(path, DP_SPAN("/")) && !dp_span_eq(path, DP_SPAN("/healthz"))) {
        dp_admin_refuse(answer, 404, "not_found", "there are /, /healthz and /fault[/KIND]");
    } else if (method != DP_METHOD_GET && method != DP_METHOD_HEAD) {
        dp_admin_refuse_method(answer, "GET, HEAD");
    } else {
        tell(r, answer);
    }
}

void dp_relay_answer(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer)
{
    const unsigned refused = dp_json_memory_refused();
    answer->status = 200;
    answer->type = "application/json";
    if (dp_admin_is_local(request, answer)) {
        answer_by_path(source->ctx, request, answer);
    }
    if (answer->body.failed || dp_json_memory_refused() != refused) {
        dp_admin_refuse(answer, 500, "out_of_memory", "the answer did not fit into memory");
    }
}
