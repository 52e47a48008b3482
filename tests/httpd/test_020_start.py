# SPDX-License-Identifier: Apache-2.0
"""Starting, restarting, and what starting leaves on the disk."""
import os
import pwd
import stat

import pytest

from pydogpile import client, ports, wms
from pydogpile.server import USER
from pydogpile.upstream import rendered
from pydogpile.wait import until

CONF = """
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${DIR}/made/here/store"
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""
# What httpd itself says when it gives up.
GIVES_UP = "AH00020|AH00015|AH00016"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_configtest_creates_nothing(make_httpd, upstream):
    """configtest of a good configuration makes no directory and asks nobody,
    and the start afterwards does."""
    server = make_httpd(CONF)
    assert server.configtest() == (0, "Syntax OK\n")
    assert [path.name for path in server.dir.iterdir()] == ["httpd.conf"]
    server.start()
    assert (server.dir / "made/here/store").is_dir()
    assert upstream.count == 0


@as_root
def test_start_gives_the_store_to_the_user(httpd):
    """The start makes the store's directory for User and Group alone, and
    what is missing above it for everyone to pass."""
    server = httpd(CONF)
    store = server.dir / "made/here/store"
    assert (store.owner(), store.group(), mode(store)) == (USER, USER, 0o700)
    assert mode(store.parent) == 0o755
    for path in store.rglob("*"):
        assert path.owner() == USER
        assert not mode(path) & 0o022
    assert client.get(server.url(wms.tile(3, 1, 1))).status == 200


def refused_start(server, number):
    """httpd doesn't start; the line of its log that says why."""
    server.expect_log(number)
    server.allow_log(GIVES_UP)
    with pytest.raises(AssertionError, match="httpd didn't start"):
        server.start()
    return server.log.find(number)[0]


def test_store_that_cannot_be_made_stops_the_start(make_httpd):
    """A store below something that is no directory keeps httpd from starting,
    with its name and the reason."""
    server = make_httpd(CONF)
    (server.dir / "made").write_text("a file")
    said = refused_start(server, "DP0801")
    assert "DogpileStore disk:" in said
    assert f"{server.dir}/made/here/store can't be created" in said
    assert "Not a directory" in said


@as_root
def test_store_of_someone_else_stops_the_start(make_httpd):
    """A directory that only root may write to is refused at the start, in the
    name of the user who would have to."""
    server = make_httpd(CONF)
    store = server.dir / "made/here/store"
    store.mkdir(parents=True)
    (store / "someone's").touch()
    said = refused_start(server, "DP0801")
    uid = pwd.getpwnam(USER).pw_uid
    assert f"user {USER} ({uid}) may not create a file in {store}" in said
    assert sorted(path.name for path in store.iterdir()) == ["someone's"]


@as_root
def test_empty_directory_of_root_is_given_away(make_httpd):
    """An empty directory that root made for the store is taken for that."""
    server = make_httpd(CONF)
    store = server.dir / "made/here/store"
    store.mkdir(parents=True)
    server.start()
    assert store.owner() == USER


def test_lock_directory_that_cannot_be_made_stops_the_start(make_httpd):
    """The same for the directory of a locker."""
    server = make_httpd(CONF + """
        <DogpileLocker tiles disk>
            DogpileLockDirectory "${DIR}/file/locks"
        </DogpileLocker>
        """)
    (server.dir / "file").write_text("a file")
    said = refused_start(server, "DP0802")
    assert "locker tiles" in said
    assert f"{server.dir}/file/locks" in said


