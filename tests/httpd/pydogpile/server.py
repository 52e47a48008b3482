# SPDX-License-Identifier: Apache-2.0
"""A real httpd for one test: its own ports, folder and children.

The test gives configuration as text. httpd's own variables stand for what is
only known at run time:

    ${DIR}     a folder httpd may write to    ${PORT}    where it listens
    ${REPO}    the top of the source tree     ${MODULES} httpd's own modules
    and what define={...} names
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from . import ports
from .log import ErrorLog
from .process import Process, alive, children
from .status import Status
from .wait import settled, until

APACHE = "/usr/sbin/apache2"
MODULES = "/usr/lib/apache2/modules"
REPO = pathlib.Path(__file__).resolve().parents[3]
MODULE = pathlib.Path(os.environ.get(
    "DOGPILE_MODULE", REPO / "build/modules/mod_dogpile.so")).absolute()
USER = "www-data"
QUIET_SEC = 3

# Loaded for everyone; a test that needs more writes LoadModule itself.
USUAL = ("authz_core", "authz_host", "proxy", "proxy_http")

HEAD = """\
ServerName localhost
ServerRoot "${DIR}"
DefaultRuntimeDir "${DIR}"
PidFile httpd.pid
CoreDumpDirectory "${DIR}"
ErrorLog error.log
LogLevel info
Listen 127.0.0.1:${PORT}
Timeout 60
KeepAliveTimeout 30
MaxKeepAliveRequests 0
"""

# A child that died is replaced at once, because httpd always wants all of its
# threads idle; the limit leaves room for those that are still ending. OWN_WISH
# is how it says that it can't have them idle while it works.
OWN_WISH = "AH10159|AH00287|AH00161"

THREADED = """\
StartServers {children}
ServerLimit {limit}
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {total}
MinSpareThreads {total}
MaxSpareThreads {total}
"""

PREFORK = """\
StartServers {total}
ServerLimit {total}
MaxRequestWorkers {total}
MinSpareServers {total}
MaxSpareServers {total}
"""

DOGPILE = """\
LoadModule dogpile_module "${MODULE}"
<Location "/dogpile-status">
    SetHandler dogpile-status
</Location>
"""


def chosen_mpm():
    return os.environ.get("MPM", "event")


class Httpd:
    """Start it with start() or `with`; conftest.py's fixture does both.

    children * threads requests run at once; under prefork each of them is a
    process. `dogpile=False` leaves the module out. `place` makes a context
    to run it in, such as a network of its own (netns.py).
    """

    def __init__(self, conf="", *, mpm=None, children=4, threads=16,
                 dogpile=True, define=None, port=None,
                 place=contextlib.nullcontext):
        self.mpm = mpm or chosen_mpm()
        self.nchildren = children
        self.nthreads = threads
        self.place = place
        with place():
            self.port = port or ports.free()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dogpile-httpd-"))
        self.process = None
        self.log = ErrorLog(self.dir / "error.log", self.dir / "output.log")
        self.log.allow(OWN_WISH)
        self.status = Status(self.port, place)
        self.obeyed = True
        self._permit(self.dir)
        self._write(conf, dogpile, define or {})

    @staticmethod
    def _permit(path):
        if os.geteuid() == 0:
            shutil.chown(path, USER)
        os.chmod(path, 0o755)

    def _write(self, conf, dogpile, define):
        names = {"DIR": self.dir, "PORT": self.port, "REPO": REPO,
                 "MODULE": MODULE, "MODULES": MODULES, **define}
        total = self.nchildren * self.nthreads
        parts = [f'Define {name} "{value}"\n' for name, value in names.items()]
        modules = (f"mpm_{self.mpm}", *USUAL)
        parts += [f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
                  for name in modules]
        parts.append(HEAD)
        if os.geteuid() == 0:
            parts.append(f"User {USER}\nGroup {USER}\n")
        parts.append((PREFORK if self.mpm == "prefork" else THREADED).format(
            children=self.nchildren, threads=self.nthreads, total=total,
            limit=2 * self.nchildren))
        if dogpile:
            parts.append(DOGPILE)
        (self.dir / "httpd.conf").write_text("".join(parts) + conf)

    def args(self, *more):
        return [APACHE, "-f", str(self.dir / "httpd.conf"), *more]

    def configtest(self):
        """(exit code, what it said) of `apache2 -t`."""
        run = subprocess.run(self.args("-t"), capture_output=True, text=True,
                             timeout=30)
        return run.returncode, run.stderr

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def expect_log(self, pattern):
        self.log.expect(pattern)

    def allow_log(self, pattern):
        self.log.allow(pattern)

    def start(self):
        """Returns when it accepts connections and all its children are up."""
        wanted = self.nchildren
        if self.mpm == "prefork":
            wanted *= self.nthreads
        with self.place():
            self.process = Process(self.args("-D", "FOREGROUND"),
                                   self.dir / "output.log")
            until(lambda: self._up(wanted),
                  lambda: "httpd up:\n" + self._tail())
        return self

    def _up(self, wanted):
        if not self.process.running():
            raise AssertionError("httpd didn't start:\n" + self._tail())
        # At its start the parent also forks to try folders out as its user.
        return (self.log.find("resuming normal operations")
                and len(self.children()) >= wanted
                and ports.accepts(self.port))

    def _tail(self):
        return "\n".join(self.log.lines()[-20:])

    def children(self):
        return children(self.process.pid)

    def kill_child(self, pid, number=signal.SIGKILL):
        """Ends one child as a crash would; httpd will start another."""
        self.log.forgive(rf"child pid {pid} exit signal")
        os.kill(pid, number)
        until(lambda: not alive(pid), f"child {pid} gone")

    def graceful(self):
        """New configuration and children; returns when they are there."""
        before = len(self.log.find("resuming normal operations"))
        self.process.kill(signal.SIGUSR1)
        until(lambda: len(self.log.find("resuming normal operations"))
              > before, "httpd restarted")

    def kill(self):
        """The whole httpd at once, as a power cut would.

        All stand still before the first one dies: else a child that is killed
        late would see the death of another and take over its flights.
        """
        family = [self.process.pid, *self.children()]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                # In a container all go with the first one.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.process.popen.wait()
        until(lambda: not any(map(alive, family)), "httpd gone")

    def stop(self, hard=False):
        """SIGTERM; afterwards nothing of it runs.

        Lets go of its clients first, unless `hard`: a child of httpd 2.4 that
        is told to exit while it closes a connection can crash, module or not.
        """
        if self.process is None:
            return
        if not hard and self.process.running():
            with self.place():
                settled(lambda: not ports.connections(self.port), QUIET_SEC)
        self.obeyed = self.process.stop()
        self.process = None

    def problems(self):
        """What fails the test, read after stop()."""
        slow = [] if self.obeyed else ["httpd had to be killed"]
        return slow + self.log.problems()

    def remove(self):
        """Deletes its folder; with KEEP=1 it stays, logs and cores in it."""
        if os.environ.get("KEEP") == "1":
            print(f"kept {self.dir}")
        else:
            shutil.rmtree(self.dir)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self.remove()
