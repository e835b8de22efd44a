"""Who was behind a key a moment ago: answers are remembered, so that most requests ask the database nothing.

A revocation is seen within ten seconds. While the database is away, keys that were good go on for ten minutes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from pipelines import clock
from pipelines.errors import Unavailable
from pipelines.identity.callers import Caller

FRESH = 10.0  # s that somebody's answer counts
SOON = 5.0  # s after which it is asked for again, beforehand
AWAY = 600.0  # s that it counts while nobody can be asked
REFUSED = 2.0  # s that a refusal counts
AGAIN = 2.0  # s between two questions while nobody can be asked
MOST = 10_000  # remembered of each kind
V = TypeVar("V")


class Answer(Protocol):
    """What a check of a key or token comes to."""

    @property
    def caller(self) -> Caller: ...
    @property
    def expires_at(self) -> datetime | None: ...


@dataclass(slots=True)
class _Seen:
    answer: Answer
    at: float


@dataclass(frozen=True, slots=True)
class Known:
    """``caller``: None is a refusal. ``ask``: time to ask again, though this still counts."""

    caller: Caller | None
    ask: bool = False


class Remembered:
    """Any number of threads may use it. ``check`` asks: it blocks, and raises Unavailable while it cannot be known."""

    def __init__(self, check: Callable[[str], Answer | None], *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._seconds = seconds
        self._good: OrderedDict[bytes, _Seen] = OrderedDict()
        self._bad: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._failed: tuple[float, Unavailable] | None = None

    def known(self, secret: str) -> Known | None:
        """What is known of it without asking; None when somebody must be asked. Costs microseconds. Raises Unavailable
        when it was never seen and nobody could be asked a moment ago."""
        mark, now = _mark(secret), self._seconds()
        if (seen := self._good.get(mark)) is not None:
            if seen.answer.expires_at is not None and seen.answer.expires_at <= clock.now():
                return Known(None)
            age, failed = now - seen.at, self._failed
            if age < FRESH:
                return Known(seen.answer.caller, age >= SOON and not self._just_failed(now))
            if age < AWAY and failed is not None:
                return Known(seen.answer.caller, not self._just_failed(now))
            return None
        if (at := self._bad.get(mark)) is not None and now - at < REFUSED:
            return Known(None)
        if self._failed is not None and self._just_failed(now):
            raise self._failed[1]
        return None

    def late(self, secret: str) -> Caller | None:
        """Who it was, for when asking takes too long; None when that is not known, or too long ago."""
        seen = self._good.get(_mark(secret))
        if seen is None or self._seconds() - seen.at >= AWAY:
            return None
        expired = seen.answer.expires_at is not None and seen.answer.expires_at <= clock.now()
        return None if expired else seen.answer.caller

    def ask(self, secret: str) -> Caller | None:
        """Asks, and remembers; None is a refusal. Unavailable when it can neither be known nor was."""
        mark = _mark(secret)
        try:
            answer = self._check(secret)
        except Unavailable as error:
            self._failed = (self._seconds(), error)
            if (caller := self.late(secret)) is not None:
                return caller
            raise
        with self._lock:
            self._failed = None
            now = self._seconds()
            if answer is None:
                self._good.pop(mark, None)
                _keep(self._bad, mark, now)
            else:
                self._bad.pop(mark, None)
                _keep(self._good, mark, _Seen(answer, now))
        return answer.caller if answer is not None else None

    def forget(self, key_id: int) -> None:
        """Whoever comes with this key is asked for again: it was revoked in this process."""
        with self._lock:
            for mark in [m for m, seen in self._good.items() if seen.answer.caller.key_id == key_id]:
                del self._good[mark]

    def _just_failed(self, now: float) -> bool:
        return self._failed is not None and now - self._failed[0] < AGAIN


def _mark(secret: str) -> bytes:
    """In place of the secret: memory holds none."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _keep(room: OrderedDict[bytes, V], mark: bytes, value: V) -> None:
    room[mark] = value
    room.move_to_end(mark)
    while len(room) > MOST:
        room.popitem(last=False)
