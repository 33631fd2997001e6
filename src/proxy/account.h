/* What is counted of an exchange, and its line in the access log. Nothing is decided here. */
#ifndef DAVENPORT_SRC_PROXY_ACCOUNT_H
#define DAVENPORT_SRC_PROXY_ACCOUNT_H

struct dp_exchange;

/* Its region's answer is whole. */
void dp_account_answer(struct dp_exchange *x);
/* It is over, however it ended: called once, last. */
void dp_account_end(struct dp_exchange *x);

#endif
