# SPDX-License-Identifier: Apache-2.0
"""dogpile-lock, on each back end."""
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

from pydogpile import client, command, wms
from pydogpile.backend import Server
from pydogpile.process import alive, children
from pydogpile.server import USER
from pydogpile.wait import until

KINDS = ["disk", "memcache", "redis", "zookeeper"]
SECRET = "geheim-4711"

# No test waits for such a lease to end.
LONG = "1h"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def ensemble():
    """A ZooKeeper for all tests of this file, as it takes seconds to start."""
    made = Server("zookeeper")
    yield made
    made.remove()


class Lockers:
    """A file of lockers, what is behind it, and commands that use it."""

    def __init__(self, ensemble):
        self.ensemble = ensemble
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="dogpile-command-"))
        os.chmod(self.dir, 0o755)
        self.file = self.dir / "lockers.yaml"
        self.servers = []
        self.running = []

    def entry(self, kind, timeout=LONG, **more):
        config = {"timeout": timeout, "retry": "50ms", **more}
        if kind == "disk":
            config["directory"] = self.dir / "locks"
        elif kind == "zookeeper":
            # A folder for each test.
            config["hosts"] = (f'"127.0.0.1:{self.ensemble.port}'
                               f'/{self.dir.name}"')
        else:
            secret = ["--requirepass", SECRET] if "secret_file" in more else []
            self.servers.append(Server(kind, *secret))
            config.update(host="127.0.0.1", port=self.servers[-1].port)
        text = ", ".join(f"{key}: {value}" for key, value in config.items())
        return f"- {{type: {kind}, config: {{{text}}}}}\n"

    def use(self, *kinds, **more):
        self.file.write_text("".join(self.entry(kind, **more)
                                     for kind in kinds))
        return self

    def run(self, *args, **options):
        return command.run("-c", self.file, *args, **options)

    def code(self, *args):
        return self.run(*args)[0]

    def now(self, *args):
        """The exit code of a command that doesn't wait for the lock."""
        return self.code("-n", *args, "--", "true")

    def start(self, *args, command_line=None):
        self.running.append(command.Running(self.dir, "-c", self.file, *args,
                                            command=command_line))
        return self.running[-1]

    def hold(self, *args):
        return self.start(*args).begun()

    def remove(self):
        for running in self.running:
            running.remove()
        for server in self.servers:
            server.remove()
        shutil.rmtree(self.dir)


@pytest.fixture
def lockers(ensemble):
    made = Lockers(ensemble)
    yield made
    made.remove()


@pytest.fixture(params=KINDS)
def each(request, lockers):
    assert lockers.use(request.param).now("anything") == 0
    return lockers


# --- on each back end --------------------------------------------------------

def test_one_at_a_time(each):
    """Two commands under one name exclude each other, under two they don't;
    what has ended has given its lock back."""
    first = each.hold("roads")
    assert each.now("roads") == 1
    assert each.now("-s", "roads") == 1
    assert each.now("rivers") == 0
    assert first.end() == 0
    assert each.now("roads") == 0
    assert each.now("roads") == 0


def test_waits_its_turn(each):
    """A command waits, however long, until the one before it has ended."""
    first = each.hold("roads")
    second = each.start("--verbose", "roads")
    until(lambda: "waiting for pid" in second.said(), "it waits")
    assert not second.has_begun()
    assert first.end() == 0
    second.begun()
    assert each.now("roads") == 1
    assert second.end() == 0


def test_shared(each):
    """Shared locks admit each other and keep exclusive ones out."""
    readers = [each.hold("-s", "roads") for _ in range(2)]
    for reader in readers:
        assert each.now("roads") == 1
        assert reader.end() == 0
    assert each.now("roads") == 0


