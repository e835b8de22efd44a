"""Two scorers with a closed-form matrix from item to item: EASE, and a ridge from the decayed history to what is next.

The second is the honest simple bar, since it knows the order of a history and little else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions
from pipelines.recommending.popularity import Scorer, matrix, with_popularity_for_the_cold

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_ITEMS = 6000  # inverted: 150 MB in float32, some 10 s; beyond, only the items chosen most are known
_DENSE = 60_000_000  # elements of the viewers' form: 240 MB
_SAMPLES = 50_000  # prefixes at once
_LEAST = 0.003  # weight below which an event of long ago is left out


def ease(train: Interactions, *, regularisation: float = 200.0, most: int = MOST_ITEMS) -> Scorer:
    """Embarrassingly shallow autoencoder (Steck 2019, equation 8): the ridge from a viewer's items to the same items,
    none allowed to explain itself.

    With fewer viewers than items the same matrix is had from the viewers' side (Woodbury), exactly and cheaply. When
    both are many, only the ``most`` items chosen most are known; the others score -inf and enter no list.
    """
    chosen = matrix(train)
    active = np.flatnonzero(np.diff(chosen.indptr))
    support = np.diff(chosen.tocsc().indptr)
    known = np.flatnonzero(support)
    by_viewers = len(active) <= len(known) and len(active) * len(known) <= _DENSE
    if not by_viewers and len(known) > most:
        known = np.sort(known[np.argsort(-support[known], kind="stable")[:most]])
    inner = chosen[:, known].tocsr()
    score = _by_viewers(inner, active, regularisation) if by_viewers else _by_items(inner, regularisation)

    def scored(users: NDArray[np.int32]) -> NDArray[np.float32]:
        out = np.full((len(users), train.n_items), -np.inf, np.float32)
        out[:, known] = score(users)
        return out

    return with_popularity_for_the_cold(train, scored)


def _by_items(inner: csr_matrix, regularisation: float) -> Scorer:
    from scipy.linalg import inv

    gram = (inner.T @ inner).toarray().astype(np.float64 if inner.shape[1] <= 3000 else np.float32)
    gram[np.diag_indices_from(gram)] += regularisation
    weights = inv(gram, overwrite_a=True, check_finite=False)
    weights /= -np.diag(weights)
    np.fill_diagonal(weights, 0)
    weights = weights.astype(np.float32)
    return lambda users: np.asarray(inner[users] @ weights, np.float32)


def _by_viewers(inner: csr_matrix, active: NDArray[np.int64], regularisation: float) -> Scorer:
    """X P = (X X' + r)^-1 X =: Z and diag P = (1 - diag X'Z) / r, so that X B = X - Z / diag P."""
    from scipy.linalg import cho_factor, cho_solve

    X = inner[active].toarray().astype(np.float64)
    gram = X @ X.T
    gram[np.diag_indices_from(gram)] += regularisation
    Z = cho_solve(cho_factor(gram, overwrite_a=True), X)
    own = (1 - np.einsum("ui,ui->i", X, Z)) / regularisation
    scores = np.zeros((inner.shape[0], inner.shape[1]), np.float32)
    scores[active] = X - Z / own
    return lambda users: scores[users]


def decayed_ridge(train: Interactions, *, tau: float = 3.0, regularisation: float = 30.0, most: int = 4000) -> Scorer:
    """Ridge from a viewer's history, each event weighted exp(-k/tau) by the k events since, to the item that came next.

    Every prefix of every history is a sample, a constant feature carries the popularity. Of a larger catalogue,
    only the ``most`` items met most often are known; the others score -inf.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse import csr_matrix

    met = np.bincount(train.items, minlength=train.n_items)
    known = np.sort(np.argsort(-met, kind="stable")[: min(most, int((met > 0).sum()))])
    column = np.full(train.n_items, -1)
    column[known] = np.arange(len(known))
    columns = column[train.items]
    place = np.arange(len(train)) - train.offsets[train.users]
    lags = np.arange(int(np.ceil(-tau * np.log(_LEAST))))
    n = len(known)

    def histories(ends: NDArray[np.int64]) -> csr_matrix:
        """float32[len(ends), n + 1]: the decayed history up to and with each of these events, and the constant."""
        at = np.maximum(ends[:, None] - lags, 0)
        real = lags <= place[ends][:, None]
        where = np.where(real, columns[at], -1)
        rows, lag = np.nonzero(where >= 0)
        shape = (len(ends), n + 1)
        decayed = csr_matrix((np.exp(-lag / tau).astype(np.float32), (rows, where[rows, lag])), shape=shape)
        every = np.arange(len(ends))
        return csr_matrix(
            decayed + csr_matrix((np.ones(len(ends), np.float32), (every, np.full_like(every, n))), shape)
        )

    ends = np.flatnonzero((train.users[:-1] == train.users[1:]) & train.wanted[1:] & (columns[1:] >= 0))
    gram = np.zeros((n + 1, n + 1), np.float32 if n > 3000 else np.float64)
    cross = np.zeros((n + 1, n), gram.dtype)
    for start in range(0, len(ends), _SAMPLES):
        batch = ends[start : start + _SAMPLES]
        X = histories(batch)
        one = np.ones(len(batch), np.float32)
        gram += (X.T @ X).toarray()
        cross += (X.T @ csr_matrix((one, (np.arange(len(batch)), columns[batch + 1])), (len(batch), n))).toarray()
    gram[np.diag_indices_from(gram)] += regularisation
    weights = cho_solve(cho_factor(gram, overwrite_a=True), cross, overwrite_b=True).astype(np.float32)
    lasts = train.offsets[1:] - 1
    empty = np.diff(train.offsets) == 0

    def score(users: NDArray[np.int32]) -> NDArray[np.float32]:
        out = np.full((len(users), train.n_items), -np.inf, np.float32)
        warm = ~empty[users]
        out[np.ix_(warm, known)] = histories(lasts[users[warm]]) @ weights
        return out

    return with_popularity_for_the_cold(train, score)
