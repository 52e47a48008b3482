#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A herd: n clients ask for the tiles of one metatile at the same moment.

    herd.py [-n 64] [-z 5 -x 13 -y 11] [--layers world] http://host/wms

Prints how long they waited. Connections are opened beforehand.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../httpd"))

from pydogpile import client, wms  # noqa: E402


def quantile(values, share):
    """The smallest value that at least that share doesn't exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]


def run(url, metatile, clients, layers):
    """{"p50": ms, "p95": ms, "max": ms, "failed": n} of one herd."""
    urls = [url + path for path in metatile.tiles(path="", layers=layers)]
    answers = client.herd(urls, clients)
    times = [answer.latency * 1000 for answer in answers]
    good = [a for a in answers if a.status == 200
            and a.headers.get_content_maintype() == "image"]
    return {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95),
            "max": max(times), "failed": len(answers) - len(good)}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-n", type=int, default=64)
    options.add_argument("-z", type=int, default=5)
    options.add_argument("-x", type=int, default=13)
    options.add_argument("-y", type=int, default=11)
    options.add_argument("--layers", default="world")
    options.add_argument("url")
    args = options.parse_args()
    result = run(args.url, wms.Metatile(args.z, args.x, args.y), args.n,
                 args.layers)
    for name, value in result.items():
        print(f"{name:8}{value:8.0f}")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
