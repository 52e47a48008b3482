# SPDX-License-Identifier: Apache-2.0
"""Two httpds that share a store directory and nothing else: one fetch."""
import pytest

from pydogpile import client, picture, wms

CONF = """
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${SHARED}"
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""
EACH = 50
META = wms.Metatile(7, 40, 41)


@pytest.fixture
def pair(httpd, shared_dir):
    """Enough threads that half of them may wait."""
    return [httpd(CONF, define={"SHARED": shared_dir}, children=2, threads=64)
            for _ in range(2)]


@pytest.fixture
def image(upstream):
    whole = picture.decode(client.get(upstream.url(META.whole())).body)
    upstream.forget()
    return whole


def start_herds(pair):
    return [client.Herd([server.url(path) for path in META.tiles()],
                        EACH).start() for server in pair]


def assert_all_tiles(herds, image):
    for herd in herds:
        for i, answer in enumerate(herd.answers()):
            cell = META.cells[i % len(META.cells)]
            picture.assert_cut(answer, image, META.window(*cell))


def test_two_herds_fetch_once(pair, upstream, image):
    """50 clients at each of two httpds cost one fetch between them."""
    upstream.hold()
    herds = start_herds(pair)
    for server in pair:
        server.status.wait(lambda s: s["waiters"] == EACH)
    upstream.wait_held(1)
    upstream.release()
    assert_all_tiles(herds, image)
    assert upstream.count == 1
    assert sum(server.status["fetches"] for server in pair) == 1


def test_what_one_stored_the_other_serves(pair, upstream, image):
    """A metatile fetched through one httpd is a hit at the other."""
    for server in pair:
        answers = client.herd([server.url(path) for path in META.tiles()])
        for cell, answer in zip(META.cells, answers):
            picture.assert_cut(answer, image, META.window(*cell))
        server.status.wait(lambda s: s["flights"] == 0)  # stored, unlocked
    assert upstream.count == 1
    assert [server.status["fetches"] for server in pair] == [1, 0]
    assert pair[1].status["hits"] == len(META.cells)


def test_killed_httpd_leaves_its_flight_to_the_other(pair, upstream, image):
    """When the httpd that fetches is killed, the other one's clients get
    their tiles from its own single fetch."""
    upstream.hold()
    urls = [[server.url(path) for path in META.tiles()] for server in pair]
    lost = client.Herd(urls[0], EACH).start()
    pair[0].status.wait(lambda s: s["waiters"] == EACH)
    upstream.wait_held(1)
    kept = client.Herd(urls[1], EACH).start()
    pair[1].status.wait(lambda s: s["waiters"] == EACH)
    pair[0].kill()
    upstream.wait_held(2)
    upstream.release()
    assert_all_tiles([kept], image)
    assert {answer.status for answer in lost.answers()} == {0}
    assert pair[1].status["fetches"] == 1
    assert upstream.count == 2
