# SPDX-License-Identifier: Apache-2.0
"""What an access log can say about each request."""
import re

import pytest

from pydogpile import client, scene, upstream as scripted, wms
from pydogpile.wait import until

CONF = """
LogFormat "%>s %{DOGPILE_STATUS}e %{DOGPILE_KEY}e %{DOGPILE_WAIT_MS}e \
%{DOGPILE_FETCH_MS}e" dogpile
CustomLog access.log dogpile "expr=%{REQUEST_URI} == '/wms' && \
-z env('DOGPILE_INTERNAL')"
""" + scene.location()
OPTIONS = {"children": 2}
ALLOWED = ["DP0601"]

KEY = "[0-9a-f]{64}"


def lines(site):
    return (site.dir / "access.log").read_text().splitlines()


def ask(site, path, **options):
    """The line that this request leaves, split."""
    before = len(lines(site))
    client.get(site.url(path), **options)
    until(lambda: len(lines(site)) > before, "a line in access.log")
    scene.settle(site)
    return lines(site)[-1].split()


def tile(x=9, **params):
    return wms.tile(5, x, 9, **params)


def test_log_tells_misses_from_hits(site):
    """A miss says how long it waited and the source took; a hit has its key
    and waited for nothing."""
    miss, hit = ask(site, tile()), ask(site, tile(10))
    other = ask(site, tile(13))
    assert miss[:2] == ["200", "miss"]
    assert re.fullmatch(KEY, miss[2])
    assert miss[3].isdigit() and miss[4].isdigit()
    assert hit == ["200", "hit", miss[2], "-", "-"]
    assert other[1] == "miss" and other[2] != miss[2]


@pytest.mark.parametrize("path,line", [
    (tile(MAP="x"), ["200", "pass", "-", "-", "-"]),
    (tile(WIDTH="x"), ["400", "error", "-", "-", "-"])])
def test_log_tells_what_was_no_tile(site, path, line):
    """Passed and refused requests say so and have no key."""
    assert ask(site, path) == line


def test_log_tells_failures(site):
    """A failed fetch says so, with its key and times."""
    site.upstream.always = scripted.status(500)
    status, how, key, wait, fetch = ask(site, tile(layers="l-failed"))
    assert (status, how) == ("502", "error")
    assert re.fullmatch(KEY, key)
    assert wait.isdigit() and fetch.isdigit()


def test_whole_herd_has_one_key(site):
    """All requests that one fetch answered have the same key in the log."""
    before = len(lines(site))
    paths = wms.Metatile(5, 9, 9).tiles(layers="l-herd")
    client.herd([site.url(path) for path in paths])
    until(lambda: len(lines(site)) == before + 16, "16 lines in access.log")
    assert len({line.split()[2] for line in lines(site)[before:]}) == 1


def test_debug_log_tells_what_was_asked(httpd):
    """LogLevel dogpile:debug shows the request that was made to the
    source."""
    server = httpd(CONF + "LogLevel dogpile:debug\n")
    assert client.get(server.url(tile())).status == 200
    scene.settle(server)
    said = server.log.find("DP0602: source localhost/wms: /wms\\?SERVICE=WMS&")
    assert len(said) == 1
    assert "status 200" in said[0]
