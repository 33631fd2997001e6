/* Reading small files whole. */
#ifndef DAVENPORT_SRC_APP_FILE_H
#define DAVENPORT_SRC_APP_FILE_H

#include "davenport/app/text.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"

#define DP_FILE_WHY 160

/* All of the file at `path` ("-": stdin), at most max_bytes. DP_EIO with a reason in `why`, which
 * never holds anything of the content. */
DP_MUST_USE enum dp_err dp_file_read(const char *path, size_t max_bytes, struct dp_text *out,
                                     char why[DP_FILE_WHY]);
/* Replace the file at `path` with `s`: readers see the old or the new one, never a half. */
DP_MUST_USE enum dp_err dp_file_write(const char *path, struct dp_span s, char why[DP_FILE_WHY]);

#endif
