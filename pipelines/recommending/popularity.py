"""Scorers that know nothing of a viewer but the time: what is chosen most, and what has been chosen most lately.

The matrix that the personal scorers learn from is made here too, and what they say of a viewer without history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Scorer = Callable[[NDArray[np.int32]], NDArray[np.float32]]  # rows of user_ids [n] -> scores [n, n_items]
DAY = 86_400.0


def counts(train: Interactions) -> NDArray[np.int64]:
    """int64[n_items]: how often each item was wanted."""
    return np.bincount(train.items[train.wanted], minlength=train.n_items)


def popularity(train: Interactions) -> Scorer:
    """The number of times an item was wanted, the same for everybody."""
    scores = counts(train).astype(np.float32)
    return lambda users: np.tile(scores, (len(users), 1))


def recent_popularity(
    train: Interactions, *, half_life_days: float = 14.0, as_of: Literal["now", "viewer"] = "now"
) -> Scorer:
    """Counts that lose half their weight every ``half_life_days``.

    ``as_of``: "now", the last event of all, as a service would; "viewer", the viewer's own last event, with nothing
    from after it, which is what leave-last-out asks, since it judges each viewer at another time. Viewers without
    history are always given the counts of now.
    """
    rows = np.flatnonzero(train.wanted)
    rows = rows[np.argsort(train.times[rows], kind="stable")]
    times, items = train.times[rows].astype(np.float64), train.items[rows]
    rate = np.log(2) / (half_life_days * DAY)
    end = float(train.times.max(initial=0))
    ends = np.full(train.n_users, end)
    if as_of == "viewer":
        offsets = train.offsets
        known = np.flatnonzero(np.diff(offsets))
        ends[known] = train.times[offsets[known + 1] - 1]

    def score(users: NDArray[np.int32]) -> NDArray[np.float32]:
        out = np.empty((len(users), train.n_items), np.float32)
        weights, before, done = np.zeros(train.n_items), 0.0, 0
        asked = ends[users]
        for moment in np.unique(asked):
            upto = int(np.searchsorted(times, moment, side="right"))
            weights *= np.exp(-rate * (moment - before))
            fresh = np.exp(-rate * (moment - times[done:upto]))
            weights += np.bincount(items[done:upto], weights=fresh, minlength=train.n_items)
            before, done = moment, upto
            out[asked == moment] = weights
        return out

    return score


def matrix(train: Interactions) -> csr_matrix:
    """float32[n_users, n_items]: 1 where a viewer wanted an item, however often."""
    from scipy.sparse import csr_matrix

    rows, columns = train.users[train.wanted], train.items[train.wanted]
    ones = np.ones(len(rows), np.float32)
    chosen = csr_matrix((ones, (rows, columns)), shape=(train.n_users, train.n_items))
    chosen.sum_duplicates()
    chosen.data[:] = 1
    return chosen


def with_popularity_for_the_cold(train: Interactions, score: Scorer) -> Scorer:
    """The same scorer, but a viewer without history is given the counts instead of equal scores."""
    known = np.bincount(train.users, minlength=train.n_users) > 0
    popular = counts(train).astype(np.float32)

    def scored(users: NDArray[np.int32]) -> NDArray[np.float32]:
        out = score(users)
        out[~known[users]] = popular
        return out

    return scored
