/* The pages that the program carries (folder web/): HTML in UTF-8 with everything in it. Static memory, any thread. */
#ifndef DAVENPORT_WEB_PAGE_H
#define DAVENPORT_WEB_PAGE_H

#include "davenport/base/span.h"

/* One to be kept as a file, in two halves. Between them goes JSON, the page's data, as the text of a
 * <script type="application/json">: no "<" may stand in it as such, or it could end the element. */
struct dp_web_page {
    struct dp_span head, tail;
};

/* One to be served. policy: the Content-Security-Policy that it must be served with. */
struct dp_web_document {
    struct dp_span html, policy;
};

/* The report of a drill; its data are a drill's result. */
struct dp_web_page dp_web_report(void);
/* The dashboard; it asks the admin server that it came from for all it shows. */
struct dp_web_document dp_web_dashboard(void);

#endif
