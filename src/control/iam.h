/* IBM's token service (IAM): what it is asked and what its answers mean. Pure.
 *
 *   POST https://iam.cloud.ibm.com/identity/token
 *   grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey=…
 *   200 {"access_token":"…","refresh_token":"…","token_type":"Bearer","expires_in":3600,"expiration":1473188353}
 *   4xx {"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found.", …} */
#ifndef DAVENPORT_SRC_CONTROL_IAM_H
#define DAVENPORT_SRC_CONTROL_IAM_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_IAM_FORM_BYTES  2048
#define DP_TOKEN_BYTES_MAX 8192
#define DP_IAM_WHY         160

/* The form, NUL ended. False: the key is too long. */
DP_MUST_USE bool dp_iam_form(const char *api_key, char out[DP_IAM_FORM_BYTES]);

enum dp_iam_answer {
    DP_IAM_TOKEN,
    DP_IAM_REFUSED, /* of the API key: the same question gets the same answer */
    DP_IAM_TROUBLE  /* of the service's own: later */
};

/* why: for people, without the token. */
struct dp_iam_token {
    char token[DP_TOKEN_BYTES_MAX]; /* a secret: wipe it */
    size_t n;
    uint32_t life_s; /* 0: not told */
};
enum dp_iam_answer dp_iam_read(uint16_t status, struct dp_span body, struct dp_iam_token *out,
                               char why[DP_IAM_WHY]);

/* May it stand in a header field? Printable ASCII without spaces, 1 to DP_TOKEN_BYTES_MAX - 1 bytes. */
DP_MUST_USE bool dp_token_sound(struct dp_span token);

#endif
