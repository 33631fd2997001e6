/* The built-in default: two regions on this machine, as scripts/demo starts them. conf/demo.json is
 * the same text, and a test keeps it so. */
#include "davenport/app/config.h"

const char dp_config_demo[] =
    "{\n"
    "  \"$comment\": \"What davenport serve runs without -c: two local regions, quick to notice "
    "and to return.\",\n"
    "  \"listen\": { \"address\": \"127.0.0.1\", \"port\": 8984 },\n"
    "  \"admin\": { \"listen\": \"127.0.0.1:8985\" },\n"
    "  \"mode\": \"active-passive\",\n"
    "  \"regions\": [\n"
    "    { \"name\": \"left\", \"url\": \"http://127.0.0.1:15984\" },\n"
    "    { \"name\": \"right\", \"url\": \"http://127.0.0.1:25984\" }\n"
    "  ],\n"
    "  \"probe\": { \"interval_ms\": 1000, \"fast_interval_ms\": 250 },\n"
    "  \"failback\": { \"mode\": \"hold_down\", \"hold_down_ms\": 30000 }\n"
    "}\n";
