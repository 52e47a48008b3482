/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command that runs under the lock. Its process is forked before any
 * connection, thread or lock exists, so that it inherits nothing of them, and
 * waits at a pipe until it may begin. If this process dies, whenever that is,
 * the kernel ends the command too: nobody would renew its lock.
 *
 * Called by the main thread. From the fork on the signals are held back here,
 * and so in every thread that is begun later, and waited for where nothing is
 * being done with the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/lock_tool.h"

/* What asks a process to end. */
static void set_of_ends(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGTERM);
}

static void wait_and_become(int gate, pid_t parent, char *const argv[],
                            const sigset_t *before)
{
    ssize_t got;
    int error;
    char go;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(EX_OSERR);
    }
    do {
        got = read(gate, &go, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) {
        _exit(EX_OSERR); /* nobody asks */
    }
    sigprocmask(SIG_SETMASK, before, NULL);
    execvp(argv[0], argv);
    error = errno;
    dp_tool_say("%s: %s", argv[0], strerror(error));
    _exit(error == ENOENT ? DP_EXIT_NOT_FOUND : DP_EXIT_NOT_RUN);
}

int dp_command_prepare(dp_command_t *command, char *const argv[])
{
    pid_t parent = getpid();
    sigset_t held_back;
    sigset_t before;
    int ends[2];

    set_of_ends(&held_back);
    sigaddset(&held_back, SIGCHLD);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        dp_tool_say("pipe: %s", strerror(errno));
        return EX_OSERR;
    }
    sigprocmask(SIG_BLOCK, &held_back, &before);
    command->pid = fork();
    if (command->pid == 0) {
        close(ends[1]);
        wait_and_become(ends[0], parent, argv, &before);
    }
    close(ends[0]);
    command->gate = ends[1];
    if (command->pid < 0) {
        dp_tool_say("fork: %s", strerror(errno));
        return EX_OSERR;
    }
    /* The command may die before it begins, and so may a lock server. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    return 0;
}

int dp_command_signal(apr_interval_time_t usec)
{
    struct timespec pause = {usec / APR_USEC_PER_SEC,
                             (long)(usec % APR_USEC_PER_SEC) * 1000};
    sigset_t ends;
    int signal_no;

    if (usec < 0) {
        pause.tv_sec = 0;
        pause.tv_nsec = 0;
    }
    set_of_ends(&ends);
    signal_no = sigtimedwait(&ends, NULL, &pause);
    return signal_no > 0 ? signal_no : 0;
}

/* A terminal sends its signals to the command as well; whatever else there is
 * was meant for whoever does the work. */
static void hand_on(const dp_command_t *command, const siginfo_t *info)
{
    if (info->si_code != SI_KERNEL) {
        kill(command->pid, info->si_signo);
    }
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? DP_EXIT_SIGNAL + WTERMSIG(status)
                               : WEXITSTATUS(status);
}

int dp_command_run(const dp_command_t *command)
{
    sigset_t wanted;
    siginfo_t info;
    int status = 0;

    set_of_ends(&wanted);
    sigaddset(&wanted, SIGCHLD);
    if (write(command->gate, "g", 1) != 1) {
        /* It has been killed; waitpid() says how. */
    }
    close(command->gate);
    while (waitpid(command->pid, &status, WNOHANG) != command->pid) {
        if (sigwaitinfo(&wanted, &info) > 0 && info.si_signo != SIGCHLD) {
            hand_on(command, &info);
        }
    }
    return code_of(status);
}
