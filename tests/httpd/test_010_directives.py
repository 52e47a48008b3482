# SPDX-License-Identifier: Apache-2.0
"""What configtest refuses, and how it says so; nothing is started here."""
import pytest

from pydogpile import client
from pydogpile.server import Httpd

TIME = "a time, in seconds or with a unit (ms, s, min, h, d)"
GRIDS = "WebMercatorQuad, WorldCRS84Quad"
INSTEAD = "stale, "
OWN_PARAMS = "names of parameters other than those of every GetMap"
GRID = ("DogpileGridCRS EPSG:2056\nDogpileGridExtent 0 0 1000 1000\n"
        "DogpileGridResolutions 2 1\n")

# A line, and what is said about it besides the directive's name.
VALUES = [
    ("DogpileEnable maybe", "must be On or Off"),
    ("DogpileEnable", "must be On or Off"),
    ("DogpileHeader 2", "must be On or Off"),
    ("DogpileSource wms", "'wms' isn't allowed; allowed: a path of this"),
    ("DogpileSource http://wms/", "allowed: a path of this virtual host"),
    ('DogpileSource "/a b"', "allowed: a path of this virtual host"),
    ("DogpileSource /a#b", "allowed: a path of this virtual host"),
    ('DogpileSource ""', "takes one argument"),
    ("DogpileSource /a /b", "takes one argument"),
    ('DogpileSourceName ""', "takes one argument"),
    ("DogpileSourceName " + 129 * "n", "allowed: a name of 1 to 128 bytes"),
    ('DogpileSourceLock ""', "takes one argument"),
    ("DogpileSourceLock a b", "takes one argument"),
    ("DogpileSourceHeader X-A", "takes two arguments"),
    ('DogpileSourceHeader "X A" b', "allowed: the name of a request header"),
    ('DogpileSourceHeader "" b', "takes two arguments"),
    ("DogpileSourceHeader X-A: b", "allowed: the name of a request header"),
    ("DogpileSourceHeader host b", "allowed: the name of a request header"),
    ("DogpileSourceHeader Range b", "allowed: the name of a request header"),
    ("DogpileSourceHeader If-Range b", "other than Host"),
    ("DogpileSourceHeader Expect b", "other than Host"),
    ("DogpileSourceHeader Accept-Encoding gzip", "other than Host"),
    ("DogpileKeepHeader Set-Cookie", "Set-Cookie, which is never shared"),
    ('DogpileKeepHeader X-A "b c"', "'b c' isn't allowed"),
    ("DogpileKeepHeader Content-Length", "which is never shared"),
    ("DogpileLocker", "takes one argument"),
    ("DogpileLocker tiles", "there is no <DogpileLocker tiles>; allowed: none"),
    ("DogpileStore /srv/tiles", "allowed: a type and a place, as in disk:/"),
    ("DogpileStore disk:tiles", "absolute path"),
    ("DogpileStore tape:/srv", "mod_dogpile_store_tape"),
    ("DogpileStore disk:", "allowed: a type and a place"),
    ("DogpileFailOpen perhaps", "On or Off"),
    ("DogpileLockSocketTimeout 0", "allowed: 10ms to 60s"),
    ("DogpileCredentials yes", "allowed: pass or share"),
    ("DogpileUpstreamHeaders yes", "allowed: ignore or honour"),
    ("DogpileExpire soon", "allowed: " + TIME),
    ("DogpileExpire -1", "allowed: " + TIME),
    ("DogpileExpire 1w", "allowed: " + TIME),
    ("DogpileExpire 1e9", "allowed: " + TIME),
    ("DogpileExpire 99999999999d", "allowed: " + TIME),
    ("DogpileExpire nan", "allowed: " + TIME),
    ("DogpileExpire 1h 10%", "allowed: jitter=n%, n from 0 to 50"),
    ("DogpileExpire 1h jitter=10", "allowed: jitter=n%"),
    ("DogpileExpire 1h jitter=51%", "allowed: jitter=n%, n from 0 to 50"),
    ("DogpileExpire 1h jitter=%", "allowed: jitter=n%"),
    ("DogpileExpire 1h jitter=", "allowed: jitter=n%"),
    ("DogpileOnTimeout", "allowed: " + INSTEAD),
    ("DogpileOnTimeout stale wait", "'wait' isn't allowed; allowed: " + INSTEAD),
    ("DogpileOnTimeout stale stale", "'stale' isn't allowed"),
    ("DogpileOnTimeout 503 stale", "'503' isn't allowed"),
    ("DogpileOnTimeout stale 504", "'504' isn't allowed"),
    ("DogpileErrorExpire never", "allowed: " + TIME),
    ("DogpileErrorExpire 61min", "allowed: 0 to 1h"),
    ("DogpileWaitTimeout 0", "allowed: a time longer than 0"),
    ("DogpileWaitTimeout x", "allowed: " + TIME),
    ("DogpileFetchTimeout 0ms", "allowed: a time longer than 0"),
    ("DogpileFetchTimeout ms", "allowed: " + TIME),
    ("DogpileUpstreamLimit 0", "allowed: a whole number from 1 to 10000"),
    ("DogpileUpstreamLimit 1.5", "allowed: a whole number from 1 to 10000"),
    ("DogpileUpstreamLimit 10001", "allowed: a whole number from 1 to"),
    ("DogpileGrids", "allowed: one or more names of grids"),
    ("DogpileGrids Mars", "no grid 'Mars'; allowed: " + GRIDS),
    ("DogpileGrids WebMercatorQuad webmercatorquad", "'webmercatorquad'"),
    ("DogpileTileSizes", "allowed: one or more widths in pixels"),
    ("DogpileTileSizes 256 0", "allowed: a whole number from 16 to 4096"),
    ("DogpileTileSizes 256px", "allowed: a whole number from 16 to 4096"),
    ("DogpileMetatile", "allowed: WxH, as in 4x4"),
    ("DogpileMetatile 4", "allowed: WxH in tiles, each from 1 to 64"),
    ("DogpileMetatile 0x4", "allowed: WxH in tiles, each from 1 to 64"),
    ("DogpileMetatile 4x65", "allowed: WxH in tiles, each from 1 to 64"),
    ("DogpileMetatile 4x4x4", "allowed: WxH in tiles"),
    ("DogpileMetatile 4x4 16", "allowed: buffer=pixels and max=pixels"),
    ("DogpileMetatile 4x4 buffer=-1", "a whole number from 0 to 1024"),
    ("DogpileMetatile 4x4 buffer=", "a whole number from 0 to 1024"),
    ("DogpileMetatile 4x4 max=1", "a whole number from 256 to 8192"),
    ("DogpileParams BBOX", "allowed: " + OWN_PARAMS),
    ("DogpileParams a&b", "allowed: " + OWN_PARAMS),
    ('DogpileParams "=1"', "allowed: " + OWN_PARAMS),
    ("DogpileIgnoreParams layers", "allowed: " + OWN_PARAMS),
    ('DogpileIgnoreParams "a b#"', "allowed: " + OWN_PARAMS),
    ("DogpileUnlisted ignore", "allowed: pass or deny"),
    ("DogpileOffGrid store", "allowed: coalesce, pass or deny"),
    ("DogpileFetchThreads 0", "allowed: a whole number from 1 to 1024"),
    ("DogpileMaxBlocked -1", "allowed: a whole number from 0 to 1000000"),
    ("DogpileMaxBlocked many", "allowed: a whole number from 0 to 1000000"),
    ("DogpileMaxWaiters -1", "allowed: a whole number from 0 to 1000000"),
    ("DogpileMaxWaiters some", "allowed: a whole number from 0 to 1000000"),
    ("DogpileAsync 1", "must be On or Off"),
    ("DogpileLockTimeout 0.5", "allowed: 1 second or more"),
    ("DogpileLockTimeout x", "allowed: " + TIME),
    ("DogpileLockRetry 1ms", "allowed: 10ms to 10s"),
    ("DogpileLockRetry 11", "allowed: 10ms to 10s"),
    ('DogpileLockHost ""', "takes one argument"),
    ("DogpileLockHost " + 65 * "h", "allowed: a name of 1 to 64 bytes"),
    ("DogpileLockDirectory /a", "stands inside of <DogpileLocker>"),
    ("DogpileGridCRS EPSG:1", "stands inside of <DogpileGrid name>"),
    ("DogpileGridExtent 0 0 1 1", "stands inside of <DogpileGrid name>"),
    ("DogpileGridResolutions 1", "stands inside of <DogpileGrid name>"),
    ("DogpileGridOrigin top-left", "stands inside of <DogpileGrid name>"),
    ("DogpileGridTileSize 256", "stands inside of <DogpileGrid name>"),
    ("DogpileGridAxis xy", "stands inside of <DogpileGrid name>"),
    ("DogpileStale soon", "allowed: " + TIME),
    ("DogpileStale -1", "allowed: " + TIME),
    ("DogpileStale 1d 2d", "takes one argument"),
    ("DogpileStaleOnError 1w", "allowed: " + TIME),
    ("DogpileStaleOnError", "takes one argument"),
]


