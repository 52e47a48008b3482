# SPDX-License-Identifier: Apache-2.0
"""How long a tile is fresh, who decides it, and what happens then."""
import email.utils
import time

import pytest

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import ALONE, location, records, settle, write_ids
from pydogpile.wait import until

HOUR = 3600
EXPIRE = "DogpileExpire 1h jitter=0%"


def drawing(layers):
    """Draws other layers than was asked for."""
    def answer(request):
        request.query["LAYERS"] = layers
        return scripted.render(request,
                               headers={"Cache-Control": "max-age=600"})
    return answer


def test_expired_tile_is_fetched_once_more(httpd, upstream):
    """After DogpileExpire the metatile is fetched again and replaces the
    old one, once for all its tiles."""
    server = httpd(location("DogpileExpire 1s jitter=0%", "DogpileStale 0"))
    meta = wms.Metatile(8, 133, 86)
    urls = [server.url(path) for path in meta.tiles()]
    old = client.get(urls[0])
    settle(server, stored=1)
    before = write_ids(server.dir / "store")
    upstream.always = drawing("blank")
    until(lambda: client.get(urls[0]).body != old.body, "the new picture")
    for answer in client.herd(urls):
        assert picture.decode(answer.body).getcolors() == [
            (65536, (12, 34, 56))]
    assert upstream.count == 2
    settle(server, fetches=2, stored=2, store_refused=0)
    after = write_ids(server.dir / "store")
    assert len(after) == 1 and after != before


# The headers of the source, and for how long a tile is fresh then. A number
# means a date so many seconds ahead.
LIFETIMES = [
    ({}, HOUR),
    ({"Cache-Control": "public"}, HOUR),
    ({"Cache-Control": "max-age=soon"}, HOUR),
    ({"Cache-Control": "max-age=100"}, 100),
    ({"Cache-Control": 'MAX-AGE="100"'}, 100),
    ({"Cache-Control": "max-age=100, s-maxage=200"}, 200),
    ({"Cache-Control": "s-maxage=200, max-age=100"}, 200),
    ({"Cache-Control": "max-age=100", "CDN-Cache-Control": "max-age=300"}, 300),
    ({"Cache-Control": "no-store", "CDN-Cache-Control": "max-age=300"}, 300),
    # RFC 9213: Expires goes with Cache-Control; what can't be parsed isn't
    # there.
    ({"Expires": 7 * HOUR, "CDN-Cache-Control": "public"}, HOUR),
    ({"Cache-Control": "max-age=100", "CDN-Cache-Control": "max-age=3,"}, 100),
    ({"Cache-Control": "max-age=100", "Age": "40"}, 60),
    ({"Cache-Control": "max-age=100", "Expires": 7 * HOUR}, 100),
    ({"Expires": 7 * HOUR}, 7 * HOUR),
    ({"Expires": "0"}, 0),
    ({"Cache-Control": "max-age=0"}, 0),
    ({"Cache-Control": "no-cache"}, 0),
    ({"Cache-Control": "max-age=100", "Age": "100"}, 0),
    # Two lines of one header are one list (RFC 9110 section 5.3).
    ({"Cache-Control": "public", "cache-control": "max-age=100"}, 100),
]


def lifetime(answer):
    """As the client is told, in three ways that must agree."""
    control = answer.header("Cache-Control")
    assert control.startswith("max-age="), answer
    seconds = int(control.removeprefix("max-age="))
    age = int(answer.header("Age"))
    assert f"ttl={seconds - age}" in answer.header("Cache-Status")
    return seconds


def drawn_with(headers):
    """An answer of the source with these headers."""
    def answer(request):
        dated = {name: email.utils.formatdate(time.time() + value, usegmt=True)
                 if isinstance(value, int) else value
                 for name, value in headers.items()}
        return scripted.render(request, headers=dated)
    return answer


def fresh_for(server, upstream, headers, column):
    """What the answer to the first request for a tile says, and whether the
    second one finds it in the store."""
    url = server.url(wms.tile(8, column, 86))
    upstream.forget()
    upstream.always = drawn_with(headers)
    first = client.get(url)
    assert first.status == 200, (headers, first)
    server.status.wait(lambda s: s["flights"] == 0)
    assert client.get(url).status == 200
    aged = int(headers.get("Age", 0))
    assert int(first.header("Age")) >= aged
    return lifetime(first) - aged, upstream.count == 1


def test_source_decides_how_long(httpd, upstream):
    """CDN-Cache-Control goes over s-maxage, over max-age, over Expires, over
    DogpileExpire; what the tile has aged before is taken off; zero is not
    stored."""
    server = httpd(location(ALONE, EXPIRE))
    for column, (headers, seconds) in enumerate(LIFETIMES):
        said, stored = fresh_for(server, upstream, headers, column)
        assert abs(said - seconds) <= ("Expires" in headers), headers
        assert stored == (seconds > 0), headers


@pytest.mark.parametrize("headers", [
    {"Cache-Control": "max-age=100"}, {"Cache-Control": "no-store"},
    {"CDN-Cache-Control": "max-age=7"}, {"Expires": "0"}, {"Vary": "*"}])
def test_source_may_be_ignored(httpd, upstream, headers):
    """With DogpileUpstreamHeaders ignore only DogpileExpire decides."""
    server = httpd(location(ALONE, EXPIRE, "DogpileUpstreamHeaders ignore"),
                   children=1)
    assert fresh_for(server, upstream, headers, 0) == (HOUR, True)


def test_lifetime_is_jittered_downwards(httpd):
    """Tiles of one hour don't all expire at once, and never later."""
    server = httpd(location(ALONE, "DogpileExpire 1h jitter=50%"))
    said = [lifetime(client.get(server.url(wms.tile(8, column, 86))))
            for column in range(12)]
    assert all(HOUR / 2 <= seconds <= HOUR for seconds in said)
    assert len(set(said)) > 1


def test_worthless_tile_still_serves_its_waiters(httpd, upstream):
    """max-age=0 answers everyone who waited with one fetch, and isn't
    stored."""
    server = httpd(location(EXPIRE))
    upstream.always = scripted.rendered(Cache_Control="max-age=0")
    url = server.url(wms.tile(8, 133, 86))
    upstream.hold()
    herd = client.Herd([url], 10).start()
    server.status.wait(lambda s: s["waiters"] == 10)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert upstream.count == 1
    settle(server, fetches=1, stored=0)
    assert not records(server.dir / "store")
    assert client.get(url).status == 200
    assert upstream.count == 2


@pytest.mark.parametrize("control", ["max-age=0", "no-cache"])
def test_worthless_tile_may_not_be_kept(httpd, upstream, control):
    """What its source calls worthless isn't called good for a moment either,
    also to those who began to wait in the middle of the fetch."""
    server = httpd(location(EXPIRE))
    upstream.always = scripted.rendered(Cache_Control=control)
    url = server.url(wms.tile(8, 133, 86))
    upstream.hold()
    first = client.Herd([url], 1).start()
    upstream.wait_held(1)
    second = client.Herd([url], 2).start()
    server.status.wait(lambda s: s["waiters"] == 3)
    upstream.release()
    for answer in first.answers() + second.answers():
        assert lifetime(answer) - int(answer.header("Age")) <= 0, answer
