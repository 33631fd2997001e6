/* Which process a number means: of this machine since it was started, and since the process was, so that no other has the same, on
 * whatever machine and in whatever container. */
#ifndef DAVENPORT_SRC_APP_INSTANCE_H
#define DAVENPORT_SRC_APP_INSTANCE_H

#include <stdbool.h>

#define DP_INSTANCE_TEXT 64

/* "BOOT-ID:TICKS", as /proc has it. False, and "": it has no such process, or does not tell. */
bool dp_instance_of(long pid, char out[DP_INSTANCE_TEXT]);

#endif
