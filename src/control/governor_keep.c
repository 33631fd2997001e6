/* What must outlive us, in the state file beside the journal: the orders that stand, with their ends in wall time,
 * and a bound above every epoch that was told. The bound is kept some epochs ahead, so that even a process that
 * is killed between a decision and its journal line leaves no epoch to be told twice.
 *
 *   {"version":1,"epoch_below":17,"frozen":{…},"drained":{"eu":{"actor":…,"reason":…,"since_ms":…,"until_ms":…}},
 *    "pinned":{"region":"us","forced":false,…},"home":"us","active":"us","unsettled":{"eu":1},"down":["https://…"]}
 *
 * Active and unsettled (with the number of falls) are there after a failover: what a region lacks it lacks after our restart
 * too, so a restart is no way around the hold, the gate or an operator's word. Endpoints that are down begin so, and probes
 * clear them: so a process that takes over, or one after a crash, does not send requests there to find it out again. */
#include "control/governor_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* How near the bound may come. */
#define EPOCHS_NEAR 4

/* ---- keeping ---- */

static json_t *note_json(const struct dp_standing *s)
{
    return json_pack("{s:s, s:s, s:I, s:I}", "actor", s->actor, "reason", s->reason, "since_ms",
                     (json_int_t)s->since_wall_ms, "until_ms", (json_int_t)s->until_wall_ms);
}

static json_t *state_json(const struct dp_governor *g)
{
    const struct dp_failover_state *f = &g->failover;
    json_t *root = json_pack("{s:i, s:I}", "version", 1, "epoch_below", (json_int_t)g->epoch_below);
    json_t *drained = json_object();
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        if (f->drained[i])
            (void)json_object_set_new(drained, g->config->regions[i].name,
                                      note_json(&g->drained[i]));
    }
    (void)json_object_set_new(root, "drained", drained);
    if (f->frozen)
        (void)json_object_set_new(root, "frozen", note_json(&g->frozen));
    if (f->home != 0) /* an operator chose another than the most preferred */
        (void)json_object_set_new(root, "home", json_string(g->config->regions[f->home].name));
    if (f->active != 0 && f->active != DP_NO_REGION)
        (void)json_object_set_new(root, "active", json_string(g->config->regions[f->active].name));
    json_t *unsettled = json_object();
    for (uint16_t i = 0; i < g->config->n_regions; i++) {
        if (f->unsettled[i] && i != f->active)
            (void)json_object_set_new(unsettled, g->config->regions[i].name,
                                      json_integer(f->falls[i]));
    }
    (void)json_object_set_new(root, "unsettled", unsettled);
    json_t *down = json_array();
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        if (!governor_vacant(g, i) && g->endpoints[i].health.health == DP_HEALTH_DOWN)
            (void)json_array_append_new(down, json_string(g->config->endpoints[i].url));
    }
    (void)json_object_set_new(root, "down", down);
    if (f->pinned) {
        json_t *pin = note_json(&g->pin);
        (void)json_object_set_new(pin, "region", json_string(g->config->regions[f->active].name));
        (void)json_object_set_new(pin, "forced", json_boolean(f->forced));
        (void)json_object_set_new(root, "pinned", pin);
    }
    return root;
}

void governor_keep(struct dp_governor *g, bool last)
{
    uint64_t next = governor_next_epoch(g);
    if (last)
        g->epoch_below = next;
    else if (next + EPOCHS_NEAR > g->epoch_below)
        g->epoch_below = next + DP_EPOCHS_AHEAD;
    if (!g->config->journal_path) /* there is no file for it */
        return;
    json_t *root = state_json(g);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (text && (!g->kept || strcmp(text, g->kept) != 0)) {
        dp_journal_keep(g->journal, dp_span_str(text));
        free(g->kept);
        g->kept = text;
        return;
    }
    free(text);
}

/* ---- taking up ---- */

static void take_text(const json_t *object, const char *key, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(out, cap, "%s", text ? text : "");
}

/* Wall time to ours: what ended meanwhile ends at the first look, and no set-back clock makes it longer than it was. */
static uint64_t take_note(const struct dp_governor *g, const json_t *note, struct dp_standing *s)
{
    int64_t now_ms = dp_clock_wall_ms(g->clock);
    *s = (struct dp_standing){.on = true};
    take_text(note, "actor", s->actor, sizeof(s->actor));
    take_text(note, "reason", s->reason, sizeof(s->reason));
    s->since_wall_ms = json_integer_value(json_object_get(note, "since_ms"));
    s->until_wall_ms = json_integer_value(json_object_get(note, "until_ms"));
    if (s->until_wall_ms <= 0) {
        s->until_wall_ms = 0;
        return 0;
    }
    int64_t left_ms = s->until_wall_ms - now_ms;
    int64_t whole_ms = s->until_wall_ms - s->since_wall_ms;
    if (left_ms > whole_ms)
        left_ms = whole_ms;
    return governor_now(g) + (left_ms > 0 ? (uint64_t)left_ms * DP_NS_PER_MS : 1);
}

