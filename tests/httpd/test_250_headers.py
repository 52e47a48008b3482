# SPDX-License-Identifier: Apache-2.0
"""The headers of every kind of answer, one row each."""
import dataclasses
import email.utils
import re
import typing

import pytest

from pydogpile import client, upstream as scripted, wms
from pydogpile.scene import ALONE, backdate, location

HOUR = 3600
LINES = ("DogpileErrorExpire 0", ALONE, "DogpileExpire 1h jitter=0%")
SOON = ("DogpileStale 0", "DogpileWaitTimeout 300ms")
CONF = (location(*LINES) + location(*LINES, "DogpileStale 0", path="/wait")
        + location(*LINES, *SOON, path="/soon")
        + location(*LINES, *SOON, "DogpileOnTimeout overzoom blank",
                   path="/interim")
        + location(*LINES, "DogpileErrorExpire 10s", path="/sick"))
OPTIONS = {"children": 2}
ALLOWED = ["DP0601", "DP0201", "DP0202"]

# What a source says that clients never see, whatever the path.
SOURCE = {"Vary": "Accept-Encoding", "Set-Cookie": "route=7",
          "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT", "Age": "0"}


def draw(request):
    return scripted.render(request, headers={"Access-Control-Allow-Origin": "*",
                                             **SOURCE})


def compare(_):
    return scripted.Answer(304, {"Vary": "Origin"})


def fail(_):
    return scripted.status(503, Retry_After="7")


def forbid(request):
    return scripted.render(request, headers={
        "Cache-Control": "private", "Vary": "Cookie", "ETag": '"mine"'})


