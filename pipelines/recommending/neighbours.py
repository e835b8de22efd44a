"""ItemKNN: items that the same viewers want are neighbours, and a viewer's items vote for theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions
from pipelines.recommending.popularity import Scorer, matrix, with_popularity_for_the_cold

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_BLOCK = 512  # items compared with all others at once: 61 MB for 30,000 items


def item_knn(train: Interactions, *, neighbours: int = 100, shrink: float = 10.0) -> Scorer:
    """Cosine between items over viewers, damped by ``shrink`` where few viewers speak (Sarwar et al. 2001).

    An item's score is the sum of its similarity to those of its ``neighbours`` nearest that the viewer wanted.
    """
    chosen = matrix(train)
    nearest = similar(chosen, neighbours, shrink)

    def score(users: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.asarray((chosen[users] @ nearest.T).toarray(), np.float32)

    return with_popularity_for_the_cold(train, score)


def similar(chosen: csr_matrix, neighbours: int, shrink: float) -> csr_matrix:
    """float32[n_items, n_items], sparse: each item's similarity to its nearest, itself left out."""
    from scipy.sparse import csr_matrix, vstack

    n_items = chosen.shape[1]
    by_item = chosen.T.tocsr()
    norms = np.sqrt(np.diff(by_item.indptr)).astype(np.float32)
    kept = min(neighbours, n_items)
    blocks = []
    for start in range(0, n_items, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n_items))
        near = (by_item[rows] @ chosen).toarray() / np.maximum(norms[rows, None] * norms + shrink, 1e-9)
        near[np.arange(len(rows)), rows] = 0
        best = np.argpartition(-near, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(near, best, axis=1)
        place = np.arange(0, len(rows) * kept + 1, kept)
        block = csr_matrix((values.ravel(), best.ravel(), place), shape=(len(rows), n_items))
        block.eliminate_zeros()
        blocks.append(block)
    return csr_matrix(vstack(blocks, format="csr"), dtype=np.float32)
