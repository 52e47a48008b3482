# SPDX-License-Identifier: Apache-2.0
"""What most tests begin with: a location, the right picture, a look at disk."""
import pathlib
import re

from . import client, picture

RECORD = re.compile(r"\d+_\d+_[0-9a-f]{16}$")
WRITE_ID = slice(16, 32)  # in a record, see mod_dogpile/store/record_layout.h


def location(*lines, path="/wms", store="${DIR}/store", source="127.0.0.1"):
    """A location that coalesces what the scripted WMS draws at its path."""
    return "\n".join([
        f'<Location "{path}">', "DogpileEnable On",
        f'DogpileStore "disk:{store}"', *lines,
        f'ProxyPass "http://{source}:${{UPSTREAM}}{path}"', "</Location>\n"])


ALONE = "DogpileMetatile 1x1 buffer=0"  # each tile is its own metatile


def whole(upstream, meta, **params):
    """The picture of a metatile, asked of the source itself."""
    with upstream.place():
        answer = client.get(upstream.url(meta.whole(**params)))
    upstream.forget()
    return picture.decode(answer.body)


def assert_tiles(answers, meta, image):
    """answers[i] is the tile of meta.cells[i % len(meta.cells)]."""
    for i, answer in enumerate(answers):
        cell = meta.cells[i % len(meta.cells)]
        picture.assert_cut(answer, image, meta.window(*cell))


def records(folder):
    """The metatiles in a disk store."""
    return [path for path in pathlib.Path(folder).rglob("*")
            if RECORD.match(path.name)]


def write_ids(folder):
    return [path.read_bytes()[WRITE_ID] for path in records(folder)]


def settle(server, **counters):
    """Waits until nothing is under way; then the counters are as told."""
    seen = server.status.wait(
        lambda s: s["flights"] == s["waiters"] == s["fetching"] == 0)
    there = {name: seen[name] for name in counters}
    assert there == counters
    return seen


def assert_said_once(server, number):
    """A message occurs, and not twice from one child."""
    said = [re.search(r"\[pid (\d+)", line)[1]
            for line in server.log.find(number)]
    assert said and len(said) == len(set(said)), server.log.find(number)


def leases(folder):
    """The leases in a lock directory, a list of fields each; in the order of
    docs/design/lock-record.md."""
    return [line.split() for path in pathlib.Path(folder).glob("[0-9a-f]" * 2)
            for line in path.read_text().splitlines()[1:]]
