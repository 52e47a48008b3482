# SPDX-License-Identifier: Apache-2.0
"""The status page about lockers: their members, and who holds what."""
import json
import re

import pytest

from pydogpile import client, scene, wms
from pydogpile.lockservers import REDIS_MODULES, LockServer

TILE = wms.tile(5, 9, 9)
ADDRESS = "127.0.0.2"  # beside 127.0.0.1, where the test asks it
LEASE_COLUMNS = ["label", "mode", "host", "pid", "own", "age_sec", "left_sec"]
MEMBER = {"name", "type", "state", "since", "last error", "failures",
          "contested", "lost"}


class Servers(dict):
    """By kind; each starts when it is first wanted."""

    def __missing__(self, kind):
        self[kind] = LockServer(kind, ADDRESS)
        return self[kind]


@pytest.fixture
def servers():
    """Asked for before httpd, so that they outlive it."""
    made = Servers()
    yield made
    for server in made.values():
        server.remove()


def chain(servers):
    return f"""
{REDIS_MODULES}
<DogpileLocker tiles fallback>
    {servers["memcache"].block("one")}
    {servers["redis"].block("two")}
    <DogpileLocker three disk>
        DogpileLockDirectory "${{SHARED}}/locks"
    </DogpileLocker>
</DogpileLocker>
""" + scene.location("DogpileLocker tiles", store="${SHARED}/store")


def on_redis(server, *lines):
    return REDIS_MODULES + server.block("one", *lines) + scene.location(
        "DogpileLocker one")


def page(server, query=""):
    answer = client.get(server.url("/dogpile-status" + query))
    assert answer.status == 200
    return answer.body.decode()


# As docs/design/redis.md writes them.
LEASES_OF_OTHERS = """
    local now = redis.call('TIME')
    for i = 1, ARGV[2] do
        redis.call('SET', string.format('dogpile:{%064x}:lock', i),
                   string.format('%032x %s%06d 600000000 %s', i, now[1],
                                 now[2], ARGV[1]), 'PX', 600000)
    end
"""


def put_leases(redis, label, n=1):
    """Leases of another host."""
    redis.redis("EVAL", LEASES_OF_OTHERS, "0",
                f"{'0' * 32} elsewhere 0a-0b 1 4711 1 {label}", str(n))


def test_chain_is_shown_member_by_member(servers, shared_dir, httpd,
                                         upstream):
    """Every member of a chain is named with its type and its health; one that
    was killed is shown as down, with its last error, and the others go on."""
    server = httpd(chain(servers), define={"SHARED": shared_dir})
    server.allow_log("DP0720|DP0760")
    members = server.status.locker("tiles")["members"]
    assert [(m["name"], m["type"], m["state"]) for m in members] == [
        ("one", "memcache", "up"), ("two", "redis", "up"),
        ("three", "disk", "up")]
    for member in members:
        assert MEMBER <= set(member)
        assert member["last error"] == "none"
    assert members[0]["list"] == "not possible with this type"
    assert f":{servers['redis'].port}/" in members[1]["server"]
    assert members[2]["directory"] == f"{shared_dir}/locks"

    servers["memcache"].kill()
    assert client.get(server.url(TILE)).status == 200
    locker = server.status.locker("tiles")
    one, two, three = locker["members"]
    assert (one["state"], two["state"], three["state"]) == (
        "down", "up", "up")
    assert re.match(r"\d+ s ago: .", one["last error"])
    assert re.match(r"in \d+ s$|at the next call$", one["next try"])
    assert int(one["failures"]) >= 1
    assert locker["list"] == "complete"
    text = page(server)
    for name in ("one", "two", "three"):
        assert f"<h3>member {name}</h3>" in text
    assert "<td>down</td>" in text
    assert text.count("<table>") == text.count("</table>")


