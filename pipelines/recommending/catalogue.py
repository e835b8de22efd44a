"""What there is to recommend, as columns in memory: which videos pass a filter, and which are popular.

Made anew when the tables change (shelves.py); the rows themselves stay storage/recommendations.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.searching import Ids, Lookup, Rows
from pipelines.storage.recommendations import Columns, Wanted

OFTEN = 0.02  # the share of the videos that is called popular


@dataclass(frozen=True, slots=True)
class Filters:
    genres: tuple[str, ...] = ()  # any of them
    without_genres: tuple[str, ...] = ()  # none of them
    available: bool = True

    @classmethod
    def of(cls, genres: Sequence[str], without_genres: Sequence[str], available: bool) -> Filters:
        return cls(tuple(map(_plain, genres)), tuple(map(_plain, without_genres)), available)

    def admits(self, genres: Sequence[str], available: bool) -> bool:
        if not self.genres and not self.without_genres:
            return available or not self.available
        names = {_plain(genre) for genre in genres}
        wanted = not self.genres or not names.isdisjoint(self.genres)
        return wanted and names.isdisjoint(self.without_genres) and (available or not self.available)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """n videos. ``popular`` [n]: decayed count of who wanted each, ``month`` in the last 30 days, ``total`` ever."""

    ids: Ids
    groups: NDArray[np.intp]
    genres: tuple[tuple[str, ...], ...]  # of each group
    available: NDArray[np.bool_]  # of each group
    popular: NDArray[np.float64]
    month: NDArray[np.int64]
    total: NDArray[np.int64]
    best: Rows  # [n] the most popular first, ties by id
    lookup: Lookup
    names: dict[str, str]  # genre as it is written, by the plain word
    share: dict[str, float]  # of the videos, by plain genre
    words: NDArray[np.float32]  # [groups, genres]: 1 for the plain genres, in the order of ``share``, of each group
    often: tuple[float, float]  # least ``popular`` and least ``month`` of the most popular 2 %

    @classmethod
    def of(cls, columns: Columns, wanted: Wanted) -> Catalogue:
        lookup = Lookup.of(columns.ids)
        n = len(columns.ids)
        rows = lookup.rows(wanted.ids)
        known = rows >= 0
        counts: list[NDArray[Any]] = [np.zeros(n, kind) for kind in (np.float64, np.int64, np.int64)]
        for column, values in zip(counts, (wanted.score, wanted.month, wanted.total), strict=True):
            column[rows[known]] = values[known]
        sizes = np.bincount(columns.groups, minlength=len(columns.genres))
        share: dict[str, float] = {}
        for genres, size in zip(columns.genres, sizes.tolist(), strict=True):
            for genre in {_plain(g) for g in genres}:
                share[genre] = share.get(genre, 0.0) + size / max(n, 1)
        place = {genre: number for number, genre in enumerate(share)}
        words = np.zeros((len(columns.genres), len(share)), np.float32)
        for group, genres in enumerate(columns.genres):
            words[group, [place[_plain(g)] for g in genres]] = 1
        names = {_plain(genre): genre for genres in columns.genres for genre in genres}
        few = max(1, int(OFTEN * n))
        often = tuple(float(np.partition(c, n - few)[n - few]) if n else 0.0 for c in (counts[0], counts[1]))
        return cls(
            columns.ids,
            columns.groups,
            columns.genres,
            columns.available,
            counts[0],
            counts[1],
            counts[2],
            np.lexsort((columns.ids, -counts[0])),
            lookup,
            names,
            share,
            words,
            (often[0], often[1]),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, ids: Ids) -> Rows:
        """Row of each id, -1 where there is none."""
        return self.lookup.rows(ids)

    def admitted(self, filters: Filters) -> NDArray[np.bool_]:
        """[n]: which videos pass."""
        groups = [filters.admits(g, bool(a)) for g, a in zip(self.genres, self.available, strict=True)]
        return np.array(groups, np.bool_)[self.groups]

    def genre_counts(self, viewers: Rows, rows: Rows, m: int) -> NDArray[np.float32]:
        """[m, genres]: how many of each viewer's videos have each genre of ``share``; ``viewers`` [n] says whose each
        of ``rows`` [n] is."""
        n = len(self.genres)
        of_groups = np.bincount(viewers * n + self.groups[rows], minlength=m * n).reshape(m, n)
        return np.asarray(of_groups.astype(np.float32) @ self.words)


def _plain(genre: str) -> str:
    return genre.strip().casefold()
