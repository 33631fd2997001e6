/* The maps, one by one: there are as many as databases in use and pairs of regions, which are bounded. */
#include "app/report_sequences.h"

#include "davenport/base/clock.h"
#include "davenport/control/sequences.h"

#include "app/metric.h"
#include "app/status_text.h"

#include <stdio.h>
#include <string.h>

#define SPAN 48

static double age_s(const struct dp_report *r, int64_t at_ms)
{
    return r->now_wall_ms > at_ms ? (double)(r->now_wall_ms - at_ms) / 1000 : 0;
}

static void put_time(json_t *object, const char *key, int64_t wall_ms)
{
    char text[DP_TIME_TEXT] = "";
    if (wall_ms > 0) {
        dp_time_text(wall_ms, text);
    }
    (void)json_object_set_new(object, key, wall_ms > 0 ? json_string(text) : json_null());
}

static json_t *map_json(const struct dp_report *r, const struct dp_seqmaps_row *row)
{
    json_t *map = json_object();
    (void)json_object_set_new(map, "database", json_string(row->database));
    (void)json_object_set_new(map, "from", json_string(row->from));
    (void)json_object_set_new(map, "to", json_string(row->to));
    (void)json_object_set_new(map, "marks", json_integer(row->marks));
    put_time(map, "oldest", row->oldest_ms);
    put_time(map, "newest", row->newest_ms);
    (void)json_object_set_new(map, "age_s", json_real(age_s(r, row->confirmed_ms)));
    return map;
}

json_t *dp_report_sequences_json(const struct dp_report *r)
{
    struct dp_sequences_info info;
    struct dp_seqmaps_row row;
    if (!r->sequences) {
        return json_null();
    }
    json_t *root = json_object();
    json_t *maps = json_array();
    dp_sequences_info(r->sequences, &info);
    (void)json_object_set_new(root, "file", info.file ? json_string(info.file) : json_null());
    put_time(root, "written", info.saved_ms);
    (void)json_object_set_new(root, "not_written", json_boolean(info.troubled));
    (void)json_object_set_new(root, "marks_told", json_integer((json_int_t)info.marks_told));
    for (size_t i = 0; dp_sequences_row(r->sequences, i, &row); i++) {
        (void)json_array_append_new(maps, map_json(r, &row));
    }
    (void)json_object_set_new(root, "maps", maps);
    return root;
}

void dp_report_sequences_metrics(const struct dp_report *r, struct dp_text *out)
{
    struct dp_sequences_info info;
    struct dp_seqmaps_row row;
    if (!r->sequences) {
        return;
    }
    dp_sequences_info(r->sequences, &info);
    dp_metric_single(out, DP_METRIC_sequence_marks_told, info.marks_told);
    dp_metric_single(out, DP_METRIC_sequences_not_written, info.troubled);
    dp_metric_family(out, DP_METRIC_sequence_marks);
    for (size_t i = 0; dp_sequences_row(r->sequences, i, &row); i++) {
        dp_metric_uint(out, DP_METRIC_sequence_marks, DP_LABELS(row.database, row.from, row.to),
                       row.marks);
    }
    dp_metric_family(out, DP_METRIC_sequence_mark_age);
    for (size_t i = 0; dp_sequences_row(r->sequences, i, &row); i++) {
        dp_metric_real(out, DP_METRIC_sequence_mark_age, DP_LABELS(row.database, row.from, row.to),
                       age_s(r, row.confirmed_ms));
    }
}

void dp_report_sequences_words(const struct dp_report *r, const char *region, char *buf, size_t cap)
{
    struct dp_seqmaps_row row;
    unsigned maps = 0;
    double oldest = 0;
    char age[SPAN];
    *buf = '\0';
    for (size_t i = 0; r->sequences && dp_sequences_row(r->sequences, i, &row); i++) {
        if (strcmp(row.from, region) == 0 && row.marks > 0) {
            const double s = age_s(r, row.confirmed_ms);
            oldest = maps == 0 || s > oldest ? s : oldest;
            maps++;
        }
    }
    if (maps == 0) {
        return;
    }
    dp_duration_text(oldest, age, sizeof age);
    (void)snprintf(buf, cap,
                   "feeds that lose it can go on elsewhere by %u sequence map%s, seen at most %s "
                   "ago; others begin anew",
                   maps, maps == 1 ? "" : "s", age);
}
