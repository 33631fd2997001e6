/* Who keeps the sequence maps.
 *
 *   look ───┐
 *   mark ──► maps ──► [tick] a new snapshot ──► workers
 *              └────► [tick] text ──► [pool] write, fsync, rename
 *
 * A snapshot is made at a tick, so that marks of many databases make one; but what was forgotten is told at once, for a
 * mark that does not hold any more may skip changes. At most one write is under way. */
#include "davenport/control/sequences.h"

#include "davenport/base/log.h"

#include "control/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uv.h>

#define FILE_NAME   "sequences"
#define FILE_MODE   0640
#define FOLDER_MODE 0750
/* Larger than any that is written: what is bigger is none. */
#define FILE_BYTES (4 * (size_t)DP_SEQMAPS_BYTES)

struct dp_sequences {
    struct dp_sequences_options opt;
    struct dp_seqmaps *maps;
    struct dp_seqview *view;
    uint64_t published, looks; /* of the maps: what the view is of */
    uint64_t saved, saving;    /* and what the file is of */
    uint64_t marks_told;
    char *path, *spare; /* NULL: no file */
    uint64_t save_at_ns;
    int64_t saved_ms;
    bool troubled;
    bool ending, timer_closed;
    bool away; /* the file is another's, or becomes it once what is under way is written */
    void (*handed)(void *ctx); /* to be told then; NULL: nobody, or told */
    void *handed_ctx;
    uv_timer_t tick;
    uv_work_t work; /* a write is under way while text is there */
    char *text;
    size_t text_bytes;
    int error; /* of the write */
};

static void release(struct dp_sequences *s)
{
    dp_seqview_unref(s->view);
    dp_seqmaps_free(s->maps);
    free(s->path);
    free(s->spare);
    free(s);
}

static void ended(struct dp_sequences *s)
{
    if (s->timer_closed && !s->text)
        release(s);
}

/* ---- to the workers ---- */

static void publish(struct dp_sequences *s)
{
    const uint64_t version = dp_seqmaps_version(s->maps), looks = dp_seqmaps_looks(s->maps);
    struct dp_seqview *v =
        version != s->published || looks != s->looks ? dp_seqmaps_view(s->maps) : NULL;
    if (!v)
        return; /* nothing new, or at the next tick */
    dp_seqview_unref(s->view);
    s->view = v;
    s->published = version;
    s->looks = looks;
    s->opt.publish(s->opt.ctx, v);
}

/* ---- the file ---- */

static void save(struct dp_sequences *s);

static void write_file(uv_work_t *work)
{
    struct dp_sequences *s = work->data;
    s->error =
        dp_replace_file(s->path, s->spare, FILE_MODE, (struct dp_span){s->text, s->text_bytes});
}

/* Nothing of ours is under way any more. */
static void hand_on(struct dp_sequences *s)
{
    void (*handed)(void *ctx) = s->handed;
    if (s->text || !handed)
        return;
    s->handed = NULL;
    handed(s->handed_ctx);
}

static void on_written(uv_work_t *work, int status)
{
    struct dp_sequences *s = work->data;
    free(s->text);
    s->text = NULL;
    if (status == 0 && s->error == 0) {
        s->saved = s->saving;
        s->saved_ms = dp_clock_wall_ms(s->opt.clock);
    } else if (!s->troubled) {
        dp_log(DP_LOG_ERROR, "sequences_not_written", DP_KV_STR("path", s->path),
               DP_KV_STR("error", strerrordesc_np(s->error)));
    }
    s->troubled = status != 0 || s->error != 0;
    if (s->handed && !s->ending) {
        if (!s->troubled)
            save(s); /* likewise */
        hand_on(s);
    }
    if (!s->ending)
        return;
    if (!s->troubled)
        save(s); /* what came while it was written */
    ended(s);
}

static void save(struct dp_sequences *s)
{
    const uint64_t version = dp_seqmaps_version(s->maps);
    if (!s->path || s->text || version == s->saved || (s->away && !s->handed))
        return;
    s->text = dp_seqmaps_write(s->maps, DP_SPAN(""), &s->text_bytes);
    if (!s->text)
        return; /* memory: later */
    s->saving = version;
    s->work.data = s;
    (void)uv_queue_work(s->opt.loop, &s->work, write_file,
                        on_written); /* has a callback: it can't fail */
}

/* Of a file that is open, at most FILE_BYTES. NULL: *why. */
static char *read_open(int fd, size_t *n, const char **why)
{
    struct stat st;
    char *text = NULL;
    *why = "it is no file, or too large";
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= FILE_BYTES) {
        text = malloc((size_t)st.st_size + 1);
        *why = "memory is out";
    }
    for (*n = 0; text && *n < (size_t)st.st_size;) {
        ssize_t got = read(fd, text + *n, (size_t)st.st_size - *n);
        if (got > 0) {
            *n += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            *why = "it could not be read";
            free(text);
            text = NULL;
        }
    }
    return text;
}

static void load(struct dp_sequences *s)
{
    const char *why = "";
    size_t n = 0;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return;
    char *text = fd >= 0 ? read_open(fd, &n, &why) : NULL;
    if (fd < 0)
        why = strerrordesc_np(errno);
    else
        (void)close(fd);
    if (!text || dp_seqmaps_read(s->maps, DP_SPAN(""), (struct dp_span){text, n}, &why) != DP_OK)
        dp_log(DP_LOG_WARN, "sequences_ignored", DP_KV_STR("path", s->path),
               DP_KV_STR("reason", why));
    free(text);
    s->saved = dp_seqmaps_version(s->maps);
}

