# SPDX-License-Identifier: Apache-2.0
"""What most tests begin with: a location, the right picture, a look at disk."""
import os
import pathlib
import re
import struct
import zlib

from . import client, picture

RECORD = re.compile(r"\d+_\d+_[0-9a-f]{16}$")
# In a record, see mod_dogpile/store/record_layout.h.
HEAD_BYTES = 12
WRITE_ID = slice(16, 32)
TIMES = 64  # created, expires


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


def rewrite(path, change):
    """Changes the bytes of a record's head, as its writer would have."""
    data = bytearray(path.read_bytes())
    sum_at = struct.unpack_from("<I", data, HEAD_BYTES)[0] - 4
    change(data)
    data[WRITE_ID] = os.urandom(16)
    struct.pack_into("<I", data, sum_at, zlib.crc32(data[:sum_at]))
    path.write_bytes(data)


def backdate(folder, seconds):
    """The metatiles in a disk store become older, as if time had passed."""
    def change(data):
        times = struct.unpack_from("<QQ", data, TIMES)
        struct.pack_into("<QQ", data, TIMES,
                         *(time - seconds * 1000000 for time in times))
    for path in records(folder):
        rewrite(path, change)


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
