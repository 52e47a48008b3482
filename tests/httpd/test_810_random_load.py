# SPDX-License-Identifier: Apache-2.0
"""Clients that come, wait, leave and break off at random, while httpd is
restarted and its children die.

DOGPILE_LOAD_SECONDS=600 makes it longer, DOGPILE_LOAD_SEED=n repeats the
choices of an earlier run, as far as threads let it.
"""
import collections
import os
import random
import threading
import time

from pydogpile import picture, ports, upstream as scripted, wms
from pydogpile.process import alive
from pydogpile.scene import location, settle
from pydogpile.server import chosen_mpm
from pydogpile.wait import until
from pydogpile.wire import Wire

SECONDS = float(os.environ.get("DOGPILE_LOAD_SECONDS", 15))
SEED = int(os.environ.get("DOGPILE_LOAD_SEED", 0)) or random.randrange(1, 10**9)
CLIENTS = 32
CHILDREN = 2
DISTURB_SEC = 1.5
LEVEL = 12
NEW_TILE_AFTER = 40  # requests
CONF = """
<IfModule mpm_event_module>
    AsyncRequestWorkerFactor 40
</IfModule>
DogpileMaxBlocked 28
""" + location("DogpileMetatile 2x2 buffer=0")
# Besides tiles: a lost connection, and, where requests that wait hold threads,
# that too many do.
ALLOWED_ANSWERS = (0,) if chosen_mpm() == "event" else (0, 503)
# httpd's complaints about the deaths and its own numbers.
USUAL = "AH10392|AH10393|AH00484|AH03490"


class Slow:
    """A source that takes its time, a different one for each request."""

    def __init__(self, stopped):
        self.random = random.Random(SEED)
        self.stopped = stopped

    def __call__(self, request):
        self.stopped.wait(self.random.choice((0, 0.005, 0.05, 0.2)))
        return scripted.render(request)


class Load:
    """Clients on threads; what each of them saw."""

    def __init__(self, port):
        self.port = port
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.asked = 0
        self.seen = collections.Counter()
        self.wrong = []
        self.threads = [threading.Thread(target=self._run, args=(i,),
                                         daemon=True) for i in range(CLIENTS)]

    def _cell(self, choice):
        """One of the last few places: most of them are cold, and shared."""
        with self.lock:
            self.asked += 1
            place = self.asked // NEW_TILE_AFTER
        return 100 + 2 * place + choice.randrange(2), 80 + choice.randrange(2)

    def _check(self, cell, answer):
        good = answer.status in ALLOWED_ANSWERS or (
            answer.status == 200 and picture.same(
                picture.decode(answer.body), picture.render(
                    "rgb", wms.MERCATOR.bbox(LEVEL, *cell), 256, 256)))
        with self.lock:
            self.seen[answer.status] += 1
            if not good:
                self.wrong.append((cell, answer))
        return answer.status == 200

    def _talk(self, wire, choice):
        """A few requests at once, and then one of the things that clients do.
        Returns whether the connection is worth another one."""
        cells = [self._cell(choice) for _ in range(choice.choice((1, 1, 3)))]
        wire.ask(*(wms.tile(LEVEL, *cell) for cell in cells))
        what = choice.choice(("read", "read", "read", "half", "reset", "some"))
        if what in ("reset", "some"):
            self.stopped.wait(choice.choice((0, 0.001, 0.02, 0.1)))
        if what == "reset":
            wire.reset()
            return False
        if what == "half":
            wire.half_close()
        if what == "some":
            del cells[1:]
        return all([self._check(cell, wire.answer()) for cell in cells]
                   ) and what == "read"

    def _run(self, number):
        choice = random.Random(SEED + number)
        while not self.stopped.is_set():
            try:
                wire = Wire(self.port)
            except OSError:
                continue
            try:
                while (not self.stopped.is_set()
                       and self._talk(wire, choice)):
                    pass
            except OSError:
                self.seen["broken"] += 1
            finally:
                wire.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "hangs"


def disturb(server, choice):
    before = server.children()
    if choice.random() < 0.5:
        server.graceful()
    else:
        before = [choice.choice(before)]
        server.kill_child(before[0])
    until(lambda: not any(map(alive, before))
          and len(server.children()) >= CHILDREN, "new children")


def descriptors(server):
    return max(len(os.listdir(f"/proc/{pid}/fd"))
               for pid in server.children())


def watch(server, load, seconds):
    """The most that waited at once in that time."""
    end = time.monotonic() + seconds
    most = 0
    while time.monotonic() < end:
        most = max(most, server.status["waiters"])
        load.stopped.wait(0.05)
    return most


def test_random_load(httpd, upstream):
    """Whatever clients, restarts and deaths do, each answer is the right tile,
    nothing is left over, and nothing wrong is in the log; while httpd lives in
    peace, no connection is lost."""
    server = httpd(CONF, children=CHILDREN, threads=32)
    server.allow_log(USUAL)
    print(f"DOGPILE_LOAD_SEED={SEED}")
    before = descriptors(server)
    choice = random.Random(SEED)
    end = time.monotonic() + SECONDS
    with Load(server.port) as load:
        upstream.always = Slow(load.stopped)
        most = watch(server, load, SECONDS / 4)
        peaceful = dict(load.seen)
        while time.monotonic() < end:
            most = max(most, watch(server, load, DISTURB_SEC))
            disturb(server, choice)
    print(peaceful, dict(load.seen), f"{most} waited at once,",
          f"{upstream.count} fetches")
    assert load.wrong == []
    assert set(peaceful) <= {200, *ALLOWED_ANSWERS[1:]}
    assert load.seen[200] > 20 * SECONDS and most > 1
    until(lambda: ports.connections(server.port) == 0, "clients gone")
    settle(server, blocked=0, parked=0, failed=0)
    assert descriptors(server) <= before + CLIENTS + 50
