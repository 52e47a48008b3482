# SPDX-License-Identifier: Apache-2.0
"""The status page: two forms of one truth."""
import html.parser
import json

import pytest

from pydogpile import client, scene, upstream as scripted, wms

STORE = "${DIR}/a<b>&'c"
CONF = """
<DogpileLocker "n<i>&c" disk>
    DogpileLockDirectory "${DIR}/locks <u>"
</DogpileLocker>
""" + scene.location('DogpileLocker "n<i>&c"', store=STORE) + """
<Location "/all">
    DogpileEnable On
    SetHandler dogpile-status
</Location>
"""

NOW = {"flights", "waiters", "blocked", "max_blocked", "fetching"}
COUNTERS = {
    "requests", "hits", "stale", "misses", "collapsed", "flights_begun",
    "takeovers", "found", "fetches", "fetch_errors", "stored",
    "store_refused", "store_errors", "failed", "shed", "lock_waits",
    "lock_unavailable", "lock_lost", "lock_takeovers", "lock_foreign",
    "passed", "denied", "retries", "remembered", "overzoomed", "blank",
    "passed_at_once",
}
REASONS = {
    "method", "authorization", "request", "param", "duplicate", "crs",
    "format", "size", "off-grid", "malformed", "unshareable",
}


def page(server, query="", **options):
    return client.get(server.url("/dogpile-status" + query), **options)


def test_json_has_its_members(httpd):
    """The JSON form parses, has the members of the manual, numbers as
    numbers, and one group for each store and locker."""
    server = httpd(CONF)
    answer = page(server, "?format=json")
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Cache-Control") == "no-store"
    status = json.loads(answer.body)
    numbers = {name: value for name, value in status.items()
               if not isinstance(value, (dict, list))}
    assert NOW | COUNTERS <= set(numbers)
    assert all(type(value) is int and value >= 0 for value in numbers.values())
    assert status["failing"] == []
    assert set(status["pass"]) >= REASONS
    assert not any(status["pass"].values())
    store = f"store disk:{server.dir}/a<b>&'c"
    assert {store, "locker n<i>&c"} <= set(status)
    locker = status["locker n<i>&c"]
    assert locker["type"] == "disk"
    assert locker["directory"] == f"{server.dir}/locks <u>"


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_escapes_what_it_shows(httpd):
    """The page is well-formed, shows the same names as the JSON form, and
    text of the configuration stays text."""
    server = httpd(CONF)
    answer = page(server)
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    text = answer.body.decode()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen.isdisjoint({"b", "i", "u"})
    assert "a&lt;b&gt;&amp;" in text and "n&lt;i&gt;&amp;c" in text
    for name in NOW | COUNTERS | REASONS:
        assert f"<th>{name}</th>" in text


@pytest.mark.parametrize("method,status", [
    ("HEAD", 200), ("POST", 405), ("PUT", 405)])
def test_methods_of_the_page(httpd, method, status):
    """The page is for GET and HEAD."""
    answer = page(httpd(""), "?format=json", method=method)
    assert (answer.status, method == "HEAD" and answer.body) in (
        (status, b""), (status, False))


def test_page_in_an_enabled_location_is_no_tile(httpd):
    """DogpileEnable doesn't keep the status page from being shown."""
    server = httpd(CONF)
    answer = client.get(server.url("/all?format=json"))
    assert json.loads(answer.body)["requests"] == 0


def counted(server, before):
    after = scene.settle(server)
    names = NOW | COUNTERS
    return {name: after[name] - before[name] for name in names
            if after[name] != before[name]}


def test_counters_add_up(httpd, upstream):
    """Each request counts once, under what became of it, and each fetch and
    each metatile once."""
    server = httpd(CONF)
    server.allow_log("DP0601")
    tile = wms.tile(5, 9, 9)

    def ask(path, **options):
        before = server.status.read()
        answer = client.get(server.url(path), **options)
        return answer.status, counted(server, before)

    fetched = {"requests": 1, "misses": 1, "flights_begun": 1, "fetches": 1}
    assert ask(tile) == (200, {**fetched, "stored": 1})
    assert ask(tile) == (200, {"requests": 1, "hits": 1})
    assert ask(tile, method="HEAD") == (200, {"requests": 1, "hits": 1})
    etag = client.get(server.url(tile)).header("ETag")
    assert ask(tile, headers={"If-None-Match": etag}) == (
        304, {"requests": 1, "hits": 1})
    assert ask(tile + "&MAP=x") == (200, {"requests": 1, "passed": 1})
    assert ask(tile + "&LAYERS=rgb") == (200, {"requests": 1, "passed": 1})
    assert ask(wms.tile(5, 9, 9, WIDTH="x")) == (
        400, {"requests": 1, "denied": 1})
    assert ask(wms.tile(5, 9, 9, WIDTH="300")) == (200, fetched)
    assert ask("/elsewhere") == (404, {})
    upstream.always = scripted.status(503)
    assert ask(wms.tile(5, 1, 1)) == (
        502, {**fetched, "fetch_errors": 1, "failed": 1})


def test_counters_of_a_herd_add_up(httpd, upstream):
    """Of a herd one leads and the others are collapsed; now and since the
    start agree, in every child."""
    server = httpd(CONF)
    before = server.status.read()
    upstream.hold()
    herd = client.Herd([server.url(wms.tile(5, 9, 9))], 12).start()
    seen = server.status.wait(lambda s: s["waiters"] == 12)
    assert (seen["flights"], seen["fetching"]) == (1, 1)
    assert seen["blocked"] <= seen["max_blocked"]
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert counted(server, before) == {
        "requests": 12, "misses": 12, "collapsed": 11, "flights_begun": 1,
        "fetches": 1, "stored": 1}
