/* Colours of what is told to a person at a terminal: marks in the text while it is made, terminal codes or nothing when it
 * is shown. */
#ifndef DAVENPORT_SRC_APP_PAINT_H
#define DAVENPORT_SRC_APP_PAINT_H

#include "davenport/app/text.h"

#define RESET  "\001"
#define BOLD   "\002"
#define DIM    "\003"
#define RED    "\004"
#define GREEN  "\005"
#define YELLOW "\006"

/* Marks become colours or nothing. What came from the other side cannot move the cursor: its control characters (C1 in
 * UTF-8 too) are shown as "?". */
void dp_paint(const struct dp_text *marked, bool colour, struct dp_text *out);
/* The first `columns` characters of each line, with all marks: what a terminal of that width holds. Takes a character as
 * one column, which it is in all but a few scripts. */
void dp_clip_lines(const struct dp_text *marked, unsigned columns, struct dp_text *out);

#endif
