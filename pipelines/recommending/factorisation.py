"""iALS: viewers and items as vectors that explain what was wanted, found by alternating least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions
from pipelines.recommending.popularity import Scorer, matrix, with_popularity_for_the_cold

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_BLOCK = 256  # systems solved at once: 8 MB of 64 x 64


def ials(
    train: Interactions,
    *,
    factors: int = 64,
    unobserved: float = 0.1,
    regularisation: float = 0.01,
    sweeps: int = 12,
    seed: int = 0,
) -> Scorer:
    """Implicit ALS (Hu, Koren and Volinsky 2008), regularised by frequency (Rendle et al. 2022, equation 4, nu = 1).

    ``unobserved`` is the weight of the pairs without an event beside 1 for those with one.
    """
    chosen = matrix(train)
    by_item = chosen.T.tocsr()
    rng = np.random.default_rng(seed)
    items = (rng.standard_normal((train.n_items, factors)) * 0.1 / np.sqrt(factors)).astype(np.float32)
    users = np.zeros((train.n_users, factors), np.float32)
    for _ in range(sweeps):
        _solve(chosen, items, users, unobserved, regularisation)
        _solve(by_item, users, items, unobserved, regularisation)
    _solve(chosen, items, users, unobserved, regularisation)
    return with_popularity_for_the_cold(train, lambda rows: users[rows] @ items.T)


def _solve(
    chosen: csr_matrix, given: NDArray[np.float32], found: NDArray[np.float32], unobserved: float, regularisation: float
) -> None:
    """Writes into ``found`` the row vectors that are best for ``chosen`` when the other side's are ``given``."""
    every = unobserved * (given.T @ given)
    degrees = np.diff(chosen.indptr)
    ridge = regularisation * (degrees + unobserved * chosen.shape[1])
    eye = np.eye(given.shape[1], dtype=np.float32)
    for start in range(0, chosen.shape[0], _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, chosen.shape[0]))
        systems = every + ridge[rows, None, None].astype(np.float32) * eye
        for j, row in enumerate(rows):
            own = given[chosen.indices[chosen.indptr[row] : chosen.indptr[row + 1]]]
            systems[j] += own.T @ own
        found[rows] = np.linalg.solve(systems, (chosen[rows] @ given)[..., None])[..., 0]
