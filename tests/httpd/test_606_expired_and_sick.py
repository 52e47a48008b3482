# SPDX-License-Identifier: Apache-2.0
"""Expired tiles of a source that is sick: nobody notices, and it is asked once
a period."""
import pytest

from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import backdate, location, settle, write_ids
from pydogpile.wait import until

CLIENTS = 50
META = wms.Metatile(8, 133, 86)
HOUR = 3600
EXPIRE = "DogpileExpire 1h jitter=0%"
ROOMY = {"children": 2, "threads": 64}
FAULTS = {
    "500": scripted.status(500), "503": scripted.status(503),
    "exception": scripted.service_exception(),
    "redirect": scripted.redirect("/login"), "cut": scripted.cut_body(100),
    "wrong-image": scripted.wrong_size,
}


def expired(server, upstream):
    """The URLs of an expired metatile's tiles; the source has been asked
    nothing since. Each child has looked at the store."""
    urls = [server.url(path) for path in META.tiles()]
    for answer in client.herd(urls, 32):
        assert answer.status == 200
    settle(server, stored=1)
    backdate(server.dir / "store", 2 * HOUR)
    upstream.forget()
    return urls


def assert_stale(urls):
    for answer in client.herd(urls, CLIENTS):
        assert answer.status == 200, answer
        assert "; hit; ttl=-" in answer.header("Cache-Status")


def begun(server, upstream, urls):
    """The first herds; a child may know the tiles as fresh for a second. The
    source holds the refresh."""
    upstream.hold()
    until(lambda: client.herd(urls, CLIENTS) and upstream.held, "a refresh")
    until(lambda: all("ttl=-" in answer.header("Cache-Status")
                      for answer in client.herd(urls, CLIENTS)),
          "all children see the expiry")


@pytest.mark.parametrize("name", FAULTS)
def test_refresh_that_fails(httpd, upstream, name):
    """50 clients get their expired tiles while the source is asked, and 50
    more when it has failed, by one fetch for all in the period; the tiles stay
    as they are."""
    server = httpd(location(EXPIRE, "DogpileErrorExpire 1h"), **ROOMY)
    server.expect_log("DP0601")
    server.allow_log("proxy")
    urls = expired(server, upstream)
    before = write_ids(server.dir / "store")
    upstream.always = FAULTS[name]
    begun(server, upstream, urls)
    assert_stale(urls)
    assert upstream.count == 1
    upstream.release()
    settle(server, fetches=2, fetch_errors=1)
    for _ in range(2):
        assert_stale(urls)
    assert upstream.count == 1
    seen = settle(server, fetches=2, failed=0, misses=32)
    assert seen["stale"] >= 3 * CLIENTS
    assert write_ids(server.dir / "store") == before


def test_refresh_that_hangs(httpd, upstream):
    """A source that hangs is asked once, before DogpileFetchTimeout is over
    and after it; its late answer makes the tiles fresh."""
    server = httpd(location(EXPIRE, "DogpileErrorExpire 1h",
                            "DogpileFetchTimeout 1s"), **ROOMY)
    urls = expired(server, upstream)
    begun(server, upstream, urls)
    assert_stale(urls)
    server.status.wait(lambda s: s["failing"])
    assert_stale(urls)
    assert upstream.count == 1
    upstream.release()
    settle(server, fetches=2, stored=2, failed=0)
    until(lambda: all("ttl=3" in answer.header("Cache-Status")
                      for answer in client.herd(urls)), "fresh tiles")
    assert upstream.count == 1


@pytest.mark.parametrize("fault", [scripted.status(503),
                                   scripted.service_exception()],
                         ids=["source", "picture"])
def test_refresh_after_the_period(httpd, upstream, fault):
    """When the period is over the next client's request begins one refresh
    more, and all is as ever."""
    server = httpd(location(EXPIRE, "DogpileErrorExpire 1s"), **ROOMY)
    server.expect_log("DP0601")
    urls = expired(server, upstream)
    upstream.script(fault)
    begun(server, upstream, urls)
    upstream.release()
    settle(server, fetch_errors=1)
    until(lambda: all(answer.status == 200 for answer in client.herd(urls))
          and server.status["stored"] == 2, "a refresh that succeeds")
    assert upstream.count == 2
    assert settle(server, fetches=3, failed=0)["failing"] == []