def section(name, *lines):
    """The lines, within <name>."""
    return "\n".join([f"<{name}>", *lines, f"</{name.split()[0]}>"])


def grid(*lines):
    return section("DogpileGrid swiss", *lines)


def locker(*lines):
    return section("DogpileLocker tiles disk", *lines)


WHOLE_GRID = grid(GRID)
A_LOCKER = locker("DogpileLockDirectory /nowhere/locks")

# A name for the test, the configuration, the directive that is to blame, and
# what is said.
SECTIONS = [
    ("grid without name", section("DogpileGrid"), "<DogpileGrid>",
     "one name"),
    ("grid with two names", section("DogpileGrid a b"), "<DogpileGrid>",
     "one name"),
    ("empty grid", grid(), "<DogpileGrid swiss>", "needs the name"),
    ("grid without extent", grid("DogpileGridCRS A:1",
                                 "DogpileGridResolutions 1"),
     "<DogpileGrid swiss>", "minx miny maxx maxy"),
    ("grid without levels", grid("DogpileGridCRS A:1",
                                 "DogpileGridExtent 0 0 9 9"),
     "<DogpileGrid swiss>", "needs 1 to 32 resolutions"),
    ("too many levels", grid(GRID, "DogpileGridResolutions " + " ".join(
        str(2 ** n) for n in range(33, 0, -1))),
     "<DogpileGrid swiss>", "needs 1 to 32 resolutions"),
    ("levels that rise", grid(GRID, "DogpileGridResolutions 1 2"),
     "<DogpileGrid swiss>", "must fall from level to level"),
    ("level of nothing", grid(GRID, "DogpileGridResolutions 1 0"),
     "<DogpileGrid swiss>", "greater than 0"),
    ("level that is no number", grid(GRID, "DogpileGridResolutions 1 x"),
     "DogpileGridResolutions", "'x' isn't allowed; allowed: decimal numbers"),
    ("extent of three", grid(GRID, "DogpileGridExtent 0 0 1"),
     "DogpileGridExtent", "takes minx miny maxx maxy"),
    ("extent inside out", grid(GRID, "DogpileGridExtent 9 0 1 1"),
     "<DogpileGrid swiss>", "minx miny maxx maxy"),
    ("extent of infinity", grid(GRID, "DogpileGridExtent 0 0 inf 1"),
     "DogpileGridExtent", "allowed: decimal numbers"),
    ("unknown origin", grid(GRID, "DogpileGridOrigin top-right"),
     "DogpileGridOrigin", "allowed: top-left or bottom-left"),
    ("unknown axis", grid(GRID, "DogpileGridAxis north"),
     "DogpileGridAxis", "allowed: xy or yx"),
    ("cell of no pixel", grid(GRID, "DogpileGridTileSize 0"),
     "DogpileGridTileSize", "allowed: a whole number from 16 to 4096"),
    ("grid twice", WHOLE_GRID + "\n" + WHOLE_GRID, "<DogpileGrid>",
     "'swiss' isn't allowed; allowed: a name that no other grid has"),
    ("a known grid's name", section("DogpileGrid WebMercatorQuad", GRID),
     "<DogpileGrid>", "allowed: a name that no other grid has"),
    ("grid in a grid", grid(GRID, section("DogpileGrid inner", GRID)),
     "<DogpileGrid", "can't stand inside of <DogpileGrid>"),
    ("grid in a virtual host", section("VirtualHost *", WHOLE_GRID),
     "<DogpileGrid", "VirtualHost"),
    ("grid in a location", section("Location /", WHOLE_GRID),
     "<DogpileGrid", "not allowed in <Location> context"),
    ("stranger in a grid", grid(GRID, "DogpileMetatile 2x2"),
     "DogpileMetatile", "can't stand inside of <DogpileGrid>; allowed:"),
    ("setting of a grid in a locker", locker(
        "DogpileLockDirectory /nowhere", "DogpileGridAxis xy"),
     "DogpileGridAxis", "can't stand inside of <DogpileLocker>; allowed:"),
    ("grid that isn't described", WHOLE_GRID + "\nDogpileGrids Swiss",
     "DogpileGrids", "there is no grid 'Swiss'; allowed: " + GRIDS
     + ", swiss"),
    ("locker without words", section("DogpileLocker"), "<DogpileLocker>",
     "a name and a type"),
    ("locker with three words", section("DogpileLocker a disk b"),
     "<DogpileLocker>", "a name and a type"),
    ("unknown type of locker", section("DogpileLocker a floppy"),
     "<DogpileLocker>", "is mod_dogpile_lock_floppy loaded"),
    ("locker without directory", locker(), "<DogpileLocker tiles>",
     "needs DogpileLockDirectory"),
    ("relative lock directory", locker("DogpileLockDirectory locks"),
     "DogpileLockDirectory", "allowed: an absolute path"),
    ("group without a name", locker("DogpileLockDirectory /locks group="),
     "DogpileLockDirectory", "allowed: group=name"),
    ("something after the directory", locker("DogpileLockDirectory /locks a"),
     "DogpileLockDirectory", "allowed: group=name"),
    ("group that isn't there", locker(
        "DogpileLockDirectory /nowhere/locks group=no-such-group"),
     "<DogpileLocker tiles>", "group=no-such-group: no such group"),
    ("lease too short", locker("DogpileLockTimeout 0"),
     "DogpileLockTimeout", "allowed: 1 second or more"),
    ("lease too long", locker("DogpileLockDirectory /nowhere/locks",
                              "DogpileLockTimeout 8d"),
     "DogpileLockTimeout", "at most 7 days"),
    ("locker twice", A_LOCKER + "\n" + A_LOCKER, "<DogpileLocker>",
     "'tiles' isn't allowed; allowed: a name that no other locker has"),
    ("locker in a disk locker", locker(section("DogpileLocker b disk")),
     "<DogpileLocker", "only a fallback has lockers inside"),
    ("server outside of a locker", "DogpileLockServer cache1:11211",
     "DogpileLockServer", "stands inside of <DogpileLocker>"),
    ("memcache without servers", section("DogpileLocker m memcache"),
     "<DogpileLocker m>", "server"),
    ("fallback without lockers", section("DogpileLocker f fallback"),
     "<DogpileLocker f>", "locker"),
    ("locker in a virtual host", section("VirtualHost *", A_LOCKER),
     "<DogpileLocker", "VirtualHost"),
    ("locker in a location", section("Location /", A_LOCKER),
     "<DogpileLocker", "not allowed in <Location> context"),
    ("locker that isn't there", A_LOCKER + "\n" + section(
        "Location /", "DogpileLocker redis"),
     "DogpileLocker", "there is no <DogpileLocker redis>; allowed: tiles"),
]

