/* A region as a drill reaches it: past the proxy, as the one who may make databases there. */
#ifndef DAVENPORT_DRILL_REGION_H
#define DAVENPORT_DRILL_REGION_H

struct dp_fetch_tls;

/* Texts are the caller's, and live as long as what they are given to. */
struct dp_drill_region {
    const char *name;
    const char *url; /* http or https, no path, no credentials, no slash at its end */
    const char *username, *password; /* NULL: none */
    const char *peer_url;           /* as other regions reach it, for replication; NULL: as we do */
    const struct dp_fetch_tls *tls; /* NULL: the system's trust */
};

#define DP_DRILL_REGIONS_MAX 16

#endif
