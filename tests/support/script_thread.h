/* A scripted region (script_server.h) on a loop and thread of its own: what the test's thread lacks, memory for example, it
 * does not lack. */
#ifndef DAVENPORT_TESTS_SUPPORT_SCRIPT_THREAD_H
#define DAVENPORT_TESTS_SUPPORT_SCRIPT_THREAD_H

#include "support/script_server.h"

struct script_thread {
    uv_thread_t thread;
    uv_loop_t loop;
    uv_sem_t ready;
    uv_async_t end;
    void (*choose)(void *ctx, struct script_server *s);
    struct script_server server; /* its thread's alone once it runs */
    char url[64];
};

/* choose: as of script_server, on its thread; may be NULL. */
void script_thread_start(struct script_thread *t,
                         void (*choose)(void *ctx, struct script_server *s));
void script_thread_stop(struct script_thread *t);

/* Run the loop until *ready, without a timer of the test's own, for which there may be no memory: what is under test
 * has to keep the loop turning, and fails the test where it leaves nothing to wait for. */
void script_turn_until(uv_loop_t *loop, const bool *ready);

#endif