SERVER_ONLY = [
    "DogpileFetchThreads 4", "DogpileMaxBlocked 4", "DogpileLockTimeout 4",
    "DogpileLockRetry 1", "DogpileLockNamespace a", "DogpileLockHost a",
    "DogpileAsync Off", "DogpileMaxWaiters 4",
]


def complaint(conf):
    """What configtest says about a wrong configuration."""
    server = Httpd(conf)
    try:
        code, said = server.configtest()
        text = (server.dir / "httpd.conf").read_text()
    finally:
        server.remove()
    assert code == 1, said
    return said, text


def name_of(line):
    return line.split()[0]


def row_id(line):
    return line[:40]


@pytest.mark.parametrize("line,said", VALUES,
                         ids=[row_id(line) for line, _ in VALUES])
def test_bad_value_is_refused(line, said):
    """A wrong value is refused by configtest with file, line, directive and
    what is allowed."""
    text, conf = complaint(line + "\n")
    number = conf.splitlines().index(line) + 1
    assert name_of(line) in text
    assert said in text
    assert f"line {number} of " in text or f"httpd.conf:{number}:" in text


@pytest.mark.parametrize("conf,blamed,said", [row[1:] for row in SECTIONS],
                         ids=[row[0] for row in SECTIONS])
def test_bad_section_is_refused(conf, blamed, said):
    """A section that is wrong, incomplete or in the wrong place is refused by
    configtest, which names it and what is allowed."""
    text, _ = complaint(conf + "\n")
    assert blamed in text
    assert said in text
    assert "httpd.conf" in text


