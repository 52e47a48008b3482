# SPDX-License-Identifier: Apache-2.0
"""Tables of a run, for the terminal and for docs/benchmarks.md."""
import datetime
import platform
import re
import subprocess

import chart
import servers
from goals import TILE, WORDS, median, net
from scenarios import REST_MS

PACKAGES = ("apache2-bin", "libapache2-mod-mapcache", "nginx-light", "varnish",
            "wrk", "cgi-mapserver", "libpng16-16", "zlib1g")
VARIANT = re.compile("-(new|soon)$")
CLASSES = {kind.title: kind for kind in (
    servers.Dogpile, servers.Mapcache, servers.CacheDisk, servers.Nginx,
    servers.Varnish)}
WITH_SPREAD = ("p95", "max", "answered", "one", "many")

TOP = """\
# Benchmarks

Written by `make bench`; nothing here is by hand. Medians of the rounds; in
brackets the smallest and the largest. **!** marks a source that was not asked
as often as that server is known to ask.

    make bench                      all, {minutes} minutes; writes this page
    make bench ONLY=hits,herd-meta  some of it, into build/bench/
    make bench QUICK=1              a short round of each, into build/bench/

![Chart of the figures below](benchmarks.svg)

"""

BOTTOM = """\
## How it was measured

- All servers run at once on this machine, each in the configuration of
  [tests/bench/servers.py](../tests/bench/servers.py), and take turns: round by
  round, not server by server. So noise meets all of them alike.
- The source is one small program that waits and then copies a picture which
  MapServer rendered beforehand. Clients are one thread that writes all requests
  at once. What this costs by itself is the row "a static tile": nginx sending a
  file to as many clients. "Net", and every ratio of overheads, is of times less
  that.
- Clients of herd-one, herd-meta, leaver, broken, expired, and expired-* with a
  sick source, are like browsers whose users move a map: each fetches a tile
  that the server has, over the connection that it will ask on; then all rest
  for {rest} ms, and ask.
  Over new connections the clock would time different work: httpd has the kernel
  keep a connection back until its first request is there (TCP_DEFER_ACCEPT, by
  its default, `AcceptFilter http data`), and accepts while the clock runs;
  nginx and Varnish accepted before. herd-one-new and expired-new are measured
  that way. In starvation, memory, wake-up and fleeting they are new too.
- The rest matters as well. For 50 ms after an answer a thread of Varnish stays
  with its connection (`timeout_linger`), and answers who asks again within them
  sooner than here. Tiles of one view are asked for like that, the first ones
  after a move are not. expired-soon is measured without a rest.
- httpd has 2 children of 128 threads, one for each core, where nothing else is
  said. Hits are counted by wrk over 32 connections kept alive; server and
  client have a core each, so servers of several processes have one as well.
- Each cold tile is one that nobody asked for before.

## What the figures don't say

- Everything is on one machine, by loopback: no network, no TLS, no HTTP/2.
- The clients and the source share {cores} cores with the servers. Overheads
  are those of a busy small machine, and differ by a few ms from run to run.
- nginx, Varnish and mod_cache_disk know no metatiles. They store bytes that
  the source made, one request a tile, where mod_dogpile and mod_mapcache
  decode, cut and encode; a real source would have to render each of them.
- nginx's waiters look every 500 ms, so its overhead is anything up to that,
  depending on the delay; here the source takes {delay} ms.
- mod_mapcache decodes pictures and encodes them in its own way, so its tiles
  have other sizes.
- Hits of different servers are of different kinds: httpd's write a line of log
  each into a file, Varnish none.
- Two hosts, dying processes and dying lock servers are tested, not measured:
  see [TESTING.md](TESTING.md).
"""


def text_of(rounds, figure):
    """The median, with its spread where that tells something."""
    value = median(rounds, figure)
    if value is None:
        words = sorted({str(one[figure]) for one in rounds
                        if one.get(figure) is not None})
        return ", ".join(words) or "-"
    short = number(value)
    values = [one[figure] for one in rounds if one.get(figure) is not None]
    if figure not in WITH_SPREAD or len(values) < 2:
        return short
    return f"{short} ({number(min(values))} to {number(max(values))})"


