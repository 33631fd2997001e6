/* A token's file, read on a thread of libuv's pool. Control thread. */
#ifndef DAVENPORT_SRC_CONTROL_TOKEN_FILE_H
#define DAVENPORT_SRC_CONTROL_TOKEN_FILE_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdbool.h>

typedef struct uv_loop_s uv_loop_t;

struct dp_token_file;

/* token: its content without surrounding white space, valid during the callback; why: NULL, or why it can't be read. */
typedef void (*dp_token_file_done)(void *ctx, struct dp_span token, const char *why);

/* `path` is borrowed. NULL: out of memory. */
DP_MUST_USE struct dp_token_file *dp_token_file_new(uv_loop_t *loop, const char *path,
                                                    dp_token_file_done done, void *ctx);
/* `done` runs later, once. False: it is being read already. */
DP_MUST_USE bool dp_token_file_read(struct dp_token_file *f);
/* Nothing is told any more. `closed` runs when the memory is gone: at once when nothing is being read. */
void dp_token_file_close(struct dp_token_file *f, void (*closed)(void *ctx), void *ctx);

#endif