@pytest.mark.parametrize("place", ["VirtualHost *", "Location /"])
@pytest.mark.parametrize("line", SERVER_ONLY, ids=name_of)
def test_setting_of_the_server_is_refused_elsewhere(place, line):
    """What holds for the whole server is refused in a virtual host and in a
    location."""
    text, _ = complaint(section(place, line) + "\n")
    assert name_of(line) in text
    assert "not allowed in" in text or "cannot occur within" in text


def test_unclosed_section_is_refused():
    """A section's opening line without its end is refused."""
    text, _ = complaint("<DogpileGrid swiss\n</DogpileGrid>\n")
    assert "<DogpileGrid> directive missing closing '>'" in text


ALL_RIGHT = """
DogpileFetchThreads 8
DogpileAsync on
DogpileMaxWaiters 0
DogpileMaxBlocked 0
DogpileLockTimeout 15s
DogpileLockRetry 0.1
DogpileLockNamespace tests
DogpileLockHost here
<DogpileGrid swiss>
    # in any order, in any case
    DogpileGridAxis YX
    DogpileGridResolutions 4000 3750 0.5
    DogpileGridExtent 2420000 1030000 2900000 1350000
    DogpileGridOrigin Bottom-Left
    DogpileGridTileSize 512
    DogpileGridCRS EPSG:2056 urn:ogc:def:crs:EPSG::2056
</DogpileGrid>
<DogpileLocker disk>
    DogpileLockDirectory "${DIR}/locks" group=www-data
    DogpileLockTimeout 1min
    DogpileLockRetry 10ms
</DogpileLocker>
<VirtualHost *>
    DogpileStore "disk:${DIR}/store"
    <Location "/wms">
        DogpileEnable On
        DogpileSource "/cgi-bin/mapserv?map=/etc/osm.map&VERSION=1.3.0"
        DogpileSourceName osm
        DogpileSourceHeader X-Key "a secret"
        DogpileSourceHeader User-Agent tiles
        DogpileKeepHeader X-License Link
        DogpileKeepHeader
        DogpileLocker disk
        DogpileGrids swiss WebMercatorQuad
        DogpileTileSizes 16 256 4096
        DogpileMetatile 32x1 buffer=0 max=8192
        DogpileParams map DPI=96 time=
        DogpileParams
        DogpileIgnoreParams TILED
        DogpileUnlisted Deny
        DogpileOffGrid Coalesce
        DogpileExpire 1.5h jitter=0%
        DogpileCredentials Share
        DogpileUpstreamHeaders Honour
        DogpileWaitTimeout 500ms
        DogpileFetchTimeout 1d
        DogpileUpstreamLimit 1
        DogpileHeader Off
    </Location>
    <If "true">
        DogpileEnable Off
    </If>
</VirtualHost>
"""


