"""Who was behind a secret a moment ago: answers are remembered, so that most requests ask nobody.

A revocation is seen within ten seconds. While the database is away, who was known goes on for ten minutes.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from pipelines import clock
from pipelines.errors import Unavailable
from pipelines.identity.callers import Caller

FRESH = 10.0  # s that somebody's answer counts
SOON = 5.0  # s after which it is asked for again, beforehand
AWAY = 600.0  # s that it counts while nobody can be asked
REFUSED = 2.0  # s that a refusal counts
AGAIN = 2.0  # s between two questions while nobody can be asked
MOST = 10_000  # remembered of each kind


class Answer(Protocol):
    """What a check of a key, a token or a cookie comes to."""

    @property
    def caller(self) -> Caller: ...
    @property
    def expires_at(self) -> datetime | None: ...


A = TypeVar("A", bound=Answer)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Seen(Generic[A]):
    answer: A
    at: float


@dataclass(frozen=True, slots=True)
class Known(Generic[A]):
    """``answer``: None is a refusal. ``ask``: time to ask again, though this still counts."""

    answer: A | None
    ask: bool = False


class Remembered(Generic[A]):
    """Any number of threads may use it. ``check`` asks: it blocks, and raises Unavailable while it cannot be known."""

    def __init__(self, check: Callable[[str], A | None], *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._seconds = seconds
        self._good: OrderedDict[bytes, _Seen[A]] = OrderedDict()
        self._bad: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._forgotten = 0
        self._failed: tuple[float, Unavailable] | None = None

    def __len__(self) -> int:
        return len(self._good) + len(self._bad)

    def known(self, secret: str) -> Known[A] | None:
        """What is known of it without asking; None when somebody must be asked. Costs microseconds. Raises Unavailable
        when it is not known and nobody could be asked a moment ago."""
        secret_mark, now = mark(secret), self._seconds()
        if (seen := self._good.get(secret_mark)) is not None:
            if _over(seen.answer):
                return Known(None)
            age = now - seen.at
            if age < FRESH:
                return Known(seen.answer, age >= SOON and not self._just_failed(now))
            if age < AWAY and self._failed is not None:
                return Known(seen.answer, not self._just_failed(now))
            return None
        if (at := self._bad.get(secret_mark)) is not None and now - at < REFUSED:
            return Known(None)
        if (failed := self._failed) is not None and self._just_failed(now):
            raise Unavailable(failed[1].what, failed[1].reason, failed[1].retry_after)
        return None

    def late(self, secret: str) -> A | None:
        """Who it was, for when asking takes too long; None when that is not known, or too long ago."""
        seen = self._good.get(mark(secret))
        if seen is None or self._seconds() - seen.at >= AWAY or _over(seen.answer):
            return None
        return seen.answer

    def ask(self, secret: str) -> A | None:
        """Asks, and remembers; None is a refusal. Unavailable when it can neither be known nor was."""
        forgotten = self._forgotten
        try:
            answer = self._check(secret)
        except Unavailable as error:
            self._failed = (self._seconds(), error)
            if (before := self.late(secret)) is not None:
                return before
            raise
        secret_mark = mark(secret)
        with self._lock:
            self._failed = None
            now = self._seconds()
            if answer is None:
                self._good.pop(secret_mark, None)
                _keep(self._bad, secret_mark, now)
            elif forgotten == self._forgotten:  # else it may have been read just before it was revoked
                self._bad.pop(secret_mark, None)
                _keep(self._good, secret_mark, _Seen(answer, now))
        return answer

    def hangs(self, error: Unavailable) -> None:
        """A question has no answer yet: until there is one, it is as if it had failed with this error."""
        self._failed = (self._seconds(), error)

    def forget(self, gone: Callable[[Caller], bool]) -> None:
        """These callers are asked for again: what they came with was revoked in this process."""
        with self._lock:
            self._forgotten += 1
            for one in [one for one, seen in self._good.items() if gone(seen.answer.caller)]:
                del self._good[one]

    def _just_failed(self, now: float) -> bool:
        return self._failed is not None and now - self._failed[0] < AGAIN


def mark(secret: str) -> bytes:
    """What stands for the secret: memory holds none."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _over(answer: Answer) -> bool:
    return answer.expires_at is not None and answer.expires_at <= clock.now()


def _keep(room: OrderedDict[bytes, V], secret_mark: bytes, value: V) -> None:
    room[secret_mark] = value
    room.move_to_end(secret_mark)
    while len(room) > MOST:
        room.popitem(last=False)
