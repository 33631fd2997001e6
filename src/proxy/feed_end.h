/* Feeds that are to be ended, each at a moment of its own within feed_spread_ms: clients of thousands of them would
 * else come back all at once, to a region that has just taken over. */
#ifndef DAVENPORT_SRC_PROXY_FEED_END_H
#define DAVENPORT_SRC_PROXY_FEED_END_H

#include "davenport/core/view.h"

#include <stdbool.h>

struct dp_engine;
struct dp_exchange;

/* Of an open feed: its region is dead, or its connection was (x->up is NULL then). May end it at once. */
void dp_feed_end_dead(struct dp_exchange *x);
/* Does it end because its connection does, wherever traffic goes? One of lines, while the engine drains: any of them is an
 * end; a feed that is one text is left to its own. */
bool dp_feed_retires(const struct dp_exchange *x);
/* Of an open feed: traffic moved. If it went elsewhere than the feed, that one ends after a grace, or stays: as
 * configured; if it came back, it stays. */
void dp_feed_moved(struct dp_exchange *x, const struct dp_view *view);
/* Of a feed whose answer has just begun: while it was waited for traffic may have moved, or its worker retired. */
void dp_feed_begun(struct dp_exchange *x);
/* Of an open feed, whatever its region is: it ends within so long, and within feed_spread_ms. */
void dp_feed_end_within(struct dp_exchange *x, uint64_t ms);
/* End those whose moment has come. */
void dp_feed_end_due(struct dp_engine *e);

#endif
