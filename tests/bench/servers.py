# SPDX-License-Identifier: Apache-2.0
"""What is compared: each server in the configuration that suits it best.

All answer the paths /one, /meta, /short and /hits by a WMS request whose
LAYERS has the same name. /one is kept as it comes; /meta and /hits are
metatiles of 4 x 4 where a server knows them; /short is fresh for a second.
"""
import os
import pathlib
import shutil

from pydogpile import client, ports, wms
from pydogpile.process import Process, children
from pydogpile.server import APACHE, MODULES
from pydogpile.wait import until

USER = "www-data"
KINDS = ("one", "meta", "short", "hits")
HELD = wms.tile(10, 400, 300, path="/one/wms", layers="one")
EACH = "each client asks the source"
PLAIN_LOG = '"%h %l %u %t \\"%r\\" %>s %b %P %{remote}p"'  # child, client


class Server:
    """One process family in a folder of its own."""

    title = ""
    held = HELD   # a tile that it has, as soon as it is started
    # Requests to the source, where it is known, by scenario; those whose names
    # go on ("-new") have as many.
    expects = {}

    def __init__(self, bench, name):
        self.bench = bench
        self.name = name
        self.port = ports.free()
        self.folder = bench.folder / name
        self.folder.mkdir()
        self.process = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER, USER)

    def command(self):
        raise NotImplementedError

    def start(self):
        self.process = Process(self.command(), self.folder / "output.log")
        until(self._is_up, self._complaint)
        if self.held:
            until(self._has_tile, f"{self.name} has its tile")
        return self

    def _is_up(self):
        if not self.process.running():
            raise RuntimeError(self._complaint())
        return (ports.accepts(self.port) and client.get(
            f"http://127.0.0.1:{self.port}/favicon.ico").status)

    def _has_tile(self):
        """Gets it; whether the source wasn't asked for it."""
        self.bench.source.set()
        answer = client.get(f"http://127.0.0.1:{self.port}{self.held}")
        return answer.status == 200 and self.bench.source.count() == 0

    def _complaint(self):
        log = (self.folder / "output.log").read_text(errors="replace")
        return f"{self.name} doesn't start:\n{log[-2000:]}"

    def family(self):
        pids = [self.process.pid]
        for pid in pids:
            pids += children(pid)
        return pids

    def stop(self):
        if self.process:
            self.process.stop()

    def own(self, *names):
        """Folders that the server's user may write to."""
        for name in names:
            path = self.folder / name
            path.mkdir()
            if os.geteuid() == 0:
                shutil.chown(path, USER, USER)


class Httpd(Server):
    """children x threads; `factor` is AsyncRequestWorkerFactor."""

    modules = ("mpm_event", "authz_core", "mime", "headers", "expires",
               "proxy", "proxy_http")

    def __init__(self, bench, name, children=4, threads=64, factor=8):
        super().__init__(bench, name)
        self.shape = {"children": children, "threads": threads,
                      "limit": children * 2, "total": children * threads,
                      "factor": factor}

    def body(self):
        raise NotImplementedError

    def command(self):
        user = f"User {USER}\nGroup {USER}\n" if os.geteuid() == 0 else ""
        load = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
                       for name in self.modules)
        path = self.folder / "httpd.conf"
        path.write_text(load + user + HTTPD.format(
            folder=self.folder, port=self.port, log=PLAIN_LOG, **self.shape)
            + self.body())
        return [APACHE, "-f", str(path), "-D", "FOREGROUND"]


HTTPD = """\
ServerName localhost
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}"
PidFile httpd.pid
DocumentRoot "{folder}"
Listen 127.0.0.1:{port}
ListenBacklog 4096
ErrorLog error.log
LogLevel warn
LogFormat {log} plain
CustomLog access.log plain
Timeout 120
KeepAliveTimeout 60
MaxKeepAliveRequests 0
EnableSendfile On
TypesConfig /etc/mime.types
<Directory "/">
AllowOverride None
Options FollowSymLinks
</Directory>
StartServers {children}
ServerLimit {limit}
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {total}
MinSpareThreads {total}
MaxSpareThreads {total}
AsyncRequestWorkerFactor {factor}
"""


class Dogpile(Httpd):
    title = "mod_dogpile"
    expects = {"herd-one": 1, "herd-meta": 1,
               "starvation": 1, "expired": 1,
               "broken": 1, "leaver": 1, "starvation-10000": 1,
               "expired-500": 1, "expired-exception": 1, "expired-redirect": 1,
               "expired-cut": 1, "expired-hanging": 1}

    def body(self):
        single = "".join(f'<Location "/{kind}">\nDogpileMetatile 1x1 buffer=0\n'
                         '</Location>\n' for kind in ("one", "short"))
        return (f'LoadModule dogpile_module "{self.bench.module}"\n'
                '<Location "/dogpile-status">\nSetHandler dogpile-status\n'
                '</Location>\n<Location "/direct">\nDogpileEnable Off\n'
                f'</Location>\n{single}ProxyPass "/dogpile-status" "!"\n'
                f'ProxyPass "/direct" "{self.bench.source_url}/one" retry=0\n'
                f'ProxyPass "/" "{self.bench.source_url}/" retry=0\n'
                f'DogpileEnable On\nDogpileStore "disk:{self.folder}/store"\n')


