# SPDX-License-Identifier: Apache-2.0
"""Access control decides about every client and about no fetch."""
import http.client

import pytest

from pydogpile import client, scene, wms

LOCATION = """
<Location "/{name}">
    DogpileEnable On
    {lines}
    ProxyPass "http://127.0.0.1:${{UPSTREAM}}/{name}"
</Location>
"""

LOCATIONS = {
    "ip": "Require ip 127.0.0.2",
    "basic": "AuthType Basic\nAuthName maps\nAuthUserFile \"${DIR}/users\"\n"
             "Require valid-user\nDogpileCredentials share",
    "env": "Require env LET_IN",
    "any": "<RequireAny>\nRequire ip 10.0.0.0/8\nRequire env LET_IN\n"
           "</RequireAny>",
    "not": "<RequireAll>\nRequire all granted\nRequire not ip 127.0.0.1\n"
           "</RequireAll>",
    "compat": "Order allow,deny\nAllow from all\nDeny from 127.0.0.1",
    "if": "<If \"%{HTTP:X-Let-In} != 'yes'\">\nRequire all denied\n</If>",
    "door": 'DogpileSource "/private"',
}

CONF = """
LoadModule auth_basic_module ${MODULES}/mod_auth_basic.so
LoadModule authn_core_module ${MODULES}/mod_authn_core.so
LoadModule authn_file_module ${MODULES}/mod_authn_file.so
LoadModule authz_user_module ${MODULES}/mod_authz_user.so
LoadModule access_compat_module ${MODULES}/mod_access_compat.so
LoadModule setenvif_module ${MODULES}/mod_setenvif.so
DogpileStore "disk:${DIR}/store"
SetEnvIf X-Let-In yes LET_IN
<Location "/private">
    Require all denied
    ProxyPass "http://127.0.0.1:${UPSTREAM}/private"
</Location>
""" + "".join(LOCATION.format(name=name, lines=lines)
              for name, lines in LOCATIONS.items())
OPTIONS = {"children": 2}
# Refusals of clients; one of the module's own request would come from another
# address.
ALLOWED = [r"\[client 127\.0\.0\.1:\d+\] AH0(1630|1797|1617|1618)"]

# of "reader" and "secret"
USERS = "reader:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"


def prepare(server):
    (server.dir / "users").write_text(USERS)


def ask(site, path, headers=None, source="127.0.0.1"):
    connection = http.client.HTTPConnection(
        "127.0.0.1", site.port, timeout=client.TIMEOUT_SEC,
        source_address=(source, 0))
    try:
        return client.ask(connection, path, headers=headers)
    finally:
        connection.close()


LET_IN = {"headers": {"X-Let-In": "yes"}}
ELSEWHERE = {"source": "127.0.0.2"}
# base64 of reader:secret and of reader:guess
READER = {"headers": {"Authorization": "Basic cmVhZGVyOnNlY3JldA=="}}
GUESS = {"headers": {"Authorization": "Basic cmVhZGVyOmd1ZXNz"}}

# Where, what a refused client gets, how to be refused, how to be admitted.
DOORS = [
    ("ip", 403, {}, ELSEWHERE),
    ("basic", 401, {}, READER),
    ("basic", 401, GUESS, READER),
    ("env", 403, {}, LET_IN),
    ("any", 403, {}, LET_IN),
    ("not", 403, {}, ELSEWHERE),
    ("compat", 403, {}, ELSEWHERE),
    ("if", 403, {}, LET_IN),
]


@pytest.mark.parametrize("name,status,refused,admitted", DOORS)
def test_refused_clients_get_no_tile_and_cause_no_fetch(
        site, name, status, refused, admitted):
    """Whom httpd refuses gets its refusal, before and after the tile is
    stored, and asks nothing of the source; whom it admits gets tiles, though
    the fetch carries no credentials."""
    path = wms.tile(5, 9, 9, path="/" + name, layers=f"a-{len(refused)}")
    before = ask(site, path, **refused)
    assert (before.status, site.upstream.count) == (status, 0)
    tile = ask(site, path, **admitted)
    assert (tile.status, site.upstream.count) == (200, 1)
    assert set(site.upstream.requests[0].headers).isdisjoint(
        {"authorization", "x-let-in"})
    scene.settle(site)
    after = ask(site, path, **refused)
    assert after.status == status
    assert after.header("Cache-Status") is None
    assert tile.body not in after.body
    hit = ask(site, path, **admitted)
    assert "; hit" in hit.header("Cache-Status")
    assert site.upstream.count == 1


def test_private_source_is_reached_by_the_module_only(site):
    """A source behind `Require all denied` renders for the location that
    names it, and clients who ask for it get 403."""
    assert ask(site, wms.tile(5, 9, 9, path="/private")).status == 403
    assert site.upstream.count == 0
    answer = ask(site, wms.tile(5, 9, 9, path="/door"))
    assert answer.status == 200
    assert site.upstream.requests[0].path == "/private"
    assert ask(site, wms.tile(5, 9, 9, path="/private")).status == 403


def test_refused_clients_of_a_herd(site):
    """Of a herd on a cold tile those who may not come are refused at once,
    and the others are answered."""
    url = site.url(wms.tile(5, 9, 9, path="/env", layers="a-herd"))
    site.upstream.hold()
    admitted = client.Herd([url], 8, headers={"X-Let-In": "yes"}).start()
    site.status.wait(lambda s: s["waiters"] == 8)
    refused = client.herd([url], 8)
    assert {answer.status for answer in refused} == {403}
    site.upstream.release()
    assert {answer.status for answer in admitted.answers()} == {200}
    assert site.upstream.count == 1


def test_passed_requests_are_refused_too(site):
    """What passes through goes through access control as ever."""
    path = wms.tile(5, 9, 9, path="/env", MAP="/etc/passwd")
    assert ask(site, path).status == 403
    assert site.upstream.count == 0
    assert ask(site, path, **LET_IN).status == 200
