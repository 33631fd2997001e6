/* Which process a number means: of this machine since it was started, and since the process was, so that no other has the same, on
 * whatever machine and in whatever container. */
#ifndef DAVENPORT_SRC_APP_INSTANCE_H
#define DAVENPORT_SRC_APP_INSTANCE_H

#include "davenport/base/attr.h"

#include <stdbool.h>

#define DP_INSTANCE_TEXT 64

/* "BOOT-ID:TICKS", as /proc has it; ":TICKS" where it does not tell the boot. False, and "": it has no such process. */
bool dp_instance_of(long pid, char out[DP_INSTANCE_TEXT]);
/* Of the same number: which process is it by the two? What only one of them tells is not compared. "" is none. */
DP_MUST_USE bool dp_instance_same(const char *a, const char *b);

#endif
