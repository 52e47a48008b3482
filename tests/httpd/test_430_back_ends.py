# SPDX-License-Identifier: Apache-2.0
"""Two httpds, each locker and each store between them: one fetch."""
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from pydogpile import client, picture, ports, wms, zookeeper
from pydogpile.process import Process
from pydogpile.server import MODULE
from pydogpile.wait import until

EACH = 50
META = wms.Metatile(7, 41, 41)
MODULES = "".join(
    f"LoadModule dogpile_{part}_module "
    f"{MODULE.parent / f'mod_dogpile_{part}.so'}\n"
    for part in ("lock_redis", "store_redis", "lock_zookeeper"))


class Server:
    """A memcached, redis or ZooKeeper of the test's own, on loopback."""

    def __init__(self, kind):
        self.kind = kind
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dogpile-server-"))
        self.port = ports.free()
        self.start()

    def start(self):
        args = {
            "memcache": ["/usr/bin/memcached", "-u", "nobody", "-l",
                         "127.0.0.1", "-p", str(self.port)],
            "redis": ["/usr/bin/redis-server", "--bind", "127.0.0.1",
                      "--port", str(self.port), "--dir", str(self.dir),
                      "--save", "", "--daemonize", "no"],
            "zookeeper": zookeeper.command(self.dir, self.port)}[self.kind]
        serves = (zookeeper.serves if self.kind == "zookeeper"
                  else ports.accepts)
        self.process = Process(args, self.dir / "output.log")
        until(lambda: serves(self.port), f"{self.kind} up")

    def remove(self):
        self.process.stop()
        shutil.rmtree(self.dir)


@pytest.fixture
def server(request):
    made = Server(request.param)
    yield made
    made.remove()


@pytest.fixture
def image(upstream):
    whole = picture.decode(client.get(upstream.url(META.whole())).body)
    upstream.forget()
    return whole


def location(store, locker=""):
    return f"""
<Location "/wms">
    DogpileEnable On
    DogpileStore "{store}"
    {locker}
    ProxyPass "http://127.0.0.1:${{UPSTREAM}}/wms"
</Location>
"""


def block(server):
    return f"""
<DogpileLocker one {server.kind}>
    DogpileLockServer 127.0.0.1:{server.port}
</DogpileLocker>
"""


def two(httpd, conf, **define):
    return [httpd(MODULES + conf, define=define, children=2, threads=64)
            for _ in range(2)]


def herds_on(pair, upstream):
    """Both httpds' clients wait for one held fetch."""
    upstream.hold()
    herds = [client.Herd([server.url(path) for path in META.tiles()],
                         EACH).start() for server in pair]
    for server in pair:
        server.status.wait(lambda s: s["waiters"] == EACH)
    return herds


def assert_tiles(herds, image):
    for herd in herds:
        for i, answer in enumerate(herd.answers()):
            cell = META.cells[i % len(META.cells)]
            picture.assert_cut(answer, image, META.window(*cell))


@pytest.mark.parametrize("server", ["memcache", "redis", "zookeeper"],
                         indirect=True)
def test_locker_between_hosts(server, httpd, shared_dir, upstream, image):
    """Two httpds with one store and this locker fetch a metatile once."""
    pair = two(httpd, block(server) + location("disk:${SHARED}",
                                               "DogpileLocker one"),
               SHARED=shared_dir)
    herds = herds_on(pair, upstream)
    upstream.release()
    assert_tiles(herds, image)
    assert upstream.count == 1
    assert sum(s.status["lock_waits"] for s in pair) == 1


@pytest.mark.parametrize("server", ["memcache", "redis"], indirect=True)
def test_store_between_hosts(server, httpd, upstream, image):
    """Two httpds that share nothing but the store's server fetch a metatile
    once, and serve it from there afterwards."""
    pair = two(httpd, location(f"{server.kind}:127.0.0.1:{server.port}"))
    herds = herds_on(pair, upstream)
    upstream.release()
    assert_tiles(herds, image)
    for s in pair:
        s.status.wait(lambda s: s["flights"] == 0)
    again = client.herd([pair[1].url(path) for path in META.tiles()])
    assert all("; hit" in answer.header("Cache-Status") for answer in again)
    assert upstream.count == 1


@pytest.mark.parametrize("server", ["memcache", "redis", "zookeeper"],
                         indirect=True)
def test_fallback_when_the_first_dies(server, httpd, shared_dir, upstream,
                                      image):
    """The lock server is killed in mid-fetch: no error, no second fetch, and
    the next cold metatile is locked through the disk."""
    conf = f"""
<DogpileLocker tiles fallback>
    DogpileLockTimeout 3s
    {block(server)}
    <DogpileLocker two disk>
        DogpileLockDirectory "${{SHARED}}/fallback-locks"
    </DogpileLocker>
</DogpileLocker>
""" + location("disk:${SHARED}", "DogpileLocker tiles")
    pair = two(httpd, conf, SHARED=shared_dir)
    for s in pair:
        s.allow_log("DP07[0-9][0-9]")  # the member's failure is said
    herds = herds_on(pair, upstream)
    server.process.kill()
    upstream.release()
    assert_tiles(herds, image)
    assert upstream.count == 1
    next_tiles = wms.Metatile(7, 45, 45).tiles()
    answers = [client.get(s.url(next_tiles[0])) for s in pair]
    assert [answer.status for answer in answers] == [200, 200]
    assert upstream.count == 2
    assert [s.status["lock_unavailable"] for s in pair] == [0, 0]


@pytest.mark.parametrize("server", ["memcache"], indirect=True)
def test_fail_open_off(server, httpd, shared_dir, upstream):
    """With DogpileFailOpen Off nothing is fetched when no locker answers, and
    clients learn when to ask again."""
    s = httpd("DogpileFailOpen Off\n" + block(server)
              + location("disk:${SHARED}", "DogpileLocker one"),
              define={"SHARED": shared_dir})
    s.expect_log("DP0502")
    s.allow_log("DP07[0-9][0-9]")
    server.process.kill()
    until(lambda: not ports.accepts(server.port), "server gone")
    answer = client.get(s.url(META.tiles()[0]))
    assert answer.status == 503
    assert int(answer.header("Retry-After")) > 0
    assert answer.header("Cache-Control") == "no-store"
    assert upstream.count == 0


def test_unknown_type_says_what_to_load(make_httpd):
    """A type that no loaded module brings: configtest names the module."""
    code, output = make_httpd("""
<DogpileLocker one redis>
    DogpileLockServer 127.0.0.1:6379
</DogpileLocker>
""").configtest()
    assert code != 0
    assert "mod_dogpile_lock_redis" in output
