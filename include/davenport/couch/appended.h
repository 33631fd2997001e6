/* An error behind a 200. Of all answers that break after their head was sent CouchDB ends one properly, so that it looks
 * whole: a _list whose function throws gets {"code":500,"error":…,"reason":…} behind its rows, as a chunk of its
 * own. Recorded in transcript 05, list-breaks. */
#ifndef DAVENPORT_COUCH_APPENDED_H
#define DAVENPORT_COUCH_APPENDED_H

#include "davenport/base/span.h"

#include <stdbool.h>

/* Is this piece of a body such an error: line feeds, then one object of exactly these three members, with a code from
 * 400 on, and nothing behind it but line feeds? Whether the body ends with it is the caller's to know. */
bool dp_couch_appended_error(struct dp_span piece);

#endif
