# SPDX-License-Identifier: Apache-2.0
"""Answers that must not be shared, and those that only look so."""
import pytest

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import location, records, settle

TILE = wms.tile(8, 133, 86)
CLIENTS = 5

FORBIDDEN = [
    {"Cache-Control": "private, max-age=600"},
    {"Cache-Control": 'private="Set-Cookie", max-age=600'},
    {"Cache-Control": "no-store"},
    {"CDN-Cache-Control": "no-store", "Cache-Control": "max-age=600"},
    {"Vary": "*"},
    {"Vary": "Accept, *"},
    # The second line of a header counts like the first.
    {"Cache-Control": "max-age=600", "cache-control": "private"},
    {"Vary": "Accept-Encoding", "vary": "*"},
]


@pytest.mark.parametrize("headers", FORBIDDEN, ids=str)
def test_personal_answer_is_everyones_own(httpd, upstream, headers):
    """Where sharing is forbidden each client gets its own answer of the
    source, headers and all, and nothing is stored."""
    server = httpd(location(), children=2)
    image = picture.decode(client.get(upstream.url(TILE)).body)
    upstream.forget()
    upstream.always = lambda request: scripted.render(request, headers=headers)
    upstream.hold()
    herd = client.Herd([server.url(TILE)], CLIENTS).start()
    server.status.wait(lambda s: s["waiters"] == CLIENTS)
    upstream.release()
    for answer in herd.answers():
        assert answer.status == 200, answer
        assert picture.same(picture.decode(answer.body), image)
        assert "fwd=bypass" in answer.header("Cache-Status")
        for name, value in headers.items():
            sent = ",".join(answer.headers.get_all(name)).replace(" ", "")
            assert value.replace(" ", "") in sent
    assert upstream.count == 1 + CLIENTS
    seen = settle(server, stored=0, passed=CLIENTS)
    assert seen["pass"]["unshareable"] == CLIENTS
    assert not records(server.dir / "store")


def test_personal_answers_are_queued_for_once(httpd, upstream):
    """After an answer that must not be shared, the requests for its metatile
    pass at once: no flight, no waiting, in no child. Other metatiles are as
    ever."""
    server = httpd(location(), children=2, threads=64)
    meta = wms.Metatile(8, 133, 86)
    upstream.always = scripted.rendered(Cache_Control="private")
    assert client.get(server.url(TILE)).status == 200
    assert upstream.count == 2
    upstream.hold()
    herd = client.Herd([server.url(path) for path in meta.tiles()], 32).start()
    upstream.wait_held(32)
    assert server.status["waiters"] == 0
    upstream.release()
    for answer in herd.answers():
        assert answer.status == 200
        assert answer.header("Cache-Status") == (
            'mod_dogpile; fwd=bypass; detail="unshareable"')
    seen = settle(server, fetches=1, passed=33, passed_at_once=32)
    assert seen["pass"]["unshareable"] == 33
    upstream.always = None
    assert client.get(server.url(wms.tile(8, 1, 1))).status == 200
    settle(server, fetches=2, stored=1)


def test_mark_ends_with_the_httpd(httpd, upstream):
    """A stop forgets which answers must not be shared."""
    server = httpd(location())
    upstream.script(scripted.rendered(Cache_Control="private"))
    for _ in range(2):
        assert client.get(server.url(TILE)).status == 200
    settle(server, passed=2, passed_at_once=1)
    server.stop()
    server.start()
    assert client.get(server.url(TILE)).status == 200
    settle(server, stored=1)


HARMLESS = [
    {"Vary": "Accept-Encoding"}, {"Vary": "Origin, Cookie"},
    {"Set-Cookie": "route=7"}, {"Pragma": "no-cache"},
]


@pytest.mark.parametrize("headers", HARMLESS, ids=str)
def test_what_the_request_did_not_carry_is_dropped(httpd, upstream, headers):
    """Cookies of balancers and Vary of what was never sent don't keep tiles
    from being shared, and don't reach clients."""
    server = httpd(location(), children=2)
    upstream.always = lambda request: scripted.render(request, headers=headers)
    first = client.get(server.url(TILE))
    settle(server, stored=1)
    second = client.get(server.url(TILE))
    assert upstream.count == 1
    for answer in (first, second):
        assert answer.status == 200
        assert not set(headers) & set(answer.headers.keys()), answer


def test_cross_origin_headers_are_kept(httpd, upstream):
    """Access-Control-* and what DogpileKeepHeader names come with a tile from
    the source and from the store alike; nothing else does."""
    server = httpd(location("DogpileKeepHeader X-Rendered-By"))
    upstream.always = scripted.rendered(
        Access_Control_Allow_Origin="*", X_Rendered_By="unit 7", X_Other="no")
    first = client.get(server.url(TILE))
    settle(server, stored=1)
    for answer in (first, client.get(server.url(TILE))):
        assert answer.header("Access-Control-Allow-Origin") == "*"
        assert answer.header("X-Rendered-By") == "unit 7"
        assert answer.header("X-Other") is None


def test_kept_headers_have_bounds(httpd, upstream):
    """A source can't make records grow: of very many or very long headers some
    aren't kept, and the tile is served and stored all the same."""
    server = httpd(location())
    names = [f"Access-Control-{i}" for i in range(40)]
    headers = {name: "x" for name in names}
    headers["Access-Control-Long"] = "x" * 2000
    upstream.always = lambda request: scripted.render(request, headers=headers)
    first = client.get(server.url(TILE))
    settle(server, stored=1)
    for answer in (first, client.get(server.url(TILE))):
        assert answer.status == 200
        assert answer.header("Access-Control-Long") is None
        assert sum(name in answer.headers for name in names) == 32
