# SPDX-License-Identifier: Apache-2.0
"""Stale tiles: who gets them, and what happens behind them."""
from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import ALONE, backdate, location, settle
from pydogpile.wait import until

TILE = wms.tile(8, 133, 86)
SOON = "DogpileExpire 1s jitter=0%"
LOG = ('LogFormat "%{DOGPILE_STATUS}e %s" dogpile\n'
       'CustomLog "${DIR}/status.log" dogpile\n')
KEYS = ('LogFormat "%{DOGPILE_KEY}e" key\n'
        'CustomLog "${DIR}/key.log" key "expr=%{REQUEST_URI} =~ m#^/wms#"\n')


def lasting(request):
    return scripted.render(request, headers={"Cache-Control": "max-age=600"})


def expired(server, upstream):
    """The URL of an expired tile that is being refreshed, and the tile. The
    source holds the refresh, which lasts longer."""
    url = server.url(TILE)
    old = client.get(url)
    assert old.status == 200
    settle(server, stored=1)
    upstream.always = lasting
    upstream.hold()
    until(lambda: client.get(url) and server.status["stale"], "its expiry")
    return url, old.body


def test_nobody_waits_for_a_refresh(httpd, upstream):
    """An expired tile is served at once to everybody, the first who asks
    included, and is fetched anew once, behind the answers."""
    server = httpd(location(ALONE, SOON), children=4, threads=16)
    url, old = expired(server, upstream)
    before = server.status["stale"]
    for answer in client.herd([url], 30):
        assert answer.status == 200 and answer.body == old
    upstream.wait_held(1)
    assert upstream.count == 2
    upstream.release()
    settle(server, fetches=2, stored=2, misses=1, stale=before + 30)


def test_one_refresh_for_all_hosts(httpd, upstream, shared_dir):
    """All tiles of an expired metatile, wanted by many at two httpds with one
    store, are served at once and cost one fetch; both have its tiles then."""
    meta = wms.Metatile(8, 133, 86)
    conf = location("DogpileExpire 1h jitter=0%", store="${SHARED}")
    pair = [httpd(conf, children=2, threads=32, define={"SHARED": shared_dir})
            for _ in range(2)]
    urls = [[server.url(path) for path in meta.tiles()] for server in pair]
    for each in urls:
        assert {answer.status for answer in client.herd(each)} == {200}
    backdate(shared_dir, 7200)
    upstream.hold()
    for each in urls:
        until(lambda: all("ttl=-" in answer.header("Cache-Status")
                          for answer in client.herd(each, 32)), "its expiry")
    upstream.wait_held(1)
    for each in urls:
        assert {answer.status for answer in client.herd(each, 50)} == {200}
    assert upstream.count == 2
    upstream.release()
    seen = [settle(server, failed=0) for server in pair]
    assert sum(each["stored"] for each in seen) == 2
    for each in urls:
        until(lambda: all("ttl=3" in answer.header("Cache-Status")
                          for answer in client.herd(each)), "fresh tiles")
    assert upstream.count == 2


def test_refreshed_tile_is_served(httpd, upstream):
    """What a refresh brings is served as soon as it is stored."""
    server = httpd(location(ALONE, SOON))
    url, _ = expired(server, upstream)
    upstream.release()
    seen = settle(server, stored=2)
    answer = client.get(url)
    assert answer.status == 200
    assert "max-age=600" == answer.header("Cache-Control")
    settle(server, stale=seen["stale"], hits=seen["hits"] + 1)


def test_stale_tile_says_so(httpd, upstream):
    """A stale tile says in Cache-Status that it is a hit whose time is over,
    and lets caches keep it for seconds only; logs see "stale"."""
    server = httpd(LOG + location(ALONE, SOON))
    url, _ = expired(server, upstream)
    until(lambda: "; hit; ttl=-" in client.get(url).header("Cache-Status"),
          "a second more")
    answer = client.get(url)
    age = int(answer.header("Age"))
    control = answer.header("Cache-Control")
    assert age >= 2
    assert 0 < int(control.removeprefix("max-age=")) - age <= 6, answer
    assert client.get(url, headers={
        "If-None-Match": answer.header("ETag")}).status == 304
    upstream.release()
    settle(server)
    assert "stale 200\n" in (server.dir / "status.log").read_text()


