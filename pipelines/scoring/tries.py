"""Trying a service again: what was no failure for good, and how long somebody waits for it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pipelines.errors import Unavailable
from pipelines.scoring.quota import Stopped

PATIENCE = 300.0  # s
FIRST, LONGEST = 1.0, 32.0  # s between two tries
T = TypeVar("T")


class Busy(Exception):
    """Not this time: a used-up quota, a network, a fault of theirs. What was asked for may have been done."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        self.reason, self.retry_after = reason, retry_after
        super().__init__(reason)


class Elsewhere(Exception):
    """What was asked for is not where it was: a worksheet was renamed, rows or columns were deleted."""


def patiently(what: str, call: Callable[[], T], stop: threading.Event, within: float | None = None) -> T:
    """``call`` until it is not Busy; Unavailable when it still is ``within`` seconds (PATIENCE) later, Stopped with
    ``stop``."""
    within = PATIENCE if within is None else within
    until = time.monotonic() + within
    pause = FIRST
    while True:
        try:
            return call()
        except Busy as busy:
            wait = busy.retry_after or pause * (1 + random.random() / 4)  # noqa: S311 (no secret)
            if time.monotonic() + wait > until:
                raise Unavailable(what, f"{busy.reason}, for {within:.0f} s", 60.0) from None
        if stop.wait(wait):
            raise Stopped
        pause = min(pause * 2, LONGEST)
