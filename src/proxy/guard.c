/* The guard of our own credentials: what requests carry, and what happens when a region refuses it. CouchDB locks a user
 * out after five wrong passwords from one address, so the first refusal is the last: the mark is on the credential, which
 * all workers and the control plane share. */
#include "davenport/couch/login.h"

#include "proxy/exchange.h"

struct dp_proof dp_exchange_proof(const struct dp_exchange *x, uint16_t endpoint)
{
    const struct dp_view *v = x->view->view;
    const struct dp_view_region *r = &v->regions[v->endpoints[endpoint].region];
    return (struct dp_proof){.injected = r->injected, .credential = r->credential, .user = x->user};
}

bool dp_exchange_login_said(struct dp_exchange *x, uint16_t endpoint, uint16_t status,
                            struct dp_span body)
{
    struct dp_engine *e = x->engine;
    const struct dp_view *v = x->view->view;
    struct dp_credential *c = v->regions[v->endpoints[endpoint].region].credential;
    enum dp_couch_login said = c ? dp_couch_login_said(status, body) : DP_LOGIN_FINE;
    /* Without a password a region may take what it does not believe for nobody at all. */
    if (c && said == DP_LOGIN_FINE && status == 401 && c->type != DP_CREDENTIAL_BASIC)
        said = DP_LOGIN_UNSURE;
    if (said == DP_LOGIN_FINE)
        return false;
    const bool refused = said == DP_LOGIN_REFUSED;
    if (dp_credential_say(c, refused ? DP_CREDENTIAL_REFUSED : DP_CREDENTIAL_DOUBTED) && e->kick)
        e->kick(e->kick_ctx);
    dp_counter_add(&e->traffic->credentials_refused, refused);
    return refused;
}

bool dp_exchange_login_refused(struct dp_exchange *x, struct dp_span body)
{
    if (!dp_exchange_login_said(x, x->endpoint, x->response.status, body))
        return false;
    x->wrote_any = x->wrote_before; /* it did nothing */
    dp_exchange_attempt_failed(x, DP_OUTCOME_CREDENTIALS, DP_ECREDENTIALS);
    return true;
}
