/* What the fuzz targets share. A target is one function from bytes to nothing that ends the process when
 * something does not hold; libFuzzer, AFL++ or replay.c call it. */
#ifndef DAVENPORT_TESTS_FUZZ_FUZZ_H
#define DAVENPORT_TESTS_FUZZ_FUZZ_H

#include "davenport/base/span.h"
#include "davenport/http/head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before the first input; weak, as only some need it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, with `what` on standard error, when it is not ok. */
void fuzz_check(bool ok, const char *what);

/* Bytes that grow. */
struct fuzz_text {
    char *p;
    size_t n, cap;
};
void fuzz_add(struct fuzz_text *t, const void *p, size_t n);
/* Length first, so that two texts made of spans are equal only when all spans are. */
void fuzz_add_span(struct fuzz_text *t, struct dp_span s);
/* All that a head says. */
void fuzz_add_head(struct fuzz_text *t, const struct dp_head *h);
bool fuzz_same(const struct fuzz_text *a, const struct fuzz_text *b);
void fuzz_free(struct fuzz_text *t);

/* A copy in memory of exactly that size, so that the sanitizer sees a step too far; free() it. */
char *fuzz_copy(const void *p, size_t n);

/* How much comes in the next piece: small numbers mostly, out of a seed that must not be 0. */
size_t fuzz_piece(uint32_t *seed, size_t left);

#endif
