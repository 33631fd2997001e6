/* What operators send: every body that is taken for an order or a fault keeps what their readers promise, and every
 * answer is JSON.
 *
 * Input: a byte that chooses the path, then the body; on DELETE /faults/ the region, on /whoami the Authorization, which
 * lets nobody in but who has the token. */
#include "app/admin.h"

#include "davenport/net/secret.h"

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const struct dp_control_config config = {.n_regions = 1, .drills_max_ms = 600000};
static unsigned asked;

static void report(void *ctx, struct dp_report *out)
{
    (void)ctx;
    *out = (struct dp_report){.version = "v", .listen = "l", .admin = "a"};
    out->status.n_regions = 1;
    out->status.regions[0].name = "left";
    out->status.regions[0].url = "http://h";
    out->status.regions[0].faulted = (struct dp_standing){.on = true, .until_wall_ms = 1000};
    out->status.regions[0].fault = (struct dp_fault){.kind = DP_FAULT_DARK, .share = DP_FAULT_ALL};
    out->status.heir = out->status.failback_to = DP_NO_REGION;
    out->status.config = &config;
}

static enum dp_err order(void *ctx, const struct dp_order_request *r, struct dp_order_result *out)
{
    (void)ctx;
    asked++;
    *out = (struct dp_order_result){.epoch = 8};
    fuzz_check(r->kind < DP_ORDER_COUNT, "an order of a kind");
    fuzz_check(dp_order_names_region(r->kind) == (r->region != NULL), "a region where one is due");
    fuzz_check(r->ttl_s == 0 || dp_order_stands(r->kind), "a time where something stands");
    return DP_OK;
}

static bool saved(void *ctx, uint64_t ticket)
{
    (void)ctx;
    return ticket == 0;
}

static enum dp_err fault(void *ctx, const struct dp_fault_request *r, struct dp_fault_result *out)
{
    const struct dp_fault *f = &r->fault;
    char words[DP_FAULT_WORDS];
    (void)ctx;
    asked++;
    *out = (struct dp_fault_result){.epoch = 8};
    fuzz_check(r->region != NULL && r->for_ms > 0, "a region, and an end");
    fuzz_check(f->kind > DP_FAULT_NONE && f->kind <= DP_FAULT_FLAKY, "a fault of a kind");
    fuzz_check((f->kind == DP_FAULT_SLOW) == (f->delay_ms > 0), "slow by something, and only slow");
    fuzz_check(f->delay_ms <= DP_FAULT_DELAY_MAX_MS, "not too slow");
    fuzz_check(f->share > 0 && f->share <= DP_FAULT_ALL, "a share");
    fuzz_check(memchr(f->databases, '\0', sizeof(f->databases)) != NULL, "patterns that end");
    fuzz_check(strlen(dp_fault_words(f, words)) < sizeof(words) - 1, "words that fit");
    struct dp_span rest = dp_span_str(f->databases), pattern;
    size_t bytes = 0, n = 0;
    while ((pattern = dp_fault_next_database(&rest)).n > 0) {
        bytes += pattern.n;
        n++;
        (void)dp_fault_meets(f, pattern, 0);
    }
    fuzz_check(n == 0 || bytes + n - 1 == strlen(f->databases), "nothing but patterns and commas");
    return DP_OK;
}

static enum dp_err heal(void *ctx, const char *region, const char *actor, uint32_t *healed)
{
    (void)ctx;
    (void)actor;
    asked++;
    *healed = region && strcmp(region, "left") != 0 ? 0 : 1;
    return *healed ? DP_OK : DP_EINVAL;
}

#define TOKEN "dvp_0000000000000000000000000000000000000000000000000000000000000000"

static char hash[DP_TOKEN_HASH_BYTES];
static const struct dp_config_token token = {.name = "ann", .hash = hash, .role = DP_ADMIN_READ};

