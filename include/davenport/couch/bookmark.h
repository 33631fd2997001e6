/* Bookmarks: where a search goes on (couchdb-facts §3). Those of Clouseau, of Nouveau and of text indexes name shards and
 * places within them, which mean nothing in another region; those of JSON indexes hold a key and an id, and are good in any
 * (05-views-find, find-page-3-in-b). They are told with their region's tag as sequence tokens are (couch/token.h), for an
 * answer does not say which of the two it holds; what comes back does. Pure. */
#ifndef DAVENPORT_COUCH_BOOKMARK_H
#define DAVENPORT_COUCH_BOOKMARK_H

#include "davenport/base/span.h"

#include <stdbool.h>

/* The bookmark in the query of `target`, as it stands there, not decoded; the last one counts. .p == NULL: there is none. */
struct dp_span dp_bookmark_in_query(struct dp_span target);
/* The same in a body: the text of the one member "bookmark" of the outermost object, between its quotes. .p == NULL: there
 * is none, or it is no string, has escapes, or there are two. What is no JSON is looked at as if it were. */
struct dp_span dp_bookmark_in_body(struct dp_span json);
/* Is it a JSON index's? False also where there is no memory to see. */
bool dp_bookmark_is_portable(struct dp_span bookmark);

#endif
