# SPDX-License-Identifier: Apache-2.0
"""DogpileLockerFile: what configtest refuses, and which locker counts."""
import pathlib

import pytest

from pydogpile import client, picture, wms
from pydogpile.backend import Server

META = wms.Metatile(7, 41, 41)

LOCATION = """
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    %s
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
"""


def disk(name):
    """A file with one disk locker in the httpd's folder."""
    return f"- {{type: file, config: {{directory: DIR/{name}}}}}\n"


def with_files(server, **files):
    """Writes NAME.yaml for each; DIR in them is the httpd's folder."""
    for name, text in files.items():
        path = server.dir / f"{name}.yaml"
        path.write_text(text.replace("DIR", str(server.dir)))
    return server


# A file of lockers, the line, and what is said about it.
WRONG = [
    ("type: disk", 1, "a list of lockers is needed"),
    ("- {type: floppy, config: {}}", 1,
     "allowed: file, disk, memcache, redis, zookeeper"),
    ("- type: redis\n  config: {host: cache1}", 1,
     "is mod_dogpile_lock_redis loaded before?"),
    ("- type: disk\n  config: {directory: /a, host: b}", 2,
     "a disk locker has no 'host'; allowed: directory, group, timeout, retry"),
    ("- type: disk\n  config:\n    directory: a", 3, "an absolute path"),
    ("- type: disk\n  config:\n    directory: /a\n    timeout: 0.1", 4,
     "1 second or more, at most 7 days"),
    ("- &a {type: disk, config: {directory: /a}}", 1, "anchors"),
    ("- type: disk\n- [", 3, "this isn't YAML"),
]


@pytest.mark.parametrize("text,line,why", WRONG)
def test_wrong_file(make_httpd, text, line, why):
    """A file that is wrong is refused with its path, its line, what is wrong
    and what is allowed."""
    server = with_files(make_httpd("DogpileLockerFile a.yaml\n"), a=text)
    code, said = server.configtest()
    assert code != 0
    assert f"DogpileLockerFile: {server.dir}/a.yaml:{line}: " in said
    assert why in said


def test_what_only_the_back_end_refuses(make_httpd):
    """What only the back end can judge is said with the line of the entry."""
    server = with_files(make_httpd("DogpileLockerFile a.yaml tiles\n"), a="""\
- type: file
  config: {directory: /a}
- type: memcache
  config: {servers: [cache1, "cache..2"]}
""")
    code, said = server.configtest()
    assert code != 0
    assert (f"DP0111: {server.dir}/a.yaml:3: locker tiles, its entry 2 "
            "(memcache): server 'cache..2'") in said


@pytest.mark.parametrize("conf,why", [
    ("DogpileLockerFile", "takes 1-2 arguments"),
    ("DogpileLockerFile a b c", "takes 1-2 arguments"),
    ("DogpileLockerFile none.yaml", "none.yaml: can't be read: No such file"),
    ("DogpileLockerFile a.yaml x\nDogpileLockerFile a.yaml x",
     "'x' isn't allowed; allowed: a name that no other file of lockers has"),
    ("DogpileLockerFile a.yaml\nDogpileLockerFile b.yaml",
     "only one may be without a name"),
    ("<Location />\nDogpileLockerFile a.yaml\n</Location>",
     "not allowed in <Location> context"),
    ("<DogpileLocker d disk>\nDogpileLockerFile a.yaml\n</DogpileLocker>",
     "stands outside of <DogpileLocker>"),
    ("DogpileLockerFile a.yaml x\nDogpileLocker a",
     "there is no <DogpileLocker a>; allowed: x"),
])
def test_wrong_directive(make_httpd, conf, why):
    """What is wrong with the directive itself is refused."""
    code, said = with_files(make_httpd(conf + "\n"), a=disk("a"),
                            b=disk("b")).configtest()
    assert code != 0
    assert why in said


def test_wrong_environment(make_httpd, monkeypatch):
    """A wrong file of DOGPILE_LOCK_CONFIG is refused in the name of that."""
    server = with_files(make_httpd(), a="- floppy\n")
    for path, why in ((f"{server.dir}/a.yaml", "/a.yaml:1: an entry is a map"),
                      ("a.yaml", "'a.yaml' isn't allowed; allowed: an abs"),
                      ("/none", "/none: can't be read")):
        monkeypatch.setenv("DOGPILE_LOCK_CONFIG", path)
        code, said = server.configtest()
        assert code != 0
        assert "DP0117: environment variable DOGPILE_LOCK_CONFIG: " in said
        assert why in said


