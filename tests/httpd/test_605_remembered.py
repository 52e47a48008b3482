# SPDX-License-Identifier: Apache-2.0
"""A source that is sick is asked once a period, not once a client."""
import pytest

from pydogpile import client, ports, upstream as scripted, wms
from pydogpile.scene import ALONE, location, records, settle
from pydogpile.upstream import Upstream
from pydogpile.wait import until

CLIENTS = 50
META = wms.Metatile(8, 133, 86)
TILE = META.tiles()[0]
OTHER = wms.tile(8, 12, 86)  # of another metatile
ROOMY = {"children": 2, "threads": 128}  # for all of them to wait
WHOLE, PICTURE = "the source", "one picture"

# What the source does, and whom it concerns.
FAULTS = {
    "503": (scripted.status(503), WHOLE),
    "dropped": (scripted.dropped(), WHOLE),
    "500": (scripted.status(500), PICTURE),
    "404": (scripted.status(404), PICTURE),
    "cut": (scripted.cut_body(100), PICTURE),
    "redirect": (scripted.redirect("/login"), PICTURE),
    "exception": (scripted.service_exception(), PICTURE),
    "wrong-image": (scripted.wrong_size, PICTURE),
}


def sick(*lines):
    return location("DogpileErrorExpire 1h", *lines)


def assert_failed(answer, status=502):
    assert answer.status == status, answer
    assert 0 < int(answer.header("Retry-After")) <= 3600
    assert answer.header("Cache-Control") == "no-store"
    assert "the source" in answer.header("Cache-Status")


def fail(httpd, upstream, fault, conf):
    """50 clients on a cold metatile; the source answers once."""
    server = httpd(conf, **ROOMY)
    server.expect_log("DP0601")
    server.allow_log("proxy")
    upstream.always = fault
    upstream.hold()
    herd = client.Herd([server.url(path) for path in META.tiles()],
                       CLIENTS).start()
    server.status.wait(lambda s: s["waiters"] == CLIENTS)
    upstream.release()
    for answer in herd.answers():
        assert_failed(answer)
    return server


@pytest.mark.parametrize("name", FAULTS)
def test_failure_is_remembered(httpd, upstream, name):
    """50 clients cost one fetch, and so do those who come later in the period:
    all are told at once; nothing is stored. Another metatile is fetched where
    the source as a whole hasn't failed."""
    fault, whose = FAULTS[name]
    server = fail(httpd, upstream, fault, sick())
    upstream.always = None
    for answer in client.herd([server.url(path) for path in META.tiles()], 20):
        assert_failed(answer)
        assert "remembered" in answer.header("Cache-Status")
    seen = settle(server, fetches=1, fetch_errors=1, stored=0)
    assert seen["failed"] == CLIENTS + 20
    assert seen["remembered"] >= 20
    assert upstream.count == (2 if name == "dropped" else 1)
    assert not records(server.dir / "store")
    other = client.get(server.url(OTHER))
    assert other.status == (502 if whose == WHOLE else 200), other
    settle(server, fetches=1 + (whose == PICTURE))


def test_three_doubtful_failures_are_the_sources(httpd, upstream):
    """500 may be one picture's; after three in a row, of three metatiles, no
    other one is asked for either."""
    server = httpd(sick())
    server.expect_log("DP0601")
    upstream.always = scripted.status(500)
    for i in range(10):
        assert_failed(client.get(server.url(wms.tile(8, 4 * i, 86))))
    assert upstream.count == 3
    settle(server, fetches=3, failed=10, remembered=7)


def test_service_exceptions_condemn_no_source(httpd, upstream):
    """A client that asks for layers that aren't there holds nobody up."""
    server = httpd(sick())
    server.expect_log("DP0601")
    upstream.always = scripted.service_exception()
    for i in range(5):
        for _ in range(2):
            assert_failed(client.get(server.url(wms.tile(8, 4 * i, 86))))
    upstream.always = None
    assert client.get(server.url(wms.tile(9, 1, 1))).status == 200
    settle(server, fetches=6, failed=10, remembered=5)


@pytest.mark.parametrize("fault", [scripted.status(503),
                                   scripted.service_exception()],
                         ids=["source", "picture"])
def test_first_request_after_the_period_gets_its_tile(httpd, upstream, fault):
    """When the source has recovered, the first request after the period is
    answered with a tile, and so is everyone at once."""
    server = httpd(location("DogpileErrorExpire 1s"), children=2)
    server.expect_log("DP0601")
    upstream.script(fault)
    assert_failed(client.get(server.url(TILE)))
    answers = []

    def is_answered():
        answers.append(client.get(server.url(TILE)))
        return answers[-1].status != 502

    until(is_answered, "another answer than 502")
    assert answers[-1].status == 200
    assert upstream.count == 2  # nobody asked in between
    urls = [server.url(path) for path in META.tiles() + [OTHER]]
    assert {answer.status for answer in client.herd(urls)} == {200}
    settle(server, fetches=3, stored=2)