def test_loaded_but_not_enabled_does_nothing(httpd, upstream):
    """Where nothing is enabled the module makes no directory and touches no
    request."""
    server = httpd(CONF.replace("DogpileEnable On", "DogpileEnable Off"))
    path = wms.tile(3, 1, 1) + "&a=%20b"
    answers = [client.get(server.url(path)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert not any(answer.header("Cache-Status") for answer in answers)
    assert [request.target for request in upstream.requests] == [path, path]
    assert not (server.dir / "made").exists()
    assert server.status["requests"] == 0


def test_other_paths_are_untouched(httpd, upstream):
    """A location that isn't enabled stays as it was beside one that is."""
    server = httpd(CONF + """
        ProxyPass "/plain" "http://127.0.0.1:${UPSTREAM}/plain"
        """)
    path = wms.tile(3, 1, 1, path="/plain")
    assert client.get(server.url(path)).header("Cache-Status") is None
    assert [request.target for request in upstream.requests] == [path]
    assert server.status["requests"] == 0


def rewrite(server, old, new):
    conf = server.dir / "httpd.conf"
    text = conf.read_text()
    assert old in text
    conf.write_text(text.replace(old, new))
    before = set(server.children())
    server.graceful()
    until(lambda: before.isdisjoint(server.children()), "new children")


def test_graceful_restart_takes_the_new_configuration(httpd, upstream):
    """After a graceful restart new settings hold, new directories are made,
    and stored tiles and counters are still there."""
    server = httpd(CONF)
    urls = [server.url(wms.tile(5, x, 9)) for x in (0, 1)]
    assert client.get(urls[0]).status == 200
    server.status.wait(lambda s: s["stored"] == 1)

    rewrite(server, 'ProxyPass "', 'DogpileHeader Off\nProxyPass "')
    answer = client.get(urls[1])
    assert (answer.status, upstream.count) == (200, 1)
    assert answer.header("Cache-Status") is None
    seen = server.status.read()
    assert (seen["requests"], seen["hits"], seen["stored"]) == (2, 1, 1)

    rewrite(server, "here/store", "there/store")
    assert (server.dir / "made/there/store").is_dir()
    assert client.get(urls[1]).status == 200
    assert upstream.count == 2

    rewrite(server, "DogpileEnable On", "DogpileEnable Off")
    assert client.get(urls[1]).status == 200
    assert upstream.count == 3
    assert server.status["requests"] == 3


def test_graceful_restart_can_enable(httpd, upstream):
    """A graceful restart may be the one that enables the first location."""
    server = httpd(CONF.replace("DogpileEnable On", "DogpileEnable Off"))
    rewrite(server, "DogpileEnable Off", "DogpileEnable On")
    for x in (0, 1):
        answer = client.get(server.url(wms.tile(5, x, 9)))
        assert "mod_dogpile; " in answer.header("Cache-Status")
        server.status.wait(lambda s: s["flights"] == 0)
    assert upstream.count == 1


def test_restart_finds_the_store(shared_dir, httpd, upstream):
    """A second httpd on the store of one that has ended serves its tiles."""
    conf = CONF.replace("${DIR}/made/here", shared_dir)
    url = wms.tile(5, 1, 9)
    first = httpd(conf)
    bodies = [client.get(first.url(url)).body]
    first.status.wait(lambda s: s["stored"] == 1)
    first.stop()
    second = httpd(conf)
    answer = client.get(second.url(url))
    assert "; hit" in answer.header("Cache-Status")
    assert answer.body == bodies[0]
    assert upstream.count == 1


HTACCESS = """
DocumentRoot "${DIR}"
<Directory "${DIR}/www">
    AllowOverride All
</Directory>
"""


def test_htaccess_may_not(make_httpd):
    """No directive is allowed in .htaccess, whatever AllowOverride says."""
    server = make_httpd(HTACCESS)
    lines = ["DogpileEnable On", "DogpileSource /elsewhere", "DogpileExpire 1",
             "DogpileStore disk:/tmp/x", "<DogpileGrid a>\n</DogpileGrid>"]
    folder = server.dir / "www"
    folder.mkdir()
    server.start()
    for line in lines:
        (folder / ".htaccess").write_text(line + "\n")
        server.expect_log(line.split()[0] + " not allowed here")
        assert client.get(server.url("/www/x.txt")).status == 500, line


INHERIT = """
DogpileParams ONE TWO
DogpileHeader On
DogpileOffGrid deny
DogpileSourceHeader X-Outer 1
DogpileKeepHeader X-Kept
DogpileUnlisted deny
<VirtualHost *>
    DogpileStore "disk:${DIR}/store"
    DogpileUnlisted pass
    DogpileTileSizes 128
    DogpileExpire 100 jitter=0%
    <Location "/">
        DogpileEnable On
        DogpileMetatile 1x1 buffer=0
        ProxyPass "http://127.0.0.1:${UPSTREAM}/"
    </Location>
    <Location "/inner">
        DogpileParams THREE
        DogpileSourceHeader X-Inner 2
        DogpileKeepHeader
        DogpileExpire 200
    </Location>
    <Location "/off">
        DogpileEnable Off
    </Location>
</VirtualHost>
"""


def test_settings_are_inherited_one_by_one(httpd, upstream):
    """What a section doesn't set it has from the section, host or server
    around it; a list that it sets replaces the whole list."""
    server = httpd(INHERIT)
    upstream.always = rendered(X_Kept="yes")

    def ask(path, size=128, **more):
        return client.get(server.url(wms.tile(4, 3, 3, size=size, path=path,
                                              **more)))

    def how(answer):
        return answer.header("Cache-Status").split("; ")[1:]

    outer, inner = ask("/outer", ONE="x"), ask("/inner", THREE="x")
    assert how(outer)[0] == how(inner)[0] == "fwd=uri-miss"
    assert [upstream.requests[i].query.get(name) for i in (0, 1)
            for name in ("ONE", "THREE")] == ["x", None, None, "x"]
    assert upstream.requests[0].pixels() == (128, 128)
    assert [(request.headers.get("x-outer"), request.headers.get("x-inner"))
            for request in upstream.requests] == [("1", None), (None, "2")]
    assert (outer.header("X-Kept"), inner.header("X-Kept")) == ("yes", None)
    # DogpileExpire of the inner section leaves the jitter as it was set
    assert outer.header("Cache-Control") == "max-age=100"
    assert inner.header("Cache-Control") == "max-age=200"

    assert how(ask("/inner", ONE="x")) == [
        "fwd=bypass", 'detail="param ONE"']
    assert how(ask("/outer", THREE="x")) == [
        "fwd=bypass", 'detail="param THREE"']
    assert ask("/outer", size=256).status == 403  # no tile: the server's deny
    assert ask("/inner", size=256).status == 403
    assert ask("/off", THREE="x").header("Cache-Status") is None


TWINS = """
Listen 127.0.0.1:${TWIN}
DogpileStore "disk:${DIR}/store"
<VirtualHost *:${PORT}>
    ServerName maps.example
    <Location "/wms">
        DogpileEnable On
        DogpileSourceName maps
        ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
    </Location>
</VirtualHost>
<VirtualHost *:${TWIN}>
    ServerName maps.example
    <Location "/wms">
        DogpileEnable On
        DogpileSourceName maps
        ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
    </Location>
</VirtualHost>
"""


def test_twins_share_their_tiles(httpd, upstream):
    """Two virtual hosts with one DogpileSourceName share flights and store."""
    twin = ports.free()
    server = httpd(TWINS, define={"TWIN": twin})
    path = wms.tile(5, 9, 9)
    urls = [server.url(path), f"http://127.0.0.1:{twin}{path}"]
    upstream.hold()
    herd = client.Herd(urls, 8).start()
    server.status.wait(lambda s: s["waiters"] == 8)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    server.status.wait(lambda s: s["flights"] == 0)
    assert all("; hit" in client.get(url).header("Cache-Status")
               for url in urls)
    assert upstream.count == 1
