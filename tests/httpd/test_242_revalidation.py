# SPDX-License-Identifier: Apache-2.0
"""Refreshes that ask the source whether what it gave is still good."""
import os

import pytest

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import (ALONE, assert_tiles, backdate, location, records,
                             settle, whole, write_ids)
from pydogpile.wait import until

META = wms.Metatile(8, 133, 86)
TILE = wms.tile(8, 133, 86)
HOUR = 3600
WAIT = "DogpileStale 0"
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
ETAG = '"v1"'
LASTING = {"ETag": ETAG, "Cache-Control": "max-age=60"}


def source(headers=None, renewal=None):
    """A source that compares: 304 with the headers of the renewal for a
    request with a condition, a picture with others."""
    def answer(request):
        if {"if-none-match", "if-modified-since"} & set(request.headers):
            return scripted.Answer(304, renewal or {})
        return scripted.render(request, headers=headers)
    return answer


def expired(server, upstream, headers=None, renewal=None):
    """The URL of an expired tile and the tile; the source has been asked
    nothing since."""
    upstream.always = source(headers, renewal)
    url = server.url(TILE)
    old = client.get(url)
    assert old.status == 200
    settle(server, stored=1)
    backdate(server.dir / "store", 2 * HOUR)
    upstream.forget()
    return url, old


def asked(upstream):
    """The conditions of the only request."""
    request, = upstream.requests
    return (request.headers.get("if-none-match"),
            request.headers.get("if-modified-since"))


VALIDATORS = [
    ({"ETag": ETAG}, (ETAG, None)),
    ({"ETag": 'W/"v1"'}, ('W/"v1"', None)),
    ({"Last-Modified": MODIFIED}, (None, MODIFIED)),
    ({"ETag": ETAG, "Last-Modified": MODIFIED}, (ETAG, MODIFIED)),
]


@pytest.mark.parametrize("headers, conditions", VALIDATORS, ids=str)
def test_304_renews_a_metatile(httpd, upstream, headers, conditions):
    """A source that gave validators is asked with them, once for all tiles;
    its 304 makes the same tiles fresh again, on disk too."""
    server = httpd(location(WAIT), children=2)
    image = whole(upstream, META)
    url, old = expired(server, upstream,
                       {**headers, "Cache-Control": "max-age=60"},
                       {"Cache-Control": "max-age=600"})
    before = write_ids(server.dir / "store")
    upstream.hold()
    herd = client.Herd([server.url(path) for path in META.tiles()], 16).start()
    server.status.wait(lambda s: s["waiters"] == 16)
    upstream.release()
    answers = herd.answers()
    assert_tiles(answers, META, image)
    for answer in answers:
        assert "fwd=stale; fwd-status=304; stored" in answer.header(
            "Cache-Status")
        assert answer.header("Cache-Control") == "max-age=600"
    assert asked(upstream) == conditions
    settle(server, fetches=2, renewed=1, stored=2, store_refused=0)
    after = write_ids(server.dir / "store")
    assert len(after) == 1 and after != before
    again = client.get(url)
    assert "; hit;" in again.header("Cache-Status")
    assert again.body == old.body
    assert again.header("ETag") == old.header("ETag")
    # Renewed as often as it expires: the validators are kept. What is hot is
    # looked up in the store once a second.
    backdate(server.dir / "store", HOUR)
    upstream.forget()
    until(lambda: client.get(url) and upstream.count, "its expiry")
    assert asked(upstream) == conditions


