/* Between nosys.c and nosys/calls.c. */
#ifndef DAVENPORT_TESTS_SUPPORT_NOSYS_ASK_H
#define DAVENPORT_TESTS_SUPPORT_NOSYS_ASK_H

#include "support/nosys.h"

/* Is it worth looking at this call's descriptor? */
bool nosys_armed(enum nosys_call call);
/* Does this one fail? errno is set then. */
bool nosys_fails(enum nosys_call call);

#endif
