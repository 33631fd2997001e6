/* Errors as values: one enum, one table (err.def). */
#ifndef DAVENPORT_BASE_ERR_H
#define DAVENPORT_BASE_ERR_H

#include <stdint.h>

enum dp_err {
    DP_OK = 0,
#define DP_ERR(code, status, word, text) DP_##code,
#include "davenport/base/err.def"
#undef DP_ERR
    DP_ERR_COUNT
};

struct dp_err_info {
    const char *code;   /* "ETIMEOUT" */
    uint16_t status;    /* HTTP status shown to a client, 0: none */
    const char *word;   /* CouchDB "error" member */
    const char *reason; /* CouchDB "reason" member */
};

/* Any thread. Never NULL; an unknown code gives the row of DP_EINVAL. DP_OK gives status 200, "ok".
 */
const struct dp_err_info *dp_err_info(enum dp_err err);

#endif
