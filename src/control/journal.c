/* The journal's lines and ring, and what it finds of its earlier life. A torn last line (a crash, a full disk) is
 * passed over when reading. */
#include "control/journal.h"

#include "control/journal_writer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <uv.h>

#define TAIL_BYTES  262144
#define STATE_BYTES 65536
#define WAIT_MS     1

struct entry {
    char *text;
    size_t n;
};

struct dp_journal {
    struct dp_journal_options opt;
    struct dp_journal_writer *writer; /* NULL: memory only, or stopped */
    uint64_t last_epoch, ticket, lost, lost_untold;
    char *state; /* as found */
    size_t state_bytes;
    struct entry ring[DP_JOURNAL_RING];
    size_t next, count;
    bool away;        /* the file is another process's, or about to be */
    size_t unwritten; /* lines since then */
};

static void remember(struct dp_journal *j, const char *line, size_t n)
{
    struct entry *e = &j->ring[j->next];
    char *text = malloc(n);
    if (!text)
        return; /* the file has it */
    memcpy(text, line, n);
    free(e->text);
    *e = (struct entry){text, n};
    j->next = (j->next + 1) % DP_JOURNAL_RING;
    if (j->count < DP_JOURNAL_RING)
        j->count++;
}

/* ---- what was found ---- */

/* The last `max` bytes of a regular file, to be freed; NULL when there are none. */
static char *read_tail(const char *path, size_t max, size_t *n)
{
    struct stat st;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        size_t want = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
        text = malloc(want);
        ssize_t got = text ? pread(fd, text, want, st.st_size - (off_t)want) : -1;
        if (got <= 0) {
            free(text);
            text = NULL;
        }
        *n = got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    return text;
}

/* A line of ours has an epoch; what is torn or foreign has none. */
static void take_line(struct dp_journal *j, struct dp_span line)
{
    json_t *doc = json_loadb(line.p, line.n, 0, NULL);
    json_int_t epoch = json_integer_value(json_object_get(doc, "epoch"));
    bool ours = epoch > 0 && json_is_string(json_object_get(doc, "event"));
    json_decref(doc);
    if (epoch > 0 && (uint64_t)epoch > j->last_epoch)
        j->last_epoch = (uint64_t)epoch;
    if (ours)
        remember(j, line.p, line.n);
}

static void take_tail(struct dp_journal *j, const char *path)
{
    size_t n = 0;
    char *text = read_tail(path, TAIL_BYTES, &n);
    struct dp_span rest = {text, n};
    if (!text)
        return;
    while (rest.p)
        take_line(j, dp_span_cut(&rest, '\n'));
    free(text);
}

/* The file, and the one before it, since the file may be fresh from a rotation. */
static void take_files(struct dp_journal *j, const char *state_path)
{
    char before[4096];
    if (snprintf(before, sizeof(before), "%s.1", j->opt.path) < (int)sizeof(before))
        take_tail(j, before);
    take_tail(j, j->opt.path);
    if (state_path)
        j->state = read_tail(state_path, STATE_BYTES, &j->state_bytes);
}

/* ---- life ---- */

/* Beside a file. A pipe or a device has none: it keeps nothing. */
static bool name_state(const char *path, char *buf, size_t cap)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return false;
    return snprintf(buf, cap, "%s.state", path) < (int)cap;
}

static struct dp_journal_writer *writer_of(const struct dp_journal_options *opt)
{
    char state_path[4096];
    const struct dp_journal_files files = {
        .path = opt->path,
        .state_path = name_state(opt->path, state_path, sizeof(state_path)) ? state_path : NULL,
        .max_bytes = opt->max_bytes,
        .keep = opt->keep};
    return dp_journal_writer_new(&files, opt->saved, opt->ctx);
}

struct dp_journal *dp_journal_new(const struct dp_journal_options *opt)
{
    struct dp_journal *j = calloc(1, sizeof(*j));
    char state_path[4096];
    if (!j)
        return NULL;
    j->opt = *opt;
    if (!opt->path)
        return j;
    const char *state = name_state(opt->path, state_path, sizeof(state_path)) ? state_path : NULL;
    take_files(j, state);
    j->writer = writer_of(opt);
    if (!j->writer) {
        dp_journal_free(j);
        return NULL;
    }
    return j;
}

void dp_journal_stop(struct dp_journal *j)
{
    dp_journal_writer_end(j->writer);
    j->writer = NULL;
}

void dp_journal_hand_over(struct dp_journal *j)
{
    if (!j->writer)
        return;
    j->away = true;
    j->unwritten = 0;
    dp_journal_writer_finish(j->writer);
}

bool dp_journal_handed_over(const struct dp_journal *j)
{
    return !j->writer || dp_journal_writer_finished(j->writer);
}

void dp_journal_free(struct dp_journal *j)
{
    if (!j)
        return;
    dp_journal_stop(j);
    for (size_t i = 0; i < DP_JOURNAL_RING; i++)
        free(j->ring[i].text);
    free(j->state);
    free(j);
}

uint64_t dp_journal_last_epoch(const struct dp_journal *j)
{
    return j->last_epoch;
}

struct dp_span dp_journal_state(const struct dp_journal *j)
{
    return (struct dp_span){j->state, j->state_bytes};
}

/* ---- writing ---- */

