"""Why a video is in a list, in a few words that are true.

Computed for the videos of the list only; which ones these are is serving.py's.
"""

from __future__ import annotations

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
    vectors: NDArray[np.float32],
    liked: NDArray[np.float32],
    usual: tuple[float, float],
    known: NDArray[np.bool_] | None = None,
) -> NDArray[np.intp]:
    """[..., n]: for each of ``vectors`` [..., n, d] the row of ``liked`` [..., m, d] (of those that ``known`` [..., m]
    marks) with the greatest dot product, -1 where none is nearer than ``NEAR`` standard deviations above ``usual``
    (mean, standard deviation)."""
    if not liked.shape[-2] or not vectors.shape[-2]:
        return np.full(vectors.shape[:-1], -1, np.intp)
    dots = vectors @ liked.swapaxes(-1, -2)
    if known is not None:
        np.copyto(dots, -np.inf, where=~known[..., None, :])
    best = dots.argmax(axis=-1)
    mean, deviation = usual
    near = np.take_along_axis(dots, best[..., None], axis=-1)[..., 0] > mean + NEAR * deviation
    return np.where(near, best, -1)


def tastes(catalogue: Catalogue, wanted: Rows) -> dict[str, float]:
    """Genres (plain) that the viewer chose clearly more often than the catalogue has them: how many times so."""
    return tastes_of_each(catalogue, np.zeros(len(wanted), np.intp), wanted, 1)[0]


def tastes_of_each(catalogue: Catalogue, viewers: Rows, wanted: Rows, m: int) -> list[dict[str, float]]:
    """``tastes`` of m viewers; ``viewers`` [n]: who wanted the video in each row of ``wanted`` [n]."""
    found: list[dict[str, float]] = [{} for _ in range(m)]
    counts = catalogue.genre_counts(viewers, wanted, m)
    sizes = np.maximum(np.bincount(viewers, minlength=m), 1)
    times = counts / sizes[:, None] / np.array(list(catalogue.share.values()))
    names = list(catalogue.share)
    who, which = np.nonzero((counts >= LEAST) & (times >= TASTE))
    for viewer, genre, value in zip(who.tolist(), which.tolist(), times[who, which].tolist(), strict=True):
        found[viewer][names[genre]] = value
    return found


def taste(genres: Sequence[str], tastes: dict[str, float]) -> str | None:
    """The genre of a video that matches best, as it is written there."""
    known = [genre for genre in genres if genre.strip().casefold() in tastes]
    return max(known, key=lambda genre: tastes[genre.strip().casefold()], default=None)


def because(title: str) -> str:
    return f"because you liked {title}"


def matches(genre: str) -> str:
    return f"matches your taste in {genre}"


def general(catalogue: Catalogue, rows: Rows) -> list[str | None]:
    """What is said of videos whoever asks: popular, or new (nobody has wanted it yet); None for neither."""
    if not len(catalogue):
        return [None] * len(rows)
    least, least_month = catalogue.often
    columns = (catalogue.total[rows], catalogue.month[rows], catalogue.popular[rows])
    found: list[str | None] = []
    for row, total, month, popular in zip(rows.tolist(), *(c.tolist() for c in columns), strict=True):
        if row < 0 or not total:
            found.append(NEW)
        elif month and month >= least_month:
            found.append(POPULAR_NOW)
        else:
            found.append(POPULAR if popular >= least else None)
    return found
