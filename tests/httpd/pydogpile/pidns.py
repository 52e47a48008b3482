# SPDX-License-Identifier: Apache-2.0
"""A container's view of processes: pid namespaces. Needs root."""
import contextlib
import ctypes
import os

CLONE_NEWPID = 0x20000000
NEXT = "/proc/thread-self/ns/pid_for_children"
LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def container():
    """The first process that is started within has number 1, and all that it
    starts are numbered from there. Its /proc remains ours, as where a
    container has mounted none of its own. No threads may be started."""
    home = os.open(NEXT, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(LIBC.unshare(CLONE_NEWPID))
        yield
    finally:
        _check(LIBC.setns(home, CLONE_NEWPID))
        os.close(home)
