# SPDX-License-Identifier: Apache-2.0
"""Sources that hang: clients aren't kept waiting, late answers aren't lost."""
from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import (ALONE, assert_tiles, location, records, settle,
                             whole)

META = wms.Metatile(8, 133, 86)
TILE = wms.tile(8, 133, 86)
SOON = "DogpileFetchTimeout 1s\nDogpileErrorExpire 0"


def assert_timed_out(answer):
    assert answer.status == 504, answer
    assert int(answer.header("Retry-After")) > 0
    assert answer.header("Cache-Control") == "no-store"


def test_hanging_source_fails_all_and_its_late_answer_is_kept(httpd, upstream):
    """After DogpileFetchTimeout all waiters get 504 while the fetch still
    hangs; its answer is stored when it comes."""
    server = httpd(location(SOON))
    image = whole(upstream, META)
    upstream.hold()
    for answer in client.herd([server.url(TILE)], 8):
        assert_timed_out(answer)
    assert (upstream.held, upstream.count) == (1, 1)
    assert not records(server.dir / "store")
    upstream.release()
    server.status.wait(lambda s: s["stored"] == 1)
    assert_tiles([client.get(server.url(path)) for path in META.tiles()],
                 META, image)
    settle(server, fetches=1, hits=16)
    assert upstream.count == 1


def test_next_request_waits_for_the_fetch_that_still_hangs(httpd, upstream):
    """A source that hangs isn't asked again for the same metatile as long as
    the first fetch is alive."""
    server = httpd(location(SOON))
    upstream.hold()
    assert_timed_out(client.get(server.url(TILE)))
    herd = client.Herd([server.url(TILE)], 3).start()
    server.status.wait(lambda s: s["waiters"] == 3)
    assert upstream.held == 1
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert upstream.count == 1
    settle(server, fetches=1, stored=1)


def test_late_error_is_only_logged(httpd, upstream):
    """A source that first hangs and then fails has failed once."""
    server = httpd(location(SOON))
    server.expect_log("DP0601: .*HTTP status 500")
    upstream.script(scripted.status(500))
    upstream.hold()
    assert_timed_out(client.get(server.url(TILE)))
    upstream.release()
    settle(server, fetches=1, fetch_errors=1, failed=1, stored=0)
    assert client.get(server.url(TILE)).status == 200


def test_hanging_source_holds_no_other_source_up(httpd, upstream):
    """While one source hangs at its limit, another one's tiles come, and so do
    hits of the first."""
    server = httpd(location(ALONE, "DogpileUpstreamLimit 2")
                   + location(ALONE, path="/other"))
    warm = server.url(wms.tile(3, 1, 1))
    client.get(warm)
    settle(server, stored=1)

    upstream.hold()
    herd = client.Herd([server.url(wms.tile(8, i, 86)) for i in range(6)]
                       ).start()
    server.status.wait(lambda s: s["waiters"] == 6 and s["fetching"] == 2)
    other = client.Herd([server.url(wms.tile(8, 1, 86, path="/other"))]).start()
    upstream.wait_held(3)
    assert client.get(warm).status == 200
    upstream.release()
    assert {a.status for a in herd.answers() + other.answers()} == {200}
    settle(server, fetches=8, stored=8, hits=1)
