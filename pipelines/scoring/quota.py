"""A quota of so many calls in any stretch of time, kept by whoever calls. What a call is, is google_http.py's."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class Stopped(Exception):
    """Nobody waits for this any more."""


class Bucket:
    """At most ``calls`` in any ``period`` seconds, by the times of the last ``calls`` of them; safe across threads.

    A log of times instead of a bucket that drips: a quota that is refilled once a minute and one that looks back a
    minute are both met, and the whole of it may be used at once.
    """

    def __init__(self, calls: int, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        if calls < 1 or period <= 0:
            raise ValueError(f"a quota of {calls} calls in {period} s")
        self.calls, self.period = calls, period
        self._clock = clock
        self._times: deque[float] = deque(maxlen=calls)
        self._shut_until = float("-inf")
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Seconds until a call may be made; 0 now."""
        with self._lock:
            return self._wait(self._clock())

    def try_take(self) -> float:
        """Takes a call and returns 0, or takes none and returns the seconds until there is one."""
        with self._lock:
            now = self._clock()
            left = self._wait(now)
            if not left:
                self._times.append(now)
            return left

    def take(self, stop: threading.Event | None = None, within: float = float("inf")) -> bool:
        """Waits for a call and takes it; False when there is none ``within`` seconds. Raises Stopped with ``stop``."""
        until = self._clock() + within
        while left := self.try_take():
            if self._clock() + left > until:
                return False
            if stop is None:
                time.sleep(left)
            elif stop.wait(left):
                raise Stopped
        return True

    def shut(self, seconds: float) -> None:
        """Nobody calls for so long: the owner of the quota has said that it is used up, by others, too."""
        with self._lock:
            self._shut_until = max(self._shut_until, self._clock() + seconds)

    def _wait(self, now: float) -> float:
        shut = self._shut_until - now
        full = self._times[0] + self.period - now if len(self._times) == self.calls else 0.0
        return max(0.0, shut, full)