def test_stale_answers_are_alike(httpd, upstream):
    """Whoever asks for a tile whose refresh is under way gets the same answer,
    the first or the fortieth, read from the store or known already, and so do
    conditions and what clients ask of caches."""
    server = httpd(KEYS + location(ALONE, SOON))
    url, old = expired(server, upstream)
    fixed = ("ETag", "Last-Modified", "Accept-Ranges", "Content-Type",
             "Content-Length")
    stale = server.status["stale"]
    answers = [client.get(url) for _ in range(40)]
    assert {answer.body for answer in answers} == {old}
    assert {answer.status for answer in answers} == {200}
    for name in fixed:
        assert len({answer.header(name) for answer in answers}) == 1, name
    for answer in answers:
        age = int(answer.header("Age"))
        control = int(answer.header("Cache-Control").removeprefix("max-age="))
        ttl = int(answer.header("Cache-Status").split("; hit; ttl=")[1])
        assert ttl == 1 - age and 0 < control - age <= 6, answer
    assert client.get(url, headers={
        "If-None-Match": answers[0].header("ETag")}).status == 304
    assert client.get(url, headers={
        "Cache-Control": "only-if-cached"}).body == old
    assert upstream.count == 2
    upstream.release()
    settle(server, fetches=2, stale=stale + 42)
    keys = (server.dir / "key.log").read_text().split()
    assert len(set(keys) - {"-"}) == 1  # those of fetches have none
    assert len(keys) - keys.count("-") >= 42


def test_refresh_of_a_client_that_leaves(httpd, upstream, dial):
    """A client that asks for an expired tile and hangs up at once causes the
    refresh like any other."""
    server = httpd(location(ALONE, SOON))
    url = server.url(TILE)
    client.get(url)
    settle(server, stored=1)
    upstream.hold()
    until(lambda: "; hit; ttl=-" in client.get(url, headers={
        "Cache-Control": "only-if-cached"}).header("Cache-Status"),
          "its expiry")
    assert upstream.count == 1
    leaver = dial(server.port)
    leaver.ask(TILE)
    leaver.reset()
    upstream.wait_held(1)
    upstream.release()
    settle(server, fetches=2, stored=2)


def test_refresh_delays_no_next_request(httpd, upstream):
    """A connection whose request began a refresh serves the next one while
    the source is asked."""
    server = httpd(location(ALONE, SOON))
    connection, path = client.connect(server.url(TILE))
    client.ask(connection, path)
    settle(server, stored=1)
    upstream.hold()
    until(lambda: client.ask(connection, path).status == 200 and upstream.held,
          "a refresh")
    assert client.ask(connection, path).status == 200
    assert upstream.held == 1
    upstream.release()
    settle(server, fetches=2)
    connection.close()


def test_refresh_under_prefork_closes_the_connection(httpd, upstream):
    """Where the process that answers fetches as well, it closes the
    connection, whose next request would have to wait."""
    server = httpd(location(ALONE, SOON), mpm="prefork", children=2)
    connection, path = client.connect(server.url(TILE))
    client.ask(connection, path)
    settle(server, stored=1)
    until(lambda: client.ask(connection, path).header("Connection") == "close",
          "a refresh")
    connection.close()
    settle(server, fetches=2, stale=1)


def test_too_stale_is_a_miss(httpd, upstream):
    """After DogpileStale an expired tile isn't served: whoever wants it waits
    for the new one."""
    server = httpd(location(ALONE, SOON, "DogpileStale 0"))
    url = server.url(TILE)
    client.get(url)
    settle(server, stored=1)
    until(lambda: "fwd=" in client.get(url).header("Cache-Status"),
          "its expiry")
    settle(server, stale=0, stored=2)