def test_everything_is_accepted_and_nothing_happens():
    """configtest accepts every directive, creates nothing and contacts
    nobody."""
    server = Httpd(ALL_RIGHT)
    try:
        code, said = server.configtest()
        left = [path.name for path in server.dir.iterdir()]
    finally:
        server.remove()
    assert (code, said) == (0, "Syntax OK\n")
    assert left == ["httpd.conf"]


def hosts(first, second, outside=""):
    """Two virtual hosts of one ServerName, on two ports."""
    return "".join(
        [outside, "\n", *(f"Listen {port}\n<VirtualHost *:{port}>\n"
                          f"ServerName maps.example\n{inside}\n"
                          "</VirtualHost>\n"
                          for port, inside in ((10080, first),
                                               (10443, second)))])


def wms(*lines, path="/wms"):
    return section(f"Location {path}", "DogpileEnable On", *lines)


CLASHES = [
    ("same name, other source",
     wms("DogpileSourceName osm", path="/a") + "\n"
     + wms("DogpileSourceName osm", path="/b"),
     "DP0114", "DogpileSourceName osm", "/a instead of /b"),
    ("same name, other query",
     wms("DogpileSourceName osm", "DogpileSource /cgi?map=a", path="/a") + "\n"
     + wms("DogpileSourceName osm", "DogpileSource /cgi?map=b", path="/b"),
     "DP0114", "DogpileSourceName osm", "/cgi?map=a instead of /cgi?map=b"),
    ("host's name for two sources",
     "DogpileSourceName osm\n" + wms("DogpileSource /a") + "\n"
     + wms("DogpileSource /b", path="/b"),
     "DP0114", "DogpileSourceName osm", "/a instead of /b"),
    ("hosts of one name", hosts(wms(), wms()),
     "DP0115", "ServerName maps.example", "DogpileSourceName"),
    ("hosts of one name that inherit", hosts("", "", "DogpileEnable On"),
     "DP0115", "ServerName maps.example", "DogpileSourceName"),
    ("one of two hosts named", hosts(wms("DogpileSourceName a"),
                                     wms("DogpileSourceName a",
                                         path="/wmx")),
     "DP0114", "DogpileSourceName a", "/wms instead of /wmx"),
]


