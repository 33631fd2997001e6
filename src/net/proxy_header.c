/* Byte by byte into a small buffer: a header comes once a connection. Which version it is, its first byte says. */
#include "davenport/net/proxy_header.h"

#include "davenport/base/span.h"

#include "net/ip_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const char v1_begin[] = "PROXY ";
static const char v2_begin[] = "\r\n\r\n\0\r\nQUIT\n";

#define V1_BEGIN 6U
#define V2_BEGIN 12U
#define V2_FIXED 16U

enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_UNSPEC = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21, FAMILY_UNIX = 0x31 };

static enum dp_proxy_read done(struct dp_proxy_header *h, uint8_t version)
{
    h->version = version;
    return DP_PROXY_DONE;
}

static bool tell(struct dp_proxy_header *h, int family, const void *address, uint16_t port)
{
    h->client_port = port;
    h->tells = dp_ip_text(family, address, h->client, sizeof(h->client));
    return h->tells;
}

/* ---- version 1: PROXY TCP4 source destination port port CRLF ---- */

/* A word and the space behind it; the last one has none. */
static bool word(struct dp_span *rest, char *out, size_t cap)
{
    struct dp_span w = dp_span_cut(rest, ' ');
    if (w.n == 0 || w.n >= cap)
        return false;
    memcpy(out, w.p, w.n);
    out[w.n] = '\0';
    return true;
}

static bool port(struct dp_span *rest, uint16_t *out)
{
    char text[6];
    uint64_t n;
    if (!word(rest, text, sizeof(text)) || (text[0] == '0' && text[1] != '\0') ||
        !dp_span_u64(dp_span_str(text), &n) || n > UINT16_MAX)
        return false;
    *out = (uint16_t)n;
    return true;
}

static bool address(struct dp_span *rest, int family, struct in6_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    return word(rest, text, sizeof(text)) && inet_pton(family, text, out) == 1;
}

/* The line without its CRLF. */
static enum dp_proxy_read read_line(struct dp_proxy_header *h, struct dp_span line)
{
    char proto[8];
    struct in6_addr client, server;
    uint16_t client_port, server_port;
    line.p += V1_BEGIN;
    line.n -= V1_BEGIN;
    if (memchr(line.p, '\0', line.n) || !word(&line, proto, sizeof(proto)))
        return DP_PROXY_FAILED;
    if (strcmp(proto, "UNKNOWN") == 0) /* whatever else it says is not to be looked at */
        return done(h, 1);
    int family = AF_INET;
    if (strcmp(proto, "TCP6") == 0)
        family = AF_INET6;
    else if (strcmp(proto, "TCP4") != 0)
        return DP_PROXY_FAILED;
    if (!address(&line, family, &client) || !address(&line, family, &server) ||
        !port(&line, &client_port) || !port(&line, &server_port) || line.p ||
        !tell(h, family, &client, client_port))
        return DP_PROXY_FAILED;
    return done(h, 1);
}

static enum dp_proxy_read take_v1(struct dp_proxy_header *h, char byte)
{
    const uint8_t at = h->n;
    if (at == sizeof(h->bytes) || (at < V1_BEGIN && byte != v1_begin[at]))
        return DP_PROXY_FAILED;
    h->bytes[h->n++] = byte;
    if (at < V1_BEGIN)
        return DP_PROXY_MORE;
    const bool after_cr = h->bytes[at - 1] == '\r';
    if (byte == '\n' && after_cr)
        return read_line(h, (struct dp_span){h->bytes, (size_t)at - 1});
    return byte == '\n' || after_cr ? DP_PROXY_FAILED : DP_PROXY_MORE;
}

/* ---- version 2: signature, command, family, length, addresses, TLVs ---- */

static unsigned octet(const struct dp_proxy_header *h, size_t i)
{
    return (unsigned char)h->bytes[i];
}

static uint32_t v2_length(const struct dp_proxy_header *h)
{
    return octet(h, 14) << 8 | octet(h, 15);
}

/* What a family's addresses take at least, or UINT32_MAX for what there is not over a stream. */
static uint32_t v2_least(unsigned family)
{
    switch (family) {
    case FAMILY_UNSPEC:
        return 0;
    case FAMILY_TCP4:
        return 12;
    case FAMILY_TCP6:
        return 36;
    case FAMILY_UNIX:
        return 216;
    default:
        return UINT32_MAX;
    }
}

/* The fixed part is there. */
static bool v2_is_sound(const struct dp_proxy_header *h)
{
    const unsigned command = octet(h, 12) & 0x0f;
    if (octet(h, 12) >> 4 != 2)
        return false;
    if (command == COMMAND_LOCAL) /* its family and addresses are to be discarded */
        return true;
    return command == COMMAND_PROXY && v2_length(h) >= v2_least(octet(h, 13));
}

static enum dp_proxy_read v2_tell(struct dp_proxy_header *h)
{
    const unsigned family = octet(h, 13);
    const bool v4 = family == FAMILY_TCP4;
    struct in6_addr client;
    bool told = true;
    if ((octet(h, 12) & 0x0f) == COMMAND_PROXY && (v4 || family == FAMILY_TCP6)) {
        const size_t port_at = V2_FIXED + (v4 ? 8U : 32U);
        memcpy(&client, h->bytes + V2_FIXED, v4 ? sizeof(struct in_addr) : sizeof(client));
        told = tell(h, v4 ? AF_INET : AF_INET6, &client,
                    (uint16_t)(octet(h, port_at) << 8 | octet(h, port_at + 1)));
    }
    return told ? done(h, 2) : DP_PROXY_FAILED;
}

static enum dp_proxy_read take_v2(struct dp_proxy_header *h, char byte)
{
    if (h->n < V2_BEGIN && byte != v2_begin[h->n])
        return DP_PROXY_FAILED;
    if (h->n < DP_PROXY_V2_BYTES)
        h->bytes[h->n++] = byte;
    h->seen++;
    if (h->seen == V2_FIXED && !v2_is_sound(h))
        return DP_PROXY_FAILED;
    if (h->seen < V2_FIXED || h->seen < V2_FIXED + v2_length(h))
        return DP_PROXY_MORE;
    return v2_tell(h);
}

enum dp_proxy_read dp_proxy_header_feed(struct dp_proxy_header *h, const char *p, size_t n,
                                        size_t *used)
{
    enum dp_proxy_read r = DP_PROXY_MORE;
    size_t at = 0;
    while (at < n && r == DP_PROXY_MORE) {
        const char first = h->n > 0 ? h->bytes[0] : p[at];
        r = first == v1_begin[0] ? take_v1(h, p[at]) : take_v2(h, p[at]);
        at++;
    }
    *used = at;
    return r;
}