/* False: out of memory. */
static bool name_files(struct dp_sequences *s, const char *folder)
{
    const size_t n = strlen(folder) + sizeof("/" FILE_NAME ".new");
    s->path = malloc(n);
    s->spare = malloc(n);
    if (!s->path || !s->spare)
        return false;
    (void)snprintf(s->path, n, "%s/" FILE_NAME, folder);
    (void)snprintf(s->spare, n, "%s/" FILE_NAME ".new", folder);
    (void)mkdir(folder, FOLDER_MODE); /* if it is not there then, writing will say so */
    return true;
}

/* ---- */

static void on_tick(uv_timer_t *timer)
{
    struct dp_sequences *s = timer->data;
    hand_on(s);
    const uint64_t now = dp_clock_mono_ns(s->opt.clock);
    publish(s);
    if (now < s->save_at_ns)
        return;
    s->save_at_ns = now + s->opt.save_ms * DP_NS_PER_MS;
    save(s);
}

static struct dp_span span_or_nothing(const char *text)
{
    return text ? dp_span_str(text) : (struct dp_span){NULL, 0};
}

/* The mark is of the replication from → to, so it is for who reads `to` and goes on in `from`. */
static void on_mark(void *ctx, const struct dp_replication_mark *m)
{
    struct dp_sequences *s = ctx;
    const struct dp_seqmaps_mark mark = {
        .database = dp_span_str(m->database),
        .from = dp_span_str(m->to),
        .to = dp_span_str(m->from),
        .token = m->token,
        .from_life = span_or_nothing(m->to_life),
        .to_life = span_or_nothing(m->from_life),
        .read_ms = m->read_wall_ms,
    };
    s->marks_told++;
    if (dp_seqmaps_add(s->maps, &mark) != DP_OK)
        dp_log(DP_LOG_WARN, "sequence_mark_lost", DP_KV_STR("database", m->database),
               DP_KV_STR("from", m->from), DP_KV_STR("to", m->to));
}

static void on_look(void *ctx, const struct dp_replication_look *l)
{
    const struct dp_sequences *s = ctx;
    dp_seqmaps_look(s->maps, dp_span_str(l->database), dp_span_str(l->region), l->update_seq,
                    l->asked_wall_ms, l->asked_ns);
}

static void on_anew(void *ctx, const char *database, const char *region)
{
    struct dp_sequences *s = ctx;
    dp_seqmaps_forget(s->maps, dp_span_str(database), dp_span_str(region));
    publish(s);
}

static char *on_share(void *ctx, const char *database)
{
    const struct dp_sequences *s = ctx;
    struct dp_seqmaps_row row;
    size_t n;
    bool any = false;
    for (size_t i = 0; !any && dp_seqmaps_row(s->maps, i, &row); i++)
        any = row.marks > 0 && strcmp(row.database, database) == 0;
    if (!any)
        return NULL;
    return dp_seqmaps_write(s->maps, dp_span_str(database), &n);
}

/* Who may write there may write documents too; but a text that is not whole is none. */
static void on_shared(void *ctx, const char *database, const char *region, struct dp_span text)
{
    struct dp_sequences *s = ctx;
    const char *why = "";
    if (dp_seqmaps_read(s->maps, dp_span_str(database), text, &why) != DP_OK)
        dp_log(DP_LOG_WARN, "sequences_ignored", DP_KV_STR("database", database),
               DP_KV_STR("region", region), DP_KV_STR("reason", why));
}

struct dp_replication_listener dp_sequences_listener(struct dp_sequences *s)
{
    return (struct dp_replication_listener){on_mark, on_look, on_anew, on_share, on_shared, s};
}

struct dp_seqview *dp_sequences_view(const struct dp_sequences *s)
{
    return s->view;
}

void dp_sequences_info(const struct dp_sequences *s, struct dp_sequences_info *out)
{
    *out = (struct dp_sequences_info){s->path, s->saved_ms, s->troubled, s->marks_told};
}

bool dp_sequences_row(const struct dp_sequences *s, size_t i, struct dp_seqmaps_row *out)
{
    return dp_seqmaps_row(s->maps, i, out);
}

enum dp_err dp_sequences_new(const struct dp_sequences_options *opt, struct dp_sequences **out)
{
    struct dp_sequences *s = calloc(1, sizeof(*s));
    if (!s)
        return DP_ENOMEM;
    s->opt = *opt;
    s->opt.folder = NULL; /* the caller's */
    s->maps = dp_seqmaps_new(&opt->maps);
    if (s->maps && opt->folder && name_files(s, opt->folder))
        load(s);
    const bool named = !opt->folder || s->spare;
    s->view = s->maps && named ? dp_seqmaps_view(s->maps) : NULL;
    if (!s->view) {
        release(s);
        return DP_ENOMEM;
    }
    s->published = dp_seqmaps_version(s->maps);
    (void)uv_timer_init(opt->loop, &s->tick); /* neither can fail */
    s->tick.data = s;
    (void)uv_timer_start(&s->tick, on_tick, opt->publish_ms, opt->publish_ms);
    *out = s;
    return DP_OK;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct dp_sequences *s = h->data;
    s->timer_closed = true;
    ended(s);
}

void dp_sequences_destroy(struct dp_sequences *s)
{
    if (!s)
        return;
    s->ending = true;
    save(s);
    uv_close((uv_handle_t *)&s->tick, on_timer_closed);
}

/* Told at the next tick where nothing is to be written, so never within this call. */
void dp_sequences_hand_over(struct dp_sequences *s, void (*done)(void *ctx), void *ctx)
{
    s->away = true;
    s->handed = done;
    s->handed_ctx = ctx;
    save(s);
}

void dp_sequences_take_back(struct dp_sequences *s)
{
    s->away = false;
    s->handed = NULL;
}
