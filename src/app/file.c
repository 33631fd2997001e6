/* Small files, whole. */
#include "app/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void explain(char why[DP_FILE_WHY], const char *what, int code)
{
    char text[96];
    const char *reason = strerror_r(code, text, sizeof text);
    if (snprintf(why, DP_FILE_WHY, "%s: %s", what, reason) < 0) {
        why[0] = '\0';
    }
}

static enum dp_err read_all(int fd, size_t max_bytes, struct dp_text *out, char why[DP_FILE_WHY])
{
    char chunk[4096];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            explain(why, "cannot be read", errno);
            return DP_EIO;
        }
        if (n == 0) {
            return DP_OK;
        }
        if ((size_t)n > max_bytes - out->n) {
            explain(why, "cannot be read", EFBIG);
            return DP_EIO;
        }
        dp_text_add(out, (struct dp_span){chunk, (size_t)n});
        if (out->failed) {
            explain(why, "cannot be read", ENOMEM);
            return DP_EIO;
        }
    }
}

enum dp_err dp_file_read(const char *path, size_t max_bytes, struct dp_text *out,
                         char why[DP_FILE_WHY])
{
    dp_text_clear(out);
    if (strcmp(path, "-") == 0) {
        return read_all(STDIN_FILENO, max_bytes, out, why);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        explain(why, "cannot be opened", errno);
        return DP_EIO;
    }
    enum dp_err err = read_all(fd, max_bytes, out, why);
    close(fd);
    return err;
}

static bool write_all(int fd, struct dp_span s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        s.p += n;
        s.n -= (size_t)n;
    }
    return true;
}

enum dp_err dp_file_write(const char *path, struct dp_span s, char why[DP_FILE_WHY])
{
    struct dp_text temporary = {0};
    dp_text_addf(&temporary, "%s.%ld.new", path, (long)getpid());
    const char *name = dp_text_str(&temporary);
    enum dp_err err = DP_EIO;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        explain(why, "cannot be written", errno);
        goto cleanup;
    }
    bool good = write_all(fd, s);
    int code = errno;
    if (close(fd) != 0 && good) {
        good = false;
        code = errno;
    }
    if (good && rename(name, path) != 0) {
        good = false;
        code = errno;
    }
    if (!good) {
        explain(why, "cannot be written", code);
        (void)unlink(name);
        goto cleanup;
    }
    err = DP_OK;
cleanup:
    dp_text_fini(&temporary);
    return err;
}
