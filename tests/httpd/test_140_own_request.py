# SPDX-License-Identifier: Apache-2.0
"""The module's own request: what the source sees of it, and that it goes
through every kind of configuration that a client's would."""
import os

import pytest

from pydogpile import client, picture, scene, upstream as scripted, wms
from pydogpile.server import chosen_mpm

CGI = "cgi" if chosen_mpm() == "prefork" else "cgid"
CONF = f"""
LoadModule rewrite_module ${{MODULES}}/mod_rewrite.so
LoadModule alias_module ${{MODULES}}/mod_alias.so
LoadModule env_module ${{MODULES}}/mod_env.so
LoadModule setenvif_module ${{MODULES}}/mod_setenvif.so
LoadModule headers_module ${{MODULES}}/mod_headers.so
LoadModule slotmem_shm_module ${{MODULES}}/mod_slotmem_shm.so
LoadModule lbmethod_byrequests_module ${{MODULES}}/mod_lbmethod_byrequests.so
LoadModule proxy_balancer_module ${{MODULES}}/mod_proxy_balancer.so
LoadModule {CGI}_module ${{MODULES}}/mod_{CGI}.so
""" + ("ScriptSock cgisock\n" if CGI == "cgid" else "") + """
DogpileStore "disk:${DIR}/store"
DocumentRoot "${DIR}/www"
LogFormat "%a %U %>s" short
CustomLog access.log short env=!DOGPILE_INTERNAL
CustomLog all.log short

<Location "/wms">
    DogpileEnable On
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>

ScriptAlias "/cgi-bin/" "${DIR}/www/cgi/"
PassEnv PATH
RewriteEngine On
RewriteRule "^/pt$" "/cgi-bin/render.sh?map=pt" [QSA,PT]
RewriteRule "^/proxied$" "http://127.0.0.1:${UPSTREAM}/proxied?map=p" [QSA,P]
RewriteCond "%{ENV:DOGPILE_INTERNAL}" =1
RewriteRule "^/moved$" "/elsewhere" [R=301,L]
RewriteCond "%{REMOTE_ADDR}" !^127\\.
RewriteRule "^/blocked$" "-" [F]
<Directory "${DIR}/www">
    AllowOverride FileInfo
    Require all granted
</Directory>
<Directory "${DIR}/www/rules">
    RewriteEngine On
    RewriteRule "^wms$" "/cgi-bin/render.sh?map=rules" [QSA]
</Directory>
<LocationMatch "^/(cgi-bin|rules|ht|proxied|moved|blocked)">
    DogpileEnable On
</LocationMatch>

<Proxy "balancer://maps">
    BalancerMember "http://127.0.0.1:${UPSTREAM}"
</Proxy>
<Location "/balanced">
    DogpileEnable On
    ProxyPass "balancer://maps/balanced"
</Location>

SetEnvIf DOGPILE_INTERNAL 1 INSIDE
<Location "/inside">
    DogpileEnable On
    RequestHeader set X-Env seen env=INSIDE
    <If "-n env('DOGPILE_INTERNAL')">
        RequestHeader set X-If seen
    </If>
    RewriteCond "%{ENV:DOGPILE_INTERNAL}" =1
    RewriteRule "." "-" [E=REWRITTEN:1]
    RequestHeader set X-Rewrite seen env=REWRITTEN
    ProxyPass "http://127.0.0.1:${UPSTREAM}/inside"
</Location>
"""
OPTIONS = {"children": 2}
ALLOWED = ["DP0601"]

# Asks the scripted WMS, so that it can be counted.
SCRIPT = """#!/bin/sh
printf 'Content-Type: image/png\\r\\n\\r\\n'
exec curl -s -H "X-Request-Uri: $REQUEST_URI" -H "X-Addr: $REMOTE_ADDR" \\
    -H "X-Internal: $DOGPILE_INTERNAL" \\
    -H "X-Cookie: $HTTP_COOKIE" -H "X-Method: $REQUEST_METHOD" \\
    "http://127.0.0.1:PORT/cgi?$QUERY_STRING"
"""


def prepare(server):
    www = server.dir / "www"
    for name in ("cgi", "rules", "ht"):
        (www / name).mkdir(parents=True)
    script = www / "cgi/render.sh"
    script.write_text(SCRIPT.replace("PORT", str(server.upstream.port)))
    os.chmod(script, 0o755)
    (www / "ht/.htaccess").write_text(
        "RewriteEngine On\nRewriteRule ^wms$ /cgi-bin/render.sh?map=ht [QSA]\n")


