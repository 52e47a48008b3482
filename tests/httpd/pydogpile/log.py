# SPDX-License-Identifier: Apache-2.0
"""Reads httpd's error log. What a test didn't announce fails it."""
import re

LINE = re.compile(r"^\[[^]]+\] \[[\w-]*:(?P<level>\w+)\] ")
QUIET = {"notice", "info", "debug"} | {f"trace{i}" for i in range(1, 9)}
CRASH = re.compile(r"exit signal|Sanitizer|runtime error:|core dumped")


def is_bad(line):
    """A warning or worse, a crash, or a line that httpd didn't write."""
    match = LINE.match(line)
    return match is None or match["level"] not in QUIET or is_crash(line)


def is_crash(line):
    return CRASH.search(line) is not None


class ErrorLog:
    """The lines of one or more log files, and which of them are in order."""

    def __init__(self, *paths):
        self.paths = paths
        self.patterns = []  # (compiled, whether it must occur)
        self.forgiven = []  # of crashes: only those that the test caused

    def expect(self, pattern):
        """A message number ("DP0601") or regex that has to occur."""
        self.patterns.append((re.compile(pattern), True))

    def allow(self, pattern):
        """The same, for what may occur or not."""
        self.patterns.append((re.compile(pattern), False))

    def forgive(self, pattern):
        self.forgiven.append(re.compile(pattern))

    def lines(self):
        found = []
        for path in self.paths:
            try:
                with open(path, errors="replace") as log:
                    found += [line for line in log.read().splitlines() if line]
            except FileNotFoundError:
                pass
        return found

    def find(self, pattern):
        return [line for line in self.lines() if re.search(pattern, line)]

    def _allowed(self, line):
        if is_crash(line):
            return any(pattern.search(line) for pattern in self.forgiven)
        return any(pattern.search(line) for pattern, _ in self.patterns)

    def problems(self):
        """What fails the test, a line each; empty when all is well."""
        lines = self.lines()
        wrong = [f"unexpected: {line}" for line in lines
                 if is_bad(line) and not self._allowed(line)]
        return wrong + [
            f"missing: {pattern.pattern}" for pattern, needed in self.patterns
            if needed and not any(map(pattern.search, lines))]
