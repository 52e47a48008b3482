# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests against a real httpd; docs/TESTING.md explains."""
import contextlib
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from pydogpile.mapserver import MapServer  # noqa: E402
from pydogpile.server import USER, Httpd, chosen_mpm  # noqa: E402
from pydogpile.upstream import Upstream  # noqa: E402
from pydogpile.wire import Dial  # noqa: E402


def pytest_collection_modifyitems(items):
    """Tests marked `event` are about what only that MPM does; they run in the
    round that is under it."""
    if chosen_mpm() != "event":
        items[:] = [item for item in items
                    if not item.get_closest_marker("event")]


@contextlib.contextmanager
def _source():
    source = Upstream()
    yield source
    source.stop()
    assert source.late == 0, "requests were held beyond the deadline"


@contextlib.contextmanager
def _httpds(upstream):
    made = []

    def make(conf="", define=None, **options):
        names = {"UPSTREAM": upstream.port, **(define or {})}
        made.append(Httpd(conf, define=names, **options))
        return made[-1]

    yield make
    upstream.release()
    for server in made:
        server.stop()
    problems = [line for server in made for line in server.problems()]
    for server in made:
        server.remove()
    if problems:
        pytest.fail("httpd's error log:\n" + "\n".join(problems),
                    pytrace=False)


@pytest.fixture
def upstream():
    """A scripted WMS."""
    with _source() as source:
        yield source


@pytest.fixture
def make_httpd(upstream, shared_dir):
    """Builds httpds; afterwards ends them and reads their error logs.

    Their configuration may say ${UPSTREAM}, the port of the scripted WMS.
    """
    with _httpds(upstream) as make:
        yield make


@pytest.fixture
def httpd(make_httpd):
    """make_httpd, started."""
    return lambda *args, **options: make_httpd(*args, **options).start()


@pytest.fixture(scope="module")
def _site(request):
    with _source() as source, _httpds(source) as make:
        server = make(request.module.CONF,
                      **getattr(request.module, "OPTIONS", {}))
        server.upstream = source
        for pattern in getattr(request.module, "ALLOWED", ()):
            server.allow_log(pattern)
        getattr(request.module, "prepare", lambda _: None)(server)
        yield server.start()


@pytest.fixture
def site(_site):
    """One httpd for all tests of a file, for tables of requests.

    The file says CONF, OPTIONS of the httpd, what is ALLOWED in its log, and
    may prepare(server) before it starts.
    site.upstream has forgotten the test before; the store hasn't, so each
    test asks for LAYERS of its own.
    """
    _site.upstream.forget()
    yield _site
    _site.upstream.reset()


@pytest.fixture
def dial():
    """Opens connections whose requests and answers are told apart."""
    made = Dial()
    yield made
    made.close()


@pytest.fixture
def shared_dir():
    """A folder that httpds share: a store, lock files."""
    path = tempfile.mkdtemp(prefix="dogpile-shared-")
    os.chmod(path, 0o755)
    if os.geteuid() == 0:
        shutil.chown(path, USER, USER)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def mapserver():
    """The demo's map, rendered by the real MapServer."""
    source = MapServer()
    try:
        yield source.start()
    finally:
        source.stop()
    problems = source.httpd.problems()
    source.httpd.remove()
    assert not problems, problems