def test_renewal_keeps_what_it_does_not_name(httpd, upstream):
    """A 304 without headers leaves lifetime and kept headers as they were; one
    that names them replaces them."""
    server = httpd(location(
        ALONE, WAIT, "DogpileKeepHeader X-Rendered-By X-Data"))
    url, _ = expired(server, upstream, {
        **LASTING, "Access-Control-Allow-Origin": "*", "X-Rendered-By": "7"})
    answer = client.get(url)
    assert answer.header("Cache-Control") == "max-age=60"
    assert answer.header("Access-Control-Allow-Origin") == "*"
    settle(server, renewed=1, stored=2)
    backdate(server.dir / "store", HOUR)
    upstream.always = source(renewal={"X-Rendered-By": "8", "X-Data": "new",
                                      "Cache-Control": "max-age=90"})
    answer = client.get(url)
    assert answer.header("Cache-Control") == "max-age=90"
    assert answer.header("X-Rendered-By") == "8"
    assert answer.header("X-Data") == "new"
    assert answer.header("Access-Control-Allow-Origin") == "*"
    settle(server, renewed=2, stored=3)


def test_changed_picture_replaces_the_old_one(httpd, upstream):
    """Where the source answers a condition with a picture, that is cut and
    stored as ever."""
    server = httpd(location(WAIT))
    url, old = expired(server, upstream, LASTING)
    upstream.always = scripted.rendered(ETag='"v2"')
    answer = client.get(url)
    assert asked(upstream) == (ETAG, None)
    assert answer.body == old.body
    assert "fwd-status" not in answer.header("Cache-Status")
    settle(server, fetches=2, renewed=0, stored=2)


def test_stale_tile_is_renewed_behind_the_answer(httpd, upstream):
    """A refresh that nobody waits for asks with the condition, too."""
    server = httpd(location(ALONE))
    url, old = expired(server, upstream, LASTING,
                       {"Cache-Control": "max-age=600"})
    assert "; hit; ttl=-" in client.get(url).header("Cache-Status")
    server.status.wait(lambda s: s["renewed"])
    settle(server, renewed=1, stored=2, stale=1)
    fresh = client.get(url)
    assert fresh.body == old.body
    assert fresh.header("Cache-Control") == "max-age=600"


def test_nothing_is_asked_without_reason(httpd, upstream):
    """Without validators, and with DogpileUpstreamHeaders ignore, a refresh
    has no condition."""
    server = httpd(location(ALONE, WAIT)
                   + location(ALONE, WAIT, "DogpileUpstreamHeaders ignore",
                              path="/ignored"))
    for path, headers in (("/wms", {}), ("/ignored", LASTING)):
        upstream.always = source(headers)
        url = server.url(wms.tile(8, 133, 86, path=path))
        assert client.get(url).status == 200
        server.status.wait(lambda s: s["flights"] == 0)
        backdate(server.dir / "store", 2 * HOUR)
        upstream.forget()
        assert client.get(url).status == 200
        assert asked(upstream) == (None, None)


def test_damaged_metatile_is_rendered_anew(httpd, upstream):
    """A record whose tiles aren't what they were is never renewed."""
    server = httpd(location(WAIT))
    url, old = expired(server, upstream, LASTING)
    record, = records(server.dir / "store")
    data = bytearray(record.read_bytes())
    data[-1] ^= 1
    record.write_bytes(data)
    answer = client.get(url)
    assert asked(upstream) == (None, None)
    assert answer.body == old.body
    settle(server, renewed=0, stored=2)


def test_304_about_another_version_is_an_error(httpd, upstream):
    """A 304 with another strong ETag than was asked about renews nothing: who
    waited gets the expired tile, and the log says why."""
    server = httpd(location(ALONE, WAIT))
    server.expect_log("DP0601.*304 about another version")
    url, old = expired(server, upstream, LASTING, {"ETag": '"v2"'})
    answer = client.get(url)
    assert answer.status == 200 and answer.body == old.body
    assert "fwd=stale; fwd-status=304; detail=" in answer.header(
        "Cache-Status")
    settle(server, stored=1, stale_on_error=1, fetch_errors=1)


