# SPDX-License-Identifier: Apache-2.0
"""Ending while something is still under way."""
import signal

import pytest

from pydogpile import client, scene, wms
from pydogpile.process import alive
from pydogpile.wait import until


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
