# SPDX-License-Identifier: Apache-2.0
"""Beside other modules: a site's filters, error pages, HTTP/2, mod_remoteip."""
import http.client
import subprocess
import zlib

import pytest

from pydogpile import client, picture, scene, upstream as scripted, wms

MODULES = ("expires", "headers", "deflate", "filter", "substitute", "alias",
           "status", "unique_id", "reqtimeout", "remoteip",
           "setenvif", "mime", "dir", "http2", "cache", "cache_disk", "ssl",
           "log_forensic", "dumpio", "proxy_http2", "rewrite", "info")
CONF = "".join(f"LoadModule {name}_module ${{MODULES}}/mod_{name}.so\n"
               for name in MODULES) + """
DogpileStore "disk:${DIR}/store"
DocumentRoot "${DIR}/www"
ExtendedStatus On
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
Protocols h2c http/1.1
RequestReadTimeout header=20-40,minrate=500 body=20,minrate=500
LogIOTrackTTFB On
LogFormat "%h %>s %O %{UNIQUE_ID}e" io
CustomLog access.log io
HostnameLookups On
TypesConfig /dev/null
<Directory "${DIR}/www">
    Require all granted
</Directory>
<Location "/server-status">
    SetHandler server-status
</Location>
<Location "/wms">
    DogpileEnable On
    DogpileSource "/source"
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
<Location "/source">
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
    Header set X-Source site
    ExpiresActive On
    ExpiresByType image/png "access plus 7 seconds"
    SetOutputFilter SUBSTITUTE
    Substitute "s|PNG|GNP|n"
</Location>
<Location "/filtered">
    DogpileEnable On
    DogpileSource "/filtered"
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
    Header set X-Site once
    Header append X-List more
    Header always add X-Always yes
    Header edit Content-Type "^" "x-"
    ExpiresActive On
    ExpiresByType image/png "access plus 7 seconds"
    SetOutputFilter SUBSTITUTE;DEFLATE
    Substitute "s|PNG|PPNG|n"
</Location>
<Location "/remote">
    Require ip 203.0.113.7
    DogpileEnable On
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
<LocationMatch "^/pages">
    DogpileEnable On
    ErrorDocument 502 /pages-error.html
    ErrorDocument 403 /pages-error.html
    ErrorDocument 400 "just words"
    DogpileUnlisted deny
    DogpileSource "/source"
</LocationMatch>
"""
OPTIONS = {"children": 2}
ALLOWED = ["DP0601", r"\[client 203\.0\.113\.8:\d+\] AH01630", "AH10034",
           "AH01882|AH01873"]
PAGE = "<p>No map today.</p>"


def prepare(server):
    (server.dir / "www").mkdir()
    (server.dir / "www/pages-error.html").write_text(PAGE)


def ask(site, path, **options):
    answer = client.get(site.url(path), **options)
    scene.settle(site)
    return answer


def tile(name, **params):
    return wms.tile(5, 9, 9, path="/" + name, **params)


def test_filters_of_the_source_never_reach_the_store(site):
    """What the site does to answers of the source's location is done for
    clients of that location, not for tiles."""
    answer = ask(site, tile("wms"))
    meta = wms.Metatile(5, 9, 9)
    picture.assert_cut(answer, picture.render("rgb", meta.bbox, *meta.pixels),
                       meta.window(9, 9))
    assert answer.header("X-Source") is None
    assert answer.header("Cache-Control") != "max-age=7"
    assert b"GNP" in ask(site, tile("source")).body


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_filters_run_once_on_the_clients_answer(site, encoding):
    """mod_headers, mod_expires, mod_substitute and mod_deflate change each
    client's answer once, a hit as well as a miss, and the module's freshness
    stays."""
    path = tile("filtered", layers="f-" + encoding)
    for how in ("fwd=uri-miss", "hit"):
        answer = ask(site, path, headers={"Accept-Encoding": encoding})
        assert answer.header("Cache-Status").split("; ")[1] == how
        assert answer.headers.get_all("X-Site") == ["once"]
        assert answer.headers.get_all("X-List") == ["more"]
        assert answer.headers.get_all("X-Always") == ["yes"]
        assert answer.header("Content-Type") == "x-image/png"
        assert answer.headers.get_all("Cache-Control") != ["max-age=7"]
        assert len(answer.headers.get_all("Expires")) == 1
        body = answer.body
        if encoding == "gzip":
            assert answer.header("Content-Encoding") == "gzip"
            body = zlib.decompress(body, 31)
        assert body.startswith(b"\x89PPNG\r\n")
        meta = wms.Metatile(5, 9, 9)
        whole = picture.render("rgb", meta.bbox, *meta.pixels)
        assert picture.same(picture.decode(body.replace(b"PPNG", b"PNG")),
                            whole.crop(meta.window(9, 9)))
    assert site.upstream.count == 1