def test_writer_is_not_starved(each):
    """Once an exclusive lock is waited for, no further shared ones are given,
    and its turn comes when those that are there have ended."""
    reader = each.hold("-s", "roads")
    writer = each.start("-x", "roads")
    until(lambda: each.now("-s", "roads") == 1, "readers queue behind it")
    assert not writer.has_begun()
    assert reader.end() == 0
    writer.begun()
    assert writer.end() == 0


def test_killed_holder(each):
    """A holder of this host that was killed is seen at once, long before its
    lease ends, and its command doesn't go on without the lock."""
    holder = each.hold("roads")
    work, = children(holder.pid)
    holder.kill()
    assert holder.popen.wait(30) == -signal.SIGKILL
    assert each.now("roads") == 0
    until(lambda: not alive(work), "the command has ended too", 10)


def test_break(each):
    """break ends a lock that somebody has; its command goes on and then exits
    with 75, as it wasn't alone all of the time."""
    holder = each.hold("roads")
    assert each.run("break", "roads")[0] == 0
    taker = each.hold("roads")
    assert each.run("break", "rivers")[:2] == (1, "free\n")
    assert holder.end() == 75
    assert "not all of the time under the lock" in holder.said()
    assert taker.end() == 0


def rows(output):
    """MODE, PID and NAME of each row."""
    return [(words[0], int(words[2]), words[5]) for words in
            (line.split(None, 5) for line in output.splitlines()[1:])]


def test_show(each):
    """show tells who has a lock, and by its exit code whether anybody."""
    assert each.run("show", "roads")[:2] == (1, "free\n")
    holder = each.hold("roads")
    code, output, _ = each.run("show", "roads")
    assert code == 0
    assert rows(output) == [("exclusive", holder.pid, "roads")]
    assert each.run("show", "rivers")[0] == 1
    assert each.run("--namespace", "other", "show", "roads")[0] == 1


def test_long_names(each):
    """A name may have 64 KiB of any bytes, all of which count; more is
    refused."""
    name = "ü\n\x1b[31m" + "n" * 65000
    name += "n" * (65536 - len(name.encode()))
    holder = each.hold(name)
    assert each.now(name) == 1
    assert each.now(name[:-1]) == 0
    assert each.now(name[:-1] + "m") == 0
    code, output, _ = each.run("show", name)
    assert (code, holder.pid) == (0, rows(output)[0][1])
    assert "\x1b" not in output
    assert each.now(name + "n") == 64
    assert holder.end() == 0


def age(output):
    minutes, seconds = output.splitlines()[1].split()[3].split(":")
    return 60 * int(minutes) + int(seconds)


def test_longer_than_the_lease(lockers):
    """A command may run for longer than the timeout of its locker: the lock is
    renewed and nobody else gets it."""
    several = []
    for kind in KINDS:
        lockers.use(kind, timeout="3s")
        several.append((lockers.file.rename(lockers.dir / f"{kind}.yaml"),
                        kind))
        lockers.running.append(command.Running(lockers.dir, "-c",
                                               several[-1][0], "roads"))
    for running in lockers.running:
        running.begun()
    for path, kind in several:
        until(lambda: age(command.run("-c", path, "show", "roads")[1]) > 3,
              f"more than a lease under {kind}")
        assert command.run("-c", path, "-n", "roads", "--", "true")[0] == 1
    assert {running.end() for running in lockers.running} == {0}


@pytest.mark.parametrize("each", ["disk", "redis", "zookeeper"],
                         indirect=True)
def test_list(each):
    """list shows every lock, the shared ones one by one."""
    assert each.run("list")[:2] == (0, "")
    holders = [each.hold("-s", "roads"), each.hold("-s", "roads"),
               each.hold("a b")]
    code, output, _ = each.run("list")
    assert code == 0
    assert sorted(rows(output)) == sorted([
        ("shared", holders[0].pid, "roads"), ("shared", holders[1].pid,
                                              "roads"),
        ("exclusive", holders[2].pid, "a b")])
    code, output, _ = each.run("show", "roads")
    assert {pid for _, pid, _ in rows(output)} == {holders[0].pid,
                                                   holders[1].pid}


