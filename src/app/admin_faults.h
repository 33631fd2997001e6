/* Drills' faults over the admin server: GET, POST and DELETE /faults. */
#ifndef DAVENPORT_SRC_APP_ADMIN_FAULTS_H
#define DAVENPORT_SRC_APP_ADMIN_FAULTS_H

#include "app/admin.h"

/* Body: {"region":"eu-de","kind":"slow","for_ms":30000} and where wanted delay_ms (for slow, needed there), share,
 * databases, reason. */
void dp_admin_fault(const struct dp_admin_source *source, const struct dp_admin_request *request,
                    struct dp_admin_answer *answer);
/* region.n == 0: all. */
void dp_admin_heal(const struct dp_admin_source *source, const struct dp_admin_request *request,
                   struct dp_span region, struct dp_admin_answer *answer);

#endif
