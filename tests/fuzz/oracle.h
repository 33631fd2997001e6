/* A second opinion on message heads, written from RFC 9110 and RFC 9112 alone and sharing no code with the
 * reader: slow, simple, without a mode or a repair. A head that passes has one meaning to whoever reads it. */
#ifndef DAVENPORT_TESTS_FUZZ_ORACLE_H
#define DAVENPORT_TESTS_FUZZ_ORACLE_H

#include "davenport/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_FIELDS 512

struct oracle_field {
    struct dp_span name, value; /* the value without the blanks around it */
};

struct oracle_head {
    struct dp_span first, second, third; /* of the start line: method, target, version; or version,
                                            status, reason */
    struct oracle_field fields[ORACLE_FIELDS];
    size_t n_fields;
    bool chunked, has_length;
    uint64_t length;
};

/* Why [p, p+n) is not exactly one unambiguous head, or NULL. */
const char *oracle_request(struct oracle_head *h, const char *p, size_t n);
const char *oracle_response(struct oracle_head *h, const char *p, size_t n);

/* How often a field stands there; *value: of the last. The name in lower case. */
size_t oracle_count(const struct oracle_head *h, const char *name, struct dp_span *value);
/* A field that ends at this hop, and so has no business in what we send on. */
bool oracle_is_hop(struct dp_span name);

/* A chunked body, decoded the simple way: the bytes that [p, p+n) decodes to are added up in *decoded,
 * *used is where the body ends. -1: no such body; 0: unfinished; 1: whole. */
int oracle_chunked(const char *p, size_t n, size_t *used, size_t *decoded);

#endif
