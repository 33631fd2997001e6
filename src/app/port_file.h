/* The file of `--port-file`: where a process listens and which one it is, for whoever started it.
 *
 *   {"listen":"127.0.0.1:8984","admin":"127.0.0.1:8985","pid":4711}
 *
 * While one process takes another's place both know the path, and the file is the one's that it names. */
#ifndef DAVENPORT_SRC_APP_PORT_FILE_H
#define DAVENPORT_SRC_APP_PORT_FILE_H

#include "davenport/app/text.h"
#include "davenport/base/span.h"

#include <stdbool.h>

/* Its text, of this process. */
void dp_port_file_text(const char *listen, const char *admin, struct dp_text *out);
/* Replaces the file; path NULL: nothing. False: `event` in the log says why not. */
bool dp_port_file_write(const char *path, const char *event, struct dp_span text);
/* Unless it names another process. path NULL: nothing. */
void dp_port_file_remove(const char *path);

#endif