@pytest.mark.parametrize("conf,number,directive,said",
                         [row[1:] for row in CLASHES],
                         ids=[row[0] for row in CLASHES])
def test_sources_that_clash_are_refused(conf, number, directive, said):
    """Locations that would serve each other's tiles are refused, with the
    place of both."""
    text, _ = complaint(conf + "\n")
    assert f"{number}: " in text
    assert directive in text
    assert said in text
    assert text.count("httpd.conf:") == 2


@pytest.mark.parametrize("conf", [
    hosts(wms("DogpileSourceName osm"), wms("DogpileSourceName osm")),
    hosts(wms("DogpileSourceName a"), wms("DogpileSourceName b")),
    hosts("DogpileSourceName osm\n" + wms(), wms("DogpileSourceName osm")),
    hosts(wms(), ""),
    hosts(wms(), section("Location /wms", "DogpileEnable Off")),
    hosts(wms("DogpileSourceName a"), wms(path="/b")),
    wms("DogpileSourceName osm", "DogpileSource /x", path="/a") + "\n"
    + wms("DogpileSourceName osm", "DogpileSource /x", path="/b"),
    wms(path="/a") + "\n" + wms(path="/b"),
    "DogpileSourceName osm\n" + wms(path="/a"),
    "DogpileEnable On\n" + wms("DogpileSourceName a", path="/a"),
    "DogpileSourceName osm\n" + wms(path="/a") + "\n" + wms(path="/b"),
], ids=["twins", "apart", "named above", "one enabled", "one off",
        "one nameless", "two doors", "two paths", "server's name",
        "everything and one", "server's name for two paths"])
def test_sources_that_agree_are_accepted(conf):
    """Hosts and locations that share a name for one source, or have names of
    their own, are fine."""
    server = Httpd(conf + "\n")
    try:
        assert server.configtest() == (0, "Syntax OK\n")
    finally:
        server.remove()


def test_nothing_is_read_in_htaccess(make_httpd):
    """A directive in .htaccess is an error of that file, also where
    AllowOverrideList would let it in."""
    server = make_httpd("""
<Directory "${DIR}/htdocs">
    AllowOverrideList DogpileEnable DogpileGrids
    Require all granted
</Directory>
DocumentRoot "${DIR}/htdocs"
""", children=1)
    folder = server.dir / "htdocs"
    folder.mkdir(mode=0o755)
    (folder / "map").write_text("here")
    (folder / ".htaccess").write_text("DogpileGrids WebMercatorQuad\n")
    server.start()
    server.allow_log("cannot occur within htaccess files")
    assert client.get(server.url("/map")).status == 500
    (folder / ".htaccess").unlink()
    assert client.get(server.url("/map")).body == b"here"
