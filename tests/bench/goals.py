# SPDX-License-Identifier: Apache-2.0
"""What mod_dogpile is to reach, and whether this run shows it.

A verdict is (what, measured, wanted, met), met None where it wasn't run. A time
is net where it is compared with a peer's: less what a static tile costs the
same clients.
"""
import functools
import statistics

OURS = "mod_dogpile"
TILE = "a static tile"
WORDS = {True: "met", False: "MISSED", None: "not run"}
FILES = "httpd, static files"
LEAST_MS = 0.1  # below which a net time is noise


def median(rounds, figure):
    """The median of a figure over the rounds that have it; else None."""
    values = [one[figure] for one in rounds
              if isinstance(one.get(figure), (int, float))]
    return statistics.median(values) if values else None


def worst(rounds, figure):
    values = [one[figure] for one in rounds if one.get(figure) is not None]
    return max(values) if values else None


def served(name, seen):
    """Whether all clients got their tile, in all rounds."""
    failed = worst(seen[OURS], "failed")
    return (f"{name}: clients without a tile", f"{failed}", "0", failed == 0)


def asked_once(name, seen):
    most = worst(seen[OURS], "upstream")
    return (f"{name}: source requests", f"{most}", "1", most == 1)


def net(seen, title, figure):
    """The median, less a static tile's; then never less than noise."""
    value = median(seen[title], figure)
    if value is None or TILE not in seen:
        return value
    return max(value - median(seen[TILE], figure), LEAST_MS)


def ratio(name, seen, peer, most):
    """Ours to a peer's net p95."""
    ours, theirs = net(seen, OURS, "p95"), net(seen, peer, "p95")
    if ours is None or theirs is None:
        return (f"{name}: p95 to {peer}'s", "nobody was served",
                f"<= {most}", False)
    return (f"{name}: net p95 to {peer}'s",
            f"{ours / theirs:.2f} ({ours:.1f} to {theirs:.1f} ms)",
            f"<= {most}", ours <= most * theirs)


def herd_one(seen):
    return [asked_once("herd-one", seen), served("herd-one", seen),
            ratio("herd-one", seen, "Varnish", 1)]


def herd_meta(seen):
    return [asked_once("herd-meta", seen), served("herd-meta", seen),
            ratio("herd-meta", seen, "mod_mapcache", 0.6)]


def starvation(seen, name="starvation"):
    latency = worst(seen[OURS], "max")
    unanswered = worst(seen[OURS], "unanswered")
    shown = "none" if latency is None else f"{latency:.1f} ms"
    return [asked_once(name, seen), served(name, seen),
            (f"{name}: a cached tile, max", shown, "<= 5 ms",
             not unanswered and latency is not None and latency <= 5)]


def crowd(seen):
    return starvation(seen, f"starvation-{worst(seen[OURS], 'waiters')}")


def at_once(name, seen):
    latency = worst(seen[OURS], "max")
    shown = "none" if latency is None else f"{latency:.1f} ms"
    return (f"{name}: max", shown, "<= 25 ms",
            latency is not None and latency <= 25)


def expired(seen):
    waited = worst(seen[OURS], "waited")
    return [asked_once("expired", seen), served("expired", seen),
            ("expired: clients who wait", f"{waited}", "0", waited == 0),
            ratio("expired", seen, "Varnish", 1), at_once("expired", seen)]


def sick(name, seen):
    return [asked_once(name, seen), served(name, seen), at_once(name, seen)]


def words(seen, *figures):
    """What was said in all rounds, as one text."""
    return ", ".join(sorted({" ".join(one[figure] for figure in figures)
                             for one in seen[OURS]}))


def broken(seen):
    late = worst(seen[OURS], "answered")
    told = words(seen, "statuses", "control", "retry")
    then = words(seen, "then")
    return [asked_once("broken", seen),
            ("broken: all answered after the delay", f"{late:.1f} ms",
             "<= 20 ms", late <= 20),
            ("broken: answers, Cache-Control, Retry-After", told,
             "502 no-store 5", told == "502 no-store 5"),
            ("broken: when it works again, after Retry-After", then, "200",
             then == "200")]


def fleeting(seen):
    return [served("fleeting", seen)]


def leaver(seen):
    return [asked_once("leaver", seen), served("leaver", seen)]


def hits(seen):
    verdicts = []
    for figure, name in (("one", "1 tile"), ("many", "1000 tiles")):
        share = median(seen[OURS], figure) / median(seen[FILES], figure)
        verdicts.append((f"hits, {name}: to httpd's static files",
                         f"{share:.2f}", ">= 1.25", share >= 1.25))
    return verdicts


def cut(seen):
    ours, libpng = seen[OURS], seen["libpng, level 6"]
    size = median(ours, "bytes") / median(libpng, "bytes")
    speed = median(libpng, "ms") / median(ours, "ms")
    return [("cut: size to libpng's, level 6", f"{size:.2f}", "<= 1",
             size <= 1),
            ("cut: times as fast as libpng, level 6", f"{speed:.1f}", ">= 2",
             speed >= 2)]


CHECKS = {"herd-one": herd_one, "herd-meta": herd_meta,
          "starvation": starvation, "starvation-10000": crowd,
          "expired": expired, "broken": broken, "leaver": leaver,
          "fleeting": fleeting, "hits": hits, "cut": cut}
CHECKS |= {name: functools.partial(sick, name) for name in (
    "expired-500", "expired-exception", "expired-redirect", "expired-cut",
    "expired-hanging")}


def check(results):
    verdicts = []
    for name, seen in results.items():
        if name not in CHECKS:
            continue
        if "skipped" in seen:
            verdicts.append((f"{name}: {seen['skipped']}", "", "", None))
        else:
            verdicts += CHECKS[name](seen)
    return verdicts
