# SPDX-License-Identifier: Apache-2.0
"""The two ends of a measurement: the source, and the clients."""
import dataclasses
import os
import re
import subprocess

from pydogpile import client, ports
from pydogpile.process import Process
from pydogpile.wait import until

SERVER_CORE, CLIENT_CORE = 0, 1
SCRIPT = """\
local requests, at = {}, 0
function init(args)
    for path in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
"""


def quantile(values, share):
    """The smallest value that at least that share doesn't exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]


class Source:
    """tests/bench/source.c, scripted."""

    def __init__(self, program, pictures, log):
        self.port = ports.free()
        self.process = Process([str(program), "-p", str(self.port),
                                "-d", str(pictures)], log)
        until(lambda: ports.accepts(self.port), "the source is up")

    def _ask(self, path):
        answer = client.get(f"http://127.0.0.1:{self.port}{path}")
        assert answer.status == 200, answer
        return [int(word) for word in answer.body.split()]

    def set(self, delay=0, status=200, hold=0, fault="none"):
        """Counts anew; times in ms. The faults are those of the script."""
        self._ask(f"/set?delay={delay}&status={status}&hold={hold}"
                  f"&fault={fault}")

    def release(self):
        """Holds no longer; goes on counting."""
        self._ask("/release")

    def count(self):
        return self._ask("/count")[0]

    def waiting(self):
        return self._ask("/count")[1]

    def written(self):
        """When the last picture began to be sent: us, monotonic clock."""
        return self._ask("/count")[2]

    def stop(self):
        self.process.stop()


@dataclasses.dataclass(frozen=True)
class Client:
    port: int
    status: int
    is_png: bool
    size: int
    asked: int  # this and what follows in us of the monotonic clock
    first: int
    last: int

    @property
    def good(self):
        return self.status == 200 and self.is_png

    @property
    def latency(self):
        """Until the last byte, in ms."""
        return (self.last - self.asked) / 1000


class Herd:
    """tests/bench/herd.c: start it, then read its answers()."""

    def __init__(self, program, port, paths, clients=None, **options):
        args = [str(program), "-p", str(port)]
        if clients:
            args += ["-n", str(clients)]
        for name, value in options.items():
            args += [f"-{name}", str(value)]
        self.popen = subprocess.Popen(args, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.popen.stdin.write("\n".join(paths) + "\n")
        self.popen.stdin.close()

    def answers(self):
        """(clients, probes), in their order."""
        lines = [line.split() for line in self.popen.stdout]
        if self.popen.wait() != 0:
            raise RuntimeError("the herd has failed")
        parties = {"c": [], "p": []}
        for kind, port, status, is_png, *rest in lines:
            parties[kind].append(Client(int(port), int(status), is_png == "1",
                                        *map(int, rest)))
        return parties["c"], parties["p"]


def pin(pids, cores):
    """All threads of the processes to these cores."""
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), cores)


def rate(folder, port, paths, seconds):
    """Requests per second of 32 connections that ask for paths in turn."""
    (folder / "wrk.lua").write_text(SCRIPT)
    (folder / "paths").write_text("\n".join(paths) + "\n")
    run = subprocess.run(
        ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", "-c32",
         f"-d{seconds}s", "-s", str(folder / "wrk.lua"),
         f"http://127.0.0.1:{port}", "--", str(folder / "paths")],
        capture_output=True, text=True, check=True)
    if re.search("Non-2xx|Socket errors", run.stdout):
        raise RuntimeError(f"wrk met errors:\n{run.stdout}")
    return float(re.search(r"Requests/sec: +([\d.]+)", run.stdout).group(1))
