/* An intrusive, doubly linked, circular list. The head is a node that belongs to no element.
 * A node that is in no list points at itself, so remove is idempotent. One thread. */
#ifndef DAVENPORT_BASE_LIST_H
#define DAVENPORT_BASE_LIST_H

#include <stdbool.h>

struct dp_list {
    struct dp_list *prev, *next;
};

static inline void dp_list_init(struct dp_list *n)
{
    n->prev = n->next = n;
}

static inline bool dp_list_empty(const struct dp_list *n)
{
    return n->next == n;
}

static inline void dp_list_insert_after(struct dp_list *at, struct dp_list *n)
{
    n->prev = at;
    n->next = at->next;
    at->next->prev = n;
    at->next = n;
}

static inline void dp_list_push_front(struct dp_list *head, struct dp_list *n)
{
    dp_list_insert_after(head, n);
}

static inline void dp_list_push_back(struct dp_list *head, struct dp_list *n)
{
    dp_list_insert_after(head->prev, n);
}

static inline void dp_list_remove(struct dp_list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    dp_list_init(n);
}

#endif