def test_304_may_forbid_to_share(httpd, upstream):
    """A 304 with no-store renews nothing: everyone asks the source."""
    server = httpd(location(ALONE, WAIT))
    url, _ = expired(server, upstream, LASTING, {"Cache-Control": "no-store"})
    answer = client.get(url)
    assert answer.status == 200
    assert "fwd=bypass" in answer.header("Cache-Status")
    settle(server, stored=1, passed=1)


def test_source_that_wants_to_be_asked_each_time(httpd, upstream):
    """What says no-cache and has a validator is kept to ask with: each herd
    costs a question, none a rendering, and nothing is served unasked."""
    server = httpd(location())
    no_cache = {"Cache-Control": "no-cache"}
    upstream.always = source({"ETag": ETAG, **no_cache}, no_cache)
    url = server.url(TILE)
    first = client.get(url)
    for n in (2, 3):
        settle(server, stored=n - 1)
        answer = client.get(url)
        assert answer.body == first.body
        assert answer.header("Cache-Control").startswith("max-age=0")
    settle(server, fetches=3, renewed=2, hits=0, stale=0)


WITHIN = """
LoadModule alias_module ${MODULES}/mod_alias.so
LoadModule mime_module ${MODULES}/mod_mime.so
LoadModule cgi_module ${MODULES}/mod_cgi.so
LoadModule lua_module ${MODULES}/mod_lua.so
TypesConfig /etc/mime.types
DogpileStore "disk:${DIR}/store"
Alias "/drawn" "${DIR}/www/tile.png"
ScriptAlias "/drawing" "${DIR}/www/draw.sh"
LuaMapHandler "^/lua" "${DIR}/www/draw.lua" handle
<Directory "${DIR}/www">
    Require all granted
</Directory>
<Location "/wms">
    DogpileEnable On
    DogpileMetatile 1x1 buffer=0
    DogpileStale 0
    DogpileSource "${SOURCE}"
</Location>
"""
SCRIPT = """#!/bin/sh
cd "${{0%/*}}"
printf 'Content-Type: image/png\\nLast-Modified: {}\\n'
printf 'Cache-Control: %s\\n\\n' "$(/bin/cat control)"
exec /bin/cat tile.png
"""


HANDLER = """
local function read(name)
    local file = io.open("{0}/" .. name, "rb")
    local text = file:read("*a")
    file:close()
    return text
end
function handle(r)
    r.headers_out["ETag"] = '"v1"'
    r.headers_out["Cache-Control"] = read("control")
    if r.headers_in["If-None-Match"] then
        return 304
    end
    r.content_type = "image/png"
    r:write(read("tile.png"))
    return apache2.OK
end
"""


@pytest.mark.parametrize("path, control", [
    ("/drawn", None), ("/drawing", "max-age=600"), ("/lua", "max-age=600")],
    ids=["file", "CGI", "handler"])
def test_httpd_itself_compares(make_httpd, upstream, path, control):
    """A source within httpd that leaves the comparison to httpd is understood
    like one behind a proxy, headers and all."""
    server = make_httpd(WITHIN, define={"SOURCE": path})
    folder = server.dir / "www"
    folder.mkdir()
    (folder / "tile.png").write_bytes(client.get(upstream.url(TILE)).body)
    (folder / "draw.sh").write_text(SCRIPT.format(MODIFIED))
    (folder / "draw.lua").write_text(HANDLER.format(folder))
    (folder / "control").write_text("max-age=60")
    for each in (folder, *folder.iterdir()):
        os.chmod(each, 0o755)
    server.start()
    url = server.url(TILE)
    old = client.get(url)
    assert old.status == 200
    settle(server, stored=1)
    backdate(server.dir / "store", 2 * HOUR)
    (folder / "control").write_text("max-age=600")
    answer = client.get(url)
    assert "fwd=stale; fwd-status=304; stored" in answer.header("Cache-Status")
    assert answer.body == old.body
    assert picture.decode(answer.body).size == (256, 256)
    assert control in (None, answer.header("Cache-Control"))
    settle(server, renewed=1, stored=2)
