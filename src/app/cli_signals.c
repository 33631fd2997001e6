#include "app/cli_signals.h"

#include "davenport/base/span.h"

#include <signal.h>

bool dp_cli_signals_watch(struct dp_cli_signals *s, uv_loop_t *loop, uv_signal_cb on_signal,
                          void *data, bool hang_up)
{
    static const int numbers[DP_CLI_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
    const size_t n = hang_up ? DP_CLI_SIGNALS : DP_CLI_SIGNALS - 1; /* SIGHUP is the last */
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        (void)uv_signal_init(loop, &s->handles[i]);
        s->handles[i].data = data;
        good = uv_signal_start(&s->handles[i], on_signal, numbers[i]) == 0 && good;
    }
    return good;
}

void dp_cli_signals_close(struct dp_cli_signals *s)
{
    for (size_t i = 0; i < DP_CLI_SIGNALS; i++) {
        uv_handle_t *h = (uv_handle_t *)&s->handles[i];
        if (h->loop && !uv_is_closing(h)) {
            uv_close(h, NULL);
        }
    }
}
