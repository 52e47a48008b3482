# SPDX-License-Identifier: Apache-2.0
"""Expired tiles instead of errors, and for how long after their expiry."""
import re

import pytest

from pydogpile import client, command, ports, upstream as scripted, wms
from pydogpile.backend import Server
from pydogpile.scene import (ALONE, backdate, location, records, settle,
                             write_ids)
from pydogpile.wait import until

META = wms.Metatile(8, 133, 86)
TILE = wms.tile(8, 133, 86)
HOUR = 3600
EXPIRE = "DogpileExpire 1h jitter=0%"
WAIT = "DogpileStale 0"  # whoever wants an expired tile waits for the new one


def stored(server, upstream, headers=None):
    """The URL of a stored tile, and the tile."""
    upstream.always = lambda request: scripted.render(request, headers=headers)
    url = server.url(TILE)
    old = client.get(url)
    assert old.status == 200
    settle(server, stored=1)
    upstream.forget()
    return url, old


def expired(server, upstream, headers=None, seconds=2 * HOUR):
    """The same, of one that was made that long ago."""
    url, old = stored(server, upstream, headers)
    backdate(server.dir / "store", seconds)
    return url, old


FAULTS = [
    ("500", scripted.status(500), "; fwd-status=500"),
    ("503", scripted.status(503, Retry_After="60"), "; fwd-status=503"),
    ("exception", scripted.service_exception(), ""),
    ("redirect", scripted.redirect("/login"), "; fwd-status=302"),
    ("cut", scripted.cut_body(), "(; fwd-status=[0-9]+)?"),
    ("no answer", scripted.dropped(), "(; fwd-status=50[0-9])?"),
]


@pytest.mark.parametrize("answer, said", [row[1:] for row in FAULTS],
                         ids=[row[0] for row in FAULTS])
def test_expired_tile_hides_any_failure(httpd, upstream, answer, said):
    """Where the source fails, all who waited get the expired tile and not the
    error, which Cache-Status tells; the tile stays in the store."""
    server = httpd(location(EXPIRE, WAIT), children=2)
    server.expect_log("DP0601")
    server.allow_log("AH01110|AH01102|AH00898")  # mod_proxy's view of it
    url, old = expired(server, upstream)
    before = write_ids(server.dir / "store")
    upstream.always = answer
    upstream.hold()
    herd = client.Herd([url], 8).start()
    server.status.wait(lambda s: s["waiters"] == 8)
    upstream.release()
    for answered in herd.answers():
        assert answered.status == 200 and answered.body == old.body
        assert answered.header("ETag") == old.header("ETag")
        assert answered.header("Retry-After") is None
        assert re.fullmatch(
            f'mod_dogpile; fwd=stale{said}(; collapsed)?; '
            'detail="the source failed"; ttl=-36[0-9][0-9]',
            answered.header("Cache-Status")), answered
        # Caches behind may keep it for seconds only.
        age = int(answered.header("Age"))
        control = int(answered.header("Cache-Control").split("=")[1])
        assert age >= 2 * HOUR and control - age <= 6
    seen = settle(server, failed=0, stale_on_error=8, stored=1)
    assert seen["fetch_errors"] >= 1
    assert write_ids(server.dir / "store") == before


def test_error_is_shown_where_nothing_is_left(httpd, upstream):
    """A tile that nobody ever fetched, and one that expired longer ago than
    DogpileStaleOnError says, are the source's error."""
    server = httpd(location(ALONE, EXPIRE, WAIT, "DogpileStaleOnError 1h"))
    server.expect_log("DP0601")
    url, _ = expired(server, upstream, seconds=2 * HOUR + 60)
    upstream.always = scripted.status(503)
    for path in (url, server.url(wms.tile(8, 7, 7))):
        answer = client.get(path)
        assert answer.status == 502
        assert answer.header("Cache-Control") == "no-store"
    settle(server, failed=2, stale_on_error=0)
    assert len(records(server.dir / "store")) == 1


# What the source said when it was well; whether an expired tile is served at
# once, and whether instead of an error, with the directives (1 day, 7 days)
# and with none (0, 0).
WINDOWS = [
    ("max-age=60", (True, True), (False, False)),
    ("max-age=60, stale-while-revalidate=86400", (True, True), (True, True)),
    ("max-age=60, stale-while-revalidate=0", (False, True), (False, False)),
    ("max-age=60, stale-if-error=86400", (True, True), (False, True)),
    ("max-age=60, stale-while-revalidate=0, stale-if-error=5",
     (False, False), (False, False)),
    ("max-age=0, stale-while-revalidate=86400", (True, True), (True, True)),
    ("max-age=60, must-revalidate", (False, False), (False, False)),
    ("max-age=60, proxy-revalidate", (False, False), (False, False)),
    ("s-maxage=60", (False, False), (False, False)),
    ("s-maxage=60, stale-if-error=86400", (False, True), (False, True)),
]
NONE = ("DogpileStale 0", "DogpileStaleOnError 0")


