/* Memory that runs out at the n-th allocation, for tests that try every n. Allocations of our own code fail where the
 * test is linked with its allocators wrapped (cmake/DavenportTests.cmake: test_*_nomem.c), those of OpenSSL, libuv, jansson and
 * libcurl once nomem_libraries was called. Each thread has a count of its own. */
#ifndef DAVENPORT_TESTS_SUPPORT_NOMEM_H
#define DAVENPORT_TESTS_SUPPORT_NOMEM_H

#include <stdbool.h>

/* The n-th allocation from now fails, and only that one; 0: none. */
void nomem_at(unsigned n);
/* Did it? */
bool nomem_happened(void);
/* What the test itself allocates is not counted. May nest. */
void nomem_pause(void);
void nomem_resume(void);
/* Does this allocation fail? For the wrappers. */
bool nomem_now(void);

/* Before any of them is used; in programs whose allocators are wrapped. */
void nomem_libraries(void);
/* The same, and libcurl and OpenSSL keep their memory: libcurl 7.88 divides by zero when it goes on after one of its tables could not
 * be made, so a test that has it go on can't take it from it. */
void nomem_libraries_but_curl(void);

#endif