static bool region_named(const struct dp_governor *g, const char *name, uint16_t *out)
{
    for (uint16_t i = 0; name && i < g->config->n_regions; i++) {
        if (strcmp(name, g->config->regions[i].name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void take_drains(struct dp_governor *g, json_t *drained)
{
    const char *name;
    json_t *note;
    json_object_foreach (drained, name, note) {
        uint16_t i;
        if (!region_named(g, name, &i)) {
            dp_log(DP_LOG_WARN, "drain_forgotten", DP_KV_STR("region", name),
                   DP_KV_STR("reason", "there is no such region in the configuration any more"));
            continue;
        }
        g->failover.drained[i] = true;
        g->orders.drained_until_ns[i] = take_note(g, note, &g->drained[i]);
    }
}

static void take_pin(struct dp_governor *g, const json_t *pin)
{
    uint16_t i;
    if (!region_named(g, json_string_value(json_object_get(pin, "region")), &i) ||
        g->failover.drained[i])
        return;
    g->failover.active = i;
    g->failover.pinned = true;
    g->failover.forced = json_is_true(json_object_get(pin, "forced"));
    g->orders.pinned_until_ns = take_note(g, pin, &g->pin);
}

static void take_place(struct dp_governor *g, json_t *root)
{
    const char *name;
    json_t *falls;
    uint16_t i;
    if (region_named(g, json_string_value(json_object_get(root, "active")), &i) &&
        !g->failover.drained[i])
        g->failover.active = i;
    json_object_foreach (json_object_get(root, "unsettled"), name, falls) {
        if (!region_named(g, name, &i) || i == g->failover.active)
            continue;
        json_int_t n = json_integer_value(falls);
        g->failover.unsettled[i] = true;
        g->failover.falls[i] = (uint8_t)(n < 0 ? 0 : n > UINT8_MAX ? UINT8_MAX : n);
    }
}

static bool is_among(const json_t *texts, const char *text)
{
    size_t i;
    const json_t *one;
    json_array_foreach (texts, i, one) {
        const char *s = json_string_value(one);
        if (s && strcmp(s, text) == 0)
            return true;
    }
    return false;
}

/* Not where that would be all: then it is as likely that it was us who were cut off, and nothing is known. */
static void take_health(struct dp_governor *g, const json_t *down)
{
    bool any_left = false;
    for (uint16_t i = 0; i < g->config->n_endpoints; i++) {
        if (governor_vacant(g, i))
            continue;
        g->endpoints[i].down_before = is_among(down, g->config->endpoints[i].url);
        any_left = any_left || !g->endpoints[i].down_before;
    }
    for (uint16_t i = 0; i < g->config->n_endpoints && !any_left; i++)
        g->endpoints[i].down_before = false;
}

void governor_restore(struct dp_governor *g)
{
    struct dp_span text = dp_journal_state(g->journal);
    if (text.n == 0)
        return;
    json_t *root = json_loadb(text.p, text.n, 0, NULL);
    json_int_t below = json_integer_value(json_object_get(root, "epoch_below"));
    if (!json_is_object(root) || below <= 0) {
        g->state_unread = true;
        dp_log(DP_LOG_ERROR, "state_not_read", DP_KV_STR("path", g->config->journal_path),
               DP_KV_STR("reason", "the state file beside the journal is damaged: what operators "
                                   "ordered before is not known; order it again"));
        json_decref(root);
        return;
    }
    g->epoch_below = (uint64_t)below;
    const json_t *frozen = json_object_get(root, "frozen");
    const json_t *pinned = json_object_get(root, "pinned");
    take_drains(g, json_object_get(root, "drained"));
    if (json_is_object(frozen)) {
        g->failover.frozen = true;
        g->orders.frozen_until_ns = take_note(g, frozen, &g->frozen);
    }
    (void)region_named(g, json_string_value(json_object_get(root, "home")), &g->failover.home);
    take_place(g, root);
    take_health(g, json_object_get(root, "down"));
    if (json_is_object(pinned))
        take_pin(g, pinned);
    json_decref(root);
}