class Mapcache(Httpd):
    title = "mod_mapcache"
    modules = (*Httpd.modules, "mapcache")
    expects = {"herd-one": 1, "herd-meta": 1,
               "starvation": 1, "expired": 1,
               "broken": 2, "leaver": 1}

    def body(self):
        self.own("cache", "lock")
        parts = []
        for kind in KINDS:
            path = self.folder / f"{kind}.xml"
            tiles, buffer = (4, 16) if kind in ("meta", "hits") else (1, 0)
            path.write_text(MAPCACHE.format(
                kind=kind, folder=self.folder, source=self.bench.source_url,
                tiles=tiles, buffer=buffer,
                fresh=1 if kind == "short" else 3600))
            parts.append(f'MapCacheAlias "/{kind}" "{path}"\n')
        return "".join(parts)


MAPCACHE = """\
<?xml version="1.0"?>
<mapcache>
  <source name="source" type="wms">
    <getmap><params>
      <FORMAT>image/png</FORMAT><LAYERS>{kind}</LAYERS><STYLES></STYLES>
    </params></getmap>
    <http><url>{source}/{kind}/wms</url></http>
  </source>
  <cache name="disk" type="disk"><base>{folder}/cache</base></cache>
  <tileset name="{kind}">
    <source>source</source><cache>disk</cache>
    <grid>GoogleMapsCompatible</grid><format>PNG</format>
    <metatile>{tiles} {tiles}</metatile><metabuffer>{buffer}</metabuffer>
    <expires>{fresh}</expires><auto_expire>{fresh}</auto_expire>
  </tileset>
  <locker type="disk">
    <directory>{folder}/lock</directory><retry>0.01</retry>
  </locker>
  <service type="wms" enabled="true">
    <full_wms>assemble</full_wms><resample_mode>nearest</resample_mode>
    <format>PNG</format>
  </service>
  <errors>report</errors>
</mapcache>
"""


class CacheDisk(Httpd):
    title = "mod_cache_disk"
    modules = (*Httpd.modules, "cache", "cache_disk")
    expects = {"herd-one": EACH, "herd-meta": EACH,
               "expired": 1, "broken": EACH}

    def body(self):
        self.own("cache", "lock")
        return (f'CacheRoot "{self.folder}/cache"\nCacheEnable disk "/"\n'
                f'CacheLock On\nCacheLockPath "{self.folder}/lock"\n'
                'CacheLockMaxAge 120\nCacheStaleOnError On\n'
                f'ProxyPass "/" "{self.bench.source_url}/" retry=0\n')


class Static(Httpd):
    """Files of the folder `hits`, with the headers that mod_dogpile sends."""

    title = "httpd, static files"
    held = None  # its files are made from another server's tiles

    def body(self):
        self.own("hits")
        return (f'<Directory "{self.folder}">\nRequire all granted\n'
                'ExpiresActive On\nExpiresDefault A3600\n'
                'Header set Age 12\n'
                'Header set Cache-Status "mod_dogpile; hit; ttl=3588"\n'
                '</Directory>\n')


class Nginx(Server):
    title = "nginx"
    expects = {"herd-one": 1, "herd-meta": 16,
               "starvation": 1, "expired": 1,
               "broken": EACH, "leaver": 1}

    def command(self):
        self.own("cache", "temp")
        shutil.copy(self.bench.pictures / "one-256x256.png",
                    self.folder / "tile.png")
        path = self.folder / "nginx.conf"
        user = f"user {USER};\n" if os.geteuid() == 0 else ""
        path.write_text(user + NGINX.format(
            folder=self.folder, port=self.port,
            source=self.bench.source_url.removeprefix("http://")))
        return ["/usr/sbin/nginx", "-p", str(self.folder), "-c", str(path),
                "-e", str(self.folder / "error.log")]


NGINX = """\
daemon off;
worker_processes 2;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log combined;
  types {{ image/png png; }}
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/temp/body;
  proxy_temp_path {folder}/temp/proxy;
  fastcgi_temp_path {folder}/temp/fastcgi;
  uwsgi_temp_path {folder}/temp/uwsgi;
  scgi_temp_path {folder}/temp/scgi;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=tiles:10m
      max_size=1g inactive=1d use_temp_path=off;
  upstream source {{ server {source}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location /static/ {{ alias {folder}/; }}
    location / {{
      proxy_pass http://source;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache tiles;
      proxy_cache_key $request_uri;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 120s;
      proxy_cache_lock_age 120s;
      proxy_cache_use_stale updating error timeout
          http_500 http_502 http_503 http_504;
      proxy_cache_background_update on;
      proxy_ignore_client_abort on;
    }}
  }}
}}
"""


class Varnish(Server):
    title = "Varnish"
    expects = {"herd-one": 1, "herd-meta": 16,
               "starvation": 1, "expired": 1,
               "broken": EACH, "leaver": 1}

    def command(self):
        path = self.folder / "bench.vcl"
        path.write_text(VCL.format(port=self.bench.source_url.split(":")[-1]))
        (self.folder / "work").mkdir()
        return ["/usr/sbin/varnishd", "-F", "-T", "none",
                "-n", str(self.folder / "work"), "-f", str(path),
                "-a", f"127.0.0.1:{self.port}", "-s", "malloc,256m"]

    def family(self):
        return [pid for pid in super().family()
                if pathlib.Path(f"/proc/{pid}").exists()]


VCL = """\
vcl 4.1;
backend source {{ .host = "127.0.0.1"; .port = "{port}"; }}
sub vcl_backend_response {{
    if (bereq.is_bgfetch) {{
        set beresp.do_stream = false;
        if (beresp.status != 200 || beresp.http.Content-Type !~ "^image/") {{
            return (abandon);
        }}
    }}
    set beresp.grace = 1d;
}}
"""


class StaticTile(Nginx):
    """What a tile costs the clients themselves: nginx sends it as a file."""

    title = "a static tile"
    held = "/static/tile.png"
    expects = {}
