/* Names with addresses of the test's choice: a stand-in for getaddrinfo, linked into a test or loaded into a program
 * before the C library (LD_PRELOAD; tests/e2e). The file that DAVENPORT_TEST_NAMES names is read at each lookup:
 *
 *   couch.example ::1 127.0.0.1     addresses, in the order given
 *   dark.example !                  the lookup fails for now (EAI_AGAIN)
 *
 * Every other name, and everything while the variable is not set, is the C library's. */
#ifndef DAVENPORT_TESTS_SUPPORT_NAMES_H
#define DAVENPORT_TESTS_SUPPORT_NAMES_H

/* From now on the names are these: the file's whole text. Other threads see all or nothing of it. */
void names_set(const char *text);
/* No names any more; the file goes. */
void names_clear(void);

#endif
