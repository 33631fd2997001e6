/* From /proc. */
#include "app/instance.h"

#include "davenport/base/span.h"

#include "app/file.h"

#include <stdio.h>
#include <string.h>

/* Of proc(5)'s stat: starttime is its 22nd field, and the third is the first behind the name, which may hold anything. */
#define FIELDS_BEFORE_START 19

static struct dp_span start_of(struct dp_span stat)
{
    while (stat.n > 0 && stat.p[stat.n - 1] != ')') {
        stat.n--;
    }
    struct dp_span rest = {stat.p + stat.n, strlen(stat.p + stat.n)};
    (void)dp_span_cut(&rest, ' ');
    for (int i = 0; i < FIELDS_BEFORE_START; i++) {
        (void)dp_span_cut(&rest, ' ');
    }
    return dp_span_cut(&rest, ' ');
}

bool dp_instance_of(long pid, char out[DP_INSTANCE_TEXT])
{
    struct dp_text boot = {0};
    struct dp_text stat = {0};
    char path[64];
    char why[DP_FILE_WHY];
    uint64_t ticks = 0;
    out[0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    const bool told = dp_file_read(path, 4096, &stat, why) == DP_OK && stat.n > 0 &&
                      dp_span_u64(start_of((struct dp_span){dp_text_str(&stat), stat.n}), &ticks);
    if (told) {
        if (dp_file_read("/proc/sys/kernel/random/boot_id", 64, &boot, why) != DP_OK) {
            dp_text_clear(&boot); /* it is not there under systemd's ProcSubset=pid */
        }
        (void)snprintf(out, DP_INSTANCE_TEXT, "%.36s:%llu", dp_text_str(&boot),
                       (unsigned long long)ticks);
    }
    dp_text_fini(&boot);
    dp_text_fini(&stat);
    return told;
}

bool dp_instance_same(const char *a, const char *b)
{
    const char *ticks_a = strchr(a, ':');
    const char *ticks_b = strchr(b, ':');
    const bool both_boots = *a != ':' && *b != ':';
    return ticks_a && ticks_b && strcmp(both_boots ? a : ticks_a, both_boots ? b : ticks_b) == 0;
}