META = wms.Metatile(14, 8712, 5603)
CLIENTS_OWN = {
    "Cookie": "session=1", "Accept-Encoding": "gzip", "Accept": "image/webp",
    "Referer": "http://map.example/", "Origin": "http://map.example",
    "X-Custom": "1", "User-Agent": "Mozilla", "X-Forwarded-For": "10.0.0.1",
    "Forwarded": "for=10.0.0.1", "Range": "bytes=0-9", "TE": "trailers",
    "Via": "1.1 cdn", "If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT",
    "X-Real-IP": "10.0.0.1", "Cache-Control": "no-cache", "DNT": "1",
}


def ask(site, path, **options):
    return client.get(site.url(path), **options)


def tile(name, **params):
    return wms.tile(META.z, META.x, META.y, path="/" + name, **params)


def test_nothing_of_the_client_reaches_the_source(site):
    """The source sees a request of the module's own: its headers, its
    address, no cookie, no credential, and its own spelling of the query."""
    assert ask(site, tile("wms", version="1.3.0", TRANSPARENT="true",
                          EXCEPTIONS="INIMAGE"),
               headers=CLIENTS_OWN).status in (200, 206)
    asked = site.upstream.requests[0]
    assert set(asked.headers) == {
        "host", "user-agent", "accept", "connection", "x-forwarded-for",
        "x-forwarded-host", "x-forwarded-server"}
    assert asked.headers["user-agent"] == "mod_dogpile"
    assert asked.headers["accept"] == "*/*"
    assert asked.headers["x-forwarded-for"] == "192.0.2.1"
    assert asked.headers["x-forwarded-host"] == "localhost"
    assert asked.method == "GET"
    names = [pair.split("=")[0] for pair in asked.target.split("?")[1]
             .split("&")]
    assert names == ["SERVICE", "VERSION", "REQUEST", "LAYERS", "STYLES",
                     "SRS", "BBOX", "WIDTH", "HEIGHT", "FORMAT",
                     "TRANSPARENT", "EXCEPTIONS"]
    assert (asked.query["VERSION"], asked.query["EXCEPTIONS"]) == (
        "1.1.1", "application/vnd.ogc.se_xml")


