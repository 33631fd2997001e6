/* The intrusive list, forwards and backwards after every change. */
#include "davenport/base/attr.h"
#include "davenport/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    char name;
    struct dp_list node;
};

/* The list reads as `names` from both ends. */
static void check(struct dp_list *head, const char *names)
{
    char forwards[16], backwards[16];
    size_t n = 0, m = 0;
    for (struct dp_list *p = head->next; p != head; p = p->next)
        forwards[n++] = DP_CONTAINER_OF(p, struct item, node)->name;
    for (struct dp_list *p = head->prev; p != head; p = p->prev)
        backwards[m++] = DP_CONTAINER_OF(p, struct item, node)->name;
    forwards[n] = '\0';
    assert_string_equal(forwards, names);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(backwards[i], names[n - 1 - i]);
    assert_int_equal(dp_list_empty(head), n == 0);
}

static void test_list(void **state)
{
    (void)state;
    struct dp_list head, other;
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'}, d = {.name = 'd'};
    dp_list_init(&head);
    dp_list_init(&other);
    dp_list_init(&a.node);
    check(&head, "");
    dp_list_push_back(&head, &a.node);
    check(&head, "a");
    dp_list_push_back(&head, &b.node);
    dp_list_push_front(&head, &c.node);
    check(&head, "cab");
    dp_list_insert_after(&a.node, &d.node);
    check(&head, "cadb");
    dp_list_remove(&d.node); /* from the middle, */
    check(&head, "cab");
    dp_list_remove(&d.node); /* and once more does nothing */
    dp_list_remove(&d.node);
    check(&head, "cab");
    assert_true(dp_list_empty(&d.node));
    dp_list_remove(&c.node); /* the first */
    check(&head, "ab");
    dp_list_remove(&b.node); /* the last */
    check(&head, "a");
    dp_list_push_back(&other, &b.node);
    dp_list_push_back(&other, &c.node);
    dp_list_insert_after(&c.node, &d.node);
    check(&other, "bcd");
    check(&head, "a");
    dp_list_remove(&a.node); /* the only one */
    check(&head, "");
    dp_list_push_front(&head, &a.node);
    check(&head, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
