/* Timer classes: lists in the order of deadlines, because all timers of a class last equally long.
 */
#include "davenport/net/timer.h"

#include "davenport/base/attr.h"
#include "davenport/base/clock.h"

void dp_timer_wheel_init(struct dp_timer_wheel *w, uint64_t now_ns)
{
    dp_list_init(&w->classes);
    w->now_ns = now_ns;
}

void dp_timer_class_init(struct dp_timer_wheel *w, struct dp_timer_class *c, uint32_t duration_ms)
{
    dp_list_init(&c->timers);
    c->duration_ns = duration_ms * DP_NS_PER_MS;
    dp_list_push_back(&w->classes, &c->node);
}

void dp_timer_class_change(struct dp_timer_class *c, uint32_t duration_ms)
{
    const uint64_t old_ns = c->duration_ns;
    c->duration_ns = duration_ms * DP_NS_PER_MS;
    for (struct dp_list *n = c->timers.next, *next; n != &c->timers; n = next) {
        struct dp_timer *t = DP_CONTAINER_OF(n, struct dp_timer, node);
        next = n->next;
        if (c->duration_ns == 0)
            dp_list_remove(&t->node);
        else
            t->deadline_ns = t->deadline_ns - old_ns + c->duration_ns;
    }
}

void dp_timer_init(struct dp_timer *t, void (*fire)(struct dp_timer *))
{
    dp_list_init(&t->node);
    t->deadline_ns = 0;
    t->fire = fire;
}

void dp_timer_arm(const struct dp_timer_wheel *w, struct dp_timer_class *c, struct dp_timer *t)
{
    dp_list_remove(&t->node);
    if (c->duration_ns == 0)
        return;
    t->deadline_ns = w->now_ns + c->duration_ns;
    dp_list_push_back(&c->timers, &t->node);
}

void dp_timer_disarm(struct dp_timer *t)
{
    dp_list_remove(&t->node);
}

void dp_timer_wheel_advance(struct dp_timer_wheel *w, uint64_t now_ns)
{
    w->now_ns = now_ns;
    for (struct dp_list *n = w->classes.next; n != &w->classes; n = n->next) {
        struct dp_timer_class *c = DP_CONTAINER_OF(n, struct dp_timer_class, node);
        /* Only timers that were there when we began: one that is armed anew while it fires has a
         * later deadline, so the loop ends. */
        while (!dp_list_empty(&c->timers)) {
            struct dp_timer *t = DP_CONTAINER_OF(c->timers.next, struct dp_timer, node);
            if (t->deadline_ns > now_ns)
                break;
            dp_list_remove(&t->node);
            t->fire(t);
        }
    }
}
