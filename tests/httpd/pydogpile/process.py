# SPDX-License-Identifier: Apache-2.0
"""A server process that is always ended by whoever started it."""
import os
import signal
import subprocess

STOP_SEC = 15


def children(pid):
    """The process ids of pid's living children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listing:
            return [int(word) for word in listing.read().split()]
    except OSError:
        return []


def alive(pid):
    """Whether pid runs; a zombie doesn't."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Process:
    """Runs args until stop(). Its own end, however sudden, ends the server."""

    def __init__(self, args, output, env=None):
        with open(output, "ab") as out:
            self.popen = subprocess.Popen(
                ["/usr/bin/setpriv", "--pdeathsig", "TERM", *args],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                start_new_session=True)
        self.pid = self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def kill(self, number=signal.SIGKILL):
        if self.running():
            os.kill(self.pid, number)

    def stop(self):
        """SIGTERM, then SIGKILL for what is left. Returns whether it obeyed."""
        family = children(self.pid)
        obeyed = True
        self.kill(signal.SIGTERM)
        try:
            self.popen.wait(STOP_SEC)
        except subprocess.TimeoutExpired:
            obeyed = False
            family += children(self.pid)
            self.kill()
            self.popen.wait()
        for pid in filter(alive, family):
            obeyed = False
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return obeyed
