/* What our own requests, and where it is so configured those of applications, carry to one region to prove who they are.
 * Made by the control plane, immutable but for one flag, shared by reference count: views hold references, so
 * whoever has pinned a view may use what is in it. Any thread. */
#ifndef DAVENPORT_CORE_CREDENTIAL_H
#define DAVENPORT_CORE_CREDENTIAL_H

#include "davenport/base/attr.h"
#include "davenport/base/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The words of regions[].credentials.type, in their order. */
#define DP_CREDENTIAL_TABLE(X)                                                                     \
    X(PASSTHROUGH, "passthrough")     /* requests carry their client's own */                      \
    X(BASIC, "basic")                 /* user and password */                                      \
    X(IAM, "iam")                     /* an API key that is changed for tokens */                  \
    X(BEARER, "bearer")               /* a token out of a file */                                  \
    X(COUCHDB_PROXY, "couchdb_proxy") /* the client's name, signed with a shared secret */

enum dp_credential_type {
#define X(name, label) DP_CREDENTIAL_##name,
    DP_CREDENTIAL_TABLE(X)
#undef X
        DP_CREDENTIAL_TYPE_COUNT
};
const char *dp_credential_type_name(enum dp_credential_type t);

/* What a region said of it, set by whoever hears it, on whatever thread. It only grows. */
enum dp_credential_word {
    DP_CREDENTIAL_FINE,
    DP_CREDENTIAL_DOUBTED, /* a 401 that may be about something else: the control plane asks */
    DP_CREDENTIAL_REFUSED  /* wrong, or locked out: nobody uses it any more */
};

struct dp_credential {
    _Atomic uint32_t refs;
    _Atomic int word; /* enum dp_credential_word */
    enum dp_credential_type type;
    bool
        injected; /* requests carry it in place of their own; else only what we ask for ourselves */
    bool sha256;  /* COUCHDB_PROXY: of its HMAC; else SHA-1 */
    size_t n;
    char text
        []; /* fields as they are written, "Name: value\r\n"; COUCHDB_PROXY: the secret. Wiped in the end. */
};

/* One reference; `text` is copied. NULL: out of memory. */
DP_MUST_USE struct dp_credential *dp_credential_new(enum dp_credential_type type, bool injected,
                                                    struct dp_span text);
struct dp_credential *dp_credential_ref(struct dp_credential *c); /* NULL is fine */
void dp_credential_unref(struct dp_credential *c);                /* NULL is fine */

static inline bool dp_credential_refused(const struct dp_credential *c)
{
    return atomic_load_explicit(&c->word, memory_order_relaxed) == DP_CREDENTIAL_REFUSED;
}
static inline struct dp_span dp_credential_text(const struct dp_credential *c)
{
    return (struct dp_span){c->text, c->n};
}
/* Say a word of it. True: it is worse than what was said before. */
bool dp_credential_say(struct dp_credential *c, enum dp_credential_word word);

#endif
