#include "app/admin_access.h"

#include "davenport/net/secret.h"

#include <stdio.h>
#include <string.h>

#define CHALLENGE     "Bearer realm=\"davenport admin\""
#define BAD_CHALLENGE CHALLENGE ", error=\"invalid_token\""

static const char *const role_names[] = {
    [DP_ADMIN_READ] = "read", [DP_ADMIN_OPERATOR] = "operator"};

const char *dp_admin_role_name(enum dp_admin_role role)
{
    return role_names[role];
}

/* The token in Authorization; false: there is none. Two of such headers prove nothing. */
static bool token_of(const struct dp_head *head, struct dp_span *out)
{
    unsigned found = 0;
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (dp_span_ieq(head->headers[i].name, DP_SPAN("authorization"))) {
            struct dp_span rest = head->headers[i].value;
            const struct dp_span scheme = dp_span_cut(&rest, ' ');
            *out = dp_span_trim(rest);
            found += dp_span_ieq(scheme, DP_SPAN("Bearer")) && rest.p ? 1U : 2U;
        }
    }
    return found == 1;
}

/* All are looked at, so that the time tells nothing of which it is. */
static const struct dp_config_token *find(const struct dp_admin_tokens *tokens,
                                          struct dp_span token)
{
    char hash[DP_TOKEN_HASH_BYTES];
    const struct dp_config_token *found = NULL;
    if (!dp_token_hash(token, hash)) {
        return NULL;
    }
    for (uint16_t i = 0; i < tokens->n; i++) {
        if (dp_secret_same(hash, tokens->at[i].hash, sizeof hash - 1)) {
            found = &tokens->at[i];
        }
    }
    return found;
}

static void refuse(struct dp_admin_answer *answer, bool wrong, uint32_t wait_s)
{
    if (wait_s > 0) {
        dp_admin_refuse(answer, 429, "too_many_attempts",
                        "too many wrong tokens came from this address");
        answer->retry_after_s = wait_s;
        return;
    }
    dp_admin_refuse(answer, 401, "unauthorized",
                    wrong ? "this token is not known"
                          : "a token is needed: Authorization: Bearer TOKEN");
    answer->challenge = wrong ? BAD_CHALLENGE : CHALLENGE;
}

bool dp_admin_let_in(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_caller *out, struct dp_admin_answer *answer)
{
    struct dp_admin_tokens tokens = {0};
    struct dp_span token;
    *out = (struct dp_admin_caller){.role = DP_ADMIN_OPERATOR,
                                    .name = request->tcp ? "loopback" : "socket"};
    out->by = out->name;
    (void)snprintf(out->peer, sizeof out->peer, "%s", request->peer);
    if (request->tcp && source->tokens) {
        source->tokens(source->ctx, &tokens);
    }
    if (tokens.n == 0) {
        return true;
    }
    const bool given = token_of(request->head, &token);
    const struct dp_config_token *known = given ? find(&tokens, token) : NULL;
    if (!known) {
        refuse(answer, given,
               given ? source->denied(source->ctx, request->peer, request->peer,
                                      "a token that is not known")
                     : 0);
        return false;
    }
    out->role = (enum dp_admin_role)known->role;
    out->name = known->name;
    out->by = "token";
    (void)snprintf(out->peer, sizeof out->peer, "token %s, %s", known->name, request->peer);
    return true;
}

bool dp_admin_is_operator(const struct dp_admin_source *source,
                          const struct dp_admin_caller *caller, struct dp_admin_answer *answer)
{
    if (caller->role == DP_ADMIN_OPERATOR) {
        return true;
    }
    (void)source->denied(source->ctx, caller->name, caller->peer,
                         "a token of role read asked for a change");
    dp_admin_refuse(answer, 403, "forbidden",
                    "this token's role is read; changes need one of role operator");
    return false;
}