@pytest.mark.parametrize("grid,z", [(wms.MERCATOR, 20), (wms.CRS84, 20)])
def test_bbox_has_full_precision(site, grid, z):
    """At deep levels the box that is asked for is the metatile's to a
    millionth of a pixel."""
    columns, rows = grid.matrix(z)
    meta = wms.Metatile(z, columns * 5 // 9, rows * 3 // 7, grid)
    answer = ask(site, wms.tile(z, meta.x, meta.y, grid, path="/wms"))
    asked = site.upstream.requests[0]
    pixel = (meta.bbox[2] - meta.bbox[0]) / meta.pixels[0]
    assert asked.bbox() == pytest.approx(meta.bbox, abs=pixel / 1e6, rel=0)
    picture.assert_cut(answer, picture.render("rgb", meta.bbox, *meta.pixels),
                       meta.window(meta.x, meta.y))


DEPLOYMENTS = {
    # where clients ask, the path that the source sees, what it has in map=
    "[PT] to a script": ("pt", "/cgi", "pt"),
    "[P]": ("proxied", "/proxied", "p"),
    "rule in a directory": ("rules/wms", "/cgi", "rules"),
    "rule in .htaccess": ("ht/wms", "/cgi", "ht"),
    "script": ("cgi-bin/render.sh", "/cgi", None),
    "script with a path": ("cgi-bin/render.sh/more", "/cgi", None),
    "balancer": ("balanced", "/balanced", None),
}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_deployments_coalesce(site, name):
    """However the source is reached, a herd costs one request, whose hidden
    parameters are applied once, and everyone gets the right tile."""
    path, seen, hidden = DEPLOYMENTS[name]
    layers = "d-" + path.replace("/", "-")
    urls = [site.url(wms.tile(META.z, x, y, path="/" + path, layers=layers))
            for x, y in META.cells]
    site.upstream.hold()
    herd = client.Herd(urls, headers={"Cookie": "a=b"}).start()
    site.status.wait(lambda s: s["waiters"] == len(urls))
    site.upstream.release()
    whole = picture.render(layers, META.bbox, *META.pixels)
    for cell, answer in zip(META.cells, herd.answers()):
        picture.assert_cut(answer, whole, META.window(*cell))
    assert [asked.path for asked in site.upstream.requests] == [seen]
    asked = site.upstream.requests[0]
    assert asked.query.get("MAP") == hidden
    assert asked.target.lower().count("map=") == (1 if hidden else 0)
    if seen == "/cgi":
        assert asked.headers["x-request-uri"].startswith(f"/{path}?SERVICE=")
        assert (asked.headers["x-addr"], asked.headers["x-internal"],
                asked.headers["x-method"]) == ("192.0.2.1", "1", "GET")
        assert "x-cookie" not in asked.headers
    scene.settle(site)
    assert "; hit" in ask(site, urls[3].partition(str(site.port))[2]).header(
        "Cache-Status")


def test_configuration_can_see_that_it_is_internal(site):
    """SetEnvIf, <If> and RewriteCond see DOGPILE_INTERNAL on the module's
    request and on no client's."""
    names = {"x-env", "x-if", "x-rewrite"}
    assert ask(site, tile("inside")).status == 200
    assert ask(site, tile("inside", MAP="x")).status == 200
    ours, passed = site.upstream.requests
    assert names <= set(ours.headers)
    assert names.isdisjoint(passed.headers)


def test_log_can_leave_out_internal_requests(site):
    """CustomLog env=!DOGPILE_INTERNAL has the clients' requests only, also
    where a script is behind rules; without it the fetch is logged too."""
    for name in ("wms", "ht/wms"):
        assert ask(site, tile(name, layers="d-log")).status == 200
    scene.settle(site)
    without, everything = (
        (site.dir / name).read_text().splitlines()
        for name in ("access.log", "all.log"))
    assert not any(line.startswith("192.0.2.1 ") for line in without)
    for path in ("/wms 200", "/cgi-bin/render.sh 200"):
        assert f"192.0.2.1 {path}" in everything


FAILURES = {
    "moved by a rule": ("moved", None, "it redirects \\(301\\) to "
                        "http://localhost.*/elsewhere"),
    "refused by a rule": ("blocked", None, "it answered HTTP status 403"),
    "no such file": ("rules/nothing", None, "it answered HTTP status 404"),
    "redirect": ("wms", scripted.redirect("http://login.example/"),
                 "it redirects \\(302\\) to http://login.example/"),
    "redirect to itself": ("wms", scripted.redirect("/wms"),
                           "it redirects \\(302\\) to .*/wms"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_what_a_client_would_be_sent_to_is_named(site, name):
    """A source that redirects or refuses is an error for clients, and the log
    names what came instead of a picture."""
    path, answer, said = FAILURES[name]
    if answer:
        site.upstream.script(answer)
    layers = "d-" + name.replace(" ", "-")
    assert ask(site, tile(path, layers=layers)).status == 502
    assert site.log.find("DP0601: .*" + said), site.log.find("DP0601")


def test_connection_to_the_source_is_kept(httpd, upstream):
    """Fetches one after the other use one connection to the source."""
    server = httpd("""
        <Location "/wms">
            DogpileEnable On
            DogpileStore "disk:${DIR}/store"
            ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
        </Location>
        """, children=1, threads=4)
    connection, _ = client.connect(server.url("/"))
    for z in range(3, 8):
        assert client.ask(connection, wms.tile(z, 1, 1)).status == 200
    connection.close()
    assert upstream.count == 5
    assert len({request.client for request in upstream.requests}) == 1


HOSTS = """
DogpileStore "disk:${DIR}/store"
<VirtualHost *>
    ServerName one.example
    ServerAlias www.one.example
    <Location "/wms">
        DogpileEnable On
        ProxyPreserveHost On
        ProxyPass "http://127.0.0.1:${UPSTREAM}/one"
    </Location>
</VirtualHost>
<VirtualHost *>
    ServerName two.example
    <Location "/wms">
        DogpileEnable On
        ProxyPreserveHost On
        ProxyPass "http://127.0.0.1:${UPSTREAM}/two"
    </Location>
</VirtualHost>
"""


def test_fetch_stays_in_its_virtual_host(httpd, upstream):
    """Each of two virtual hosts fetches through its own configuration under
    its own name, whatever alias the client used."""
    server = httpd(HOSTS)
    for name in ("www.one.example", "two.example", "one.example",
                 "unknown.example"):
        answer = client.get(server.url(wms.tile(5, 9, 9)),
                            headers={"Host": name})
        assert answer.status == 200
    assert [(asked.path, asked.headers["host"])
            for asked in upstream.requests] == [
        ("/one", "one.example"), ("/two", "two.example")]
