# SPDX-License-Identifier: Apache-2.0
"""A virtual host over TLS: its fetches look like TLS too."""
import http.client
import ssl
import subprocess

import pytest

from pydogpile import client, picture, ports, scene, wms
from pydogpile.server import chosen_mpm
from pydogpile.tls import NOTICES, make_certificate

TLS = ports.free()
CONF = """
LoadModule ssl_module ${MODULES}/mod_ssl.so
LoadModule rewrite_module ${MODULES}/mod_rewrite.so
LoadModule setenvif_module ${MODULES}/mod_setenvif.so
LoadModule headers_module ${MODULES}/mod_headers.so
LoadModule http2_module ${MODULES}/mod_http2.so
Listen 127.0.0.1:${TLS}
SSLSessionCache none
DogpileStore "disk:${DIR}/store"
<VirtualHost *:${PORT}>
    ServerName maps.example
    <Location "/wms">
        DogpileEnable On
        DogpileSourceName plain
        SSLRequireSSL
        ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
    </Location>
</VirtualHost>
<VirtualHost *:${TLS}>
    ServerName maps.example
    Protocols h2 http/1.1
    SSLEngine On
    SSLCertificateFile "${DIR}/cert.pem"
    SSLCertificateKeyFile "${DIR}/key.pem"
    RewriteEngine On
    RewriteCond "%{HTTPS}" off
    RewriteRule "^" "https://%{HTTP_HOST}%{REQUEST_URI}" [R=301,L]
    RewriteCond "%{SERVER_PORT}" !=${TLS}
    RewriteCond "%{SERVER_PORT}" !=443
    RewriteRule "^" "https://%{HTTP_HOST}%{REQUEST_URI}" [R=302,L]
    RewriteCond "%{REQUEST_SCHEME}" !=https
    RewriteRule "^" "https://%{HTTP_HOST}%{REQUEST_URI}" [R=303,L]
    <Location "/wms">
        DogpileEnable On
        DogpileSourceName maps
        SSLRequireSSL
        RequestHeader set X-Https "expr=%{HTTPS} %{REQUEST_SCHEME}"
        ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
    </Location>
    <Location "/certified">
        DogpileEnable On
        DogpileSourceName maps
        DogpileSource "/wms"
        SSLVerifyClient optional_no_ca
        Require ssl-verify-client
    </Location>
</VirtualHost>
"""
OPTIONS = {"children": 2, "define": {"TLS": TLS}}
ALLOWED = [*NOTICES,
           r"\[client 127\.0\.0\.1:\d+\] (AH02219|AH01630)"]


def prepare(server):
    make_certificate(server, "maps.example")


def ask(path):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        "127.0.0.1", TLS, timeout=client.TIMEOUT_SEC, context=context)
    try:
        host = {"Host": f"maps.example:{TLS}"}
        return client.ask(connection, path, headers=host)
    finally:
        connection.close()


def test_rules_that_redirect_to_https_do_not_loop(site):
    """A host that sends everyone to https lets the module's own request
    through, which sees HTTPS on and the host's port."""
    answer = ask(wms.tile(5, 9, 9))
    assert answer.status == 200, answer
    meta = wms.Metatile(5, 9, 9)
    picture.assert_cut(answer, picture.render("rgb", meta.bbox, *meta.pixels),
                       meta.window(9, 9))
    assert site.upstream.requests[0].headers["x-https"] == "on https"
    scene.settle(site)
    assert "; hit" in ask(wms.tile(5, 9, 9)).header("Cache-Status")
    assert site.upstream.count == 1


def test_sslrequiressl_is_for_clients(site):
    """SSLRequireSSL refuses clients without TLS, and no fetch."""
    path = wms.tile(5, 9, 9, layers="t-required")
    assert client.get(site.url(path)).status == 403
    assert ask(path).status == 200
    scene.settle(site)
    assert client.get(site.url(path)).status == 403
    assert site.upstream.count == 1


def test_client_certificates_are_for_clients(site):
    """Who must show a certificate and has none gets no tile."""
    path = wms.tile(5, 9, 9, path="/certified")
    assert ask(path).status in (0, 403)
    assert site.upstream.count == 0


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_gets_tiles_over_tls(site, tmp_path, version):
    """HTTP/1.1 and HTTP/2 clients get tiles over TLS; under prefork mod_http2
    doesn't offer the latter."""
    path = wms.tile(7, 9, 9, layers="t-" + version.strip("-"))
    url = f"https://maps.example:{TLS}{path}"
    said = subprocess.run(
        ["curl", "-sSk", version, "--resolve",
         f"maps.example:{TLS}:127.0.0.1", "-o", str(tmp_path / "tile"), "-w",
         "%{http_version} %{http_code}", url],
        capture_output=True, timeout=60, check=True).stdout.decode()
    is_http2 = version == "--http2" and chosen_mpm() != "prefork"
    assert said == ("2 200" if is_http2 else "1.1 200")
    assert picture.decode((tmp_path / "tile").read_bytes()).size == (256, 256)
