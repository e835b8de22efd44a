"""A history as one vector: means of its items' rows, weighted by exp(-age / tau) for several tau.

Order is what tells most about the next choice, and several decays of different reach hold most of the order. Events
that were not wanted count like the others (they say where the viewer was) and have a pool of their own besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_LEAST = 1e-3  # of a weight before it is left out: a mean of ten events with tau 0.7 does not notice
UNWANTED_TAU = 30.0


def decays(ages: NDArray[np.int32], tau: float) -> NDArray[np.float32]:
    """exp(-age / tau), 0 where it is negligible; ``tau`` may be infinite."""
    weights = np.asarray(np.exp(-ages.astype(np.float32) / np.float32(tau)), np.float32)
    weights[weights < _LEAST] = 0
    return weights


def matrix(
    n: int,
    rows: NDArray[np.int32],
    items: NDArray[np.int32],
    ages: NDArray[np.int32],
    taus: tuple[float, ...],
    n_items: int,
    unwanted: NDArray[np.bool_] | None = None,
) -> csr_matrix[Any]:
    """[p * n, n_items] whose product with a table of items' rows is p pools of n histories, pool after pool.

    ``rows`` rise. p is ``len(taus)``, one more with ``unwanted`` (bool[m]: events that were not wanted). The weights of
    a pool sum to 1; a pool without events is zeros.
    """
    from scipy.sparse import csr_matrix

    columns, values, counts = [], [], []
    for pool in range(len(taus) + (unwanted is not None)):
        weights = decays(ages, taus[pool] if pool < len(taus) else UNWANTED_TAU)
        if unwanted is not None and pool == len(taus):
            weights = weights * unwanted
        kept = weights > 0
        weights, at = weights[kept], rows[kept]
        totals = np.bincount(at, weights, minlength=n)
        columns.append(items[kept])
        values.append((weights / totals[at]).astype(np.float32))
        counts.append(np.bincount(at, minlength=n))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32)
    shape = (len(starts) - 1, n_items)
    return csr_matrix((np.concatenate(values), np.concatenate(columns).astype(np.int32), starts), shape=shape)


def side_by_side(pools: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """[n, p * width] of what such a matrix gave, [p * n, width]."""
    p = len(pools) // max(n, 1)
    return np.ascontiguousarray(pools.reshape(p, n, -1).transpose(1, 0, 2)).reshape(n, -1)


def pooled(
    table: NDArray[np.float32], taus: tuple[float, ...], unwanted: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """[p * width]: the pools of one history whose events' rows are ``table`` [m, width], oldest first."""
    m, width = table.shape
    p = len(taus) + (unwanted is not None)
    if not m:
        return np.zeros(p * width, np.float32)
    ages = np.arange(m - 1, -1, -1, dtype=np.int32)
    weights = np.zeros((p, m), np.float32)
    for pool, tau in enumerate(taus):
        weights[pool] = decays(ages, tau)
    if unwanted is not None:
        weights[-1] = decays(ages, UNWANTED_TAU) * unwanted
    totals = weights.sum(axis=1, keepdims=True)
    np.divide(weights, totals, out=weights, where=totals > 0)
    return (weights @ table).reshape(-1)
