/* The TLS files that the configuration names, read once and tried: contexts for every worker and texts for the probes,
 * all of one reading. A reload is a second one. One thread at a time. */
#ifndef DAVENPORT_SRC_APP_TLS_LOAD_H
#define DAVENPORT_SRC_APP_TLS_LOAD_H

#include "davenport/app/config.h"
#include "davenport/app/problems.h"
#include "davenport/base/attr.h"
#include "davenport/base/err.h"
#include "davenport/net/tls.h"
#include "davenport/proxy/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct dp_tls_load;

#define DP_TLS_LOAD_WHY 512

/* Read and try everything; nothing is changed by it. ticket_keys: of the listener, copied. On failure `why` names
 * whose file it is, the file and the reason. Errors: DP_EINVAL, DP_EIO, DP_ENOMEM. */
DP_MUST_USE enum dp_err dp_tls_load_new(const struct dp_config *config,
                                        const struct dp_tls_ticket_keys *ticket_keys,
                                        uint32_t n_workers, struct dp_tls_load **out,
                                        char why[DP_TLS_LOAD_WHY]);
/* The same for davenport check: keeps nothing, and goes on to the next region where one's files are no good. */
DP_MUST_USE enum dp_err dp_tls_load_check(const struct dp_config *config,
                                          struct dp_problems *problems);
/* The texts for probes must no longer be in use. NULL is fine. */
void dp_tls_load_free(struct dp_tls_load *load);

/* The contexts of worker i, once; the caller owns them. */
struct dp_worker_tls *dp_tls_load_take(struct dp_tls_load *load, uint32_t i);
/* Of the operators' address, shared; NULL: it speaks none. */
struct dp_tls *dp_tls_load_admin(const struct dp_tls_load *load);
/* For probes of region i; lives as long as `load`. NULL: its url is plain http. */
const struct dp_fetch_tls *dp_tls_load_probe(const struct dp_tls_load *load, uint16_t i);
/* For the collector of traces; lives as long as `load`. NULL: the system's authorities are trusted. */
const struct dp_fetch_tls *dp_tls_load_collector(const struct dp_tls_load *load);
/* Do two readings hold other files for a region, which is number i in one and k in the other; for the listener; for the
 * operators' address; for the collector of traces? */
bool dp_tls_load_region_differs(const struct dp_tls_load *a, uint16_t i,
                                const struct dp_tls_load *b, uint16_t k);
bool dp_tls_load_listen_differs(const struct dp_tls_load *a, const struct dp_tls_load *b);
bool dp_tls_load_admin_differs(const struct dp_tls_load *a, const struct dp_tls_load *b);
bool dp_tls_load_collector_differs(const struct dp_tls_load *a, const struct dp_tls_load *b);
/* When the certificate shown to clients, to operators, or to region i, ends: seconds since 1970, 0 without one. */
int64_t dp_tls_load_listen_not_after(const struct dp_tls_load *load);
int64_t dp_tls_load_admin_not_after(const struct dp_tls_load *load);
int64_t dp_tls_load_region_not_after(const struct dp_tls_load *load, uint16_t i);

#endif
