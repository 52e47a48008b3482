# SPDX-License-Identifier: Apache-2.0
"""What clients ask of caches in Cache-Control and Pragma (RFC 9111, 5.2.1)."""
import pytest

from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import ALONE, backdate, location, records, settle

META = wms.Metatile(8, 133, 86)
TILE = wms.tile(8, 133, 86)
EXPIRE = "DogpileExpire 1h jitter=0%"
RELOADS = [{"Cache-Control": "no-cache"}, {"Cache-Control": "max-age=0"},
           {"Pragma": "no-cache"},
           {"Cache-Control": "max-age=0, must-understand"},
           {"Cache-Control": "no-cache", "Pragma": "no-cache"}]
CACHED = {"Cache-Control": "only-if-cached"}
HOUR = 3600


def stored(server, upstream, seconds=0):
    """The URL of a tile that was stored so many seconds ago, and the tile."""
    url = server.url(TILE)
    old = client.get(url)
    assert old.status == 200
    settle(server, stored=1)
    backdate(server.dir / "store", seconds)
    upstream.forget()
    return url, old


def blank(request):
    """Draws another layer than was asked for."""
    request.query["LAYERS"] = "blank"
    return scripted.render(request)


@pytest.mark.parametrize("lines, seconds, fwd", [
    ((), 60, "request"), ((), 2 * HOUR, "stale"),
    (("DogpileStale 0",), 2 * HOUR, "stale")], ids=str)
def test_reloads_join_one_refresh(httpd, upstream, lines, seconds, fwd):
    """Clients that reload an older tile, fresh or stale, wait together for one
    new picture; who doesn't reload is served at once meanwhile."""
    server = httpd(location(EXPIRE, *lines), children=2)
    url, old = stored(server, upstream, seconds)
    upstream.always = blank
    upstream.hold()
    herds = [client.Herd([url], 3, headers=headers).start()
             for headers in RELOADS]
    server.status.wait(lambda s: s["waiters"] == 3 * len(RELOADS))
    if not lines:
        assert client.get(url).body == old.body
    upstream.release()
    for answer in [answer for herd in herds for answer in herd.answers()]:
        assert answer.status == 200 and answer.body != old.body
        assert f"; fwd={fwd}; stored" in answer.header("Cache-Status")
    assert upstream.count == 1
    settle(server, fetches=2, stored=2)


def test_reloads_on_two_hosts_cost_one_fetch(httpd, shared_dir, upstream):
    """Of two httpds with one store one fetches for all who reload."""
    conf = location(EXPIRE, store="${SHARED}")
    pair = [httpd(conf, children=1, define={"SHARED": shared_dir})
            for _ in range(2)]
    old = client.get(pair[0].url(TILE))
    settle(pair[0], stored=1)
    backdate(shared_dir, 60)
    upstream.forget()
    upstream.always = blank
    upstream.hold()
    herds = [client.Herd([s.url(TILE)], 4, headers=RELOADS[0]).start()
             for s in pair]
    for server in pair:
        server.status.wait(lambda s: s["waiters"] == 4)
    upstream.wait_held(1)
    upstream.release()
    for answer in [answer for herd in herds for answer in herd.answers()]:
        assert answer.status == 200 and answer.body != old.body
    assert upstream.count == 1
    for server in pair:
        settle(server, store_refused=0)


@pytest.mark.parametrize("headers", RELOADS, ids=str)
def test_reload_of_a_young_tile_is_a_hit(httpd, upstream, headers):
    """A reload within some seconds of the last fetch is an ordinary request,
    whoever caused that fetch."""
    server = httpd(location(EXPIRE))
    url, old = stored(server, upstream)
    for _ in range(3):
        answer = client.get(url, headers=headers)
        assert answer.body == old.body
        assert "; hit;" in answer.header("Cache-Status")
    assert upstream.count == 0


def test_max_age_counts_from_the_fetch(httpd, upstream):
    """max-age of a client is a reload of what is older, and of nothing
    else."""
    server = httpd(location(EXPIRE))
    url, _ = stored(server, upstream, 60)
    client.get(url, headers={"Cache-Control": "max-age=600"})
    settle(server, fetches=1, hits=1)
    answer = client.get(url, headers={"Cache-Control": "max-age=30"})
    assert "fwd=request" in answer.header("Cache-Status")
    settle(server, fetches=2)


def test_failed_reload_gets_what_is_there(httpd, upstream):
    """Where the source fails, a reload gets the tile that others get."""
    server = httpd(location(EXPIRE))
    server.expect_log("DP0601")
    url, old = stored(server, upstream, 60)
    upstream.always = scripted.status(503)
    answer = client.get(url, headers={"Cache-Control": "no-cache"})
    assert answer.status == 200 and answer.body == old.body
    assert ('fwd=request; fwd-status=503; detail="the source failed"; ttl=35'
            in answer.header("Cache-Status"))
    settle(server, failed=0, stale_on_error=1)


def test_only_if_cached_never_fetches(httpd, upstream):
    """only-if-cached is answered from the store, stale too and without a
    refresh, and with 504 where that has nothing."""
    server = httpd(location(ALONE, EXPIRE))
    missing = client.get(server.url(TILE), headers=CACHED)
    assert missing.status == 504
    assert missing.header("Cache-Status") == (
        'mod_dogpile; detail="only-if-cached"')
    assert missing.header("Cache-Control") == "no-store"
    off_grid = TILE.replace("WIDTH=256", "WIDTH=250")
    assert client.get(server.url(off_grid), headers=CACHED).status == 504
    assert upstream.count == 0
    url, old = stored(server, upstream, 2 * HOUR)
    for headers in (CACHED, {"Cache-Control": "no-cache, only-if-cached"}):
        answer = client.get(url, headers=headers)
        assert answer.status == 200 and answer.body == old.body
        assert "; hit; ttl=-" in answer.header("Cache-Status")
    settle(server, fetches=1, not_cached=2, stale=2)
    assert upstream.count == 0


def test_only_if_cached_does_not_wait(httpd, upstream):
    """Not even for a flight that is under way."""
    server = httpd(location(EXPIRE))
    upstream.hold()
    herd = client.Herd([server.url(TILE)], 2).start()
    server.status.wait(lambda s: s["waiters"] == 2)
    assert client.get(server.url(TILE), headers=CACHED).status == 504
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert upstream.count == 1


@pytest.mark.parametrize("asked", [
    "no-store", "min-fresh=7200", "max-stale=0", "max-stale", "no-transform"])
def test_the_rest_is_ignored(httpd, upstream, asked):
    """no-store, min-fresh and max-stale change nothing: a tile is shared and
    stored for all or for nobody."""
    server = httpd(location(EXPIRE))
    headers = {"Cache-Control": asked}
    first = client.get(server.url(TILE), headers=headers)
    settle(server, stored=1)
    assert len(records(server.dir / "store")) == 1
    second = client.get(server.url(TILE), headers=headers)
    assert first.body == second.body
    assert "; hit;" in second.header("Cache-Status")
    assert upstream.count == 1
