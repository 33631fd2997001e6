/* Write, fsync, rename, and the folder too. */
#include "control/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void dp_sync_folder_of(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int n = snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path + 1) : 1,
                     slash ? path : ".");
    int fd =
        n > 0 && (size_t)n < sizeof(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

int dp_replace_file(const char *path, const char *spare, mode_t mode, struct dp_span text)
{
    int fd = open(spare, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool good = fd >= 0;
    size_t at = 0;
    while (good && at < text.n) {
        ssize_t done = write(fd, text.p + at, text.n - at);
        if (done >= 0)
            at += (size_t)done;
        else
            good = errno == EINTR;
    }
    good = good && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && rename(spare, path) != 0) {
        good = false;
        error = errno;
    }
    if (!good)
        return error;
    dp_sync_folder_of(path);
    return 0;
}
