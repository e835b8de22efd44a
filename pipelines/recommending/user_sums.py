"""Running sums over viewers' events, of which the features of any prefix are differences.

All are of integers: they have no rounding, so how many viewers are summed at once cannot show in a feature. What the
differences mean is user_columns.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FIXED = 4096  # real numbers are summed as integers of 1 / FIXED
HOUR, DAY = 3600, 86_400  # s
_SESSION = 1800  # s without an event that part two sessions
_ANY_TIME = 1 << 40  # s on either side of 1970
_LONGEST = 1 << 36  # s that count as age: 2^26 such ages still fit in an integer
_BITS = 42  # of a key that hold a time
_SUMS = 16


@dataclass(frozen=True, slots=True)
class ItemTable:
    """What the events' items bring into the sums; the last row is for items that are unknown."""

    genres: NDArray[np.uint8]  # [n_genres, n_items + 1]
    popularity: NDArray[np.int32]  # [n_items + 1] in 1 / FIXED
    year: NDArray[np.int32]  # [n_items + 1] in 1 / FIXED, 0 where unknown
    dated: NDArray[np.bool_]  # [n_items + 1] whether the year is known


class Sums(NamedTuple):
    """What is summed, each [n]: events of a kind unless said."""

    wanted: NDArray[np.int64]
    rated: NDArray[np.int64]
    rating: NDArray[np.int64]  # in 1 / FIXED, as its square, popularity and year are
    square: NDArray[np.int64]
    popularity: NDArray[np.int64]
    year: NDArray[np.int64]
    dated: NDArray[np.int64]
    repeated: NDArray[np.int64]  # with an item that was met before
    night: NDArray[np.int64]  # 0 to 6 o'clock UTC, then the other quarters of the day
    morning: NDArray[np.int64]
    afternoon: NDArray[np.int64]
    evening: NDArray[np.int64]
    weekend: NDArray[np.int64]
    same_second: NDArray[np.int64]  # as the event before
    sessions: NDArray[np.int64]  # begun
    age: NDArray[np.int64]  # s since the viewer's first event


@dataclass(frozen=True, slots=True)
class Events:
    """n events of one or more viewers, one after the other, each viewer's sorted by time; sums from the first event
    of the first viewer on."""

    sums: NDArray[np.int64]  # [16, n + 1], see `Sums`
    genres: NDArray[np.int32]  # [n_genres, n + 1] of wanted events
    times: NDArray[np.int64]  # [n] s
    keys: NDArray[np.int64]  # [n] ascending: viewer, then time
    gaps: NDArray[np.int64]  # [n] s since the viewer's event before; 0 for the first
    sessions: NDArray[np.int64]  # [n] the event with which each one's session began
    ratings: NDArray[np.int64]  # [n] in 1 / FIXED
    rated: NDArray[np.bool_]
    wanted: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        viewers: NDArray[np.int64],  # [n] 0, 1, 2 ... ascending
        items: NDArray[np.int64],  # [n] any numbers from 0 on
        times: NDArray[np.int64],
        ratings: NDArray[np.float64],  # [n] standardised, NaN where there is none
        wanted: NDArray[np.bool_],
        table: ItemTable,
        rows: NDArray[np.int64],  # [n] of the table
    ) -> Events:
        n = len(viewers)
        number = np.arange(n)
        times = np.clip(times, -_ANY_TIME, _ANY_TIME)
        first = np.ones(n, np.bool_)
        first[1:] = viewers[1:] != viewers[:-1]
        gaps = np.zeros(n, np.int64)
        gaps[1:] = times[1:] - times[:-1]
        gaps[first] = 0
        begun = times[np.maximum.accumulate(np.where(first, number, 0))] if n else times
        fresh = first | (gaps > _SESSION)
        repeated = np.ones(n, np.bool_)
        repeated[np.unique(viewers * (int(items.max(initial=0)) + 1) + items, return_index=True)[1]] = False
        rated = np.isfinite(ratings)
        level = np.where(rated, ratings, 0.0)
        fixed = np.rint(level * FIXED).astype(np.int64)
        part = times % DAY // (6 * HOUR)
        sums = np.zeros((_SUMS, n + 1), np.int64)
        for row, column in enumerate(
            (
                wanted,
                rated,
                fixed,
                np.rint(level * level * FIXED),
                table.popularity[rows],
                table.year[rows],
                table.dated[rows],
                repeated,
                part == 0,
                part == 1,
                part == 2,
                part == 3,
                (times // DAY + 3) % 7 >= 5,  # 1970 began on a Thursday
                (gaps == 0) & ~first,
                fresh,
                np.minimum(times - begun, _LONGEST),
            )
        ):
            sums[row, 1:] = column
        genres = np.zeros((table.genres.shape[0], n + 1), np.int32)
        np.cumsum(table.genres[:, rows] * wanted, axis=1, out=genres[:, 1:], dtype=np.int32)
        return cls(
            sums=np.cumsum(sums, axis=1, out=sums),
            genres=genres,
            times=times,
            keys=(viewers << _BITS) + times - begun,
            gaps=gaps,
            sessions=np.maximum.accumulate(np.where(fresh, number, 0)) if n else number,
            ratings=fixed,
            rated=rated,
            wanted=wanted,
        )

    def between(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Sums:
        """The sums over the events ``starts[i]:ends[i]``."""
        return Sums(*(self.sums[:, ends] - self.sums[:, starts]))