def locks_in(server):
    """Names of the folders of its lockers that were used."""
    return [path.name for path in server.dir.rglob("*")
            if path.is_dir() and path.name != ".exclusion"
            and any(path.glob("[0-9a-f][0-9a-f]"))]


BLOCK = """
<DogpileLocker both disk>
    DogpileLockDirectory "${DIR}/block"
</DogpileLocker>
"""
FILE = "DogpileLockerFile both.yaml both\n"

# What is configured, what the location says, in the environment or not, and
# the folder in which the locks turn out to be.
PRECEDENCE = [
    ("", "", False, ".locks"),
    ("", "", True, "environment"),
    ("DogpileLockerFile file.yaml\n", "", False, "file"),
    ("DogpileLockerFile file.yaml\n", "", True, "file"),
    ("DogpileLockerFile file.yaml\n", "DogpileLocker file", False, "file"),
    ("DogpileLockerFile file.yaml one\n", "DogpileLocker one", True, "file"),
    ("DogpileLockerFile file.yaml one\n", "", False, ".locks"),
    ("DogpileLockerFile file.yaml one\n", "", True, "environment"),
    (BLOCK, "", False, ".locks"),
    (BLOCK + FILE, "DogpileLocker both", True, "block"),
    (FILE + BLOCK, "DogpileLocker both", False, "block"),
    ("DogpileLockerFile both.yaml\n" + BLOCK, "", True, "block"),
    ("DogpileLockerFile file.yaml\n" + BLOCK, "DogpileLocker both", True,
     "block"),
]


@pytest.mark.parametrize("conf,location,is_in_environment,where", PRECEDENCE)
def test_precedence(make_httpd, upstream, monkeypatch, conf, location,
                    is_in_environment, where):
    """A block is before a file of its name; a location without DogpileLocker
    uses the file without a name, else that of DOGPILE_LOCK_CONFIG, else its
    store's own locker."""
    server = with_files(
        make_httpd(conf + LOCATION % location, children=1, threads=8),
        both=disk("both"), file=disk("file"), environment=disk("environment"))
    if is_in_environment:
        monkeypatch.setenv("DOGPILE_LOCK_CONFIG",
                           f"{server.dir}/environment.yaml")
    server.start()
    assert client.get(server.url(META.tiles()[0])).status == 200
    assert locks_in(server) == [where]


def test_block_before_file_is_said(make_httpd):
    """That a file isn't used because of a block is said at the start."""
    server = with_files(make_httpd(FILE + BLOCK), both=disk("both")).start()
    assert len(server.log.find("DP0118")) >= 1


@pytest.fixture
def memcached():
    made = Server("memcache")
    yield made
    made.remove()


def test_chain_from_a_file(make_httpd, shared_dir, memcached, upstream):
    """Two httpds with one file of a memcache and a disk locker fetch a
    metatile once, and go on with the disk when the memcached is killed."""
    whole = picture.decode(client.get(upstream.url(META.whole())).body)
    upstream.forget()
    chain = f"""\
- type: memcache
  config: {{servers: ["127.0.0.1:{memcached.port}"], timeout: 3}}
- type: file
  config:
    directory: {shared_dir}/yaml-locks
"""
    conf = "DogpileLockerFile chain.yaml\n" + LOCATION % ""
    conf = conf.replace("${DIR}/store", "${SHARED}")
    pair = [with_files(make_httpd(conf, define={"SHARED": shared_dir},
                                  children=2, threads=64), chain=chain).start()
            for _ in range(2)]
    for s in pair:
        s.allow_log("DP07[0-9][0-9]")  # the member's failure is said
    upstream.hold()
    herds = [client.Herd([s.url(path) for path in META.tiles()], 50).start()
             for s in pair]
    for s in pair:
        s.status.wait(lambda s: s["waiters"] == 50)
    memcached.kill()
    upstream.release()
    for herd in herds:
        for i, answer in enumerate(herd.answers()):
            cell = META.cells[i % len(META.cells)]
            picture.assert_cut(answer, whole, META.window(*cell))
    assert upstream.count == 1
    assert sum(s.status["lock_waits"] for s in pair) == 1
    again = wms.Metatile(7, 45, 45).tiles()[0]
    assert [client.get(s.url(again)).status for s in pair] == [200, 200]
    assert upstream.count == 2
    assert [s.status["lock_unavailable"] for s in pair] == [0, 0]
    assert any(pathlib.Path(shared_dir, "yaml-locks").iterdir())
