# SPDX-License-Identifier: Apache-2.0
"""DogpileOnTimeout: what a client gets whose tile doesn't come in time."""
import pytest

from pydogpile import client, picture, upstream as scripted, wms
from pydogpile.scene import ALONE, location, settle
from pydogpile.wait import until

TILE = wms.tile(8, 133, 86)
FULL = "DogpileAsync Off\nDogpileMaxBlocked 0\n"  # nobody may wait
EXPIRED = ("DogpileExpire 0.2s jitter=0%", "DogpileStale 0", ALONE)


def instead(words, *lines, **options):
    return location(f"DogpileOnTimeout {words}", *lines, **options)


def assert_interim(answer, detail, media_type="image/png"):
    assert answer.status == 200, answer
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Content-Type") == media_type
    assert int(answer.header("Retry-After")) > 0
    assert f'detail="{detail}"' in answer.header("Cache-Status")
    assert answer.header("ETag") is answer.header("Expires") is None


def assert_turned_away(answer):
    assert answer.status == 503, answer
    assert int(answer.header("Retry-After")) > 0
    assert answer.header("Cache-Control") == "no-store"


BLANKS = {
    "transparent": ({"TRANSPARENT": "TRUE"}, (255, 255, 255, 0)),
    "transparent-green": ({"TRANSPARENT": "TRUE", "BGCOLOR": "0x00ff10"},
                          (0, 255, 16, 0)),
    "white": ({}, (255, 255, 255, 255)),
    "red": ({"TRANSPARENT": "FALSE", "BGCOLOR": "0xff0000"},
            (255, 0, 0, 255)),
    "jpeg": ({"format": "image/jpeg", "BGCOLOR": "0x0000ff"},
             (0, 0, 254, 255)),
    "png8": ({"format": "image/png; mode=8bit"}, (255, 255, 255, 255)),
    "large": ({"size": 512}, (255, 255, 255, 255)),
}


@pytest.mark.parametrize("name", BLANKS)
def test_blank_is_of_the_kind_that_was_asked_for(httpd, upstream, name):
    """`blank` is an empty tile in the format, size and background of the
    request, for nobody to keep; the flight goes on."""
    asked, colour = BLANKS[name]
    server = httpd(FULL + instead("blank", ALONE))
    url = server.url(wms.tile(8, 133, 86, **asked))
    upstream.hold()
    answer = client.get(url)
    kind = asked.get("format", "image/png").split(";")[0]
    assert_interim(answer, "too many requests wait, blank", kind)
    image = picture.decode(answer.body)
    side = asked.get("size", 256)
    assert image.size == (side, side)
    assert set(image.convert("RGBA").getdata()) == {colour}
    head = client.get(url, "HEAD")
    assert head.header("Content-Length") == str(len(answer.body))
    upstream.release()
    settle(server, blank=2, shed=0, stored=1)
    assert client.get(url).header("ETag")
    assert upstream.count == 1


def test_no_blank_for_formats_that_cannot_be_made(httpd, upstream):
    """Of a GIF there is none: the next word counts."""
    server = httpd(FULL + instead("blank 503"))
    upstream.hold()
    assert_turned_away(client.get(server.url(
        wms.tile(8, 133, 86, format="image/gif"))))
    server.allow_log("DP0601")  # the source draws none either


def test_blank_off_grid(httpd, upstream):
    """A map that is no tile has a blank of its own size."""
    server = httpd(FULL + instead("blank"))
    path = wms.getmap(wms.MERCATOR, (1, 2, 301, 102), 300, 100)
    answer = client.get(server.url(path))
    assert_interim(answer, "too many requests wait, blank")
    assert picture.decode(answer.body).size == (300, 100)


HEADERS = """
LoadModule headers_module ${MODULES}/mod_headers.so
<Location "/open">
    Header setifempty Access-Control-Allow-Origin "*"
</Location>
"""


@pytest.mark.parametrize("path, expected", [("/wms", None), ("/open", "*")])
def test_blank_says_nothing_about_other_origins(httpd, upstream, path,
                                                expected):
    """No source has drawn it and allowed others to read it; the site may, and
    tiles keep what their source says."""
    server = httpd(FULL + HEADERS
                   + instead("blank", "DogpileMetatile 1x1 buffer=0",
                             path=path))
    origin = "https://map.example"
    upstream.always = scripted.rendered(Access_Control_Allow_Origin=origin)
    url = server.url(wms.tile(8, 133, 86, path=path))
    allowed = "Access-Control-Allow-Origin"
    assert client.get(url).headers.get_all(allowed) == (
        expected and [expected])
    settle(server, blank=1, stored=1)
    assert client.get(url).headers.get_all(allowed) == [origin]


def test_patience_ends_with_the_list(httpd, upstream):
    """After DogpileWaitTimeout, too, and the flight that was waited for brings
    the tile to the next one."""
    server = httpd(instead("blank 503", "DogpileWaitTimeout 1s"))
    upstream.hold()
    for answer in client.herd([server.url(TILE)], 5):
        assert_interim(answer, "no answer in time, blank")
    upstream.release()
    settle(server, blank=5, fetches=1, stored=1)
    assert client.get(server.url(TILE)).header("ETag")


@pytest.mark.parametrize("words, expected", [
    ("stale 503", "stale"), ("stale blank 503", "stale"), ("stale", "stale"),
    ("blank stale", "blank"), ("503", "503"), ("blank", "blank")])
