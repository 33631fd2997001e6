/* Answers of our own: errors, and what this proxy knows better than any region. */
#include "proxy/exchange.h"
#include "proxy/forward.h"

static void count_refusal(struct dp_traffic *t, enum dp_err err)
{
    dp_counter_add(&t->refused, err != DP_OK);
    dp_counter_add(&t->refused_by[err], 1);
    dp_counter_add(&t->no_region, err == DP_ENOREGION);
    dp_counter_add(&t->outcome_unknown, err == DP_EUNKNOWNOUTCOME);
}

/* 0: there is no saying. */
static uint32_t retry_after_s(const struct dp_engine *e, enum dp_err err)
{
    if (err == DP_ENOREGION || err == DP_EPRIMARY || err == DP_ESTICKY || err == DP_ENAMED ||
        err == DP_EFOREIGNSEQ || err == DP_EFOREIGNBOOKMARK)
        return e->view->view->retry_after_s;
    return err == DP_ELIMIT || err == DP_ELINE || err == DP_ESHED || err == DP_EBUDGET
               ? DP_RETRY_SOON_S
               : 0;
}

void dp_exchange_answer_ourselves(struct dp_exchange *x, enum dp_err err,
                                  const struct dp_own_answer *own)
{
    struct dp_conn *c = x->conn;
    struct dp_engine *e = x->engine;
    const struct dp_span none = {NULL, 0};
    if (err == DP_EFOREIGNSEQ && x->couch.tokens == DP_TOKENS_BOOKMARK)
        err = DP_EFOREIGNBOOKMARK;
    if (!x->understood) /* what the client calls it may be sound all the same */
        dp_ids_choose(&x->ids, &x->request, e->config, &e->random, x->made);
    const struct dp_forward_own f = {
        .region = e->config->tells_region ? dp_exchange_region(x) : NULL,
        .attempts = e->config->tells_attempts ? x->attempts.count : 0,
        .err = err,
        .body = own ? own->body : none,
        .fields = own ? own->fields : none,
        .retry_after_s = retry_after_s(e, err),
        .date = dp_engine_date(e),
        .request_id = x->ids.request_id,
        .missed = x->missed,
        .head_only = x->request.method == DP_METHOD_HEAD,
        .keep_alive =
            x->request_complete && x->request.keep_alive && !e->draining && !dp_conn_spent(c),
        .client_minor = x->request.raw.p ? x->request.minor : 1,
    };
    struct dp_span answer = dp_forward_own(&x->arena, &f);
    if (!answer.p || dp_stream_write(c->stream, &answer, 1) != DP_OK) {
        x->end = answer.p ? DP_END_CLIENT_GONE : DP_END_ABORTED;
        dp_conn_abort(c, true);
        return;
    }
    const bool answers = own && !err;
    x->end = answers ? DP_END_ANSWERED : DP_END_REFUSED;
    x->reason = err;
    x->sent_bytes = f.head_only ? 0 : answers ? own->body.n : dp_forward_own_bytes(err);
    dp_exchange_count_answer(x, dp_forward_own_status(err));
    if (!answers)
        count_refusal(e->traffic, err);
    dp_exchange_set_phase(x, DP_PHASE_DONE);
    dp_conn_exchange_done(c, f.keep_alive);
}
