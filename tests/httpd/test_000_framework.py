# SPDX-License-Identifier: Apache-2.0
"""The framework itself, on an httpd without the module."""
import signal

import pytest

from pydogpile import client, picture, ports, upstream as scripted, wms
from pydogpile.log import ErrorLog
from pydogpile.process import alive
from pydogpile.server import Httpd
from pydogpile.wait import until

PROXY = """
<Location "/wms">
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""


@pytest.fixture
def plain(make_httpd):
    return make_httpd(PROXY, dogpile=False).start()


def test_upstream_holds_until_released(plain, upstream):
    """Held requests are answered after release() and not before."""
    upstream.hold()
    herd = client.Herd([plain.url(wms.tile(3, 1, 1))], 12).start()
    upstream.wait_held(12)
    assert herd._answers == [None] * 12
    upstream.release()
    assert [answer.status for answer in herd.answers()] == [200] * 12
    assert upstream.count == 12


@pytest.mark.parametrize("layers", ["rgb", "rgba", "grey", "palette"])
@pytest.mark.parametrize("grid", [wms.MERCATOR, wms.CRS84])
@pytest.mark.parametrize("version", ["1.1.1", "1.3.0"])
def test_cut_of_metatile_equals_tile(upstream, grid, version, layers):
    """A tile rendered alone is the cut of its metatile, in any axis order."""
    meta = wms.Metatile(5, 9, 10, grid)
    whole = picture.decode(client.get(upstream.url(
        meta.whole(version=version, layers=layers))).body)
    assert whole.size == meta.pixels == (1056, 1056)
    for cell, path in zip(meta.cells,
                          meta.tiles(version=version, layers=layers)):
        answer = client.get(upstream.url(path))
        picture.assert_cut(answer, whole, meta.window(*cell))


def test_pictures_differ_between_places(upstream):
    """A tile of another place or level is not taken for the right one."""
    here, there, deeper = (
        picture.decode(client.get(upstream.url(wms.tile(*cell))).body)
        for cell in ((5, 9, 10), (5, 10, 10), (6, 9, 10)))
    assert not picture.same(here, there)
    assert not picture.same(here, deeper)


def test_metatile_is_clipped_at_the_extent():
    """At the edge of the world there is no buffer, and no tile beyond."""
    assert wms.Metatile(1, 0, 0).pixels == (512, 512)
    assert wms.Metatile(1, 0, 0).bbox == wms.MERCATOR.bbox(0, 0, 0)
    assert wms.Metatile(3, 7, 2).margins == (16, 0, 0, 16)
    assert wms.Metatile(0, 1, 0, wms.CRS84).cells == [(0, 0), (1, 0)]


def test_upstream_follows_its_script(upstream):
    """Scripted answers come once each and in order, then the picture."""
    url = upstream.url(wms.tile(2, 1, 1))
    upstream.script(scripted.status(503, Retry_After="7"),
                    scripted.redirect("/x"), scripted.service_exception(),
                    scripted.garbage(), scripted.wrong_size,
                    scripted.cut_body(10), scripted.dropped())
    answers = [client.get(url) for _ in range(8)]
    assert [answer.status for answer in answers] == [
        503, 302, 200, 200, 200, 0, 0, 200]
    assert answers[0].header("Retry-After") == "7"
    assert answers[2].header("Content-Type") == scripted.XML
    assert picture.decode(answers[4].body).size == (257, 257)
    assert picture.decode(answers[7].body).size == (256, 256)


def test_unexpected_error_line_fails(plain, upstream):
    """A proxy error in the log is a problem until it is declared."""
    upstream.script(scripted.dropped(), scripted.dropped())
    assert client.get(plain.url(wms.tile(2, 1, 1))).status == 502
    assert any("proxy" in line for line in plain.problems())
    plain.expect_log("AH01102|AH00898")
    assert plain.problems() == []


@pytest.mark.parametrize("line,bad", [
    ("[Sat Nov 22] [mpm_event:notice] [pid 1:tid 1] AH00489: hello", False),
    ("[Sat Nov 22] [dogpile:info] [pid 1:tid 1] DP0601: hello", False),
    ("[Sat Nov 22] [dogpile:warn] [pid 1:tid 1] DP0601: hello", True),
    ("[Sat Nov 22] [core:error] [pid 1] (2)No such file: hello", True),
    ("[Sat Nov 22] [core:notice] [pid 1] child pid 3 exit signal S", True),
    ("corrupted double-linked list", True),
])
def test_log_lines_are_judged(tmp_path, line, bad):
    """Warnings, crashes and lines without a level are problems."""
    (tmp_path / "log").write_text(line + "\n")
    assert bool(ErrorLog(tmp_path / "log").problems()) == bad


def test_crash_cannot_be_declared_away(tmp_path):
    """A crash stays a problem though its line was expected."""
    (tmp_path / "log").write_text(
        "[now] [core:notice] [pid 1] child pid 3 exit signal Segmentation\n")
    log = ErrorLog(tmp_path / "log")
    log.allow("exit signal")
    assert log.problems()


def test_expected_line_has_to_occur(tmp_path):
    """An announced message that never came is a problem."""
    log = ErrorLog(tmp_path / "log")
    log.expect("DP0601")
    log.allow("DP0602")
    assert log.problems() == ["missing: DP0601"]


def test_stopped_httpd_leaves_nothing(plain, upstream):
    """After stop() the parent, its children and its port are gone."""
    family = [plain.process.pid, *plain.children()]
    assert len(family) > 1 and all(map(alive, family))
    plain.stop()
    assert not any(map(alive, family))
    assert ports.is_free(plain.port)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_killed_child_is_replaced(plain, number):
    """A child killed by the test is forgiven, and httpd starts another."""
    before = plain.children()
    plain.kill_child(before[0], number)
    until(lambda: len(set(plain.children()) | set(before)) > len(before),
          "another child")


def test_graceful_brings_new_children(plain):
    """After graceful() requests are answered by children of a new
    generation."""
    before = set(plain.children())
    plain.graceful()
    until(lambda: before.isdisjoint(plain.children()), "new children")
    assert client.get(plain.url(wms.tile(1, 0, 0))).status == 200


def test_configtest_tells_what_is_wrong():
    """configtest() gives httpd's exit code and complaint."""
    server = Httpd("NoSuchDirective On\n", dogpile=False)
    try:
        code, said = server.configtest()
    finally:
        server.remove()
    assert code == 1
    assert "NoSuchDirective" in said


def test_dead_configuration_fails_the_start():
    """start() fails with httpd's own words instead of waiting."""
    server = Httpd("NoSuchDirective On\n", dogpile=False)
    try:
        with pytest.raises(AssertionError, match="NoSuchDirective"):
            server.start()
    finally:
        server.stop()
        server.remove()


def test_raw_bytes_reach_httpd(plain):
    """raw() sends what it is given and returns the whole answer."""
    answer = client.raw(plain.port, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")


def test_mapserver_renders_the_world(mapserver):
    """The real MapServer draws the demo's map; each request is counted."""
    meta = wms.Metatile(4, 5, 6)
    answer = client.get(mapserver.url(meta.whole(layers="world")))
    assert answer.status == 200, answer
    image = picture.decode(answer.body)
    assert image.size == meta.pixels
    assert len(image.getcolors(1 << 20)) > 20
    assert mapserver.count == 1