static void tokens(void *ctx, struct dp_admin_tokens *out)
{
    (void)ctx;
    fuzz_check(dp_token_hash(DP_SPAN(TOKEN), hash), "a hash");
    *out = (struct dp_admin_tokens){&token, 1};
}

static uint32_t denied(void *ctx, const char *who, const char *actor, const char *reason)
{
    (void)ctx;
    (void)who;
    (void)actor;
    (void)reason;
    return 0;
}

static void let_in(struct dp_span authorization)
{
    struct dp_header header = {.name = DP_SPAN("Authorization"), .value = authorization};
    const struct dp_head head = {.method = DP_METHOD_GET,
                                 .target = DP_SPAN("/whoami"),
                                 .authority = DP_SPAN("localhost"),
                                 .minor = 1,
                                 .headers = &header,
                                 .n_headers = 1};
    const struct dp_admin_request request = {.head = &head, .tcp = true, .peer = "loopback"};
    const struct dp_admin_source source = {.tokens = tokens, .denied = denied};
    struct dp_admin_answer answer = {0};
    dp_admin_answer(&source, &request, &answer);
    const bool has_token = memmem(authorization.p, authorization.n, TOKEN, sizeof(TOKEN) - 1);
    fuzz_check(answer.status == 401 || (answer.status == 200 && has_token), "only by the token");
    fuzz_check(answer.status == 200 || !dp_span_eq(authorization, DP_SPAN("Bearer " TOKEN)),
               "always by the token");
    dp_text_fini(&answer.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        enum dp_method method;
        const char *target;
    } ways[] = {
        {DP_METHOD_POST, "/faults"},  {DP_METHOD_DELETE, "/faults/"}, {DP_METHOD_POST, "/switch"},
        {DP_METHOD_POST, "/drain"},   {DP_METHOD_POST, "/resume"},    {DP_METHOD_POST, "/freeze"},
        {DP_METHOD_POST, "/approve"}, {DP_METHOD_GET, "/whoami"},
    };
    if (size < 1)
        return 0;
    const unsigned way = data[0] % DP_ARRAY_LEN(ways);
    const bool in_target = ways[way].method == DP_METHOD_DELETE;
    struct dp_header guard = {.name = DP_SPAN("Davenport-Admin"), .value = DP_SPAN("1")};
    char *body = fuzz_copy(data + 1, size - 1);
    if (ways[way].method == DP_METHOD_GET) {
        let_in((struct dp_span){body, size - 1});
        free(body);
        return 0;
    }
    struct dp_span target = dp_span_str(ways[way].target);
    char *path = malloc(target.n + size);
    fuzz_check(path != NULL, "memory");
    memcpy(path, target.p, target.n);
    memcpy(path + target.n, data + 1, size - 1);
    if (in_target)
        target = (struct dp_span){path, target.n + size - 1};
    const struct dp_head head = {.method = ways[way].method,
                                 .target = target,
                                 .authority = DP_SPAN("localhost"),
                                 .minor = 1,
                                 .headers = &guard,
                                 .n_headers = 1};
    const struct dp_admin_request request = {
        .head = &head, .body = {body, size - 1}, .tcp = true, .peer = "loopback"};
    const struct dp_admin_source source = {
        .report = report, .order = order, .saved = saved, .fault = fault, .heal = heal};
    struct dp_admin_answer answer = {0};
    asked = 0;
    dp_admin_answer(&source, &request, &answer);
    json_t *json = json_loadb(answer.body.p, answer.body.n, 0, NULL);
    fuzz_check(json_is_object(json), "the answer is JSON");
    fuzz_check(json_is_string(json_object_get(json, answer.status == 200 ? "order" : "error")),
               "and says what it is");
    fuzz_check(asked == (answer.status == 200) || (asked == 1 && answer.status == 404),
               "what was done is told as done");
    json_decref(json);
    dp_text_fini(&answer.body);
    free(path);
    free(body);
    return 0;
}