/* One line with its newline into `line`; its length, 0 when not even its head fits. */
static size_t format(const struct dp_journal *j, char line[DP_JOURNAL_LINE], uint64_t epoch,
                     const char *event, const struct dp_kv *kv, size_t n)
{
    static const char tail_cut[] = ",\"cut\":true}\n";
    char ts[DP_TIME_TEXT];
    bool cut;
    dp_time_text(dp_clock_wall_ms(j->opt.clock), ts);
    int head = snprintf(line, DP_JOURNAL_LINE,
                        "{\"ts\":\"%s\",\"epoch\":%" PRIu64 ",\"event\":\"%s\"", ts, epoch, event);
    if (head < 0 || (size_t)head >= DP_JOURNAL_LINE - sizeof(tail_cut))
        return 0;
    size_t at = (size_t)head;
    at += dp_kv_write(line + at, DP_JOURNAL_LINE - sizeof(tail_cut) - at, kv, n, &cut);
    const char *tail = cut ? tail_cut : "}\n";
    memcpy(line + at, tail, strlen(tail));
    return at + strlen(tail);
}

static bool queue(struct dp_journal *j, const char *line, size_t n)
{
    uint64_t ticket = dp_journal_writer_line(j->writer, (struct dp_span){line, n});
    if (ticket)
        j->ticket = ticket;
    return ticket != 0;
}

/* Once there is room again, the file says itself that it lacks lines. */
static void tell_lost(struct dp_journal *j, uint64_t epoch)
{
    char line[DP_JOURNAL_LINE];
    const struct dp_kv kv[] = {
        DP_KV_STR("actor", "governor"),
        DP_KV_STR("reason", "the disk was away for so long that lines found the queue full"),
        DP_KV_INT("lost", j->lost_untold),
    };
    size_t n = format(j, line, epoch, "journal_overflow", kv, DP_ARRAY_LEN(kv));
    if (queue(j, line, n))
        j->lost_untold = 0;
}

void dp_journal_write(struct dp_journal *j, uint64_t epoch, const char *event,
                      const struct dp_kv *kv, size_t n)
{
    char line[DP_JOURNAL_LINE];
    size_t bytes = format(j, line, epoch, event, kv, n);
    if (bytes == 0)
        return;
    remember(j, line, bytes - 1);
    if (j->opt.line)
        j->opt.line(j->opt.ctx, (struct dp_span){line, bytes - 1});
    if (j->away)
        j->unwritten++;
    if (!j->writer || j->away)
        return;
    if (j->lost_untold)
        tell_lost(j, epoch);
    if (j->lost_untold || !queue(j, line, bytes)) {
        if (j->lost_untold++ == 0)
            dp_log(DP_LOG_ERROR, "journal_overflow", DP_KV_STR("path", j->opt.path),
                   DP_KV_STR("reason", "its queue is full; lines are lost to the file"));
        j->lost++;
    }
}

enum dp_err dp_journal_take_back(struct dp_journal *j)
{
    if (!j->away)
        return DP_OK;
    j->away = false;
    if (!dp_journal_writer_resume(j->writer)) {
        dp_journal_stop(j);
        return DP_ENOMEM;
    }
    for (size_t n = j->unwritten < j->count ? j->unwritten : j->count; n > 0; n--) {
        const struct entry *e = &j->ring[(j->next + DP_JOURNAL_RING - n) % DP_JOURNAL_RING];
        char line[DP_JOURNAL_LINE];
        memcpy(line, e->text, e->n);
        line[e->n] = '\n';
        j->lost += !queue(j, line, e->n + 1);
    }
    return DP_OK;
}

void dp_journal_keep(struct dp_journal *j, struct dp_span state)
{
    uint64_t ticket = j->writer && !j->away ? dp_journal_writer_state(j->writer, state) : 0;
    if (ticket)
        j->ticket = ticket;
}

uint64_t dp_journal_ticket(const struct dp_journal *j)
{
    return j->writer ? j->ticket : 0;
}

bool dp_journal_saved(const struct dp_journal *j, uint64_t ticket)
{
    return j->writer && dp_journal_writer_done(j->writer) >= ticket;
}

bool dp_journal_wait(const struct dp_journal *j, uint32_t ms)
{
    uint64_t by = uv_hrtime() + ms * DP_NS_PER_MS;
    while (!dp_journal_saved(j, j->ticket)) {
        if (!j->writer || uv_hrtime() > by)
            return false;
        uv_sleep(WAIT_MS);
    }
    return true;
}

void dp_journal_reopen(struct dp_journal *j)
{
    if (j->writer)
        dp_journal_writer_reopen(j->writer);
}

struct dp_journal_health dp_journal_health(const struct dp_journal *j)
{
    struct dp_journal_health h = {.file = j->writer != NULL, .lost = j->lost};
    if (j->writer)
        h.waiting = dp_journal_writer_waiting(j->writer, &h.troubled);
    return h;
}

size_t dp_journal_lines(const struct dp_journal *j, struct dp_span *lines, size_t max)
{
    size_t n = j->count < max ? j->count : max;
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &j->ring[(j->next + DP_JOURNAL_RING - n + i) % DP_JOURNAL_RING];
        lines[i] = (struct dp_span){e->text, e->n};
    }
    return n;
}
