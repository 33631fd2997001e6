/* What web/build.mjs makes: pages in two halves, or whole with their policy; without NUL. */
#ifndef DAVENPORT_SRC_WEB_PAGES_H
#define DAVENPORT_SRC_WEB_PAGES_H

#include <stddef.h>

extern const unsigned char dp_web_report_head[];
extern const size_t dp_web_report_head_bytes;
extern const unsigned char dp_web_report_tail[];
extern const size_t dp_web_report_tail_bytes;

extern const unsigned char dp_web_dashboard_html[];
extern const size_t dp_web_dashboard_html_bytes;
extern const unsigned char dp_web_dashboard_policy[];
extern const size_t dp_web_dashboard_policy_bytes;

#endif