def test_holders_are_shown(servers, shared_dir, httpd, upstream):
    """While a source is asked, the page shows who holds the lock: what for,
    on which host, in which process, and whether it is this httpd's own."""
    pair = [httpd(chain(servers), define={"SHARED": shared_dir}, children=2)
            for _ in range(2)]
    upstream.hold()
    herd = client.Herd([pair[0].url(TILE)], 3).start()
    upstream.wait_held(1)
    here, there = (server.status.locker("tiles") for server in pair)
    [lease] = here["leases"]
    assert list(lease) == LEASE_COLUMNS
    assert lease["label"].endswith("/wms WebMercatorQuad/5/2/2")
    assert lease["mode"] == "exclusive"
    assert lease["host"] == here["members"][1]["host"]
    assert lease["pid"] in pair[0].children()
    assert lease["own"] is True
    assert lease["age_sec"] >= 0 and 0 < lease["left_sec"] <= 15
    [seen] = there["leases"]
    assert (seen["pid"], seen["own"]) == (lease["pid"], False)
    text = page(pair[0])
    assert f"<td>{lease['label']}</td><td>exclusive</td>" in text
    assert f"<td>{lease['pid']}</td><td>true</td>" in text
    assert "leases" not in pair[0].status.read()["locker tiles"]
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    scene.settle(pair[0])
    assert server_leases(pair[1], "tiles") == []


def server_leases(server, name):
    locker = server.status.locker(name)
    assert locker["list"] == "complete"
    return locker["leases"]


@pytest.mark.parametrize("label,shown", [
    ("a%FFb%C3%A9%C3", "a\ufffdb\u00e9\ufffd"),
    ("%ED%A0%80%C0%AF%F4%90%80%80", "\ufffd" * 9),
    ("%E2%82%AC%F0%9F%97%BA%EF%BF%BF", "\u20ac\U0001f5fa\uffff"),
    ("%3Cscript%3E%26%22%5C%01%7F", "<script>&\"\\\x01\x7f")])
def test_labels_of_others_stay_text(servers, httpd, label, shown):
    """Whatever bytes a label has, both forms are UTF-8 and keep their form."""
    server = httpd(on_redis(servers["redis"]))
    put_leases(servers["redis"], label)
    answer = client.get(server.url("/dogpile-status?format=json"))
    [lease] = json.loads(answer.body.decode("utf-8"))["locker one"]["leases"]
    assert lease["label"] == shown
    assert (lease["host"], lease["pid"], lease["own"]) == (
        "elsewhere", 4711, False)
    text = page(server)
    assert "<script>" not in text
    escaped = shown.replace("&", "&amp;").replace("<", "&lt;").replace(
        ">", "&gt;").replace('"', "&quot;")
    assert f"<td>{escaped}</td>" in text


def test_a_request_of_any_bytes_is_shown(servers, httpd, upstream):
    """The lease for a request with LAYERS of no encoding is shown as well."""
    server = httpd(on_redis(servers["redis"]))
    upstream.hold()
    herd = client.Herd([server.url(
        wms.tile(5, 9, 9, LAYERS=None) + "&LAYERS=%ff%fe%22%3c")], 1).start()
    server.status.wait(lambda s: s["fetching"] == 1)
    assert len(server.status.locker("one")["leases"]) == 1
    upstream.release()
    herd.answers()


def test_long_lists_are_cut(servers, httpd):
    """At most 100 leases are shown, and it is said how many there are."""
    server = httpd(on_redis(servers["redis"]))
    put_leases(servers["redis"], "x", 103)
    locker = server.status.locker("one")
    assert locker["list"] == "the first 100 of 103"
    assert len(locker["leases"]) == 100
    assert page(server).count("<td>elsewhere</td>") == 100


def test_a_hung_lock_server_is_said(servers, httpd):
    """A lock server that hangs costs the page its socket timeout; the rest is
    shown, and ?leases=no doesn't ask it."""
    redis = servers["redis"]
    server = httpd(on_redis(redis, "DogpileLockSocketTimeout 200ms"),
                   children=1, threads=1)
    server.allow_log("DP0740")
    redis.hang()
    server.status.locker("one")  # its rows come before the list is asked for
    locker = server.status.locker("one")
    assert locker["list"].startswith("unavailable: ")
    assert locker["leases"] == []
    assert "no answer in time" in locker["unavailable"]
    assert "list" not in server.status.read()["locker one"]


def test_a_locker_that_lists_nothing_says_so(servers, httpd):
    """A memcached can't tell who holds what."""
    server = httpd(servers["memcache"].block("one")
                   + scene.location("DogpileLocker one"))
    locker = server.status.locker("one")
    assert locker["list"] == "not possible with this type"
    assert "leases" not in locker
