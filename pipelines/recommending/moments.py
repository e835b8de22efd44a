"""When the last event was, and how long the history is: the few plain numbers every user tower is given.

They are taken from the history and the moment of asking, so that a prefix and a viewer of today are described alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions
from pipelines.recommending.prefixes import AWAY

_WAVES = (0.5, 1.0, 2.0, 4.0, 8.0)  # over the span of training: when an event was, to about a thirtieth of it
NAMES = (
    "history_length",
    "last_event_time",
    *(f"last_event_{shape}_{wave:g}" for wave in _WAVES for shape in ("sin", "cos")),
    "hour_sin",
    "hour_cos",
    "gap_before_last",
    "history_span",
    "away",
    "away_log",
)
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Moments:
    """The span of the times that were learned from, in seconds since the epoch."""

    first: int
    last: int

    def of_prefixes(
        self,
        interactions: Interactions,
        users: NDArray[np.int32],
        lengths: NDArray[np.int32],
        asked: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """[n, len(NAMES)]; of an empty prefix, what a new viewer of the end of training would have. ``asked``: the
        moments of asking [n], s since the epoch; by default right after the last event."""
        if not len(interactions):
            last = np.full(len(users), self.last, np.int64)
            return self._numbers(last, last, last, lengths, asked)
        start = interactions.offsets[users]
        end = np.maximum(start + lengths - 1, 0)
        places = (np.minimum(at, len(interactions) - 1) for at in (end, np.maximum(end - 1, start), start))
        last, before, first = (np.where(lengths == 0, self.last, interactions.times[at]) for at in places)
        return self._numbers(last, before, first, lengths, asked)

    def of_events(self, times: NDArray[np.int64], asked: int | None = None) -> NDArray[np.float32]:
        """[len(NAMES)] of one history, oldest first."""
        ends = (times[-1], times[max(len(times) - 2, 0)], times[0]) if len(times) else (self.last,) * 3
        last, before, first = (np.array([end], np.int64) for end in ends)
        moment = None if asked is None else np.array([asked], np.int64)
        found: NDArray[np.float32] = self._numbers(last, before, first, np.array([len(times)], np.int32), moment)[0]
        return found

    def _numbers(
        self,
        last: NDArray[np.int64],
        before: NDArray[np.int64],
        first: NDArray[np.int64],
        lengths: NDArray[np.int32],
        asked: NDArray[np.int64] | None,
    ) -> NDArray[np.float32]:
        # after training's end time stands still: the waves have not been learned there
        place = np.clip((last - self.first) / max(self.last - self.first, 1), 0.0, 1.0)
        hour = 2 * np.pi * (last % int(_DAY)) / _DAY
        waves = [shape(2 * np.pi * wave * place) for wave in _WAVES for shape in (np.sin, np.cos)]
        gaps = [np.log1p(np.maximum(last - since, 0)) / 10 for since in (before, first)]
        gone = np.zeros(len(last)) if asked is None else np.maximum(asked - last, 0).astype(np.float64)
        # who is back sooner goes on; who is new comes from outside, too
        gone = np.where((gone >= AWAY) & (lengths > 0), gone, 0.0)
        outside = (gone > 0) | (lengths == 0)
        away = [outside, np.log1p(gone / AWAY) / 5]
        # Who comes back is in a time that was not learned: told the time of the last event, the tower would repeat what
        # was popular then instead of trusting the prior.
        still = ~outside
        place, waves = place * still, [wave * still for wave in waves]
        numbers = [np.log1p(lengths) / 3, place, *waves, np.sin(hour), np.cos(hour), *gaps, *away]
        return np.stack(numbers, axis=1).astype(np.float32)
