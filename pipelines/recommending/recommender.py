"""From two data frames to lists: clean, train, score. The product's own path over the database is serving.py's.

For anyone who wants to judge the recommender on their own data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending import cleaning, prefixes
from pipelines.recommending.columns import id_text
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.recipe import Recipe
from pipelines.recommending.training import Trained, train
from pipelines.recommending.two_tower import TwoTower

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd


@dataclass(frozen=True, slots=True)
class Recommender:
    """Vectors of everybody who was learned from, and of every item."""

    model: TwoTower
    interactions: Interactions
    trained: Trained
    notes: tuple[str, ...]  # what was dropped or mended in the data
    item_vectors: NDArray[np.float32]  # [n_items, 768]
    user_vectors: NDArray[np.float32]  # [n_users, 768]
    cold: NDArray[np.float32]  # [768] a viewer without any event
    _ids: dict[str, Any]  # the id as it was given
    _users: dict[str, int]

    @property
    def item_ids(self) -> NDArray[Any]:
        """[n_items] in the order of the scores' columns, as they were given."""
        found = np.empty(len(self.interactions.item_ids), object)
        found[:] = [self._ids.get(name, name) for name in self.interactions.item_ids.tolist()]
        return found

    def score(self, user_ids: Sequence[Hashable], asked: int | None = None) -> NDArray[np.float32]:
        """float32[n_users, n_items]; seen items are scored, too. ``asked``: the moment of asking, s since the epoch; by
        default right after each user's last event. Raises BadInput, naming it, for an unknown user."""
        rows = [self._row(user) for user in user_ids]
        for user, row in zip(user_ids, rows, strict=True):
            if row is None:
                raise BadInput(
                    f"user {user!r}", "is not among those learned from", "ask for recommend(), which knows new ones"
                )
        at = np.array(rows, np.int32)
        vectors = self.user_vectors[at]
        if asked is not None:
            lengths = np.diff(self.interactions.offsets)[at].astype(np.int32)
            vectors = self.model.user_vectors(self.model.user_inputs(self.interactions, at, lengths, asked=asked))
        found: NDArray[np.float32] = vectors @ self.item_vectors.T
        return found

    def recommend(self, user_id: Hashable, limit: int = 20) -> list[tuple[Any, float]]:
        """Up to ``limit`` (item_id, score), best first, without what the user has seen; a new viewer's list for a user
        who is unknown."""
        row = self._row(user_id)
        scores = self.item_vectors @ (self.cold if row is None else self.user_vectors[row])
        if row is not None:
            events = self.interactions
            start, end = events.offsets[row : row + 2]
            scores[events.items[start:end]] = -np.inf
        order = np.argsort(-scores, kind="stable")[: max(limit, 0)]
        ids = self.item_ids
        return [(ids[item], float(scores[item])) for item in order if np.isfinite(scores[item])]

    def _row(self, user: Hashable) -> int | None:
        return self._users.get(id_text(user))


def fit(
    interactions: pd.DataFrame, items: pd.DataFrame | None = None, seed: int = 0, *, recipe: Recipe | None = None
) -> Recommender:
    """A recommender for anybody's data: frames (user_id, item_id, timestamp[, rating][, wanted]) and (item_id[, title,
    genres, ...]). Raises BadInput when nothing can be learned from."""
    import pandas as pd

    events, cleaned = cleaning.interactions_of(interactions, items)
    known = cleaning.aligned(pd.DataFrame({"item_id": events.item_ids}) if items is None else items, events.item_ids)
    trained = train(events, known, recipe=recipe, seed=seed)
    model = trained.model
    counts = np.bincount(events.items[events.wanted], minlength=events.n_items)
    users, lengths = prefixes.whole(events)
    blocks = [
        model.user_vectors(model.user_inputs(events, users[at : at + 1024], lengths[at : at + 1024]))
        for at in range(0, len(users), 1024)
    ]
    nothing: NDArray[np.int64] = np.zeros(0, np.int64)
    cold = model.user_input_of([], nothing, nothing.astype(np.float32), nothing.astype(bool))
    return Recommender(
        model=model,
        interactions=events,
        trained=trained,
        notes=(*cleaned.sentences(), *trained.notes),
        item_vectors=model.item_vectors(model.item_inputs(known, counts)),
        user_vectors=np.concatenate(blocks),
        cold=model.user_vectors(cold[None])[0],
        _ids=_as_given(interactions, items),
        _users={name: row for row, name in enumerate(events.user_ids.tolist())},
    )


def _as_given(*frames: pd.DataFrame | None) -> dict[str, Any]:
    """Each item's id by its text: who gave numbers gets numbers back."""
    return {
        id_text(value): value for frame in frames if frame is not None for value in frame["item_id"].unique().tolist()
    }
