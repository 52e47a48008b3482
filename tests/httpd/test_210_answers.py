# SPDX-License-Identifier: Apache-2.0
"""What a tile is answered with: validators, freshness, conditions, ranges."""
import email.utils
import re

import numpy
import pytest
from PIL import Image

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import location, settle
from pydogpile.wait import until

TILE = wms.tile(8, 133, 86)
HOUR = "DogpileExpire 1h jitter=0%"


def when(answer, name):
    return email.utils.parsedate_to_datetime(answer.header(name)).timestamp()


def assert_tile_headers(answer):
    """What every cache between here and the browser needs."""
    age = int(answer.header("Age"))
    assert answer.status == 200, answer
    assert re.fullmatch('"[0-9a-f]{32}"', answer.header("ETag"))
    assert answer.header("Content-Type") == "image/png"
    assert int(answer.header("Content-Length")) == len(answer.body)
    assert answer.header("Cache-Control") == "max-age=3600"
    assert answer.header("Accept-Ranges") == "bytes"
    assert when(answer, "Expires") - when(answer, "Last-Modified") == 3600
    assert when(answer, "Last-Modified") <= when(answer, "Date")
    assert answer.header("Cache-Status").endswith(f"; ttl={3600 - age}")
    return age


def test_miss_and_hit_say_the_same(httpd):
    """A tile carries ETag, Last-Modified, Age, Expires, Cache-Control and
    Cache-Status, from the source and from the store, and grows older."""
    server = httpd(location(HOUR))
    miss = client.get(server.url(TILE))
    assert_tile_headers(miss)
    assert miss.header("Cache-Status") == "mod_dogpile; fwd=uri-miss; stored; ttl=3600"
    settle(server, stored=1)
    until(lambda: client.get(server.url(TILE)).header("Age") != "0", "age")
    hit = client.get(server.url(TILE))
    assert assert_tile_headers(hit) >= 1
    assert hit.header("Cache-Status").startswith("mod_dogpile; hit; ttl=35")
    for name in ("ETag", "Last-Modified", "Expires", "Content-Type"):
        assert hit.header(name) == miss.header(name)
    assert hit.body == miss.body


def test_waiter_is_called_collapsed(httpd, upstream):
    """Cache-Status tells who started the flight from who joined it."""
    server = httpd(location(HOUR))
    upstream.hold()
    herd = client.Herd([server.url(TILE)], 6).start()
    server.status.wait(lambda s: s["waiters"] == 6)
    upstream.release()
    said = [answer.header("Cache-Status") for answer in herd.answers()]
    assert sorted(said) == 5 * [
        "mod_dogpile; fwd=uri-miss; stored; collapsed; ttl=3600"] + [
        "mod_dogpile; fwd=uri-miss; stored; ttl=3600"]


def test_cache_status_can_be_silenced(httpd):
    """With DogpileHeader Off nothing names the module."""
    server = httpd(location("DogpileHeader Off"))
    for path in (TILE, TILE, TILE + "&MAP=x"):
        answer = client.get(server.url(path))
        assert answer.status == 200
        assert "dogpile" not in str(answer.headers).lower()


def test_same_pixels_have_the_same_etag(httpd, upstream):
    """ETags are equal on two httpds without a common store; Last-Modified
    may differ."""
    answers = [client.get(httpd(location(), children=1).url(TILE))
               for _ in range(2)]
    assert upstream.count == 2
    assert answers[0].header("ETag") == answers[1].header("ETag")
    assert answers[0].body == answers[1].body


def test_rerendered_pixels_keep_their_etag(httpd, upstream):
    """After expiry the same pixels have the same ETag and a new date, so
    browsers keep what they have."""
    server = httpd(location("DogpileExpire 1s jitter=0%"))
    first = client.get(server.url(TILE))
    until(lambda: client.get(server.url(TILE)).header("Last-Modified")
          != first.header("Last-Modified"), "rendered again")
    again = client.get(server.url(TILE), headers={
        "If-None-Match": first.header("ETag"),
        "If-Modified-Since": first.header("Last-Modified")})
    assert upstream.count >= 2
    assert again.status == 304


