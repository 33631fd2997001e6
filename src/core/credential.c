/* A credential's life. */
#include "davenport/core/credential.h"

#include <stdlib.h>
#include <string.h>

const char *dp_credential_type_name(enum dp_credential_type t)
{
    static const char *const names[] = {
#define X(name, label) label,
        DP_CREDENTIAL_TABLE(X)
#undef X
    };
    return t < DP_CREDENTIAL_TYPE_COUNT ? names[t] : "?";
}

struct dp_credential *dp_credential_new(enum dp_credential_type type, bool injected,
                                        struct dp_span text)
{
    struct dp_credential *c = calloc(1, sizeof(*c) + text.n);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    atomic_init(&c->word, DP_CREDENTIAL_FINE);
    c->type = type;
    c->injected = injected;
    c->n = text.n;
    if (text.n > 0)
        memcpy(c->text, text.p, text.n);
    return c;
}

struct dp_credential *dp_credential_ref(struct dp_credential *c)
{
    if (c)
        (void)atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void dp_credential_unref(struct dp_credential *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(c->text, c->n);
    free(c);
}

bool dp_credential_say(struct dp_credential *c, enum dp_credential_word word)
{
    int was = atomic_load_explicit(&c->word, memory_order_relaxed);
    while (was < (int)word) {
        if (atomic_compare_exchange_weak_explicit(&c->word, &was, (int)word, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}
