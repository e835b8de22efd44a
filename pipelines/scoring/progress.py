"""How far a run is: rows, rate, what is left; how long each chunk takes. Written by the event loop's thread, read by
whoever watches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sized
from dataclasses import dataclass, field, replace

from pipelines.scoring.scored import Tally

SPAN = 15.0  # s that the rate is taken over


@dataclass(frozen=True, slots=True)
class Progress:
    rows: int  # done, in earlier runs as well
    of: int
    tally: Tally  # of this run
    rate: float  # rows a second, lately
    eta: float | None  # s; None while nobody can tell
    window: float  # requests that may be in flight


@dataclass(slots=True)
class Meter:
    """``done`` and ``tally`` are added to by the writer alone; ``read`` is called by one thread at a time."""

    of: int
    done: int = 0
    tally: Tally = field(default_factory=Tally)
    window: float = 0.0
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def read(self, now: float) -> Progress:
        # Rows of this run only: those of an earlier one, found again in a moment, are no speed.
        done, scored = self.done, self.tally.rows
        samples = self._samples
        samples.append((now, scored))
        while len(samples) > 2 and now - samples[0][0] > SPAN:
            samples.popleft()
        begin, before = samples[0]
        rate = (scored - before) / (now - begin) if now > begin else 0.0
        left = self.of - done
        eta = 0.0 if left <= 0 else left / rate if rate > 0 else None
        return Progress(done, self.of, replace(self.tally), rate, eta, self.window)


class Shared:
    """Time as chunks have it that are under way together: while n are open, each gets an n-th of it, so that the
    chunks' seconds add up to the run's."""

    def __init__(self, open_: Sized, clock: Callable[[], float]) -> None:
        self._open, self._clock = open_, clock
        self._seconds, self._looked = 0.0, clock()

    def seconds(self) -> float:
        """So far, of a chunk that was open all the time. To be called before one is opened or closed."""
        now = self._clock()
        if self._open:
            self._seconds += (now - self._looked) / len(self._open)
        self._looked = now
        return self._seconds
