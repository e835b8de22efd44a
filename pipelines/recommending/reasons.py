"""Why a video is in a list, in a few words that are true.

Computed for the videos of the list only; which ones these are is serving.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.catalogue import Catalogue
from pipelines.recommending.searching import Rows

NEAR = 2.0  # standard deviations above two videos that have nothing to do with each other
TASTE = 1.5  # times as frequent among what the viewer wanted as in the catalogue
LEAST = 3  # videos of a genre that were wanted, before it is called a taste

NEW, POPULAR, POPULAR_NOW, CLOSE = "new", "popular", "popular this month", "close to what you watched lately"


def nearest_liked(
    vectors: NDArray[np.float32], liked: NDArray[np.float32], usual: tuple[float, float]
) -> NDArray[np.intp]:
    """[n]: for each of ``vectors`` [n, d] the row of ``liked`` [m, d] with the greatest dot product, -1 where none is
    nearer than ``NEAR`` standard deviations above ``usual`` (mean, standard deviation)."""
    if not len(liked) or not len(vectors):
        return np.full(len(vectors), -1, np.intp)
    dots = vectors @ liked.T
    best = dots.argmax(axis=1)
    mean, deviation = usual
    return np.where(dots[np.arange(len(dots)), best] > mean + NEAR * deviation, best, -1)


def tastes(catalogue: Catalogue, wanted: Rows) -> dict[str, float]:
    """Genres (plain) that the viewer chose clearly more often than the catalogue has them: how many times so."""
    counts: Counter[str] = Counter()
    for genres in catalogue.genres_of(wanted):
        counts.update({genre.strip().casefold() for genre in genres})
    found = {}
    for genre, n in counts.items():
        times = n / len(wanted) / catalogue.share[genre]
        if n >= LEAST and times >= TASTE:
            found[genre] = times
    return found


def taste(genres: Sequence[str], tastes: dict[str, float]) -> str | None:
    """The genre of a video that matches best, as it is written there."""
    known = [genre for genre in genres if genre.strip().casefold() in tastes]
    return max(known, key=lambda genre: tastes[genre.strip().casefold()], default=None)


def because(title: str) -> str:
    return f"because you liked {title}"


def matches(genre: str) -> str:
    return f"matches your taste in {genre}"


def general(catalogue: Catalogue, row: int) -> str | None:
    """What is said of a video whoever asks: popular, or new (nobody has wanted it yet); None for neither."""
    if row < 0 or not catalogue.total[row]:
        return NEW
    popular, month = catalogue.often
    if catalogue.month[row] and catalogue.month[row] >= month:
        return POPULAR_NOW
    return POPULAR if catalogue.popular[row] >= popular else None
