/* The journal's file and ring. A torn last line (a crash, a full disk) is closed with a newline
 * before the next one is written, so that one bad line never spoils its neighbour. */
#include "control/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <uv.h>

#define TAIL_BYTES 65536

struct entry {
    char *text;
    size_t n;
};

struct dp_journal {
    char *path; /* NULL: memory only */
    const struct dp_clock *clock;
    int fd;        /* -1: not open */
    bool torn;     /* the file does not end with a newline */
    bool troubled; /* the last write failed, and was logged */
    uint64_t last_epoch;
    struct entry ring[DP_JOURNAL_RING];
    size_t next, count;
};

static void trouble(struct dp_journal *j, const char *what, int error)
{
    if (!j->troubled)
        dp_log(DP_LOG_ERROR, "journal_not_written", DP_KV_STR("path", j->path),
               DP_KV_STR("reason", what),
               DP_KV_STR("error", uv_strerror(uv_translate_sys_error(error))));
    j->troubled = true;
}

/* The epoch of one line, 0 when it is no line of ours. */
static uint64_t epoch_of(struct dp_span line)
{
    json_t *doc = json_loadb(line.p, line.n, 0, NULL);
    json_int_t epoch = json_integer_value(json_object_get(doc, "epoch"));
    json_decref(doc);
    return epoch > 0 ? (uint64_t)epoch : 0;
}

/* The newest line that can be read tells the epoch: lines are written in its order. */
static uint64_t last_epoch_in(const char *text, size_t n)
{
    while (n > 0) {
        const char *newline = memrchr(text, '\n', n);
        const char *begin = newline ? newline + 1 : text;
        uint64_t epoch = epoch_of((struct dp_span){begin, n - (size_t)(begin - text)});
        if (epoch)
            return epoch;
        n = newline ? (size_t)(newline - text) : 0;
    }
    return 0;
}

static void read_tail(struct dp_journal *j)
{
    struct stat st;
    if (fstat(j->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
        return;
    size_t want = st.st_size < TAIL_BYTES ? (size_t)st.st_size : TAIL_BYTES;
    char *tail = malloc(want);
    if (!tail)
        return;
    ssize_t got = pread(j->fd, tail, want, st.st_size - (off_t)want);
    if (got > 0) {
        j->torn = tail[got - 1] != '\n';
        j->last_epoch = last_epoch_in(tail, (size_t)got);
    }
    free(tail);
}

static bool open_file(struct dp_journal *j)
{
    if (j->fd >= 0)
        return true;
    j->fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (j->fd < 0) {
        trouble(j, "open", errno);
        return false;
    }
    read_tail(j);
    return true;
}

struct dp_journal *dp_journal_new(const char *path, const struct dp_clock *clock)
{
    struct dp_journal *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->clock = clock;
    j->fd = -1;
    if (!path)
        return j;
    j->path = strdup(path);
    if (!j->path) {
        free(j);
        return NULL;
    }
    (void)open_file(j);
    return j;
}

void dp_journal_free(struct dp_journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        (void)close(j->fd);
    for (size_t i = 0; i < DP_JOURNAL_RING; i++)
        free(j->ring[i].text);
    free(j->path);
    free(j);
}

uint64_t dp_journal_last_epoch(const struct dp_journal *j)
{
    return j->last_epoch;
}

/* All of it in one write, or the file is torn. */
static void write_file(struct dp_journal *j, const char *line, size_t n)
{
    char with_newline[DP_JOURNAL_LINE + 1];
    if (!j->path || !open_file(j))
        return;
    if (j->torn) {
        with_newline[0] = '\n';
        memcpy(with_newline + 1, line, n);
        line = with_newline;
        n++;
    }
    ssize_t done;
    do {
        done = write(j->fd, line, n);
    } while (done < 0 && errno == EINTR);
    if (done == (ssize_t)n) {
        if (j->troubled)
            dp_log(DP_LOG_INFO, "journal_written_again", DP_KV_STR("path", j->path));
        j->troubled = false;
        j->torn = false;
        return;
    }
    if (done > 0)
        j->torn = true;
    trouble(j, "write", done < 0 ? errno : ENOSPC);
}

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

void dp_journal_write(struct dp_journal *j, uint64_t epoch, const char *event,
                      const struct dp_kv *kv, size_t n)
{
    static const char tail_cut[] = ",\"cut\":true}\n";
    char line[DP_JOURNAL_LINE], ts[DP_TIME_TEXT];
    bool cut;
    dp_time_text(dp_clock_wall_ms(j->clock), ts);
    int head = snprintf(line, sizeof(line), "{\"ts\":\"%s\",\"epoch\":%" PRIu64 ",\"event\":\"%s\"",
                        ts, epoch, event);
    if (head < 0 || (size_t)head >= sizeof(line) - sizeof(tail_cut))
        return;
    size_t at = (size_t)head;
    at += dp_kv_write(line + at, sizeof(line) - sizeof(tail_cut) - at, kv, n, &cut);
    const char *tail = cut ? tail_cut : "}\n";
    memcpy(line + at, tail, strlen(tail));
    at += strlen(tail);
    remember(j, line, at - 1);
    write_file(j, line, at);
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
