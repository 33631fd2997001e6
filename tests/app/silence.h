/* For tests that run a whole runtime: what the program sets for its process, and no log. */
#ifndef DAVENPORT_TESTS_APP_SILENCE_H
#define DAVENPORT_TESTS_APP_SILENCE_H

#include "davenport/base/log.h"

#include <fcntl.h>
#include <signal.h>

#include <curl/curl.h>

static int silence(void **state)
{
    (void)state;
    dp_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    return signal(SIGPIPE, SIG_IGN) == SIG_ERR || curl_global_init(CURL_GLOBAL_DEFAULT) != 0;
}

#endif
