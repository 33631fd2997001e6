/* Runs a fuzz target without a fuzzer: every input of the folders named, then so many changes of each, the same
 * ones every time. For builds whose compiler has no libFuzzer, and for reproducers.
 *
 * usage: replay_<target> [-mutations=N] <file or folder>... */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 65536
#define PATH_TEXT 4096

#pragma weak LLVMFuzzerInitialize

static unsigned long mutations, runs;

static uint32_t next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void run_one(const uint8_t *data, size_t n)
{
    uint8_t *copy = (uint8_t *)fuzz_copy(data, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    runs++;
}

/* Flip, set, remove or double a few bytes in place. Returns the new size. */
static size_t mutate(uint8_t *data, size_t n, uint32_t *seed)
{
    for (uint32_t left = 1 + next(seed) % 4; left > 0 && n > 0; left--) {
        const size_t at = next(seed) % n;
        const size_t many = 1 + next(seed) % 8;
        const size_t count = many < n - at ? many : n - at;
        switch (next(seed) % 4) {
        case 0:
            data[at] = (uint8_t)(data[at] ^ 1U << next(seed) % 8);
            break;
        case 1:
            data[at] = (uint8_t)next(seed);
            break;
        case 2:
            memmove(data + at, data + at + count, n - at - count);
            n -= count;
            break;
        default:
            if (n + count > INPUT_MAX)
                break;
            memmove(data + at + count, data + at, n - at);
            n += count;
            break;
        }
    }
    return n;
}

static bool run_file(const char *path)
{
    static uint8_t input[INPUT_MAX], changed[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return false;
    }
    const size_t n = fread(input, 1, sizeof(input), f);
    (void)fclose(f); /* it was only read */
    run_one(input, n);
    uint32_t seed = 2463534242U;
    for (unsigned long i = 0; i < mutations; i++) {
        memcpy(changed, input, n);
        run_one(changed, mutate(changed, n, &seed));
    }
    return true;
}

static bool run_folder(const char *path, DIR *folder)
{
    const struct dirent *e;
    bool ok = true;
    while ((e = readdir(folder)) != NULL) {
        char file[PATH_TEXT];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        ok = run_file(file) && ok;
    }
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = true;
    if (LLVMFuzzerInitialize)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-mutations=", 11) == 0) {
            mutations = strtoul(argv[i] + 11, NULL, 10);
            continue;
        }
        DIR *folder = opendir(argv[i]);
        ok = (folder ? run_folder(argv[i], folder) : run_file(argv[i])) && ok;
        if (folder)
            (void)closedir(folder);
    }
    (void)printf("%lu runs\n", runs);
    return ok && runs > 0 ? 0 : 1;
}