def test_sick_source_is_tried_by_one(httpd, upstream):
    """After the period one flight asks the source. Who wants its metatile
    waits for it, all others get the failure; success is normal for all."""
    server = httpd(location("DogpileErrorExpire 1s"))
    server.expect_log("DP0601")
    upstream.script(scripted.status(503))
    assert_failed(client.get(server.url(TILE)))
    upstream.hold()
    trials = []

    def is_tried():
        """A client asks; it is told at once, or it waits for the trial."""
        failed = server.status["failed"]
        trials[:] = [client.Herd([server.url(TILE)]).start()]
        seen = server.status.wait(
            lambda s: s["fetching"] or s["failed"] > failed)
        return seen["fetching"] or not trials[0].answers()

    until(is_tried, "a flight that tries")
    herd = client.Herd([server.url(path) for path in META.tiles()], 8).start()
    server.status.wait(lambda s: s["waiters"] == 9)
    for answer in client.herd([server.url(wms.tile(8, 4 * i, 20))
                               for i in range(20)]):
        assert_failed(answer)
    assert upstream.count == 2
    [source] = server.status["failing"]
    assert (source["tried"], source["failures"]) == (True, 1)
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert trials[0].answers()[0].status == 200
    assert client.get(server.url(wms.tile(8, 0, 20))).status == 200
    assert server.status["failing"] == []
    assert server.log.find("DP0506") and server.log.find("DP0507")
    settle(server, fetches=3, stored=2)


def test_period_ends_in_all_children_and_survives_them(httpd, upstream):
    """What is remembered is the httpd's, not a child's, and a graceful restart
    forgets nothing."""
    server = httpd(sick(), children=4, threads=8)
    server.expect_log("DP0601")
    upstream.always = scripted.status(503)
    assert_failed(client.get(server.url(TILE)))
    for answer in client.herd([server.url(wms.tile(8, 4 * i, 86))
                               for i in range(16)]):
        assert_failed(answer)
    server.graceful()
    assert_failed(client.get(server.url(OTHER)))
    assert upstream.count == 1


def test_retry_after_of_the_source_is_the_period(httpd, upstream):
    """A source that says when it is back isn't asked before, and clients are
    told the rest of that time; never more than five minutes."""
    server = httpd(location("DogpileErrorExpire 1s"))
    server.expect_log("DP0601")
    upstream.script(scripted.status(503, Retry_After="77"))
    assert client.get(server.url(TILE)).header("Retry-After") == "77"
    assert 60 < int(client.get(server.url(OTHER)).header("Retry-After")) <= 77
    [source] = server.status["failing"]
    assert source["source"] == "localhost/wms"
    assert source["reason"] == "it answered HTTP status 503"
    assert 60 < source["left_sec"] <= 77
    assert upstream.count == 1


def test_absurd_patience_is_bounded(httpd, upstream):
    """An hour that a source asks for by mistake is five minutes."""
    server = httpd(location("DogpileErrorExpire 1s"))
    server.expect_log("DP0601")
    upstream.script(scripted.status(503, Retry_After="3600"))
    assert client.get(server.url(TILE)).header("Retry-After") == "300"


def test_hanging_source_is_remembered(httpd, upstream):
    """A source that hangs is asked once; after DogpileFetchTimeout everybody
    gets 504 at once. When its late answer comes, all is normal."""
    server = httpd(sick("DogpileFetchTimeout 1s"), **ROOMY)
    upstream.hold()
    for answer in client.herd([server.url(TILE)], CLIENTS):
        assert_failed(answer, 504)
    for answer in client.herd([server.url(wms.tile(8, 4 * i, 86))
                               for i in range(20)]):
        assert_failed(answer, 504)
    assert upstream.count == 1
    upstream.release()
    server.status.wait(lambda s: s["stored"] == 1)
    for path in (TILE, OTHER):
        assert client.get(server.url(path)).status == 200
    settle(server, fetches=2, stored=2)


def test_source_that_is_not_there_comes_back(httpd, upstream):
    """Refused connections are remembered; with retry=0 the first request after
    the period finds the source that has come back."""
    port = ports.free()
    server = httpd(
        f'<Location "/wms">\nDogpileEnable On\nDogpileErrorExpire 1s\n'
        f'DogpileStore "disk:${{DIR}}/store"\n{ALONE}\n'
        f'ProxyPass "http://127.0.0.1:{port}/wms" retry=0\n</Location>\n')
    server.expect_log("DP0601")
    server.allow_log("AH00957|AH01114")
    for answer in client.herd([server.url(wms.tile(8, i, 86))
                               for i in range(8)]):
        assert_failed(answer)
    settle(server, retries=0)
    source = Upstream(port=port)
    try:
        until(lambda: client.get(server.url(TILE)).status == 200, "a tile")
        assert source.count == 1
    finally:
        source.stop()


def test_failures_need_not_be_remembered(httpd, upstream):
    """With DogpileErrorExpire 0 each request after a failure asks anew."""
    server = httpd(location("DogpileErrorExpire 0"))
    server.expect_log("DP0601")
    upstream.script(scripted.status(503), scripted.status(503))
    for expected in (502, 502, 200):
        assert client.get(server.url(TILE)).status == expected
    settle(server, fetches=3, remembered=0)


def test_stale_tiles_need_no_source(httpd, upstream):
    """While a source is down, stale tiles are served and not refreshed."""
    server = httpd(sick("DogpileExpire 0.5s jitter=0%", "DogpileStale 1h"))
    server.expect_log("DP0601")
    assert client.get(server.url(TILE)).status == 200
    settle(server, stored=1)
    upstream.always = scripted.status(503)
    assert_failed(client.get(server.url(OTHER)))
    until(lambda: server.status["stale"] or not client.get(
        server.url(TILE)).body, "a stale tile")
    assert client.get(server.url(TILE)).status == 200
    settle(server, fetches=2)
