# SPDX-License-Identifier: Apache-2.0
"""Whatever the source answers instead of a map: one fetch, one error for all
who wait, nothing stored, and a tile for the next one."""
import dataclasses

import pytest

from pydogpile import client, picture, ports, upstream as scripted, wms
from pydogpile.scene import ALONE, location, records, settle

TILE = wms.tile(8, 133, 86)
CLIENTS = 8
FORGETFUL = "DogpileErrorExpire 0"
XML_130 = (
    '<?xml version="1.0"?>\n<ServiceExceptionReport version="1.3.0" '
    'xmlns="http://www.opengis.net/ogc">\n<ServiceException code='
    '"LayerNotDefined">no layer\n  of that name</ServiceException>\n'
    "</ServiceExceptionReport>").encode()
HTML = b"<!DOCTYPE html><html><title>Please log in</title></html>"


def body(content, media_type="image/png", code=200, **more):
    return scripted.Answer(code, {"Content-Type": media_type}, content, **more)


def changed(**changes):
    """The right picture, sent in another way."""
    return lambda request: dataclasses.replace(scripted.render(request),
                                               **changes)


def resized(width, height):
    return lambda request: body(picture.encode(picture.render(
        "rgb", request.bbox(), width, height), "image/png"))


def as_jpeg(request):
    image = picture.render("rgb", request.bbox(), *request.pixels())
    return body(picture.encode(image, "image/jpeg"), "image/jpeg")


def lying_png(request):
    """Says image/png and is a JPEG."""
    return body(as_jpeg(request).body)


def without_end(request):
    """Complete as HTTP, but the PNG stops in the middle."""
    return body(scripted.render(request).body[:-100])


def too_large(request):
    return body(scripted.render(request).body + b"\0" * 12_000_000)


# What the source answers, and what the log says of it.
ANSWERS = {
    "500": (scripted.status(500), "HTTP status 500"),
    "404": (scripted.status(404), "HTTP status 404"),
    "403": (scripted.status(403), "HTTP status 403"),
    "401": (scripted.status(401, WWW_Authenticate="Basic realm=x"),
            "HTTP status 401"),
    "redirect": (scripted.redirect("/elsewhere"),
                 r"redirects \(302\) to \S*/elsewhere"),
    "permanent-redirect": (scripted.redirect("/moved", 301),
                           r"redirects \(301\)"),
    "204": (scripted.Answer(204), "HTTP status 204"),
    "304": (scripted.Answer(304), "HTTP status 304 to a request without"),
    "206": (changed(status=206), "HTTP status 206"),
    "empty": (body(b""), "instead of"),
    "garbage": (scripted.garbage(), "instead of"),
    "html": (body(HTML, "text/html"), "Please log in|text/html"),
    "html-as-png": (body(HTML), "Please log in"),
    "exception-1.1.1": (scripted.service_exception("no such layer"),
                        "service exception: no such layer"),
    "exception-1.3.0": (body(XML_130, "text/xml"),
                        "service exception: no layer of that name"),
    "exception-500": (scripted.service_exception(code=500), "HTTP status 500"),
    "inimage": (resized(256, 256), "256x256 instead of 1056x1056"),
    "one-pixel-more": (scripted.wrong_size, "1057x1057 instead of 1056x1056"),
    "wrong-type": (as_jpeg, "image/jpeg instead of image/png"),
    "lying-type": (lying_png, "instead of image/png"),
    "png-without-end": (without_end, "no end|truncated|cut"),
    "cut": (scripted.cut_body(100), "cut off|gave no answer|HTTP status 502"),
    "cut-chunked": (changed(chunked=True, cut=3000), "cut off|HTTP status 502"),
    "reset-in-body": (changed(cut=3000, reset=True),
                      "cut off|HTTP status 502"),
    "too-large": (too_large, "longer than"),
    "closed": (scripted.dropped(), "HTTP status 502"),
    "reset": (scripted.reset(), "HTTP status 502"),
}


def assert_failed(answer, status=502, retry_after="5"):
    assert answer.status == status, answer
    # What is left of the period, in whole seconds.
    assert int(answer.header("Retry-After")) - int(retry_after) in (0, 1)
    assert answer.header("Cache-Control") == "no-store"
    assert "detail=" in answer.header("Cache-Status")
    assert answer.header("ETag") is answer.header("Expires") is None


# Where no byte of an answer came, the flight asks once more.
TWICE = ("closed", "reset")


