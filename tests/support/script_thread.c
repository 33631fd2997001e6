/* A scripted region on its own thread. */
#include "support/script_thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void on_end(uv_async_t *end)
{
    struct script_thread *t = end->data;
    script_server_kill(&t->server);
    uv_close((uv_handle_t *)end, NULL);
}

static void serve(void *arg)
{
    struct script_thread *t = arg;
    assert_int_equal(uv_loop_init(&t->loop), 0);
    assert_int_equal(uv_async_init(&t->loop, &t->end, on_end), 0);
    t->end.data = t;
    script_server_start(&t->server, &t->loop);
    t->server.choose = t->choose;
    (void)script_server_url(&t->server, t->url, sizeof(t->url));
    uv_sem_post(&t->ready);
    script_loop_finish(&t->loop);
}

void script_thread_start(struct script_thread *t,
                         void (*choose)(void *ctx, struct script_server *s))
{
    *t = (struct script_thread){.choose = choose};
    assert_int_equal(uv_sem_init(&t->ready, 0), 0);
    assert_int_equal(uv_thread_create(&t->thread, serve, t), 0);
    uv_sem_wait(&t->ready);
}

void script_thread_stop(struct script_thread *t)
{
    (void)uv_async_send(&t->end);
    (void)uv_thread_join(&t->thread);
    uv_sem_destroy(&t->ready);
}

void script_turn_until(uv_loop_t *loop, const bool *ready)
{
    while (!*ready)
        assert_true(uv_run(loop, UV_RUN_ONCE) || *ready);
}