class Scene:
    """A tile of its own for each row, at one of the locations."""

    columns = iter(range(256))

    def __init__(self, site, path):
        self.site = site
        column = next(self.columns)
        self.tile = wms.tile(8, column, 86, path=path)
        self.parent = wms.tile(7, column // 2, 43, path=path)
        self.etag = None
        site.upstream.always = draw

    def get(self, headers=None, method="GET", tile=None):
        return client.get(self.site.url(tile or self.tile), headers=headers,
                          method=method)

    def store(self):
        self.etag = self.get().header("ETag")
        self.site.status.wait(lambda s: s["flights"] == 0)

    def age(self, seconds):
        self.store()
        backdate(self.site.dir / "store", seconds)

    def waiters(self, n):
        """The answers of n who wait for one flight, the leader's left out."""
        self.site.upstream.hold()
        herd = client.Herd([self.site.url(self.tile)], n).start()
        self.site.status.wait(lambda s: s["waiters"] == n)
        self.site.upstream.release()
        collapsed = [answer for answer in herd.answers()
                     if "collapsed" in answer.header("Cache-Status")]
        assert len(collapsed) == n - 1
        return collapsed[0]


def plain(scene):
    return scene.get()


def collapsed(scene):
    return scene.waiters(3)


def asking(**headers):
    """A request with these headers; ETAG stands for the tile's."""
    def ask(scene):
        return scene.get({name.replace("_", "-"):
                          value.replace("ETAG", scene.etag or "")
                          for name, value in headers.items()})
    return ask


def head(scene):
    return scene.get(method="HEAD")


def post(scene):
    return scene.get(method="POST")


def with_param(scene):
    return scene.get(tile=scene.tile + "&MAP=x")


def off_grid(scene):
    return scene.get(tile=scene.tile.replace("WIDTH=256", "WIDTH=250"))


def malformed(scene):
    return scene.get(tile=scene.tile.replace("BBOX=", "BBOX=x"))


def too_long(scene):
    """The source is held until the client has given up."""
    scene.site.upstream.hold()
    answer = scene.get()
    scene.site.upstream.release()
    scene.site.status.wait(lambda s: s["flights"] == 0)
    return answer


def below_a_stored_one(scene):
    """For want of time, but the tile of the level above is there."""
    scene.get(tile=scene.parent)
    scene.site.status.wait(lambda s: s["flights"] == 0)
    return too_long(scene)


def twice(scene):
    scene.get()
    return scene.get()


@dataclasses.dataclass
class Row:
    name: str
    ask: typing.Callable
    status: int
    said: str          # of Cache-Status, after the module's name, but ttl
    left: int = HOUR   # how long it may be kept, in seconds; None: not at all
    path: str = "/wms"
    age: int = None    # of what is stored before; None: nothing is
    source: typing.Callable = draw  # from then on
    retry: str = None  # Retry-After, a pattern


MOMENT = 5  # so long may caches keep what is stale
LATE = 20   # seconds: a machine may be slow

ROWS = [
    Row("miss", plain, 200, "fwd=uri-miss; stored"),
    Row("collapsed", collapsed, 200,
        "fwd=uri-miss; stored; collapsed"),
    Row("miss of HEAD", head, 200, "fwd=uri-miss; stored"),
    Row("miss of Range", asking(Range="bytes=0-9"), 206,
        "fwd=uri-miss; stored"),
    Row("off-grid", off_grid, 200,
        'fwd=uri-miss; detail="off-grid"'),
    Row("hit", plain, 200, "hit", HOUR - 60, age=60),
    Row("hit of HEAD", head, 200, "hit", HOUR - 60, age=60),
    Row("hit of Range", asking(Range="bytes=0-9"), 206, "hit",
        HOUR - 60, age=60),
    Row("not modified", asking(If_None_Match="ETAG"), 304, "hit",
        HOUR - 60, age=60),
    Row("only-if-cached", asking(Cache_Control="only-if-cached"), 200,
        "hit", HOUR - 60, age=60),
    Row("stale", plain, 200, "hit", MOMENT, age=HOUR + 60),
    Row("stale, not modified", asking(If_None_Match="ETAG"), 304,
        "hit", MOMENT, age=HOUR + 60),
    Row("refreshed", plain, 200, "fwd=stale; stored", path="/wait",
        age=HOUR + 60),
    Row("refreshed by 304", plain, 200,
        "fwd=stale; fwd-status=304; stored", path="/wait",
        age=HOUR + 60, source=compare),
    Row("reloaded", asking(Cache_Control="no-cache"), 200,
        "fwd=request; stored", age=60),
    Row("reloaded, stale", asking(Pragma="no-cache"), 200,
        "fwd=stale; stored", age=HOUR + 60),
    Row("stale on error", plain, 200,
        'fwd=stale; fwd-status=503; detail="the source failed"',
        MOMENT, path="/wait", age=HOUR + 60, source=fail),
    Row("stale on error, collapsed", collapsed, 200,
        "fwd=stale; fwd-status=503; collapsed; "
        'detail="the source failed"',
        MOMENT, path="/wait", age=HOUR + 60, source=fail),
    Row("stale on error, not modified", asking(If_None_Match="ETAG"), 304,
        'fwd=stale; fwd-status=503; detail="the source failed"',
        MOMENT, path="/wait", age=HOUR + 60, source=fail),
    Row("stale in time", too_long, 200,
        'fwd=stale; detail="no answer in time"', MOMENT,
        path="/soon", age=HOUR + 60),
    Row("error", plain, 502,
        'fwd=uri-miss; fwd-status=503; detail="the source failed"', None,
        source=fail, retry="7"),
    Row("error, remembered", twice, 502,
        'fwd=uri-miss; detail="the source failed, remembered"', None,
        path="/sick", source=fail, retry="10|9"),
    Row("blank", too_long, 200,
        'fwd=uri-miss; detail="no answer in time, blank"', None,
        path="/interim", retry="2"),
    Row("overzoom", below_a_stored_one, 200,
        'fwd=uri-miss; detail="no answer in time, overzoom"', None,
        path="/interim", retry="2"),
    Row("no time", too_long, 503,
        'fwd=uri-miss; detail="no answer in time"', None, path="/soon",
        retry="2"),
    Row("not cached", asking(Cache_Control="only-if-cached"), 504,
        'detail="only-if-cached"', None),
    Row("malformed", malformed, 400, "detail=\"BBOX isn't four numbers\"",
        None),
]


def seconds(answer, name):
    return email.utils.parsedate_to_datetime(answer.header(name)).timestamp()


def assert_lasts(answer, row):
    """Age, Cache-Control, Expires and ttl agree about what is left."""
    age = int(answer.header("Age"))
    control = re.fullmatch("max-age=([0-9]+)", answer.header("Cache-Control"))
    left = int(control[1]) - age
    assert row.left - LATE <= left <= row.left + 1
    assert abs(seconds(answer, "Expires") - seconds(answer, "Date")
               - left) <= LATE
    made = seconds(answer, "Date") - seconds(answer, "Last-Modified")
    assert abs(made - age) <= LATE
    ttl = int(answer.header("Cache-Status").split("; ttl=")[1])
    assert ttl == (left if row.left > MOMENT else HOUR - age)


def assert_tile(answer, row, scene):
    assert re.fullmatch('"[0-9a-f]{32}"', answer.header("ETag"))
    assert answer.header("ETag") == (scene.etag or answer.header("ETag"))
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Retry-After") is None
    if row.status != 304:
        assert answer.header("Content-Type") == "image/png"
    assert_lasts(answer, row)


def assert_unkept(answer, row):
    assert answer.header("Cache-Control") == "no-store"
    retry = answer.header("Retry-After")
    assert re.fullmatch(row.retry, retry) if row.retry else retry is None
    for name in ("ETag", "Age", "Expires", "Last-Modified"):
        assert answer.header(name) is None, name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_headers(site, row):
    """Every answer says where it comes from, how old it is and how long it
    may be kept, and nothing that its source said to another."""
    scene = Scene(site, row.path)
    if row.age is not None:
        scene.age(row.age)
    site.upstream.always = row.source
    answer = row.ask(scene)
    site.status.wait(lambda s: s["flights"] == 0)
    assert answer.status == row.status, answer
    said, = answer.headers.get_all("Cache-Status")
    assert said.split("; ttl=")[0] == "mod_dogpile; " + row.said
    assert answer.header("Vary") is None
    assert answer.header("Set-Cookie") is None
    if row.left is None:
        assert_unkept(answer, row)
    else:
        assert_tile(answer, row, scene)


PASSED = [
    ("param", with_param, draw, 'detail="param MAP"'),
    ("method", post, draw, 'detail="method"'),
    ("credentials", asking(Authorization="Basic eDp5"), draw,
     'detail="authorization"'),
    ("private", plain, forbid, 'detail="unshareable"'),
]


@pytest.mark.parametrize("ask, source, detail", [row[1:] for row in PASSED],
                         ids=[row[0] for row in PASSED])
def test_headers_of_what_passes(site, ask, source, detail):
    """What passes through has the source's own headers, and Cache-Status says
    why it passed."""
    scene = Scene(site, "/wms")
    site.upstream.always = source
    answer = ask(scene)
    site.status.wait(lambda s: s["flights"] == 0)
    assert answer.status == 200
    assert answer.headers.get_all("Cache-Status") == [
        "mod_dogpile; fwd=bypass; " + detail]
    sent = source(wms_request()).headers
    for name, value in sent.items():
        assert answer.header(name) == value, name


def wms_request():
    return scripted.Request("GET", "/wms", {
        "BBOX": "0,0,1,1", "WIDTH": "1", "HEIGHT": "1"}, {}, "/wms", 0)


@pytest.mark.parametrize("headers, status", [
    ({"Range": "bytes=999999-"}, 416), ({"If_Match": '"other"'}, 412)],
    ids=["416", "412"])
def test_headers_of_what_cannot_be_met(site, headers, status):
    """A range or a condition that can't be met is an error of httpd's that
    carries nothing of the tile."""
    scene = Scene(site, "/wms")
    scene.age(60)
    answer = asking(**headers)(scene)
    assert answer.status == status
    for name in ("ETag", "Age", "Expires", "Last-Modified", "Cache-Control",
                 "Vary", "Set-Cookie"):
        assert answer.header(name) is None, name
