/* Who loads or breaks a server says that it is theirs to load or break; this machine needs no word. */
#include "app/cli.h"
#include "app/config_table.h"

#include <string.h>

#define FOREIGN_RATE 200 /* requests a second, where it is not said how many are allowed */

static struct dp_span host_of(const char *url)
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    if (*begin == '[') {
        begin++;
        return (struct dp_span){begin, strcspn(begin, "]/?#")};
    }
    return (struct dp_span){begin, strcspn(begin, ":/?#")};
}

bool dp_cli_is_loopback(const char *url)
{
    char text[64];
    struct dp_span host = host_of(url);
    if (dp_span_ieq(host, DP_SPAN("localhost")) || dp_span_eq(host, DP_SPAN("::1"))) {
        return true;
    }
    if (host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return strncmp(text, "127.", 4) == 0 && dp_config_is_ip(text);
}

bool dp_cli_owns(const struct dp_cli_call *call, const char *url)
{
    struct dp_span host = host_of(url);
    struct dp_span rest = dp_span_str(dp_cli_value(call, "i-own-this"));
    if (dp_cli_is_loopback(url)) {
        return true;
    }
    while (rest.p) {
        if (dp_span_ieq(dp_span_trim(dp_span_cut(&rest, ',')), host)) {
            return true;
        }
    }
    dp_cli_error(
        "%s: refused: %.*s is not this machine; --i-own-this %.*s says that it is yours to "
        "load and to break",
        call->command->name, (int)host.n, host.p, (int)host.n, host.p);
    return false;
}

int dp_cli_may_load(const struct dp_cli_call *call, const char *name, double rate, bool foreign)
{
    const char *given = dp_cli_value(call, "max-rate");
    uint64_t most = FOREIGN_RATE;
    if (given && (!dp_span_u64(dp_span_str(given), &most) || most == 0)) {
        dp_cli_error("%s: --max-rate takes a number of requests a second", call->command->name);
        return DP_EXIT_USAGE;
    }
    if ((!given && !foreign) || rate <= (double)most) {
        return DP_EXIT_OK;
    }
    dp_cli_error("%s: refused: %s is %.15g, and %llu requests/s are allowed%s", call->command->name,
                 name, rate, (unsigned long long)most,
                 given ? "" : " where it is not this machine; --max-rate allows more");
    return DP_EXIT_REFUSED;
}
