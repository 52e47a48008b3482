/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work as another user, and directories for it. Called by the parent when the
 * server starts, by one thread, before there are children.
 *
 * The child process answers with one message through a pipe, smaller than
 * PIPE_BUF and so never in pieces; a child that dies without one is a failure.
 *
 * Invariant: nothing that root gives away (fchown) was found by a name that
 * the user could have changed: it was made here, and opened without following
 * links, before anything above it was given away.
 */
#include "base/tryas.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"

#define WORK_MSEC 5000
/* A killed child ends at once unless it hangs in the kernel; then it is left
 * to whoever reaps this process's children. */
#define REAP_TRIES 50
#define REAP_PAUSE_USEC 2000
/* More levels than that were never meant. */
#define LEVELS_MAX 64

typedef struct answer_t {
    apr_status_t status;
    char why[DP_WHY_BYTES];
} answer_t;

/* Who the work is done as: looked up before the fork. */
typedef struct user_t {
    apr_uid_t uid;
    apr_gid_t gid;
    const char *name; /* NULL where it has none */
} user_t;

static apr_status_t become(const user_t *user, char *why)
{
    if (geteuid() != 0) {
        return APR_SUCCESS;
    }
    if (setgid(user->gid) != 0
        || (user->name ? initgroups(user->name, user->gid) : setgroups(0, NULL))
               != 0
        || setuid(user->uid) != 0) {
        snprintf(why, DP_WHY_BYTES, "cannot become user %ld: %s",
                 (long)user->uid, strerror(errno));
        return errno;
    }
    return APR_SUCCESS;
}

static void run_child(const user_t *user, dp_work_fn *work, void *baton, int fd)
{
    answer_t answer;

    memset(&answer, 0, sizeof(answer));
    answer.status = become(user, answer.why);
    if (answer.status == APR_SUCCESS) {
        answer.status = work(baton, answer.why);
    }
    if (write(fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer)) {
        _exit(1);
    }
    _exit(0);
}

/* What the child says within its time. */
static apr_status_t receive(answer_t *answer, int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    apr_time_t end = apr_time_now() + apr_time_from_msec(WORK_MSEC);
    int left = WORK_MSEC;
    int ready;

    do {
        ready = poll(&wanted, 1, left);
        left = (int)((end - apr_time_now()) / 1000);
    } while (ready < 0 && errno == EINTR && left > 0);
    if (ready <= 0) {
        apr_cpystrn(answer->why, "no answer within five seconds",
                    sizeof(answer->why));
        return APR_TIMEUP;
    }
    if (read(fd, answer, sizeof(*answer)) != (ssize_t)sizeof(*answer)) {
        apr_cpystrn(answer->why, "the trying process died",
                    sizeof(answer->why));
        return APR_EGENERAL;
    }
    return answer->status;
}

static void reap(pid_t child)
{
    int i;

    for (i = 0; i < REAP_TRIES; i++) {
        pid_t ended = waitpid(child, NULL, WNOHANG);

        if (ended == child || (ended < 0 && errno != EINTR)) {
            return;
        }
        usleep(REAP_PAUSE_USEC);
    }
}

static user_t user_of(apr_uid_t uid, apr_gid_t gid, apr_pool_t *pool)
{
    user_t user = {.uid = uid, .gid = gid, .name = NULL};
    const struct passwd *entry;

    if (geteuid() != 0) {
        user.uid = geteuid();
    }
    entry = getpwuid(user.uid);
    if (entry != NULL) {
        user.name = apr_pstrdup(pool, entry->pw_name);
    }
    return user;
}

static apr_status_t as_user(const user_t *user, dp_work_fn *work, void *baton,
                            const char **why, apr_pool_t *pool)
{
    answer_t answer;
    apr_status_t status;
    pid_t child;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        status = errno;
        *why = apr_psprintf(pool, "pipe: %s", strerror(status));
        return status;
    }
    child = fork();
    if (child == 0) {
        run_child(user, work, baton, ends[1]);
    }
    status = errno;
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        *why = apr_psprintf(pool, "fork: %s", strerror(status));
        return status;
    }
    status = receive(&answer, ends[0]);
    if (status == APR_TIMEUP) {
        kill(child, SIGKILL);
    }
    close(ends[0]);
    reap(child);
    answer.why[DP_WHY_BYTES - 1] = '\0';
    *why = status == APR_SUCCESS ? NULL : apr_pstrdup(pool, answer.why);
    return status;
}

apr_status_t dp_as_user(apr_uid_t uid, apr_gid_t gid, dp_work_fn *work,
                        void *baton, const char **why, apr_pool_t *pool)
{
    user_t user = user_of(uid, gid, pool);

    return as_user(&user, work, baton, why, pool);
}

/* A probe: what is tried, for whom, with which two names. */
typedef struct probe_t {
    const char *directory;
    unsigned wants;
    const char *user; /* "user www-data (33)" */
    const char *first;
    const char *second;
} probe_t;

/* Says what failed. A directory above that can't be entered is named, since
 * it is where the administrator has to look. */
static apr_status_t failed(const probe_t *probe, const char *what,
                           apr_status_t status, char *why)
{
    char above[APR_PATH_MAX];
    char *slash;

    apr_cpystrn(above, probe->directory, sizeof(above));
    slash = status == EACCES ? strchr(above + 1, '/') : NULL;
    for (; slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (access(above, X_OK) != 0) {
            apr_snprintf(why, DP_WHY_BYTES, "%s may not enter %s: %s",
                         probe->user, above, strerror(errno));
            return status;
        }
        *slash = '/';
    }
    snprintf(why, DP_WHY_BYTES, "%s may not %s in %s: %s", probe->user, what,
             probe->directory, strerror(status));
    return status;
}

