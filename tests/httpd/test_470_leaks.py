# SPDX-License-Identifier: Apache-2.0
"""Nothing piles up over flights and graceful restarts, and a stop leaves
nothing behind: with every locker and every store at once."""
import os
import pathlib
import signal

import pytest

from pydogpile import client, wms
from pydogpile.lockservers import MODULES, LockServer
from pydogpile.process import alive
from pydogpile.scene import ALONE, leases, location, settle
from pydogpile.wait import until

RESTARTS = 20
QUIET = 10  # rounds in which nothing grows any more
KINDS = ("memcache", "redis", "zookeeper")
# httpd kills a child whose threads wait for something, with any module.
IMPATIENCE = "AH00045|AH00046"


@pytest.fixture
def servers():
    made = [LockServer(kind) for kind in KINDS]
    yield made
    for server in made:
        server.remove()


def lockers(servers):
    chain = "\n".join([
        "<DogpileLocker by-chain fallback>", servers[0].block("first"),
        "<DogpileLocker second disk>",
        'DogpileLockDirectory "${SHARED}/second"', "</DogpileLocker>",
        "</DogpileLocker>\n"])
    return chain + "".join(server.block(f"by-{server.kind}")
                           for server in servers)


# A location of each locker; the first one has that of its store.
STORES = {"disk": "disk:${SHARED}/disk", "memcache": "memcache:${MEMCACHE}",
          "redis": "redis:${REDIS}", "zookeeper": "disk:${SHARED}/zookeeper",
          "chain": "disk:${SHARED}/chain"}


def locations():
    return "".join(
        location(ALONE,
                 *([f"DogpileLocker by-{name}"] if name != "disk" else []),
                 path=f"/{name}").replace("disk:${DIR}/store", store)
        for name, store in STORES.items())


@pytest.fixture
def start(servers, shared_dir, httpd):
    names = {server.kind.upper(): f"127.0.0.1:{server.port}"
             for server in servers}
    conf = ("DogpileMaxBlocked 100\n" + MODULES + lockers(servers)
            + locations())
    return lambda host: httpd(f"DogpileLockHost {host}\n{conf}", children=2,
                              threads=4,
                              define={"SHARED": shared_dir, **names})


def herd(server, number):
    """A client of a cold metatile of each location."""
    return client.Herd([server.url(wms.tile(9, number, 0, path=f"/{name}"))
                        for name in STORES]).start()


def assert_served(running):
    assert {answer.status for answer in running.answers()} == {200}


def count(what, pid):
    """How many files ("fd") or threads ("task") a process has."""
    return len(os.listdir(f"/proc/{pid}/{what}"))


def mappings(pid):
    """Shared memory that isn't given back is one more."""
    return len(pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines())


def in_children(server):
    """The files and the threads of all of them."""
    pids = server.children()
    return (sum(count("fd", pid) for pid in pids),
            sum(count("task", pid) for pid in pids))


def test_graceful_restarts_leave_nothing_behind(start, servers):
    """After each of many graceful restarts under load the old children are
    gone, the parent has as many files, threads and mappings as before, and
    the servers have no more connections than come and go."""
    server = start("here")
    parent = server.process.pid
    parents, seen = set(), []
    for number in range(RESTARTS):
        before = set(server.children())
        running = herd(server, 2 * number)
        server.graceful()
        assert_served(running)
        until(lambda: not before & set(server.children()), "old ones gone")
        assert_served(herd(server, 2 * number + 1))
        parents.add((count("fd", parent), count("task", parent),
                     mappings(parent)))
        seen.append([each.connections() for each in servers])
    assert len(parents) == 1, parents
    half = RESTARTS // 2
    for numbers in zip(*seen):
        assert max(numbers[half:]) - max(numbers[:half]) < half, seen
    settle(server, blocked=0, failed=0, shed=0, lock_unavailable=0,
           lock_lost=0, store_errors=0)


def test_flights_leave_nothing_behind(start):
    """Children open what they need when they first need it; then flights add
    no file and no thread any more."""
    server = start("here")
    most, quiet = (0, 0), 0
    for number in range(200):
        assert_served(herd(server, number))
        settle(server, blocked=0)
        now = in_children(server)
        has_grown = any(n > m for n, m in zip(now, most))
        quiet = 0 if has_grown else quiet + 1
        most = tuple(map(max, now, most))
        if quiet == QUIET:
            return
    raise AssertionError(f"files and threads still grow: {most}")


@pytest.mark.parametrize("number", [signal.SIGWINCH, signal.SIGTERM],
                         ids=["graceful-stop", "stop"])
def test_stop_leaves_nothing_behind(start, servers, upstream, shared_dir,
                                    number):
    """An httpd that is stopped in mid-flight, by a source that answers,
    leaves no connection and no lock: another host waits for nobody."""
    first, second = start("here"), start("there")
    memcached, redis, _ = servers
    family = [first.process.pid, *first.children()]
    upstream.hold()
    running = herd(first, 1)
    upstream.wait_held(len(STORES))
    assert len(memcached.leases()) == 2 and len(redis.leases()) == 1
    first.allow_log(IMPATIENCE)
    first.process.kill(number)
    upstream.release()
    until(lambda: not any(map(alive, family)), "the end of httpd")
    assert memcached.leases() == redis.leases() == {}
    assert leases(f"{shared_dir}/second") == []
    assert leases(f"{shared_dir}/disk/.locks") == []
    running.answers()
    assert_served(herd(second, 1))
    settle(second, lock_waits=0, lock_unavailable=0)
    second.stop()
    until(lambda: not any(server.connections() for server in servers),
          "connections of the dead closed")


def test_stop_gives_locks_back_though_a_source_hangs(start, servers, upstream,
                                                     shared_dir):
    """An httpd that is stopped while its source doesn't answer gives its locks
    back before it is killed: another host needn't wait for their leases."""
    first = start("here")
    memcached, redis, _ = servers
    upstream.hold()
    running = herd(first, 1)
    upstream.wait_held(len(STORES))
    assert len(memcached.leases()) == 2 and len(redis.leases()) == 1
    first.allow_log(IMPATIENCE)
    first.process.kill(signal.SIGTERM)
    until(lambda: not (memcached.leases() or redis.leases()
                       or leases(f"{shared_dir}/second")
                       or leases(f"{shared_dir}/disk/.locks")),
          "the locks are free")
    assert upstream.held == len(STORES)
    upstream.release()
    running.answers()