def test_error_pages_are_the_sites(site):
    """A failed fetch shows the site's ErrorDocument, with the status of the
    failure and its headers, and isn't tried again for the page."""
    site.upstream.always = scripted.status(500)
    answer = ask(site, tile("pages", layers="f-failed"))
    assert (answer.status, answer.body) == (502, PAGE.encode())
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Retry-After")
    assert answer.headers.get_all("Cache-Status") == [
        'mod_dogpile; fwd=uri-miss; fwd-status=500; '
        'detail="the source failed"']
    assert site.upstream.count == 1


def test_error_pages_of_refusals_are_the_sites(site):
    """So do requests that are denied or malformed."""
    denied = ask(site, tile("pages", MAP="x"))
    assert (denied.status, denied.body) == (403, PAGE.encode())
    assert denied.headers.get_all("Cache-Status") == [
        'mod_dogpile; detail="param MAP"']
    malformed = ask(site, tile("pages", WIDTH="-1"))
    assert (malformed.status, malformed.body) == (400, b"just words")
    assert site.upstream.count == 0


def test_page_itself_can_be_asked_for(site):
    """The page is a file like any other, which passes."""
    answer = ask(site, "/pages-error.html")
    assert (answer.status, answer.body) == (200, PAGE.encode())


def test_client_behind_a_trusted_proxy(site):
    """mod_remoteip's word counts for access, and not for the fetch."""
    for address, status in (("203.0.113.8", 403), ("203.0.113.7", 200),
                            ("203.0.113.8", 403)):
        answer = ask(site, tile("remote"),
                     headers={"X-Forwarded-For": address})
        assert answer.status == status
    assert site.upstream.count == 1
    asked = site.upstream.requests[0]
    assert asked.headers["x-forwarded-for"] == "192.0.2.1"


def test_no_name_is_looked_up_for_a_fetch(site):
    """With HostnameLookups On the fetch is logged under its address."""
    assert ask(site, tile("wms", layers="f-lookup")).status == 200
    lines = (site.dir / "access.log").read_text().splitlines()
    assert any(line.startswith("192.0.2.1 200 ") for line in lines)
    assert all(len(line.split()) == 4 for line in lines)


def test_server_status_works(site):
    """mod_status shows its page while fetches are under way."""
    site.upstream.hold()
    herd = client.Herd([site.url(tile("wms", layers="f-status"))], 3).start()
    site.upstream.wait_held(1)
    answer = client.get(site.url("/server-status"))
    assert (answer.status, b"Server Status" in answer.body) == (200, True)
    site.upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}


def curl(*args):
    run = subprocess.run(["curl", "-sS", *args], capture_output=True,
                         timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_http2_clients_get_tiles(site, tmp_path):
    """Streams of an HTTP/2 connection wait for one fetch and get their
    tiles; misses, hits, passes and failures come over HTTP/2."""
    meta = wms.Metatile(6, 21, 22)
    paths = [wms.tile(6, x, y, path="/wms", layers="f-h2")
             for x, y in meta.cells]
    args = ["--http2-prior-knowledge", "--parallel", "--parallel-immediate"]
    for i, path in enumerate(paths):
        args += ["-o", str(tmp_path / str(i)), site.url(path)]
    curl(*args)
    whole = picture.render("rgb", meta.bbox, *meta.pixels)
    for i, cell in enumerate(meta.cells):
        body = (tmp_path / str(i)).read_bytes()
        assert picture.same(picture.decode(body),
                            whole.crop(meta.window(*cell)))
    assert site.upstream.count == 1
    how = "%{http_version} %{http_code} %header{cache-status}"
    for path, said in ((paths[0], "2 200 mod_dogpile; hit"),
                       (tile("wms", MAP="x"), "2 200 mod_dogpile; fwd=bypass"),
                       (tile("wms", WIDTH="x"), "2 400 mod_dogpile; detail")):
        assert curl("--http2-prior-knowledge", "-o", "/dev/null", "-w", how,
                    site.url(path)).decode().startswith(said)


def test_first_request_of_a_child_may_be_http2(httpd, upstream):
    """A child whose first fetch is for an HTTP/2 client makes its internal
    connections as well."""
    server = httpd("""
        LoadModule http2_module ${MODULES}/mod_http2.so
        Protocols h2c
        <Location "/wms">
            DogpileEnable On
            DogpileStore "disk:${DIR}/store"
            ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
        </Location>
        """, children=1)
    server.allow_log("AH10034")
    for z in (3, 4, 5):
        body = curl("--http2-prior-knowledge", server.url(wms.tile(z, 1, 1)))
        assert picture.decode(body).size == (256, 256)
    assert upstream.count == 3


def test_pipelined_and_kept_connections(site):
    """Tiles, passes and failures come one after the other over one
    connection."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port)
    wanted = [(tile("wms", layers="f-p"), 200), (tile("wms", MAP="x"), 200),
              (tile("wms", WIDTH="x"), 400), (tile("wms", layers="f-p"), 200)]
    for path, status in 2 * wanted:
        assert client.ask(connection, path).status == status
    connection.close()
    lines = "".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
                    for path, _ in 3 * wanted[:1])
    answer = client.raw(site.port, (lines + "GET /no HTTP/1.1\r\nHost: x\r\n"
                                    "Connection: close\r\n\r\n").encode())
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"IHDR") == 3
