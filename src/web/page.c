/* The built-in pages, by name. */
#include "davenport/web/page.h"

#include "web/pages.h"

struct dp_web_page dp_web_report(void)
{
    return (struct dp_web_page){
        .head = {(const char *)dp_web_report_head, dp_web_report_head_bytes},
        .tail = {(const char *)dp_web_report_tail, dp_web_report_tail_bytes},
    };
}

struct dp_web_document dp_web_dashboard(void)
{
    return (struct dp_web_document){
        .html = {(const char *)dp_web_dashboard_html, dp_web_dashboard_html_bytes},
        .policy = {(const char *)dp_web_dashboard_policy, dp_web_dashboard_policy_bytes},
    };
}
