# SPDX-License-Identifier: Apache-2.0
"""The module's counters, and waiting until they say something."""
import contextlib
import json

from . import client
from .wait import DEADLINE_SEC, until

PATH = "/dogpile-status?format=json"
COUNTERS = "&leases=no"  # asks no lock server


class Status:
    def __init__(self, port, place=contextlib.nullcontext):
        self.port = port
        self.place = place

    def read(self, more=COUNTERS):
        with self.place():
            answer = client.get(f"http://127.0.0.1:{self.port}{PATH}{more}")
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def locker(self, name):
        """All there is to say about a locker, its leases too."""
        return self.read(more="")["locker " + name]

    def __getitem__(self, name):
        return self.read()[name]

    def wait(self, condition, deadline=DEADLINE_SEC):
        """The counters as soon as condition(counters) holds."""
        last = {}

        def reached():
            last.clear()
            last.update(self.read())
            return condition(last)

        until(reached, lambda: f"wanted state; status is {last}", deadline)
        return dict(last)
