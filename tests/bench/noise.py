# SPDX-License-Identifier: Apache-2.0
"""How much of the machine others used while the benchmark ran."""
import os
import resource
import time

TICKS = os.sysconf("SC_CLK_TCK")
TOO_MUCH = 0.10  # of all cores; more of it, and the figures are of its making


def busy():
    """CPU seconds of the whole machine: all but idle, iowait and steal."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq = map(
            int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def spent(pids):
    """CPU seconds of these processes so far, and of their dead children."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # dead: what it spent is its parent's now
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


class Noise:
    """Begin it before anything is started; `family` names what is ours."""

    def __init__(self, family):
        self.family = family
        self.began = time.monotonic()
        self.before = busy() - self._own()

    def _own(self):
        dead = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = resource.getrusage(resource.RUSAGE_SELF)
        return (dead.ru_utime + dead.ru_stime + own.ru_utime + own.ru_stime
                + spent(self.family()))

    def share(self):
        """Of all cores, since the beginning; from 0 to 1."""
        cores = os.cpu_count() * (time.monotonic() - self.began)
        return max(busy() - self._own() - self.before, 0) / cores