def test_memcache_has_no_list(lockers):
    """A back end that can't list its locks says so."""
    code, output, said = lockers.use("memcache").run("list")
    assert (code, output) == (69, "")
    assert "can't list its locks" in said


# --- exit codes and signals --------------------------------------------------

@pytest.fixture
def disk(lockers):
    return lockers.use("disk")


@pytest.mark.parametrize("args,code", [
    (["true"], 0),
    (["sh", "-c", "exit 7"], 7),
    (["sh", "-c", "kill -9 $$"], 128 + 9),
    (["no-such-command"], 127),
    (["/etc/passwd"], 126),
])
def test_exit_code_of_the_command(disk, args, code):
    """The exit code is the command's, as a shell tells it."""
    assert disk.code("roads", "--", *args) == code
    assert disk.now("roads") == 0


def test_exit_code_of_a_conflict(disk):
    """Where the lock isn't had in time it is 1, or what -E says."""
    disk.hold("roads")
    assert disk.code("-n", "roads", "--", "true") == 1
    assert disk.code("--timeout", "0", "roads", "--", "true") == 1
    assert disk.code("-w", "100ms", "roads", "--", "true") == 1
    assert disk.code("-E", "42", "-n", "roads", "--", "true") == 42


@pytest.mark.parametrize("args", [
    [], ["roads"], ["roads", "true"], ["roads", "--"], ["", "--", "true"],
    ["--nonsense", "roads", "--", "true"], ["-w", "soon", "a", "--", "true"],
    ["-E", "256", "a", "--", "true"], ["show"], ["list", "roads"],
    ["--no-write-ok", "roads", "--", "true"], ["break", ""],
])
def test_usage(disk, args):
    """A command line that means nothing is refused with 64 and a reason."""
    code, output, said = disk.run(*args)
    assert (code, output) == (64, "")
    assert said


def test_names_like_verbs(disk):
    """What stands before -- is a name, whatever it looks like."""
    assert disk.run("list", "--", "echo", "ran")[:2] == (0, "ran\n")
    assert disk.run("--", "-x", "--", "echo", "ran")[:2] == (0, "ran\n")


def test_help_and_version():
    """--help and --version need no locker."""
    for option, begin in (("--help", "Usage: dogpile-lock"),
                          ("--version", "dogpile-lock (mod_dogpile) ")):
        code, output, said = command.run(option)
        assert (code, said) == (0, "")
        assert output.startswith(begin)


def test_wrong_files(lockers):
    """A file of lockers that is wrong or isn't there ends it with 78."""
    lockers.file.write_text("- type: disk\n  config: {directory: a}\n")
    code, _, said = lockers.run("roads", "--", "echo", "ran")
    assert code == 78
    assert f"{lockers.file}:2: directory: 'a' isn't allowed" in said
    lockers.file.unlink()
    assert lockers.now("roads") == 78


def test_file_of_the_environment(disk):
    """Without -c it is the file that DOGPILE_LOCK_CONFIG names."""
    disk.hold("roads")
    env = {"DOGPILE_LOCK_CONFIG": str(disk.file)}
    assert command.run("-n", "roads", "--", "true", env=env)[0] == 1
    env = {"DOGPILE_LOCK_CONFIG": "/none.yaml"}
    assert command.run("-n", "roads", "--", "true", env=env)[0] == 78


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT,
                                    signal.SIGQUIT, signal.SIGTERM])
def test_signals_reach_the_command(disk, number):
    """A signal goes on to the command, whose end is waited for."""
    name = signal.Signals(number).name[3:]
    script = (f"trap 'echo told; exit 3' {name}; echo in; "
              "while :; do sleep 0.05; done")
    running = disk.start("roads", command_line=["sh", "-c", script]).begun()
    running.kill(number)
    assert running.popen.wait(30) == 3
    assert running.out.read_text() == "in\ntold\n"
    assert disk.now("roads") == 0


