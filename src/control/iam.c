/* See iam.h. */
#include "control/iam.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define GRANT "grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey="

bool dp_iam_form(const char *api_key, char out[DP_IAM_FORM_BYTES])
{
    size_t n = sizeof(GRANT) - 1;
    memcpy(out, GRANT, n);
    for (const char *c = api_key; *c; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (n + 4 > DP_IAM_FORM_BYTES)
            return false;
        if (isalnum(byte) || strchr("-._~", byte)) {
            out[n++] = *c;
        } else {
            out[n++] = '%';
            out[n++] = "0123456789ABCDEF"[byte >> 4];
            out[n++] = "0123456789ABCDEF"[byte & 15];
        }
    }
    out[n] = '\0';
    return true;
}

bool dp_token_sound(struct dp_span token)
{
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return false;
    }
    return token.n > 0 && token.n < DP_TOKEN_BYTES_MAX;
}

/* The service's word for it, which is no secret; its message could quote what it was sent. */
static void say_refusal(uint16_t status, const json_t *root, char why[DP_IAM_WHY])
{
    const char *code = json_string_value(json_object_get(root, "errorCode"));
    size_t n = code ? strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;
    (void)snprintf(why, DP_IAM_WHY, "the token service answered %" PRIu16 "%s%.*s", status,
                   n > 0 ? ", " : "", (int)(n < 40 ? n : 40), n > 0 ? code : "");
}

static bool read_token(const json_t *root, struct dp_iam_token *out)
{
    const json_t *token = json_object_get(root, "access_token");
    const json_int_t life = json_integer_value(json_object_get(root, "expires_in"));
    const struct dp_span text = {json_string_value(token), json_string_length(token)};
    if (!dp_token_sound(text))
        return false;
    memcpy(out->token, text.p, text.n);
    out->n = text.n;
    out->life_s = life > 0 && life < INT32_MAX ? (uint32_t)life : 0;
    return true;
}

enum dp_iam_answer dp_iam_read(uint16_t status, struct dp_span body, struct dp_iam_token *out,
                               char why[DP_IAM_WHY])
{
    enum dp_iam_answer answer = DP_IAM_TROUBLE;
    json_t *root = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    why[0] = '\0';
    if (status == 200 && read_token(root, out)) {
        answer = DP_IAM_TOKEN;
    } else if (status == 200) {
        (void)snprintf(why, DP_IAM_WHY, "the token service's answer holds no token");
    } else {
        say_refusal(status, root, why);
        if (status >= 400 && status < 500 && status != 408 && status != 429)
            answer = DP_IAM_REFUSED;
    }
    json_decref(root);
    return answer;
}