def number(value):
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def mark(title, scenario, rounds):
    """" !" where the source wasn't asked as often as expected."""
    expected = getattr(CLASSES.get(title), "expects", {}).get(
        VARIANT.sub("", scenario))
    if expected == servers.EACH:
        expected = rounds[0]["clients"]
    counts = {one.get("upstream") for one in rounds} - {None}
    odd = expected is not None and counts and counts != {expected}
    return " !" if odd else ""


def row(title, scenario, rounds):
    cells = [title]
    for figure in scenario.columns:
        text = text_of(rounds, figure)
        if figure == "upstream":
            text += mark(title, scenario.name, rounds)
        cells.append(text)
    return cells


def shares(scenario, seen, title):
    """The ratios of a server's figures to those of another one."""
    for figure, base in scenario.ratios:
        value, unit = net(seen, title, figure), net(seen, base, figure)
        yield number(value / unit) if value and unit and title != TILE else "-"


def tables(scenarios, results):
    """[(scenario, headings, rows, note)] in the order of the run."""
    made = []
    for scenario in scenarios:
        seen = results.get(scenario.name)
        if seen is None:
            continue
        if "skipped" in seen:
            made.append((scenario, [], [], f"Not run: {seen['skipped']}."))
            continue
        headings = ["", *scenario.columns.values()]
        headings += [f"{scenario.columns[figure]} to {base}"
                     for figure, base in scenario.ratios]
        rows = [[*row(title, scenario, rounds), *shares(scenario, seen, title)]
                for title, rounds in seen.items()]
        count = len(next(iter(seen.values())))
        made.append((scenario, headings, rows,
                     f"{count} round{'s' if count > 1 else ''}."))
    return made


def terminal(made, verdicts):
    lines = []
    for scenario, headings, rows, note in made:
        lines += ["", f"{scenario.name}: {scenario.title}. {note}"]
        lines += columns([headings, *rows]) if rows else []
    lines += ["", "Goals:"]
    lines += columns([(what, measured, wanted, WORDS[met])
                      for what, measured, wanted, met in verdicts])
    return "\n".join(lines)


def columns(rows):
    widths = [max(len(cells[i]) for cells in rows)
              for i in range(len(rows[0]))]
    return ["  " + "  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths)))
        for cells in rows]


def markdown(headings, rows):
    lines = ["| " + " | ".join(cells) + " |" for cells in (headings, *rows)]
    lines.insert(1, "|---" + "|---:" * (len(headings) - 1) + "|")
    return lines


def version(package):
    run = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package],
                         capture_output=True, text=True)
    return run.stdout or "not installed"


def machine(bench):
    with open("/proc/cpuinfo") as info:
        model = next((line.partition(":")[2].strip() for line in info
                      if line.startswith("model name")), "unknown processor")
    packages = ", ".join(f"{one} {version(one)}" for one in PACKAGES)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return ["## This run", "", f"- {today}, {bench.cores} cores of {model}",
            f"- Linux {platform.release()}; other processes used "
            f"{bench.noise.share():.0%} of the machine",
            f"- Debian's {packages}",
            "- mod_dogpile "
            + ("lets clients wait without a thread"
               if bench.parks else "holds a thread for each client that waits,"
               " at most half of them; the others get 503"), ""]


def write(folder, bench, made, verdicts, results):
    lines = ["## Goals", "", *markdown(
        ["goal", "measured", "wanted", ""],
        [(what, measured, wanted, WORDS[met])
         for what, measured, wanted, met in verdicts]), ""]
    for scenario, headings, rows, note in made:
        lines += [f"## {scenario.name}: {scenario.title}", "",
                  f"{scenario.about} {note}", ""]
        if rows:
            lines += [*markdown(headings, rows), ""]
    (folder / "benchmarks.md").write_text(
        TOP.format(minutes=bench.minutes())
        + "\n".join(lines + machine(bench)) + "\n"
        + BOTTOM.format(cores=bench.cores, delay=bench.delay,
                        rest=REST_MS))
    (folder / "benchmarks.svg").write_text(chart.draw(results))
