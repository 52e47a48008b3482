# SPDX-License-Identifier: Apache-2.0
"""Requests that were seen before, for tiles in memory: what they skip, and
what they don't."""
import pytest

from pydogpile import client, wms
from pydogpile.scene import ALONE, location, settle
from pydogpile.wait import until

HEADERS = "LoadModule headers_module ${MODULES}/mod_headers.so\n"
LOG = 'LogFormat "%f %>s" file\nCustomLog "${DIR}/file.log" file\n'
SAID = {"X-Say": "yes"}


def warm(server, path):
    """Asks until it comes from memory: found twice, known the third time."""
    first = client.get(server.url(path))
    assert first.status == 200
    settle(server, stored=1)
    for _ in range(3):
        answer = client.get(server.url(path))
        assert "; hit" in answer.header("Cache-Status")
        assert answer.body == first.body
    server.upstream.forget()
    return first


def files(server):
    """What httpd took each answered request for."""
    lines = (server.dir / "file.log").read_text().splitlines()
    return [line.split()[0] for line in lines
            if line.endswith(" 200") and line.startswith("proxy:")]


@pytest.fixture
def known(httpd, upstream):
    """A server with these lines, and a tile that is known to it."""
    def make(*lines, before=""):
        server = httpd(HEADERS + LOG + before + location(ALONE, *lines),
                       children=1)
        server.upstream = upstream
        path = wms.tile(8, 133, 86)
        return server, path, warm(server, path)
    return make


def test_mod_proxy_makes_no_url_for_a_known_request(known):
    """A URL of the source is brought into canonical form, with its query, for
    requests that may be sent there, not for those that are answered from
    memory."""
    server, path, _ = known()
    plain = f"proxy:{server.upstream.url('/wms')}"

    def was_known():
        client.get(server.url(path))
        return plain in files(server)

    until(was_known, lambda: f"a known request: {files(server)}")
    assert files(server)[0].startswith(plain + "?SERVICE=WMS")


LATE = ("RequestHeader set Authorization \"Basic eA==\" "
        "\"expr=%{HTTP:X-Say} == 'yes'\"")


def test_late_credentials_are_seen(known):
    """Where a fixup gives a known request credentials of its own, it goes to
    the source with them, once, under the URL and with the header fields that
    any other request gets."""
    server, path, _ = known(LATE, "RequestHeader add X-Often once")
    fresh = wms.tile(8, 133, 86, layers="b\u00e9 c")
    asked_before = server.status["requests"]
    for asked in (path, fresh):
        passed = client.get(server.url(asked), headers=SAID)
        assert passed.status == 200
        assert passed.header("Cache-Status") == (
            "mod_dogpile; fwd=bypass; detail=\"authorization\"")
    ours, other = server.upstream.requests
    assert ours.headers["authorization"] == "Basic eA=="
    assert ours.headers["x-often"] == other.headers["x-often"] == "once"
    assert ours.path == other.path
    assert {**ours.query, "LAYERS": ""} == {**other.query, "LAYERS": ""}
    again = client.get(server.url(path))
    assert "; hit" in again.header("Cache-Status")
    assert server.upstream.count == 2
    assert server.status["requests"] == asked_before + 3


def test_late_credentials_after_the_last_rule(httpd, upstream):
    """Where mod_rewrite has brought a known request to its source and does no
    more, a fixup that gives it credentials changes nothing of that."""
    server = httpd(
        HEADERS + "LoadModule rewrite_module ${MODULES}/mod_rewrite.so\n"
        "RewriteEngine On\nRewriteCond %{ENV:REDIRECT_STATUS} ^$\n"
        'RewriteRule "^/wms$" "http://127.0.0.1:${UPSTREAM}/wms" [P,END]\n'
        '<Location "/wms">\nDogpileEnable On\n'
        f'DogpileStore "disk:${{DIR}}/store"\n{ALONE}\n{LATE}\n</Location>\n',
        children=1)
    server.upstream = upstream
    path = wms.tile(8, 133, 86)
    first = warm(server, path)
    passed = client.get(server.url(path), headers=SAID)
    assert (passed.status, passed.body) == (200, first.body)
    assert upstream.count == 1
    assert upstream.requests[0].headers["authorization"] == "Basic eA=="


def test_who_may_not_come_gets_nothing_known(known):
    """Access control and rewriting decide about known requests as about any
    others."""
    server, path, first = known(
        "Require expr \"%{HTTP:X-Say} != 'yes'\"", "RewriteEngine On",
        'RewriteCond "%{HTTP:X-Rewrite}" "yes"', 'RewriteRule "" "-" [G]',
        before="LoadModule rewrite_module ${MODULES}/mod_rewrite.so\n")
    server.allow_log("AH01630")
    for headers, status in ((SAID, 403), ({"X-Rewrite": "yes"}, 410),
                            ({}, 200)):
        answer = client.get(server.url(path), headers=headers)
        assert answer.status == status
        assert (answer.body == first.body) == (status == 200)
    assert server.upstream.count == 0


def test_places_and_hosts_are_told_apart(httpd, upstream):
    """The same path and query mean another tile in another virtual host, and
    each is answered as its own place says, known or not."""
    hosts = "".join(
        f"<VirtualHost *:${{PORT}}>\nServerName {name}\n"
        + location(ALONE, f'DogpileSource "/{name}"', store="${DIR}/" + name)
        + f'<Location "/{name}">\nProxyPass "http://127.0.0.1:${{UPSTREAM}}'
        f'/{name}"\n</Location>\n</VirtualHost>\n' for name in ("a", "b"))
    server = httpd(hosts, children=1)
    path = wms.tile(8, 133, 86)
    for _ in range(4):
        for name in ("a", "b"):
            answer = client.get(server.url(path), headers={"Host": name})
            assert answer.status == 200
        settle(server, stored=2)
    assert [request.path for request in upstream.requests] == ["/a", "/b"]


def test_more_requests_than_are_remembered(httpd, upstream):
    """Requests of which there are more than the table has places for are all
    answered, each time."""
    server = httpd(location(ALONE, "DogpileIgnoreParams NUMBER"), children=1)
    connection, _ = client.connect(server.url())
    body = client.get(server.url(wms.tile(8, 133, 86))).body
    settle(server, stored=1)
    for _ in range(2):
        for number in range(9000):
            answer = client.ask(connection,
                                wms.tile(8, 133, 86, NUMBER=number))
            assert answer.body == body, (number, answer)
    connection.close()
    assert upstream.count == 1