/* Two opens of one file exclude each other only where flock works. */
static apr_status_t try_flock(int fd, const char *path)
{
    apr_status_t status;
    int second = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (second < 0) {
        return errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno;
    }
    else {
        status = flock(second, LOCK_EX | LOCK_NB) == 0 ? ENOLCK : errno;
    }
    close(second);
    return status == EWOULDBLOCK ? APR_SUCCESS : status;
}

static apr_status_t try_file(const probe_t *probe, int fd, char *why)
{
    apr_status_t status = APR_SUCCESS;

    if (write(fd, "dogpile\n", 8) != 8) {
        return failed(probe, "write a file", errno, why);
    }
    if (probe->wants & DP_TRY_FLOCK) {
        status = try_flock(fd, probe->first);
    }
    if (status != APR_SUCCESS) {
        return failed(probe, "lock a file with flock", status, why);
    }
    if (rename(probe->first, probe->second) != 0) {
        return failed(probe, "rename a file", errno, why);
    }
    if ((probe->wants & DP_TRY_LINK)
        && link(probe->second, probe->first) != 0) {
        return failed(probe, "link a file", errno, why);
    }
    return APR_SUCCESS;
}

static apr_status_t try_directory(void *baton, char why[DP_WHY_BYTES])
{
    const probe_t *probe = baton;
    int fd = open(probe->first,
                  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    apr_status_t status;

    if (fd < 0) {
        return failed(probe, "create a file", errno, why);
    }
    status = try_file(probe, fd, why);
    close(fd);
    /* One of the names is gone already unless linking worked. */
    if ((unlink(probe->first) != 0 && errno != ENOENT)
        || (unlink(probe->second) != 0 && errno != ENOENT)) {
        return status ? status : failed(probe, "remove a file", errno, why);
    }
    return status;
}

apr_status_t dp_try_as(apr_uid_t uid, apr_gid_t gid, const char *directory,
                       unsigned wants, const char **why, apr_pool_t *pool)
{
    user_t user = user_of(uid, gid, pool);
    probe_t probe = {.directory = directory, .wants = wants};
    char hex[DP_ID_HEX_BYTES];
    dogpile_id_t id;

    dp_id_make(&id);
    dp_hex(hex, id.bytes, sizeof(id.bytes));
    probe.user =
        apr_psprintf(pool, "user %s (%ld)",
                     user.name ? user.name : "without a name", (long)user.uid);
    probe.first = apr_psprintf(pool, "%s/.try-%s", directory, hex);
    probe.second = apr_pstrcat(pool, probe.first, "-renamed", NULL);
    return as_user(&user, try_directory, &probe, why, pool);
}

/* Directories made by one call, from the top. */
typedef struct made_t {
    int fds[LEVELS_MAX];
    int count;
} made_t;

/* The directory `name` in `*fd`, which it replaces; made where missing. */
static apr_status_t step_down(int *fd, const char *name, made_t *made)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int below;

    if (mkdirat(*fd, name, 0700) == 0) {
        below = openat(*fd, name, flags | O_NOFOLLOW);
        if (below >= 0) {
            made->fds[made->count++] = below;
            below = dup(below);
        }
    }
    else {
        /* Not only EEXIST: EROFS and EACCES are also said of a directory
         * that is there, and need not be readable to be passed through. */
        int why = errno;

        below = openat(*fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        errno = below < 0 && errno == ENOENT ? why : errno;
    }
    if (below < 0) {
        return errno;
    }
    close(*fd);
    *fd = below;
    return APR_SUCCESS;
}

/* Modes and owners last, when everything is made. */
static apr_status_t give(const made_t *made, unsigned mode, int last_made,
                         apr_uid_t uid, apr_gid_t gid)
{
    apr_status_t status = APR_SUCCESS;
    int i;

    for (i = made->count - 1; i >= 0; i--) {
        int is_last = last_made && i == made->count - 1;

        if ((geteuid() == 0 && fchown(made->fds[i], uid, gid) != 0)
            || fchmod(made->fds[i], is_last ? mode : 0755) != 0) {
            status = errno;
        }
        close(made->fds[i]);
    }
    return status;
}

apr_status_t dp_make_directory(const char *directory, unsigned mode,
                               apr_uid_t uid, apr_gid_t gid, int *made,
                               apr_pool_t *scratch_pool)
{
    char *rest = apr_pstrdup(scratch_pool, directory);
    made_t all = {.count = 0};
    apr_status_t status = APR_SUCCESS;
    apr_status_t given;
    char *name;
    int last_made = 0;
    int levels = 0;
    int fd;

    if (directory[0] != '/') {
        return APR_EINVAL;
    }
    fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    for (name = apr_strtok(rest, "/", &rest); name && !status;
         name = apr_strtok(NULL, "/", &rest)) {
        int before = all.count;

        status = levels++ < LEVELS_MAX ? step_down(&fd, name, &all)
                                       : APR_ENAMETOOLONG;
        last_made = all.count > before;
    }
    close(fd);
    given = give(&all, mode, last_made, uid, gid);
    if (made != NULL) {
        *made = last_made;
    }
    return status ? status : given;
}
