/* Bookmarks through the engine: out with their region's name, and back to the region that they are of, if they are of one. */
#include "davenport/base/attr.h"

#include "support/nomem.h"
#include "support/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void begin(struct rig *r)
{
    rig_init(r, 2);
    r->config.tags_sequences = true;
    r->config.whole_answer_bytes = 0;
}

/* Of a text index as dreyfus makes it: a triple a shard. Of a JSON index, as recorded. */
#define TEXT_MARK "g2wAAAABaANkAAFubAAAAAJhAGEBamEAag"
#define KEY_MARK  "g2wAAAACaAJkAA5zdGFydGtleV9kb2NpZG0AAAADZDA0aAJkAAhzdGFydGtleWsAAQRq"

static struct rig_peer *search(struct rig *r, const char *body, struct rig_peer **up)
{
    char text[1000];
    (void)snprintf(text, sizeof(text),
                   "POST /db/_find HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    return rig_request(r, text, up);
}

static void a_page_tells_where_it_is_from(void **state)
{
    (void)state;
    struct rig r;
    struct rig_peer *up;
    begin(&r);
    rig_start(&r);
    struct rig_peer *c = search(&r, "{\"selector\":{}}", &up);
    assert_string_equal(strstr(up->got, "\r\n\r\n") + 4, "{\"selector\":{}}");
    rig_send(up,
             "HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{\"docs\":[],\"bookmark\":\"g2wAAA\"}");
    assert_non_null(strstr(c->got, "\"bookmark\":\"g2wAAA~r0\"}"));
    rig_fini(&r);
}

/* The next one, after the traffic went to r1: what is good there only is asked there, the rest where all else goes. */
static void the_next_page_is_asked_for_where_its_bookmark_is_good(void **state)
{
    static const struct {
        const char *mark, *bare, *ip;
    } rows[] = {
        {TEXT_MARK "~r0", TEXT_MARK, "10.0.0.0"},
        {TEXT_MARK "~r1", TEXT_MARK, "10.0.0.1"},
        {KEY_MARK "~r0", KEY_MARK, "10.0.0.1"},
        {KEY_MARK "~gone", KEY_MARK, "10.0.0.1"},
        {KEY_MARK, KEY_MARK, "10.0.0.1"},
        {TEXT_MARK, TEXT_MARK, "10.0.0.1"},
        {"nil", "nil", "10.0.0.1"},
    };
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(rows); i++) {
        for (int get = 0; get < 2; get++) {
            char text[400], want[500];
            struct rig r;
            struct rig_peer *up;
            begin(&r);
            rig_start(&r);
            rig_publish(&r, 0, DP_ROUTE_OK, 1);
            print_message("bookmark %zu%s\n", i, get ? ", in the query" : "");
            if (get) {
                (void)snprintf(text, sizeof(text),
                               "/db/_design/x/_search/y?q=a&bookmark=%s&limit=2", rows[i].mark);
                (void)snprintf(want, sizeof(want), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", text);
                (void)rig_request(&r, want, &up);
                (void)snprintf(want, sizeof(want),
                               "GET /db/_design/x/_search/y?q=a&bookmark=%s&limit=2 HTTP/1.1\r\n",
                               rows[i].bare);
                assert_memory_equal(up->got, want, strlen(want));
            } else {
                (void)snprintf(text, sizeof(text),
                               "{\"selector\":{\"a\":\"~r0\"}, \"bookmark\" : \"%s\"}",
                               rows[i].mark);
                (void)search(&r, text, &up);
                (void)snprintf(want, sizeof(want),
                               "{\"selector\":{\"a\":\"~r0\"}, \"bookmark\" : \"%s\"}",
                               rows[i].bare);
                assert_string_equal(strstr(up->got, "\r\n\r\n") + 4, want);
                (void)snprintf(want, sizeof(want), "\r\nContent-Length: %zu\r\n",
                               strlen(text) - strlen(rows[i].mark) + strlen(rows[i].bare));
                assert_non_null(strstr(up->got, want));
            }
            assert_string_equal(up->ip, rows[i].ip);
            rig_fini(&r);
        }
    }
}

/* Its region is away, or there is none of that name: nowhere else, whatever becomes of sequences. */
static void a_foreign_bookmark_is_refused(void **state)
{
    static const char *const marks[] = {TEXT_MARK "~r0", TEXT_MARK "~gone"};
    (void)state;
    for (size_t i = 0; i < DP_ARRAY_LEN(marks); i++) {
        char text[400];
        struct rig r;
        begin(&r);
        r.config.foreign_sequence = DP_FOREIGN_REWIND;
        rig_start(&r);
        rig_publish(&r, 0, DP_ROUTE_BARRED, 1);
        struct rig_peer *c = rig_client(&r);
        (void)snprintf(text, sizeof(text),
                       "GET /db/_design/x/_search/y?q=a&bookmark=%s HTTP/1.1\r\nHost: a\r\n\r\n",
                       marks[i]);
        rig_send(c, text);
        assert_non_null(strstr(c->got, "HTTP/1.1 503 "));
        assert_non_null(strstr(c->got, "\"foreign_bookmark\""));
        assert_int_equal(r.n_regions, 0);
        assert_int_equal(dp_counter_get(&r.traffic.refused_by[DP_EFOREIGNBOOKMARK]), 1);
        rig_fini(&r);
    }
}

/* Who names a region itself is told by it what it makes of another's. */
static void a_named_region_has_the_last_word(void **state)
{
    static const struct {
        const char *mark, *sent;
    } rows[] = {{TEXT_MARK "~r0", TEXT_MARK "~r0"},
                {TEXT_MARK "~r1", TEXT_MARK},
                {KEY_MARK "~r0", KEY_MARK}};
    (void)state;
    for (size_t i = 0; i < 2 * DP_ARRAY_LEN(rows); i++) {
        char text[600];
        struct rig r;
        struct rig_peer *up;
        begin(&r);
        r.config.named_by_header = true;
        rig_start(&r);
        const char *mark = rows[i / 2].mark;
        if (i % 2)
            (void)snprintf(text, sizeof(text),
                           "GET /db/_design/x/_search/y?bookmark=%s HTTP/1.1\r\nHost: a\r\n"
                           "Davenport-Region: r1\r\n\r\n",
                           mark);
        else
            (void)snprintf(
                text, sizeof(text),
                "POST /db/_find HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                "Davenport-Region: r1\r\nContent-Length: %zu\r\n\r\n{\"bookmark\":\"%s\"}",
                strlen(mark) + 15, mark);
        (void)rig_request(&r, text, &up);
        assert_string_equal(up->ip, "10.0.0.1");
        (void)snprintf(text, sizeof(text), i % 2 ? "bookmark=%s HTTP" : "{\"bookmark\":\"%s\"}",
                       rows[i / 2].sent);
        assert_non_null(strstr(up->got, text));
        rig_fini(&r);
    }
}

static void every_allocation_of_a_search_may_fail(void **state)
{
    static const char body[] = "{\"bookmark\":\"" TEXT_MARK "~r0\"}";
    (void)state;
    bool happened = true;
    unsigned k = 1;
    for (; happened; k++) {
        char text[400];
        struct rig r;
        assert_true(k < 100);
        begin(&r);
        rig_start(&r);
        nomem_at(k);
        struct rig_peer *c = rig_client(&r);
        (void)snprintf(text, sizeof(text),
                       "POST /db/_find HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       sizeof(body) - 1, body);
        if (!c->closed)
            rig_send(c, text);
        if (r.n_regions > 0 && !r.regions[0]->closed)
            rig_connect(r.regions[0], DP_OK);
        const char *sent = r.n_regions > 0 ? strstr(r.regions[0]->got, "\r\n\r\n") : NULL;
        happened = nomem_happened();
        nomem_at(0);
        if (!happened)
            assert_string_equal(sent + 4, "{\"bookmark\":\"" TEXT_MARK "\"}");
        rig_fini(&r);
    }
    assert_in_range(k, 8, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_tells_where_it_is_from),
        cmocka_unit_test(the_next_page_is_asked_for_where_its_bookmark_is_good),
        cmocka_unit_test(a_foreign_bookmark_is_refused),
        cmocka_unit_test(a_named_region_has_the_last_word),
        cmocka_unit_test(every_allocation_of_a_search_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
