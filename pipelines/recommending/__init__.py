"""Recommending: from who decided what to lists in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.recommending.recommender import Recommender


def fit(interactions: pd.DataFrame, items: pd.DataFrame | None = None, seed: int = 0) -> Recommender:
    """A recommender trained on any data frames: ``interactions`` with user_id, item_id, timestamp[, rating], ``items``
    with item_id[, title, genres, year, ...]. It has ``.score(user_ids)``, ``.item_ids`` and ``.recommend(user_id,
    limit)``. Raises BadInput when nothing can be learned from."""
    from pipelines.recommending import recommender

    return recommender.fit(interactions, items, seed)
