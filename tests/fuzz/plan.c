/* A drill's plan, what its guard is told, and a result that words are made of: whatever they are, nothing breaks. A plan that is taken
 * is in order, names regions that there are, and can be carried out to its end with everything undone.
 *
 * Input: a byte that chooses, then the text. */
#include "davenport/drill/conductor.h"

#include "app/drill_act.h"
#include "app/drill_plan.h"
#include "app/drill_result.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void acts_are_sound(const struct dp_drill_plan *plan, const struct dp_drill_step *s)
{
    const struct dp_act_context context = {.active = "left", .reason = "drill", .for_ms = 1};
    for (int undo = 0; undo < 2; undo++) {
        struct dp_act act;
        struct dp_act back;
        struct dp_text message = {0};
        bool something = dp_act_of(plan, s, undo != 0, &context, &act);
        fuzz_check(something || (undo && s->what == DP_DRILL_RUN), "only a command has no undo");
        dp_act_write(&act, &message);
        fuzz_check(!message.failed && dp_act_read(dp_text_span(&message), &back), "a message");
        fuzz_check(strcmp(dp_text_str(&act.command), dp_text_str(&back.command)) == 0 &&
                       strcmp(dp_text_str(&act.body), dp_text_str(&back.body)) == 0,
                   "the same act");
        fuzz_check(!something || act.command.n > 0 || (act.addr.n > 0 && act.path.p[0] == '/'),
                   "a command or a request");
        dp_act_fini(&act);
        dp_act_fini(&back);
        dp_text_fini(&message);
    }
}

static void can_be_carried_out(const struct dp_drill_plan *plan)
{
    struct dp_conductor c;
    struct dp_conductor_act act;
    unsigned begun = 0;
    unsigned undone = 0;
    const uint64_t end_ms = plan->load.seconds * 1000;
    dp_conductor_init(&c, plan);
    for (uint64_t now = 0; now < end_ms; now = dp_conductor_wake_ms(&c)) {
        while (dp_conductor_next(&c, now, &act)) {
            begun += !act.undo;
            undone += act.undo;
            dp_conductor_done(&c, &act, true, now);
        }
    }
    dp_conductor_stop(&c, end_ms);
    while (dp_conductor_next(&c, end_ms, &act)) {
        fuzz_check(act.undo, "nothing begins at the end");
        undone++;
        dp_conductor_done(&c, &act, true, end_ms);
    }
    fuzz_check(begun == plan->n_steps && undone == begun && dp_conductor_is_over(&c),
               "every step is begun and undone");
}

static void a_plan(struct dp_span text)
{
    struct dp_problems problems;
    struct dp_plan_file *file = NULL;
    const struct dp_config_source source = {.text = text, .folder = "/nonexistent"};
    dp_problems_init(&problems, "f");
    enum dp_err err = dp_plan_parse(&source, &problems, &file);
    fuzz_check((err == DP_OK) == (problems.errors == 0) && (file != NULL) == (err == DP_OK),
               "a plan or problems");
    if (file) {
        const struct dp_drill_plan *p = &file->plan;
        for (uint16_t i = 0; i < p->n_steps; i++) {
            fuzz_check(i == 0 || p->steps[i - 1].at_ms <= p->steps[i].at_ms, "in order");
            fuzz_check(p->steps[i].region < p->n_regions || p->steps[i].what == DP_DRILL_RUN,
                       "a region");
            acts_are_sound(p, &p->steps[i]);
        }
        can_be_carried_out(p);
    }
    dp_plan_destroy(file);
    dp_problems_fini(&problems);
}

static void a_message(struct dp_span text)
{
    struct dp_act act;
    if (dp_act_read(text, &act)) {
        dp_act_fini(&act);
    }
}

static void a_result(struct dp_span text)
{
    struct dp_text words = {0};
    json_t *result = json_loadb(text.p, text.n, 0, NULL);
    dp_drill_summary(result, true, &words);
    fuzz_check(!words.failed, "words");
    dp_text_fini(&words);
    json_decref(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Files of this machine are not the input's to read. */
    if (size < 1 || memmem(data, size, "${", 2)) {
        return 0;
    }
    char *copy = fuzz_copy(data + 1, size - 1);
    const struct dp_span text = {copy, size - 1};
    if (data[0] == 'm') {
        a_message(text);
    } else if (data[0] == 'r') {
        a_result(text);
    } else {
        a_plan(text);
    }
    free(copy);
    return 0;
}
