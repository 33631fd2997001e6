/* Checkpoints after a failover: the first question for each is answered as if there were none, and only that. */
#include "davenport/base/attr.h"
#include "davenport/proxy/checkpoints.h"

#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD " HTTP/1.1\r\nHost: a\r\n\r\n"

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
static const char missing[] = "{\"error\":\"not_found\",\"reason\":\"missing\"}\n";

/* Traffic fled to r1 in epoch 7. */
static void setup(struct rig *r, struct dp_checkpoints *c)
{
    rig_init(r, 2);
    r->checkpoints = c;
    r->view->parted = 7;
    rig_start(r);
    rig_publish(r, 0, DP_ROUTE_DOWN, 1);
}

/* Did a region get it? */
static bool asks(struct rig *r, const char *request)
{
    const size_t before = r->n_regions;
    struct rig_peer *client = rig_client(r);
    rig_send(client, request);
    if (r->n_regions == before) {
        assert_non_null(strstr(client->got, "HTTP/1.1 404 "));
        if (strncmp(request, "HEAD", 4) != 0)
            assert_non_null(strstr(client->got, missing));
        return false;
    }
    struct rig_peer *region = rig_dialed(r, before + 1);
    rig_connect(region, DP_OK);
    rig_send(region, ok);
    assert_non_null(strstr(client->got, "HTTP/1.1 200 "));
    return true;
}

static void once_each(void **state)
{
    (void)state;
    struct dp_checkpoints *c = dp_checkpoints_new(1);
    struct rig r;
    setup(&r, c);
    assert_false(asks(&r, "GET /db/_local/a" HEAD));
    assert_true(asks(&r, "GET /db/_local/a" HEAD));
    assert_false(asks(&r, "GET /other/_local/a" HEAD));
    assert_false(asks(&r, "HEAD /db/_local/b" HEAD));
    assert_true(asks(&r, "GET /db/_local/b" HEAD));
    assert_false(asks(&r, "GET /db/_local%2Fc" HEAD));
    /* what was written since is new */
    assert_true(asks(&r, "PUT /db/_local/d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"));
    assert_true(asks(&r, "GET /db/_local/d" HEAD));
    /* no checkpoints */
    assert_true(asks(&r, "GET /db/doc" HEAD));
    assert_true(asks(&r, "GET /db/_local_docs" HEAD));
    assert_true(asks(&r, "GET /db/_design/a" HEAD));
    assert_int_equal(dp_counter_get(&r.traffic.checkpoints_forgotten), 4);
    rig_fini(&r);
    dp_checkpoints_free(c);
}

static void keeps_them(void **state)
{
    (void)state;
    struct dp_checkpoints *c = dp_checkpoints_new(1);
    struct rig r;
    setup(&r, NULL); /* checkpoints.after_failover: keep */
    assert_true(asks(&r, "GET /db/_local/a" HEAD));
    rig_fini(&r);
    rig_init(&r, 2); /* nobody fled */
    r.checkpoints = c;
    rig_start(&r);
    assert_true(asks(&r, "GET /db/_local/a" HEAD));
    rig_fini(&r);
    dp_checkpoints_free(c);
}

static void the_table(void **state)
{
    (void)state;
    struct dp_checkpoints *c = dp_checkpoints_new(99);
    const struct dp_span db = DP_SPAN("db"), a = DP_SPAN("_local/a");
    assert_true(dp_checkpoints_first(c, 7, db, a));
    assert_false(dp_checkpoints_first(c, 7, db, a));
    assert_true(dp_checkpoints_first(c, 8, db, a)); /* fled again */
    assert_false(dp_checkpoints_first(c, 8, db, a));
    assert_true(dp_checkpoints_first(c, 8, DP_SPAN("d"), DP_SPAN("b_local/a")));
    unsigned again = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 2000; i++) {
            char name[32];
            (void)snprintf(name, sizeof(name), "_local/%u", i);
            const bool first = dp_checkpoints_first(c, 9, db, dp_span_str(name));
            assert_true(first || pass == 1);
            again += first && pass == 1;
        }
    }
    assert_in_range(again, 0, 100);         /* fell out */
    for (unsigned i = 0; i < 100000; i++) { /* more than there is room for: it goes on */
        char name[32];
        (void)snprintf(name, sizeof(name), "_local/x%u", i);
        assert_true(dp_checkpoints_first(c, 9, db, dp_span_str(name)));
    }
    dp_checkpoints_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_each),
        cmocka_unit_test(keeps_them),
        cmocka_unit_test(the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
