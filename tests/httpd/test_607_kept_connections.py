# SPDX-License-Identifier: Apache-2.0
"""Backends that close a connection that was kept open: one more request, made
by the flight, and nobody notices."""
import pytest

from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import ALONE, location, settle

TILES = 50
URLS = [wms.tile(8, i, 86) for i in range(TILES)]
LOUD = "AH01102|AH00898"  # mod_proxy: error reading status line


def assert_all_answered(server, upstream, answers):
    assert {answer.status for answer in answers} == {200}
    closed = upstream.always.closed
    assert closed > 0
    assert upstream.count == TILES + closed
    settle(server, fetches=TILES, fetch_errors=0, retries=closed, failed=0,
           stored=TILES)


def test_connection_closed_under_the_request(httpd, upstream):
    """50 tiles one after another, by a backend that closes each kept
    connection when the next request comes: no client gets an error."""
    server = httpd(location(ALONE), children=1)
    server.allow_log(LOUD)
    upstream.always = scripted.Fleeting()
    assert_all_answered(server, upstream,
                        [client.get(server.url(path)) for path in URLS])
    assert server.status["failing"] == []


def test_many_connections_closed_under_requests(httpd, upstream):
    """The same by many clients at once: the second request never meets another
    connection that was kept."""
    server = httpd(location(ALONE), children=1, threads=24)
    server.allow_log(LOUD)
    upstream.always = scripted.Fleeting()
    answers = []
    for i in range(0, TILES, 10):  # each round leaves connections behind
        answers += client.herd([server.url(path) for path in URLS[i:i + 10]])
    assert_all_answered(server, upstream, answers)


@pytest.mark.parametrize("fault", [scripted.dropped(), scripted.reset()],
                         ids=["closed", "reset"])
def test_it_is_repeated_once(httpd, upstream, fault):
    """A connection that ends without a byte twice is a failure."""
    server = httpd(location())
    server.expect_log("DP0601: .*HTTP status 502")
    server.allow_log(LOUD)
    upstream.script(fault, fault)
    assert client.get(server.url(URLS[0])).status == 502
    assert upstream.count == 2
    settle(server, fetches=1, retries=1, fetch_errors=1, failed=1)


def test_silence_is_not_repeated(httpd, upstream):
    """A backend that is only slow beyond mod_proxy's patience is asked
    once."""
    server = httpd("ProxyTimeout 1\n" + location())
    server.expect_log("DP0601")
    server.allow_log(LOUD)
    upstream.hold()
    assert client.get(server.url(URLS[0])).status in (502, 504)
    assert upstream.count == 1
    settle(server, fetches=1, retries=0)
    upstream.release()


@pytest.mark.parametrize("fault", [scripted.status(502),
                                   scripted.cut_body(10)],
                         ids=["502", "cut"])
def test_answers_are_not_repeated(httpd, upstream, fault):
    """Where a byte of an answer came, there is no second request."""
    server = httpd(location())
    server.expect_log("DP0601")
    server.allow_log("proxy")
    upstream.always = fault
    assert client.get(server.url(URLS[0])).status == 502
    assert upstream.count == 1
    settle(server, fetches=1, retries=0)
