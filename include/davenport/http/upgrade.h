/* Requests that ask for another protocol (RFC 9110 7.8). Pure. */
#ifndef DAVENPORT_HTTP_UPGRADE_H
#define DAVENPORT_HTTP_UPGRADE_H

#include "davenport/http/head.h"

/* Is another protocol what it is about? WebSocket, and whatever else is not HTTP. An offer of HTTP/2 or TLS, which many
 * clients add to every request and which a server is free not to take up, is none; nor is what comes by HTTP/1.0, or
 * without Connection: upgrade, which are to be ignored. */
bool dp_upgrade_insists(const struct dp_head *h);

#endif
