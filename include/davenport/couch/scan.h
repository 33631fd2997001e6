/* Where a body of JSON stands: the state of a scanner that sees it pass, cut anywhere. Embedded in the tagger and the
 * minter, which alone look inside. */
#ifndef DAVENPORT_COUCH_SCAN_H
#define DAVENPORT_COUCH_SCAN_H

#include <stdbool.h>

#define DP_SCAN_BACK 24 /* bytes of the past that a key's name is found in */

struct dp_scan {
    bool in_string;
    bool escaped;            /* the next byte follows a backslash */
    unsigned depth;          /* of brackets */
    char back[DP_SCAN_BACK]; /* the last bytes seen, the newest last */
};

#endif