def fail_all(server, upstream, asked=1, **expected):
    """All who wait get the error of one fetch, and nothing is stored."""
    upstream.hold()
    urls = [server.url(path) for path in wms.Metatile(8, 133, 86).tiles()]
    herd = client.Herd(urls, CLIENTS).start()
    server.status.wait(lambda s: s["waiters"] == CLIENTS and s["fetching"])
    upstream.wait_held()
    upstream.release()
    for answer in herd.answers():
        assert_failed(answer, **expected)
    assert upstream.count == asked
    settle(server, fetches=1, fetch_errors=1, retries=asked - 1, stored=0,
           failed=CLIENTS, remembered=0)
    assert not records(server.dir / "store")


def recover(server, upstream):
    """The next request gets its tile."""
    upstream.always = None
    answer = client.get(server.url(TILE))
    assert answer.status == 200, answer
    settle(server, fetches=2, stored=1)


@pytest.mark.parametrize("fault", ANSWERS)
def test_wrong_answer_is_everyones_error_once(httpd, upstream, fault):
    """N waiting clients get 502 after one fetch, with Retry-After and
    no-store; nothing is stored, the log says why, and the next one gets a
    tile."""
    upstream.always, why = ANSWERS[fault]
    server = httpd(location(FORGETFUL), children=2)
    server.expect_log("DP0601: .*(" + why + ")")
    server.allow_log("proxy")  # has its own words for what went wrong
    fail_all(server, upstream, asked=2 if fault in TWICE else 1)
    assert len(server.log.find("DP0601")) == 1
    recover(server, upstream)


def test_retry_after_of_the_source_is_passed_on(httpd, upstream):
    """A source that knows when it is back is believed."""
    upstream.always = scripted.status(503, Retry_After="77")
    server = httpd(location(FORGETFUL))
    server.expect_log("DP0601: .*HTTP status 503")
    fail_all(server, upstream, retry_after="77")
    recover(server, upstream)


@pytest.mark.parametrize("said", ["-1", "soon", "99999999"])
def test_absurd_retry_after_is_not_believed(httpd, upstream, said):
    """Only a sensible number of seconds is passed on."""
    upstream.always = scripted.status(503, Retry_After=said)
    server = httpd(location(ALONE), children=1)
    server.expect_log("DP0601")
    assert_failed(client.get(server.url(TILE)))


def test_gateway_timeout_stays_one(httpd, upstream):
    """A source that says 504 makes 504."""
    upstream.always = scripted.status(504)
    server = httpd(location())
    server.expect_log("DP0601")
    fail_all(server, upstream, status=504)


def test_exception_texts_cannot_forge_the_log(httpd, upstream):
    """Control characters of the source's text don't reach the log."""
    upstream.always = body(b"<a>one\n[now] [core:error] \x1b[31mtwo\0</a>",
                           "text/xml")
    server = httpd(location(ALONE), children=1)
    server.expect_log(r"DP0601: .*one \[now\] \[core:error\] .\[31mtwo")
    assert_failed(client.get(server.url(TILE)))


def test_source_that_is_not_there(httpd, upstream):
    """A refused connection is an error like any other."""
    server = httpd(location(ALONE), children=1,
                   define={"UPSTREAM": ports.free()})
    server.expect_log("DP0601: .*HTTP status 503")
    server.expect_log("AH00957")  # mod_proxy: connection refused
    server.allow_log("AH01114")
    for answer in client.herd([server.url(TILE)], CLIENTS):
        assert_failed(answer)
    assert upstream.count == 0


def test_chunked_answer_is_as_good_as_any(httpd, upstream):
    """A source need not announce the length of its picture."""
    upstream.always = changed(chunked=True)
    server = httpd(location())
    assert client.get(server.url(TILE)).status == 200
    settle(server, fetches=1, stored=1)


def test_off_grid_map_fails_like_a_tile(httpd, upstream):
    """Those who wait for a map that isn't stored get its error, too."""
    upstream.always = scripted.service_exception()
    server = httpd(location())
    server.expect_log("DP0601")
    path = wms.getmap(wms.MERCATOR, (1, 2, 301, 302), 300, 300)
    upstream.hold()
    herd = client.Herd([server.url(path)], CLIENTS).start()
    server.status.wait(lambda s: s["waiters"] == CLIENTS)
    upstream.release()
    for answer in herd.answers():
        assert_failed(answer)
    assert upstream.count == 1
