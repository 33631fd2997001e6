/* What /status, /explain, /events and orders say, for a person at a terminal. */
#ifndef DAVENPORT_SRC_APP_STATUS_TEXT_H
#define DAVENPORT_SRC_APP_STATUS_TEXT_H

#include "davenport/app/text.h"

#include <jansson.h>

/* "0 s", "59 s", "3 min 20 s", "2 h 5 min", "3 d 4 h". */
void dp_duration_text(double seconds, char *buf, size_t cap);

/* `status`: the parsed answer of GET /status. Members that are missing are shown as "-". */
void dp_status_text(const json_t *status, bool colour, struct dp_text *out);
/* `explain`: the parsed answer of GET /explain. */
void dp_explain_text(const json_t *explain, bool colour, struct dp_text *out);
/* `order`: the parsed answer to an order: what changed, or would change. */
void dp_order_text(const json_t *order, bool colour, struct dp_text *out);
/* The parsed answers to `fault` and `heal`. */
void dp_fault_text(const json_t *answer, bool colour, struct dp_text *out);
void dp_heal_text(const json_t *answer, bool colour, struct dp_text *out);
/* `event`: one parsed line of the journal, told in one line. */
void dp_event_text(const json_t *event, bool colour, struct dp_text *out);

/* As it is, but for control characters: they cannot move the cursor. */
void dp_plain_text(const struct dp_text *in, struct dp_text *out);

#endif
