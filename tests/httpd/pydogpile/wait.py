# SPDX-License-Identifier: Apache-2.0
"""The only place that sleeps: polling for a state, with a deadline."""
import time

DEADLINE_SEC = 30
POLL_SEC = 0.01


def until(condition, what, deadline=DEADLINE_SEC):
    """The first true value of condition(); AssertionError at the deadline.

    `what` names the state, or is called to tell what there is instead.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {deadline} s: {text}")
        time.sleep(POLL_SEC)


def settled(condition, deadline):
    """Waits for what would be nice; returns whether it came."""
    try:
        until(condition, "", deadline)
    except AssertionError:
        return False
    return True
