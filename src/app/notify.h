/* What a service manager is told: sd_notify(3), a datagram to $NOTIFY_SOCKET. That manual page describes the protocol as stable
 * and gives it to be written out, which is all of libsystemd that we would need. Main thread. */
#ifndef DAVENPORT_SRC_APP_NOTIFY_H
#define DAVENPORT_SRC_APP_NOTIFY_H

#include "davenport/base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* Is there anybody to tell? */
bool dp_notify_wanted(void);
/* "READY=1\nSTATUS=…": lines of the protocol. Does nothing where nobody wants to know. */
void dp_notify(const char *fmt, ...) DP_PRINTF(1, 2);
/* From now on nobody is told: another process speaks for the service. */
void dp_notify_end(void);
/* How often, at least, the manager wants to hear WATCHDOG=1, in µs; 0: it does not. */
uint64_t dp_notify_watchdog_us(void);

#endif