def test_signal_while_it_waits(disk):
    """A signal ends one that waits, and its command never runs."""
    disk.hold("roads")
    waiter = disk.start("--verbose", "roads")
    until(lambda: "waiting for pid" in waiter.said(), "it waits")
    waiter.kill(signal.SIGTERM)
    assert waiter.popen.wait(30) == 128 + signal.SIGTERM
    assert not waiter.has_begun()


# --- lock servers that fail --------------------------------------------------

def test_unavailable(lockers):
    """Where no locker answers the command doesn't run, and it is 69."""
    lockers.use("redis").servers[0].kill()
    code, output, said = lockers.run("-n", "roads", "--", "echo", "ran")
    assert (code, output) == (69, "")
    assert "unavailable" in said
    assert lockers.code("show", "roads") == 69


def test_server_that_comes_back(lockers):
    """A lock server that is down for a moment is waited for."""
    server = lockers.use("redis").servers[0]
    server.kill()
    waiter = lockers.start("roads")
    until(lambda: "DP0740" in waiter.said(), "it has asked in vain")
    server.start()
    assert waiter.begun().end() == 0


def test_lost_lock(lockers):
    """A lock that its server has forgotten is taken back, the command goes on,
    and the exit code is 75; a failure of the command is told instead."""
    server = lockers.use("redis", timeout="1s").servers[0]
    holder = lockers.hold("roads")
    other = lockers.start("rivers", command_line=[
        "sh", "-c", "echo in; cat; exit 5"]).begun()
    server.kill()
    server.start()
    for running in (holder, other):
        until(lambda: "the lock is held again" in running.said(), "taken back")
        assert "the lock was lost; the command goes on" in running.said()
    assert holder.end() == 75
    assert other.end() == 5


def test_chain(lockers):
    """A list of lockers excludes through each of them; one that dies costs
    nothing."""
    lockers.use("memcache", "disk")
    holder = lockers.hold("roads")
    lockers.servers[0].kill()
    assert lockers.now("roads") == 1
    assert holder.end() == 0
    assert lockers.now("roads") == 0


# --- users and secrets -------------------------------------------------------

@pytest.fixture
def as_nobody():
    return ["/usr/bin/setpriv", "--reuid", "nobody", "--regid", "nogroup",
            "--clear-groups"]


@as_root
def test_reader_without_rights(disk, as_nobody, monkeypatch):
    """With --no-write-ok a reader runs where it can't write locks, and says
    so; without it, or as a writer, nothing runs."""
    assert disk.now("roads") == 0
    os.chmod(disk.dir / "locks", 0o755)
    binary = shutil.copy(command.BINARY, disk.dir)
    monkeypatch.setattr(command, "BINARY", binary)
    code, output, said = disk.run("-s", "--no-write-ok", "roads", "--", "echo",
                                  "ran", before=as_nobody)
    assert (code, output) == (0, "ran\n")
    assert "running without" in said and "Permission denied" in said
    code, output, said = disk.run("-n", "-s", "roads", "--", "echo", "ran",
                                  before=as_nobody)
    assert (code, output) == (69, "")
    assert "Permission denied" in said
    reader = disk.run("-s", "--no-write-ok", "roads", "--", "true")
    assert reader == (0, "", "")


@as_root
def test_root_in_a_directory_of_httpd(disk):
    """What root leaves in a directory of httpd's user belongs to that user."""
    folder = disk.dir / "locks"
    folder.mkdir(mode=0o700)
    shutil.chown(folder, USER, USER)
    assert disk.now("roads") == 0
    made = list(folder.iterdir())
    assert made
    assert {path.owner() for path in made} == {USER}
    assert folder.owner() == USER


