/* A stream that leads nowhere: what is written to it is taken and dropped, nothing is ever read from it, and it does not
 * end. So an attempt on it fares as one to a region that went dark. Worker's thread. */
#ifndef DAVENPORT_PROXY_MUTE_H
#define DAVENPORT_PROXY_MUTE_H

#include "davenport/net/stream.h"

/* In the place of `lower`, which stands and is taken over with its owner and events: it is closed with this one, and
 * carries nothing until then. NULL: out of memory, and nothing changed. */
struct dp_stream *dp_mute_new(struct dp_stream *lower);

#endif
