# SPDX-License-Identifier: Apache-2.0
"""The module's counters, and waiting until they say something."""
import json

from . import client
from .wait import DEADLINE_SEC, until

PATH = "/dogpile-status?format=json"


class Status:
    def __init__(self, port):
        self.port = port

    def read(self):
        answer = client.get(f"http://127.0.0.1:{self.port}{PATH}")
        assert answer.status == 200, answer
        return json.loads(answer.body)

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
