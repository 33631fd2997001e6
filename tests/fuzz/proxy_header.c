/* One PROXY header: read whole and in pieces it must say the same, and what is accepted must be what a load balancer
 * could have sent, as told by somebody else: version 1 by scanf, version 2 by its offsets.
 *
 * Input: one byte that seeds the cuts, then the header. */
#include "davenport/net/proxy_header.h"

#include "fuzz.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
    enum dp_proxy_read read;
    size_t at;
    struct dp_proxy_header h;
};

static struct outcome run(const char *p, size_t n, uint32_t seed)
{
    struct outcome o = {.read = DP_PROXY_MORE};
    while (o.at < n && o.read == DP_PROXY_MORE) {
        const size_t take = seed != 0 ? fuzz_piece(&seed, n - o.at) : n;
        char *piece = fuzz_copy(p + o.at, take);
        size_t used = 0;
        o.read = dp_proxy_header_feed(&o.h, piece, take, &used);
        free(piece);
        fuzz_check(used > 0 && used <= take && (o.read != DP_PROXY_MORE || used == take),
                   "all is consumed");
        o.at += used;
    }
    return o;
}

static bool same_address(int family, const char *a, const char *b)
{
    unsigned char x[16] = {0}, y[16] = {0};
    return inet_pton(family, a, x) == 1 && inet_pton(family, b, y) == 1 && memcmp(x, y, 16) == 0;
}

static void check_version_1(const struct outcome *o, const char *p)
{
    char line[DP_PROXY_V1_BYTES + 1], proto[8], client[40], server[40],
        again[DP_PROXY_V1_BYTES + 64];
    unsigned client_port, server_port;
    fuzz_check(o->at <= DP_PROXY_V1_BYTES && o->at >= 15, "no longer than it may be");
    memcpy(line, p, o->at);
    line[o->at] = '\0';
    fuzz_check(strcmp(line + o->at - 2, "\r\n") == 0 && strcspn(line, "\r\n") == o->at - 2,
               "a line");
    if (!o->h.tells) {
        fuzz_check(strncmp(line, "PROXY UNKNOWN", 13) == 0 && strchr("\r ", line[13]), "unknown");
        return;
    }
    fuzz_check(sscanf(line, "PROXY %7s %39s %39s %u %u\r\n", proto, client, server, &client_port,
                      &server_port) == 5,
               "its words");
    (void)snprintf(again, sizeof(again), "PROXY %s %s %s %u %u\r\n", proto, client, server,
                   client_port, server_port);
    fuzz_check(strcmp(line, again) == 0, "written as they must be");
    const bool v6 = strcmp(proto, "TCP6") == 0;
    fuzz_check(v6 || strcmp(proto, "TCP4") == 0, "a family");
    fuzz_check(client_port == o->h.client_port && client_port < 65536 && server_port < 65536,
               "ports");
    const bool mapped = v6 && !strchr(o->h.client, ':');
    char wrapped[64];
    (void)snprintf(wrapped, sizeof(wrapped), "%s%s", mapped ? "::ffff:" : "", o->h.client);
    fuzz_check(same_address(v6 ? AF_INET6 : AF_INET, wrapped, client), "the client");
}

static void check_version_2(const struct outcome *o, const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    fuzz_check(o->at == 16U + 256U * b[14] + b[15], "as long as it says");
    fuzz_check(memcmp(p, "\r\n\r\n\0\r\nQUIT\n", 12) == 0 && (b[12] == 0x20 || b[12] == 0x21),
               "signed");
    fuzz_check(!o->h.tells || (b[12] == 0x21 && (b[13] == 0x11 || b[13] == 0x21)),
               "tells by command");
    if (!o->h.tells)
        return;
    const bool v4 = b[13] == 0x11;
    const size_t port = v4 ? 24 : 48;
    unsigned char x[16] = {0};
    fuzz_check(o->at >= port + 4, "room for its addresses");
    fuzz_check(o->h.client_port == b[port] * 256U + b[port + 1], "the port");
    if (!v4 && !strchr(o->h.client, ':')) {
        fuzz_check(inet_pton(AF_INET, o->h.client, x) == 1 && memcmp(x, b + 28, 4) == 0,
                   "unwrapped");
        return;
    }
    fuzz_check(inet_pton(v4 ? AF_INET : AF_INET6, o->h.client, x) == 1 &&
                   memcmp(x, b + 16, v4 ? 4 : 16) == 0,
               "the client");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *p = (const char *)data + 1;
    struct outcome whole = run(p, size - 1, 0);
    struct outcome cut = run(p, size - 1, 1U + data[0]);
    fuzz_check(whole.read == cut.read && whole.at == cut.at, "the same end however it is cut");
    fuzz_check(whole.h.tells == cut.h.tells && strcmp(whole.h.client, cut.h.client) == 0 &&
                   whole.h.client_port == cut.h.client_port,
               "the same client");
    if (whole.read == DP_PROXY_DONE && whole.h.version == 1)
        check_version_1(&whole, p);
    else if (whole.read == DP_PROXY_DONE)
        check_version_2(&whole, p);
    return 0;
}
