/* setgroups, setgid, setuid, in this order; then no capability is left, and it is looked whether that is so. */
#include "app/privilege.h"

#include "davenport/base/log.h"
#include "davenport/base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct account {
    uid_t uid;
    gid_t gid;
};

static enum dp_err refuse(enum dp_err err, const char *key, const char *name, const char *why)
{
    dp_log(DP_LOG_ERROR, "start_failed", DP_KV_STR("what", key), DP_KV_STR("address", name),
           DP_KV_STR("reason", why));
    return err;
}

/* A name or a number. */
static enum dp_err find_user(const char *name, struct account *out)
{
    uint64_t number;
    const struct passwd *p = getpwnam(name);
    if (!p && dp_span_u64(dp_span_str(name), &number) && number < UINT32_MAX) {
        p = getpwuid((uid_t)number);
        if (!p) { /* a container's, that /etc/passwd does not have */
            *out = (struct account){(uid_t)number, (gid_t)number};
            return DP_OK;
        }
    }
    if (!p) {
        return refuse(DP_EINVAL, "user", name, "there is no such user");
    }
    *out = (struct account){p->pw_uid, p->pw_gid};
    return DP_OK;
}

static enum dp_err find_group(const char *name, gid_t *out)
{
    uint64_t number;
    const struct group *g = getgrnam(name);
    if (g) {
        *out = g->gr_gid;
        return DP_OK;
    }
    if (dp_span_u64(dp_span_str(name), &number) && number < UINT32_MAX) {
        *out = (gid_t)number;
        return DP_OK;
    }
    return refuse(DP_EINVAL, "group", name, "there is no such group");
}

/* The user may remove them at the end, and make them anew. Only what we bound: who may write in its folder could have put a link to
 * anything in its place. */
static bool give_file(const struct dp_socket_file *file, const struct account *a)
{
    struct stat st;
    if (!file->path) {
        return true;
    }
    const int fd = open(file->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    int error = fstat(fd, &st) != 0                                     ? errno
                : st.st_dev != file->device || st.st_ino != file->inode ? ESTALE
                : fchownat(fd, "", a->uid, a->gid, AT_EMPTY_PATH) != 0  ? errno
                                                                        : 0;
    (void)close(fd);
    errno = error;
    return error == 0;
}

static bool become(const struct account *a)
{
    return setgroups(1, &a->gid) == 0 && setresgid(a->gid, a->gid, a->gid) == 0 &&
           setresuid(a->uid, a->uid, a->uid) == 0;
}

/* As root too: who is told to become somebody else must not be able to go back. */
static bool is_changed(const struct account *a)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;
    return getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0 && r == a->uid &&
           e == a->uid && s == a->uid && gr == a->gid && ge == a->gid && gs == a->gid &&
           (a->uid == 0 || setuid(0) != 0);
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return syscall(SYS_capget, &head, data) != 0 || data[0].effective || data[0].permitted ||
           data[1].effective || data[1].permitted;
}

/* libcap would be a library for one call. */
static bool drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return !has_capabilities() || (syscall(SYS_capset, &head, none) == 0 && !has_capabilities());
}

static enum dp_err change(const struct dp_config *c, const struct dp_sockets *sockets)
{
    struct account a = {geteuid(), getegid()};
    const char *name = c->user ? c->user : c->group;
    enum dp_err err = c->user ? find_user(c->user, &a) : DP_OK;
    err = err == DP_OK && c->group ? find_group(c->group, &a.gid) : err;
    if (err != DP_OK || (a.uid == geteuid() && a.gid == getegid() && a.uid != 0)) {
        return err; /* it is so already */
    }
    if (geteuid() != 0) {
        return refuse(DP_EIO, c->user ? "user" : "group", name,
                      "only root can become somebody else");
    }
    if (!give_file(&sockets->traffic_file, &a) || !give_file(&sockets->admin_file, &a) ||
        !become(&a)) {
        return refuse(DP_EIO, c->user ? "user" : "group", name, strerror(errno));
    }
    if (!is_changed(&a)) {
        return refuse(DP_EIO, c->user ? "user" : "group", name, "the change could be undone");
    }
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as one that was started as this user */
    return DP_OK;
}

enum dp_err dp_privilege_drop(const struct dp_config *c, const struct dp_sockets *sockets)
{
    if (c->user || c->group) {
        enum dp_err err = change(c, sockets);
        if (err != DP_OK) {
            return err;
        }
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return refuse(DP_EIO, "user", "no_new_privs", strerror(errno));
    }
    /* Root without a user to become is the operator's choice, in a container for instance. */
    if (geteuid() != 0 && !drop_capabilities()) {
        return refuse(DP_EIO, "user", "capabilities", strerror(errno));
    }
    return DP_OK;
}
