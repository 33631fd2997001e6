/* The reload of admin_reload.h. */
#include "app/admin_reload.h"

#include "app/admin_orders.h"
#include "app/json_memory.h"

#include <jansson.h>

void dp_admin_reload(const struct dp_admin_source *source, const struct dp_admin_request *request,
                     struct dp_admin_answer *answer)
{
    char actor[DP_ACTOR_TEXT];
    if (request->body.n > 0) {
        json_t *body = json_loadb(request->body.p, request->body.n, JSON_REJECT_DUPLICATES, NULL);
        bool empty = json_is_object(body) && json_object_size(body) == 0;
        json_decref(body);
        if (!empty) {
            dp_admin_refuse(answer, 400, "bad_request", "the body must be {}, or none");
            return;
        }
    }
    dp_admin_actor(request->head, request->peer, actor);
    enum dp_err err = source->reload(source->ctx, actor, &answer->reload);
    if (err == DP_EAGAIN) {
        dp_admin_refuse_replaced(answer);
    } else if (err != DP_OK) {
        dp_admin_refuse(answer, 503, "shutting_down", "the proxy is ending");
    }
}

static json_t *lines_json(struct dp_span lines)
{
    json_t *all = json_array();
    struct dp_span line;
    while (lines.p && lines.n > 0) {
        line = dp_span_cut(&lines, '\n');
        if (line.n > 0) {
            (void)json_array_append_new(all, json_stringn(line.p, line.n));
        }
    }
    return all;
}

void dp_admin_tell_reload(const struct dp_admin_source *source, bool done, struct dp_span changes,
                          struct dp_span problems, struct dp_admin_answer *answer)
{
    const unsigned out_of_memory = dp_json_memory_refused();
    struct dp_report report;
    struct dp_span first = problems;
    json_t *root = json_object();
    source->report(source->ctx, &report);
    answer->status = done ? 200 : 409;
    answer->reload = 0;
    (void)json_object_set_new(root, "reload", json_string(done ? "done" : "refused"));
    (void)json_object_set_new(root, "epoch", json_integer((json_int_t)report.status.epoch));
    if (!done) {
        first = dp_span_cut(&first, '\n');
        (void)json_object_set_new(root, "error", json_string("reload_refused"));
        (void)json_object_set_new(root, "reason", json_stringn(first.p ? first.p : "", first.n));
    }
    (void)json_object_set_new(root, "changed", lines_json(done ? changes : DP_SPAN("")));
    (void)json_object_set_new(root, "problems", lines_json(problems));
    dp_text_clear(&answer->body);
    dp_text_json(&answer->body, root, JSON_COMPACT);
    json_decref(root);
    if (answer->body.failed || dp_json_memory_refused() != out_of_memory) {
        dp_admin_refuse(answer, 500, "out_of_memory", "the answer did not fit into memory");
    }
}
