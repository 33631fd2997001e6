/* The table of sequence maps, for the files that make it: seqmaps.c, and seqmaps_text.c, which reads and writes it. */
#ifndef DAVENPORT_COUCH_SEQMAPS_TABLE_PRIVATE_H
#define DAVENPORT_COUCH_SEQMAPS_TABLE_PRIVATE_H

#include "davenport/couch/renewal.h"
#include "davenport/couch/seqmaps.h"

struct dp_seqmaps_copy;

struct dp_seqmaps_names {
    char database[DP_SEQMAPS_NAME], from[DP_SEQMAPS_NAME], to[DP_SEQMAPS_NAME];
};

struct dp_seqmaps_entry {
    struct dp_seqmap *map;
    struct dp_seqmaps_copy *copy; /* as it is now, or NULL: no snapshot since its last change */
    struct dp_seqlook *look;      /* of `from`; or NULL */
    int64_t confirmed_ms;
    struct dp_seqmaps_names names;
    char from_life[DP_SEQMAPS_LIFE], to_life[DP_SEQMAPS_LIFE];
};

struct dp_seqmaps {
    struct dp_seqmaps_config config;
    struct dp_seqmaps_entry *entries; /* in the order of their names */
    size_t n;
    uint64_t version, looks;
};

/* The map that a mark is for, or NULL. */
struct dp_seqmaps_entry *dp_seqmaps_find(const struct dp_seqmaps *m,
                                         const struct dp_seqmaps_mark *k);

#endif
