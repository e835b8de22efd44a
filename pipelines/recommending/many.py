"""Lists for many viewers at once: histories in one query, user vectors in one run of the tower, dot products as matrix
products.

What one list is made of is ranking.py's; serving.py gives the same list to one viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import Unavailable
from pipelines.models.inference import Predictor
from pipelines.recommending import ranking
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.ranking import Found, Item, Wish
from pipelines.recommending.shelves import Shelf, Shelves, State, uuids
from pipelines.storage import recommendations
from pipelines.storage.recommendations import Decided
from pipelines.storage.tables import ModelVersion

ROWS = 250  # viewers of one run of the tower: within its time-out
Listed = tuple[tuple[Item, ...], str]  # and the version


def lists(
    session: Session,
    shelves: Shelves,
    predictor: Predictor,
    people: Sequence[tuple[UUID, Decided]],
    wish: Wish,
) -> dict[UUID, Listed]:
    """Of those for whom the tower of a version answers whose vectors are in memory; nobody else is in it."""
    groups: dict[tuple[int, ...], list[tuple[UUID, Decided]]] = {}
    for one in people:
        groups.setdefault(tuple(row.id for row in predictor.routed(str(one[0]))), []).append(one)
    found: dict[UUID, Listed] = {}
    for group in groups.values():
        for start in range(0, len(group), ROWS):
            found |= _some(session, shelves, predictor, group[start : start + ROWS], wish)
    return found


def _some(
    session: Session,
    shelves: Shelves,
    predictor: Predictor,
    people: Sequence[tuple[UUID, Decided]],
    wish: Wish,
) -> dict[UUID, Listed]:
    """Of viewers who are asked of the same versions."""

    met: dict[int, State] = {}

    def inputs(row: ModelVersion) -> NDArray[np.float32]:
        met[row.id] = shelves.state_for(row)
        tower = shelves.tower(row)
        return tower.user_inputs(together([decided.history(tower.recipe.window) for _, decided in people]))

    try:
        answer = predictor.predict(str(people[0][0]), inputs)
    except Unavailable:
        return {}
    assert answer.model_id is not None
    state = met[answer.model_id]
    shelf = state.shelves[answer.model_id]
    if shelf.index is None or answer.fell_back:
        return {}
    seen = [shelf.index.rows_of(decided.video_ids) for _, decided in people]
    searched = shelf.index.search_many(answer.outputs, wish.pool, state.blocked(shelf, wish.filters), seen)
    found = [Found(shelf.index.ids[rows], scores, rows, r) for (rows, scores), r in zip(searched, seen, strict=True)]
    return _told(session, state, shelf, people, found, wish, answer.version)


def _told(
    session: Session,
    state: State,
    shelf: Shelf,
    people: Sequence[tuple[UUID, Decided]],
    searched: Sequence[Found],
    wish: Wish,
    version: str,
) -> dict[UUID, Listed]:
    chosen = []
    for (_, decided), found in zip(people, searched, strict=True):
        order = wish.order(found.scores, found.whole(shelf) if wish.diversity else None)
        chosen.append(ranking.choice(session, state, shelf, found, order, decided))
    names = {name for one in chosen for name in (*one.names, *one.links) if name}
    cards = recommendations.cards(session, list(names))
    listed = (ranking.items(state, one, cards, wish) for one in chosen)
    return {user_id: (items, version) for (user_id, _), items in zip(people, listed, strict=True)}


def together(histories: Sequence[Decided]) -> Interactions:
    """Viewer k is the k-th; items are named as the towers know them."""
    ids, items = np.unique(np.concatenate([h.video_ids for h in histories]), return_inverse=True)
    return Interactions(
        users=np.repeat(np.arange(len(histories), dtype=np.int32), [len(h) for h in histories]),
        items=items.astype(np.int32),
        times=np.concatenate([h.times for h in histories]),
        ratings=np.concatenate([h.ratings for h in histories]),
        wanted=np.concatenate([h.wanted for h in histories]),
        user_ids=np.array([f"{k:09d}" for k in range(len(histories))]),
        item_ids=np.array(uuids(ids), np.str_),
    )
