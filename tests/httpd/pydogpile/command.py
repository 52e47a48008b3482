# SPDX-License-Identifier: Apache-2.0
"""The command dogpile-lock, run by tests."""
import os
import pathlib
import signal
import subprocess

from .server import MODULE
from .wait import DEADLINE_SEC, until

BINARY = MODULE.parents[1] / "bin/dogpile-lock"

# Says that it runs, and ends when its standard input does.
HOLD = ["sh", "-c", "echo in; exec cat >/dev/null"]

# Of the tests' own, whatever the environment says.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name != "DOGPILE_LOCK_CONFIG"}


def run(*args, before=(), env=None):
    """To its end; (exit code, standard output, standard error)."""
    done = subprocess.run([*before, str(BINARY), *map(str, args)],
                          capture_output=True, text=True,
                          timeout=DEADLINE_SEC, stdin=subprocess.DEVNULL,
                          env={**ENVIRONMENT, **(env or {})})
    return done.returncode, done.stdout, done.stderr


class Running:
    """The command in the background; its output goes to files in `folder`."""

    count = 0

    def __init__(self, folder, *args, command=None):
        Running.count += 1
        base = pathlib.Path(folder) / f"command-{Running.count}"
        self.out = base.with_suffix(".out")
        self.err = base.with_suffix(".err")
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.popen = subprocess.Popen(
                ["/usr/bin/env", "--default-signal", "/usr/bin/setpriv",
                 "--pdeathsig", "KILL", str(BINARY),
                 *map(str, args), "--", *(command or HOLD)],
                stdin=subprocess.PIPE, stdout=out, stderr=err,
                env=ENVIRONMENT)
        self.pid = self.popen.pid

    def has_begun(self):
        return "in\n" in self.out.read_text()

    def begun(self):
        """Returns when the command runs, so that the lock is held."""
        until(lambda: self.has_begun() or self.popen.poll() is not None,
              "the command runs")
        assert self.has_begun(), self.said()
        return self

    def said(self):
        return self.err.read_text()

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def end(self):
        """Lets the command end; the exit code of dogpile-lock."""
        if self.popen.stdin:
            self.popen.stdin.close()
        return self.popen.wait(DEADLINE_SEC)

    def remove(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.end()