def test_new_directory_is_private(disk):
    """A directory that isn't there is made, for its user alone; one in which
    something else lies is left alone."""
    assert disk.now("roads") == 0
    folder = disk.dir / "locks"
    assert folder.stat().st_mode & 0o7777 == 0o700
    shutil.rmtree(folder)
    folder.mkdir(mode=0o755)
    (folder / "someone's").touch()
    assert disk.now("roads") == 0
    assert folder.stat().st_mode & 0o7777 == 0o755


def test_secrets_are_not_shown(lockers):
    """The password of a server is in no process list and no message."""
    secret = lockers.dir / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    lockers.use("redis", secret_file=secret)
    holder = lockers.hold("--verbose", "roads")
    for pid in (holder.pid, *children(holder.pid)):
        for name in ("cmdline", "environ"):
            text = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            assert SECRET.encode() not in text
    shown = lockers.run("--verbose", "list")
    assert rows(shown[1]) == [("exclusive", holder.pid, "roads")]
    secret.write_text(SECRET + "-wrong\n")
    refused = lockers.run("--verbose", "-n", "roads", "--", "true")
    assert refused[0] == 69
    assert "AUTH" in refused[2]
    for text in (*shown[1:], *refused[1:], holder.said()):
        assert SECRET not in text
    assert holder.end() == 0


# --- with httpd --------------------------------------------------------------

def test_import_keeps_renders_away(make_httpd, upstream, lockers):
    """Under dogpile-lock -x nothing of a source with that DogpileSourceLock is
    rendered; whoever asks waits and is answered afterwards. An import waits
    until the renders under way are done."""
    s = make_httpd("""
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    DogpileSourceLock roads
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
""").start()
    lockers.file.write_text("- {type: disk, config: {directory: "
                            f"{s.dir}/store/.locks}}}}\n")
    running = lockers.hold("-x", "roads")
    tiles = wms.Metatile(7, 41, 41).tiles()
    herd = client.Herd([s.url(path) for path in tiles], 16).start()
    s.status.wait(lambda status: status["waiters"] == 16)
    assert upstream.count == 0
    upstream.hold()
    assert running.end() == 0
    upstream.wait_held(1)
    second = lockers.start("--verbose", "-x", "roads")
    until(lambda: "waiting for pid" in second.said(), "the import waits")
    assert not second.has_begun()
    upstream.release()
    assert {answer.status for answer in herd.answers()} == {200}
    assert second.begun().end() == 0
    assert upstream.count == 1


def test_stale_tiles_are_served_during_an_import(make_httpd, upstream,
                                                 lockers):
    """While an import holds the lock, what has expired is served stale, what
    isn't there is 503 with Retry-After, and nothing is rendered."""
    s = make_httpd("""
<Location "/wms">
    DogpileEnable On
    DogpileStore "disk:${DIR}/store"
    DogpileExpire 1s jitter=0%
    DogpileMetatile 1x1 buffer=0
    DogpileWaitTimeout 500ms
    DogpileSourceLock roads
    ProxyPass "http://127.0.0.1:${UPSTREAM}/wms"
</Location>
""").start()
    lockers.file.write_text("- {type: disk, config: {directory: "
                            f"{s.dir}/store/.locks}}}}\n")
    there, missing = s.url(wms.tile(7, 41, 41)), s.url(wms.tile(7, 51, 41))
    old = client.get(there)
    s.status.wait(lambda status: status["stored"] == 1)
    running = lockers.hold("-x", "roads")
    until(lambda: client.get(there) and s.status["stale"], "its expiry")
    for answer in client.herd([there], 10):
        assert answer.status == 200 and answer.body == old.body
    turned_away = client.get(missing)
    assert turned_away.status == 503
    assert int(turned_away.header("Retry-After")) > 0
    assert upstream.count == 1
    assert running.end() == 0
    until(lambda: client.get(missing).status == 200, "the import's end")
    s.status.wait(lambda status: status["flights"] == 0)
