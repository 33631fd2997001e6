/* Files that are there whole or not at all, whenever the machine stops. */
#ifndef DAVENPORT_CONTROL_REPLACE_FILE_H
#define DAVENPORT_CONTROL_REPLACE_FILE_H

#include "davenport/base/span.h"

#include <sys/types.h>

/* Text whole and on the disk under `spare`, then under `path`, in the same folder. 0 or an errno; then `path` is as it was.
 * Any thread; waits for the disk. */
int dp_replace_file(const char *path, const char *spare, mode_t mode, struct dp_span text);
/* A new name is on the disk when its folder is. */
void dp_sync_folder_of(const char *path);

#endif