def test_first_word_that_can_be_had(httpd, upstream, words, expected):
    """Of an expired tile whose new one doesn't come in time."""
    server = httpd(FULL + instead(words, *EXPIRED))
    url = server.url(TILE)
    upstream.hold()
    client.get(url)  # nobody may wait for it, but it is fetched
    upstream.release()
    server.status.wait(lambda s: s["stored"] == 1)
    upstream.hold()
    answers = []

    def has_expired():
        answers.append(client.get(url))
        return "fwd=stale" in answers[-1].header("Cache-Status")

    until(has_expired, "it has expired")
    upstream.release()
    answer = answers[-1]
    if expected == "503":
        assert_turned_away(answer)
    elif expected == "blank":
        assert_interim(answer, "too many requests wait, blank")
    else:
        assert answer.status == 200 and answer.header("ETag"), answer
        assert 'detail="too many requests wait"' in (
            answer.header("Cache-Status"))


def test_sick_source(httpd, upstream):
    """While a source is down whoever has no stale tile gets the list's; its
    end is the source's error. What a source that works can't draw stays an
    error."""
    server = httpd(location("DogpileOnTimeout blank 503")
                   + location(path="/other"))
    server.expect_log("DP0601")
    upstream.always = scripted.service_exception()
    assert client.get(server.url(TILE)).status == 502
    upstream.always = scripted.status(503)
    assert_interim(client.get(server.url(wms.tile(8, 1, 1))),
                   "the source failed, blank")
    assert_interim(client.get(server.url(wms.tile(8, 9, 9))),
                   "the source failed, remembered, blank")
    assert client.get(server.url(wms.tile(8, 1, 1, path="/other"))
                      ).status == 502
    settle(server, blank=2, failed=2, fetches=3)


def warm(server, upstream, cell, levels=1, **asked):
    """A stored tile some levels above `cell`, and the part of it where the
    cell lies, enlarged by somebody else."""
    z, x, y = cell
    upstream.release()
    url = server.url(wms.tile(z - levels, x >> levels, y >> levels, **asked))
    client.get(url)
    server.status.wait(lambda s: s["stored"] == 1)
    image = picture.decode(client.get(url).body)
    side = 256 >> levels
    left, top = x % (1 << levels) * side, y % (1 << levels) * side
    upstream.hold()
    return image.crop((left, top, left + side, top + side)).resize(
        (256, 256), picture.Image.Resampling.NEAREST)


OVERZOOM = FULL + instead("stale overzoom 503", ALONE,
                          "DogpileKeepHeader X-Rendered-By")


@pytest.mark.parametrize("layers", ["rgb", "rgba", "palette", "grey"])
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_overzoom(httpd, upstream, layers, levels):
    """`overzoom` is the part of the tile of a level above, up to 4 of them,
    pixel for pixel, with the headers that go with it."""
    server = httpd(OVERZOOM)
    upstream.always = lambda request: scripted.render(
        request, headers={"Access-Control-Allow-Origin": "*"})
    cell = (9, 267, 173)
    part = warm(server, upstream, cell, levels, layers=layers)
    answer = client.get(server.url(wms.tile(*cell, layers=layers)))
    assert_interim(answer, "too many requests wait, overzoom")
    image = picture.decode(answer.body)
    assert picture.same(image, part)
    assert image.mode == part.mode
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert server.status["overzoomed"] == 1


def test_overzoom_of_jpeg(httpd, upstream):
    """A JPEG is enlarged, too, and looks as it should."""
    server = httpd(OVERZOOM)
    cell = (9, 267, 173)
    part = warm(server, upstream, cell, 2, format="image/jpeg", layers="blank")
    answer = client.get(server.url(
        wms.tile(*cell, format="image/jpeg", layers="blank")))
    assert_interim(answer, "too many requests wait, overzoom", "image/jpeg")
    pixels = picture.decode(answer.body).getpixel((128, 128))
    assert all(abs(a - b) <= 3 for a, b in
               zip(pixels, part.convert("RGB").getpixel((128, 128))))


def test_overzoom_of_metatiles(httpd, upstream):
    """The tile above may be any of its metatile."""
    server = httpd(FULL + instead("overzoom 503"))
    cell = (9, 267, 173)
    part = warm(server, upstream, cell)
    answer = client.get(server.url(wms.tile(*cell)))
    assert picture.same(picture.decode(answer.body), part)


@pytest.mark.parametrize("levels, asked", [
    (5, {}), (1, {"layers": "other"}), (1, {"styles": "night"})])
def test_nothing_to_overzoom(httpd, upstream, levels, asked):
    """Five levels are too many, and another map is another map."""
    server = httpd(OVERZOOM)
    cell = (9, 267, 173)
    warm(server, upstream, cell, levels)
    assert_turned_away(client.get(server.url(wms.tile(*cell, **asked))))
    assert_turned_away(client.get(server.url(wms.tile(0, 0, 0))))


# The list, whether the tile above is stored, what comes first.
LISTS = [
    ("stale overzoom blank 503", True, "overzoom"),
    ("stale overzoom blank 503", False, "blank"),
    ("blank overzoom", True, "blank"), ("overzoom 503", False, None),
    ("overzoom stale", True, "overzoom"), ("503", True, None),
]


@pytest.mark.parametrize("words, is_stored, expected", LISTS, ids=str)
def test_overzoom_in_any_order(httpd, upstream, words, is_stored, expected):
    """The first word for which there is something, whatever their order."""
    server = httpd(FULL + instead(words, ALONE))
    cell = (9, 267, 173)
    if is_stored:
        warm(server, upstream, cell)
    upstream.hold()
    answer = client.get(server.url(wms.tile(*cell)))
    if expected:
        assert_interim(answer, "too many requests wait, " + expected)
    else:
        assert_turned_away(answer)
    upstream.release()
    settle(server)


def test_overzoom_is_off_unless_asked_for(httpd, upstream):
    """By default nothing is made up."""
    server = httpd(FULL + location(ALONE))
    cell = (9, 267, 173)
    warm(server, upstream, cell)
    assert_turned_away(client.get(server.url(wms.tile(*cell))))
