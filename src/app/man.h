/* Manual pages, written by the tables that the program itself goes by, so that they can't say anything else than it
 * does. roff, man(7) macros, ASCII only. Main thread. */
#ifndef DAVENPORT_SRC_APP_MAN_H
#define DAVENPORT_SRC_APP_MAN_H

#include "davenport/app/text.h"

#include "app/cli.h"

/* davenport(1): every command. */
void dp_man_program(const struct dp_cli_command *commands, size_t n, struct dp_text *out);
/* davenport.json(5): every key of config.def. */
void dp_man_config(struct dp_text *out);

#endif
