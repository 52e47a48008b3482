# SPDX-License-Identifier: Apache-2.0
"""benchmarks.svg: bars by scenario, readable on white and on black.

Times are on a logarithmic scale, since they reach from under one ms to tens
of seconds; every bar has its figure beside it.
"""
import math
from xml.sax.saxutils import escape

from goals import FILES, TILE, median

WIDTH, LABEL, BAR_MAX = 760, 150, 430
ROW, HEAD, GAP = 18, 30, 14
LEAST = 0.1  # ms, where a bar begins

# scenario, figure, heading, whether to the ratio of httpd's static files
PANELS = (
    ("herd-one", "p95", "100 clients, one cold tile: overhead p95, ms"),
    ("herd-meta", "upstream", "64 clients, 16 tiles: requests to the source"),
    ("herd-meta", "p95", "64 clients, 16 tiles: overhead p95, ms"),
    ("starvation", "max", "a cached tile while 200 wait: max, ms"),
    ("expired", "p95", "50 clients, an expired tile: p95, ms"),
    ("broken", "answered", "broken source: all answered after, ms"),
    ("hits", "one", "hits per second, one tile, to httpd's static files"),
)

STYLE = """\
text { font: 12px sans-serif; fill: #24292f; }
.head { font-weight: bold; }
.bar { fill: #8c959f; }
.ours { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #6e7681; }
  .ours { fill: #4493f8; }
}
"""


def remark(rounds):
    """A quick error is no quick answer."""
    failed = median(rounds, "failed")
    return f" ms, but {failed:.0f} got no tile" if failed else ""


def values(results, scenario, figure):
    """[(title, value)] of a panel; none where the scenario didn't run."""
    seen = results.get(scenario, {})
    if not seen or "skipped" in seen:
        return []
    pairs = [(title, median(rounds, figure)) for title, rounds in seen.items()
             if title != TILE]
    pairs = [(title, value) for title, value in pairs if value is not None]
    if scenario == "hits":
        base = dict(pairs)[FILES]
        pairs = [(title, value / base) for title, value in pairs]
    return pairs


def is_linear(scenario, figure):
    return scenario == "hits" or figure == "upstream"


def length(value, most, linear):
    if linear:
        return BAR_MAX * value / most
    value, most = max(value, LEAST * 1.2), max(most, 1)
    return BAR_MAX * math.log(value / LEAST) / math.log(most / LEAST)


def text_of(value, figure):
    if figure == "upstream":
        return f"{value:.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" \
        if value < 10 else f"{value:.1f}"


def panel(y, heading, results, scenario, figure):
    """The lines of one panel that begins at y, and where it ends."""
    pairs = values(results, scenario, figure)
    if not pairs:
        return [], y
    most = max(value for _, value in pairs)
    linear = is_linear(scenario, figure)
    lines = [f'<text class="head" x="0" y="{y + 16}">{escape(heading)}</text>']
    for i, (title, value) in enumerate(pairs):
        top = y + HEAD + i * ROW
        wide = max(length(value, most, linear), 1)
        more = remark(results[scenario][title])
        kind = "bar ours" if title == "mod_dogpile" else "bar"
        lines += [
            f'<text x="{LABEL - 8}" y="{top + 11}" text-anchor="end">'
            f'{escape(title)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{top}" '
            f'width="{wide:.1f}" height="{ROW - 4}"/>',
            f'<text x="{LABEL + wide + 6:.1f}" y="{top + 11}">'
            f'{text_of(value, figure)}{more}</text>']
    return lines, y + HEAD + len(pairs) * ROW + GAP


def draw(results):
    lines, y = [], 0
    for scenario, figure, heading in PANELS:
        drawn, y = panel(y, heading, results, scenario, figure)
        lines += drawn
    lines.append(f'<text x="0" y="{y + 12}">Times: logarithmic scale, from '
                 f'{LEAST} ms; less is better. Hits: more is better.</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{y + 20}" viewBox="0 0 {WIDTH} {y + 20}">\n'
            f"<style>\n{STYLE}</style>\n" + "\n".join(lines) + "\n</svg>\n")