def served(server, upstream, column, control):
    """Whether an expired tile is served at once, and whether it is instead of
    an error."""
    url = server.url(wms.tile(8, column, 86))
    upstream.always = scripted.rendered(Cache_Control=control)
    assert client.get(url).status == 200
    server.status.wait(lambda s: s["flights"] == 0)
    backdate(server.dir / "store", HOUR)
    upstream.always = scripted.status(503)
    answer = client.get(url)
    server.status.wait(lambda s: s["flights"] == 0)
    at_once = "; hit;" in answer.header("Cache-Status")
    # A reload has to wait in any case.
    again = client.get(url, headers={"Cache-Control": "no-cache"})
    assert again.status in (200, 502)
    assert answer.status == (200 if at_once else again.status)
    return at_once, again.status == 200


@pytest.mark.parametrize("lines, column", [((), 1), (NONE, 2)],
                         ids=["directives", "none"])
def test_sources_windows_go_before_the_directives(httpd, upstream, lines,
                                                  column):
    """stale-while-revalidate and stale-if-error replace DogpileStale and
    DogpileStaleOnError; must-revalidate and what implies it forbid both."""
    # Each answer is of the source as it is then.
    server = httpd(location(ALONE, "DogpileErrorExpire 0", *lines))
    server.expect_log("DP0601")
    for number, row in enumerate(WINDOWS):
        assert served(server, upstream, number, row[0]) == row[column], row[0]


def test_ignored_source_has_no_windows(httpd, upstream):
    """With DogpileUpstreamHeaders ignore only the directives count, also for
    what was stored before."""
    conf = location(ALONE, EXPIRE, "DogpileUpstreamHeaders ${WORD}")
    server = httpd(conf, define={"WORD": "honour"})
    url, old = expired(server, upstream,
                       {"Cache-Control": "max-age=60, must-revalidate"})
    assert old.header("Cache-Control") == "max-age=60, must-revalidate"
    server.stop()
    path = server.dir / "httpd.conf"
    path.write_text(path.read_text().replace('WORD "honour"', 'WORD "ignore"'))
    server.start()
    assert "; hit; ttl=-" in client.get(url).header("Cache-Status")
    server.status.wait(lambda s: s["stored"])
    settle(server, stored=1)
    answer = client.get(url)
    assert answer.header("Cache-Control") == "max-age=3600"


def test_no_locker_no_error(httpd, upstream):
    """Where DogpileFailOpen Off forbids a fetch, the expired tile is served
    rather than 503."""
    with_locker = Server("memcache")
    try:
        server = httpd(
            "DogpileFailOpen Off\n<DogpileLocker one memcache>\n"
            f"DogpileLockServer 127.0.0.1:{with_locker.port}\n"
            "</DogpileLocker>\n"
            + location(EXPIRE, WAIT, "DogpileLocker one"))
        server.expect_log("DP0502")
        server.allow_log("DP07[0-9][0-9]")
        url, old = expired(server, upstream)
        with_locker.process.kill()
        until(lambda: not ports.accepts(with_locker.port), "server gone")
        answer = client.get(url)
        assert answer.status == 200 and answer.body == old.body
        assert answer.header("Cache-Status").startswith(
            'mod_dogpile; fwd=stale; detail="no locker answers"; ttl=-')
        assert upstream.count == 0
    finally:
        with_locker.remove()


def test_import_shows_no_error(httpd, upstream):
    """While an import holds DogpileSourceLock, those who have waited as long
    as they may get the expired tile, and 503 only where there is none."""
    server = httpd(location(ALONE, EXPIRE, WAIT, "DogpileSourceLock roads",
                            "DogpileWaitTimeout 500ms"))
    url, old = expired(server, upstream)
    lockers = server.dir / "lockers.yaml"
    lockers.write_text("- {type: disk, config: {directory: "
                       f"{server.dir}/store/.locks}}}}\n")
    running = command.Running(server.dir, "-c", lockers, "-x", "roads")
    try:
        running.begun()
        for answer in client.herd([url], 4):
            assert answer.status == 200 and answer.body == old.body
            assert 'fwd=stale; detail="no answer in time"' in answer.header(
                "Cache-Status")
        assert client.get(server.url(wms.tile(8, 7, 7))).status == 503
        assert upstream.count == 0
        assert running.end() == 0
    finally:
        running.remove()
    server.status.wait(lambda s: s["flights"] == 0)
    assert server.status["stale_on_error"] == 4
