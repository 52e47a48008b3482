# SPDX-License-Identifier: Apache-2.0
"""Ending while something is still under way."""
import os
import signal

import pytest

from pydogpile import client, ports, scene, wms
from pydogpile.process import Process, alive
from pydogpile.server import QUIET_SEC
from pydogpile.wait import settled, until


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
@pytest.mark.parametrize("patience,waiters", [("50ms", 0), ("30s", 2)])
def test_stop_during_a_fetch(httpd, upstream, mpm, patience, waiters):
    """An httpd that is stopped during a fetch ends as soon as the source has
    answered, whether its clients wait or have given up; prefork ends its
    children within a signal handler, wherever they are."""
    server = httpd(scene.location(f"DogpileWaitTimeout {patience}"), mpm=mpm,
                   children=1, threads=4)
    server.allow_log("AH00288")  # its own wish for idle threads, unfulfilled
    upstream.hold()
    herd = client.Herd([server.url(wms.tile(5, 9, 9))], 2).start()
    upstream.wait_held(1)
    server.status.wait(lambda s: s["waiters"] == waiters)
    family = server.children()
    server.process.kill(signal.SIGTERM)
    upstream.release()
    until(lambda: not any(map(alive, family)), "children gone")
    # what was being answered may be cut off, or be complete
    assert {answer.status for answer in herd.answers()} <= {0, 200, 503}


def test_debugging_as_a_user_ends_well(make_httpd, upstream):
    """httpd -X, which is parent and child at once, started by somebody who
    isn't root: it works, finds its own folders again, ends without a crash."""
    server = make_httpd(scene.location())
    somebody = ["setpriv", "--reuid=www-data", "--regid=www-data",
                "--clear-groups"] if os.geteuid() == 0 else []
    server.allow_log("AH00098")  # -X leaves its pid file
    for x in (9, 13):
        debugged = Process([*somebody, *server.args("-X")],
                           server.dir / "output.log")
        until(lambda: ports.accepts(server.port), "it listens")
        assert client.get(server.url(wms.tile(5, x, 9))).status == 200
        # httpd itself can crash that closes a connection while it stops.
        settled(lambda: not ports.connections(server.port), QUIET_SEC)
        assert debugged.stop()
        assert debugged.popen.returncode == 0
    assert upstream.count == 2