def conditions(etag, modified):
    """Request headers, and the status they deserve (RFC 9110 section 13)."""
    old = "Sat, 01 Jan 2000 00:00:00 GMT"
    return [
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": "W/" + etag}, 304),
        ({"If-None-Match": f'"a", {etag}, "b"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": old}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
        ({"If-None-Match": etag, "If-Modified-Since": old}, 304),
        ({"If-Match": etag}, 200),
        ({"If-Match": etag, "If-Unmodified-Since": old}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": old}, 412),
    ]


def assert_conditions(server, url, tile):
    for headers, status in conditions(tile.header("ETag"),
                                      tile.header("Last-Modified")):
        answer = client.get(url, headers=headers)
        assert answer.status == status, (headers, answer)
        if status == 304:
            assert answer.body == b""
            for name in ("ETag", "Cache-Control", "Expires"):
                assert answer.header(name) == tile.header(name), headers
        elif status == 200:
            assert answer.body == tile.body, headers


def test_conditional_requests_of_hits(httpd, upstream):
    """If-None-Match, If-Modified-Since and their opposites are answered as
    RFC 9110 says."""
    server = httpd(location(HOUR))
    url = server.url(TILE)
    client.get(url)
    settle(server, stored=1)
    assert_conditions(server, url, client.get(url))
    assert upstream.count == 1


def test_conditional_request_of_a_miss(httpd, upstream):
    """A browser that revalidates a tile which the store has lost is told that
    its own is still good, after one fetch; the condition never reaches the
    source."""
    server = httpd(location(HOUR))
    etag = client.get(httpd(location(), children=1).url(TILE)).header("ETag")
    upstream.forget()
    answer = client.get(server.url(TILE), headers={"If-None-Match": etag})
    assert answer.status == 304
    assert upstream.count == 1
    assert "if-none-match" not in upstream.requests[0].headers
    settle(server, stored=1)


def test_head_is_get_without_a_body(httpd, upstream):
    """HEAD of a cold tile fetches and stores it; its headers are GET's."""
    server = httpd(location(HOUR))
    cold = client.get(server.url(TILE), method="HEAD")
    settle(server, stored=1)
    warm = client.get(server.url(TILE), method="HEAD")
    tile = client.get(server.url(TILE))
    assert [r.method for r in upstream.requests] == ["GET"]
    for head in (cold, warm):
        assert (head.status, head.body) == (200, b"")
        for name in ("ETag", "Content-Length", "Content-Type", "Expires",
                     "Last-Modified", "Cache-Control"):
            assert head.header(name) == tile.header(name), name


# Range headers and which part of the body they mean.
RANGES = [("bytes=0-9", slice(0, 10)), ("bytes=10-10", slice(10, 11)),
          ("bytes=-7", slice(-7, None)), ("bytes=100-", slice(100, None))]


def assert_ranges(url, tile):
    size = len(tile.body)
    for value, part in RANGES:
        answer = client.get(url, headers={"Range": value})
        assert answer.status == 206, (value, answer)
        assert answer.body == tile.body[part], value
        assert answer.header("Content-Range").endswith(f"/{size}")
    answer = client.get(url, headers={"Range": "bytes=0-3,10-13,-2"})
    assert answer.status == 206
    assert answer.header("Content-Type").startswith("multipart/byteranges")
    for part in (slice(0, 4), slice(10, 14), slice(-2, None)):
        assert b"\r\n\r\n" + tile.body[part] + b"\r\n--" in answer.body
    beyond = client.get(url, headers={"Range": f"bytes={size}-"})
    assert beyond.status == 416
    assert client.get(url, headers={"Range": "lines=1-2"}).body == tile.body


def assert_if_range(url, tile):
    etag = tile.header("ETag")
    for value, status in ((etag, 206), ("W/" + etag, 200), ('"other"', 200),
                          ("Sat, 01 Jan 2000 00:00:00 GMT", 200)):
        answer = client.get(url, headers={"Range": "bytes=0-9",
                                          "If-Range": value})
        assert answer.status == status, (value, answer)
        assert answer.body == tile.body[:10 if status == 206 else None]


def noise(request):
    """Tiles that no compression makes small."""
    width, height = request.pixels()
    pixels = numpy.random.default_rng(7).integers(
        0, 256, (height, width, 3), dtype=numpy.uint8)
    body = picture.encode(Image.fromarray(pixels), "image/png")
    return scripted.Answer(200, {"Content-Type": "image/png"}, body)


WAYS = {
    "default": "",
    "sendfile": "EnableSendfile On\n",
    "no-mmap": "EnableMMAP Off\n",
    "sendfile-no-mmap": "EnableSendfile On\nEnableMMAP Off\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_sending_sends_the_same(httpd, upstream, way):
    """Large tiles, ranges and HEAD come out right however httpd sends files,
    one after the other on one connection."""
    server = httpd(WAYS[way] + location(HOUR, "DogpileMetatile 2x2 buffer=0"),
                   children=1)
    upstream.always = noise
    paths = wms.Metatile(8, 132, 86, columns=2, rows=2, buffer=0).tiles()
    cold = client.herd([server.url(path) for path in paths])
    settle(server, stored=1)
    connection, _ = client.connect(server.url())
    for _ in range(2):
        for path, tile in zip(paths, cold):
            assert len(tile.body) > 190000
            warm = client.ask(connection, path)
            assert warm.body == tile.body
            assert warm.header("ETag") == tile.header("ETag")
    connection.close()
    assert upstream.count == 1
    assert_ranges(server.url(paths[3]), cold[3])
    assert_if_range(server.url(paths[3]), cold[3])


def test_nothing_follows_416(httpd, upstream, dial):
    """A range that can't be met has one answer, after which the connection
    goes on, and the log says 416."""
    server = httpd("LogFormat %>s status\nCustomLog access.log status\n"
                   + location(HOUR), children=1)
    tile = client.get(server.url(TILE))
    wire = dial(server.port).ask(TILE, Range="bytes=99999999-")
    assert wire.answer().status == 416
    assert wire.ask(TILE).answer().body == tile.body
    log = (server.dir / "access.log").read_text().split()
    assert log.count("416") == 1 and "500" not in log


def test_range_of_a_miss(httpd, upstream):
    """A part of a cold tile costs the fetch of the whole metatile."""
    server = httpd(location(HOUR))
    part = client.get(server.url(TILE), headers={"Range": "bytes=0-9"})
    settle(server, stored=1)
    tile = client.get(server.url(TILE))
    assert (part.status, part.body) == (206, tile.body[:10])
    assert "range" not in upstream.requests[0].headers
    assert upstream.count == 1
