/* Becoming another user, in a process of its own: whose the sockets' files are then, and that nothing else is given away. As root; who
 * is not is refused. */
#include "davenport/base/log.h"
#include "davenport/net/listener.h"

#include "app/privilege.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OTHER 4711

static char folder[] = "/tmp/davenport-privilege-XXXXXX";
static char path[64], victim[64];

/* True: it became the other user. */
static bool drop(const struct dp_socket_file *file)
{
    static char user[] = "4711";
    const struct dp_config config = {.user = user};
    const struct dp_sockets sockets = {.traffic_file = *file};
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dp_log_set_fd(-1);
        _exit(dp_privilege_drop(&config, &sockets) == DP_OK && geteuid() == OTHER ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static uid_t owner(const char *of)
{
    struct stat st;
    assert_int_equal(lstat(of, &st), 0);
    return st.st_uid;
}

static void test_files(void **state)
{
    const bool root = geteuid() == 0;
    struct dp_socket_file file;
    const char *why;
    int fd;
    (void)state;
    assert_int_equal(dp_listen_unix(path, 0600, &fd, &file, &why), DP_OK);
    assert_int_equal(drop(&file), root);
    assert_int_equal(owner(path), root ? OTHER : geteuid());

    const int made = open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(made >= 0 && close(made) == 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(victim, path), 0);
    assert_false(drop(&file));
    assert_int_equal(owner(victim), geteuid());
    assert_int_equal(owner(path), geteuid());
    assert_int_equal(unlink(path), 0);
    assert_int_equal(link(victim, path), 0); /* another file, not a link to follow */
    assert_false(drop(&file));
    assert_int_equal(owner(victim), geteuid());
    (void)close(fd);
}

static int make_folder(void **state)
{
    (void)state;
    return !mkdtemp(folder) || snprintf(path, sizeof path, "%s/sock", folder) < 0 ||
           snprintf(victim, sizeof victim, "%s/victim", folder) < 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(victim);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files)};
    return cmocka_run_group_tests_name("privilege", tests, make_folder, remove_folder);
}
