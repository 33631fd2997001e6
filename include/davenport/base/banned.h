/* The libc calls that no source of ours may use. The build force-includes this file (-include) into
 * our sources only, so it comes first in each of them; nobody includes it by hand.
 *
 * A poisoned word is an error wherever it appears later, system headers too. So every system header
 * that itself says one of these words is included first: its include guard keeps it from being read
 * again. Some C libraries have a few of them as macros, which a compiler warns about, hence the
 * #undefs. */
#ifndef DAVENPORT_BASE_BANNED_H
#define DAVENPORT_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef strtok
#undef sprintf
#undef vsprintf
#undef gets
#undef atoi
#undef atol
#undef atof
#undef gmtime
#undef localtime
#undef ctime
#undef asctime

/* Unbounded, or they leave text without its NUL: copy a span, or snprintf. */
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets
/* Hidden state shared between threads: walk a span; the *_r calls. */
#pragma GCC poison strtok gmtime localtime ctime asctime
/* No way to tell an error from a zero: parse a span. */
#pragma GCC poison atoi atol atof

#endif
