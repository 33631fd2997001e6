/* jansson's memory. A document that could not be built whole must not be taken for one: jansson leaves out what it had no
 * memory for, and only some of its calls can say so. Here each thread can ask whether any was refused meanwhile. */
#ifndef DAVENPORT_SRC_APP_JSON_MEMORY_H
#define DAVENPORT_SRC_APP_JSON_MEMORY_H

/* Before jansson is used. */
void dp_json_memory_init(void);
/* How often this thread was refused memory for jansson. */
unsigned dp_json_memory_refused(void);

#endif
