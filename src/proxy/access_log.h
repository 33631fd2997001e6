/* The access log: one line an exchange, at its end.
 *
 * What is known of an exchange is put into a record; the record is formatted straight into the chunk that this
 * worker fills; full chunks, and every flush_ms the one begun, go to the sink that all workers share. No
 * allocation, lock or system call a line. When the file is too slow lines are dropped and counted.
 * A worker's thread, but for dp_access_format, which is pure. */
#ifndef DAVENPORT_PROXY_ACCESS_LOG_H
#define DAVENPORT_PROXY_ACCESS_LOG_H

#include "davenport/base/attr.h"
#include "davenport/base/sink.h"
#include "davenport/base/span.h"
#include "davenport/core/reason.h"
#include "davenport/core/traffic.h"
#include "davenport/proxy/worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_NO_TIME UINT64_MAX

/* Spans with .p == NULL and NULL strings: not known. */
struct dp_access_record {
    int64_t wall_ms;        /* of the end */
    const char *client;     /* address */
    struct dp_span method;  /* .p == NULL: no request line was read, or not to its end */
    struct dp_span target;  /* in origin-form, never with credentials in it */
    const char *klass;      /* what it means to CouchDB: "read", "write", "post", "feed" */
    uint8_t minor;          /* HTTP/1.minor of the client */
    uint16_t status;        /* told to the client; 0: none was */
    uint64_t bytes_in;      /* body of the request */
    uint64_t bytes_out;     /* body of the answer */
    uint64_t head_ns;       /* of total_ns, until the head was whole; or DP_NO_TIME */
    uint64_t total_ns;      /* from the first byte of the request to the end */
    uint64_t queue_ns;      /* of it, waiting for a connection to a region, over all attempts */
    uint64_t hold_ns;       /* of it, waiting for a region that takes it */
    uint64_t first_byte_ns; /* from the request sent to the region's first byte; or DP_NO_TIME */
    const char *region;     /* of the last attempt */
    const char *endpoint;   /* of the last attempt: "name" or "name:port" */
    unsigned attempts;      /* begun, the last one included */
    enum dp_end end;
    enum dp_reason reason;
    char reached; /* how far it came, if it ended before its time: see dp_access_reached */
    bool sent;    /* a connection to a region carried it */
    /* of this worker, at the line's time */
    uint64_t clients, regions; /* connections open */
    uint64_t in_flight;        /* attempts under way at that endpoint */
    uint64_t in_line, held;    /* requests that wait for a connection to it, and for a region */
    struct dp_span request_id; /* at most DP_REQUEST_ID_MAX bytes that JSON need not escape */
    struct dp_span trace_id;   /* of the traceparent: 32 digits */
    struct dp_span user_agent;
};

/* A second as text, formatted once for all lines of that second. All zero is a good beginning. */
struct dp_access_time {
    int64_t second;
    char text[DP_ACCESS_FORMAT_COUNT][32];
    size_t n[DP_ACCESS_FORMAT_COUNT];
};

/* The longest line, newline included, and how much of it a target and a User-Agent may take; what is longer is cut
 * and the line says so. */
#define DP_ACCESS_LINE_BYTES   4096
#define DP_ACCESS_TARGET_BYTES 2048
#define DP_ACCESS_AGENT_BYTES  512

/* One line into out (DP_ACCESS_LINE_BYTES); returns its length. */
size_t dp_access_format(enum dp_access_format format, const struct dp_access_record *r,
                        struct dp_access_time *time, char *out);

struct dp_access_log {
    struct dp_access_config config;
    struct dp_traffic *traffic;
    struct dp_sink_chunk *chunk; /* being filled, or NULL */
    uint64_t flush_at_ns;        /* when it is handed over at the latest */
    unsigned due_percent;        /* of the next line that sampling lets through */
    bool starved;                /* no chunk was free: not asked again before the next tick */
    struct dp_access_time time;
};

void dp_access_log_init(struct dp_access_log *log, const struct dp_access_config *config,
                        struct dp_traffic *traffic);
/* Hands over what is left. */
void dp_access_log_fini(struct dp_access_log *log);
/* Log it, or not if it is neither remarkable nor sampled. */
void dp_access_log_add(struct dp_access_log *log, const struct dp_access_record *r);
/* Once in a while. */
void dp_access_log_tick(struct dp_access_log *log, uint64_t now_ns);

#endif
