"""Lists without a model: what is popular, with what nobody has met yet mixed in where exploration is wished for.

For viewers without history, and whenever everything else fails. Counts come from catalogue.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.recommending import reasons
from pipelines.recommending.ranking import Choice, Item, Wish, items
from pipelines.recommending.reasons import POPULAR
from pipelines.recommending.searching import Ids
from pipelines.recommending.shelves import State, ids_of, uuids
from pipelines.storage import recommendations
from pipelines.storage.recommendations import Decided


def listed(session: Session, state: State, decided: Decided, wish: Wish, taken: Ids | None = None) -> tuple[Item, ...]:
    """The most wanted videos that the viewer has not seen, none of ``taken``; scores are decayed counts. With
    exploration as many videos that nobody has wanted yet stand among the candidates."""
    catalogue = state.catalogue
    open_ = catalogue.admitted(wish.filters)
    for ids in (decided.video_ids, taken):
        if ids is not None:
            rows = catalogue.rows_of(ids)
            open_[rows[rows >= 0]] = False
    rng = np.random.default_rng(wish.seed)
    made: list[Item] = []
    while len(made) < wish.limit and open_.any():  # again where more have gone, within seconds, than were spare
        best = catalogue.best[open_[catalogue.best]][: wish.pool]
        if wish.exploration:
            new = np.setdiff1d(np.flatnonzero(open_ & (catalogue.total == 0)), best)
            best = np.concatenate([best, rng.permutation(new)[: wish.pool]])
        scores = catalogue.popular[best].astype(np.float32)
        order = _order(scores, wish)
        open_[best[order]] = False
        chosen = uuids(catalogue.ids[best[order]])
        cards = recommendations.cards(session, chosen)
        wanted = catalogue.rows_of(decided.video_ids[decided.wanted])
        choice = Choice.of(catalogue, chosen, scores[order], [None] * len(chosen), best[order], wanted)
        made += items(choice, cards, wish)
    return tuple(made[: wish.limit])


def filled(session: Session, state: State, made: tuple[Item, ...], decided: Decided, wish: Wish) -> tuple[Item, ...]:
    """What a set has too few of, for it lacks videos that came after it, is filled up with what is popular."""
    if len(made) >= wish.limit:
        return made
    taken = ids_of([item.video_id for item in made])
    return (*made, *listed(session, state, decided, replace(wish, limit=wish.limit - len(made)), taken))


def remembered(state: State, seen: Ids | None, wish: Wish) -> tuple[Item, ...]:
    """The popular videos that this process knows of, without the database."""
    known = set() if seen is None else set(uuids(seen))
    cards = [c for c in state.popular if c.video_id not in known and wish.filters.admits(c.genres, c.available)]
    rows = state.catalogue.rows_of(ids_of([c.video_id for c in cards]))
    scores = state.catalogue.popular[rows].astype(np.float32) if len(rows) else np.zeros(0, np.float32)
    said = reasons.general(state.catalogue, rows) if len(rows) else []
    found = []
    for place in _order(scores, wish)[: wish.limit].tolist():
        card = cards[place]
        found.append(Item(card.video_id, card.external_id, card.title, float(scores[place]), said[place] or POPULAR))
    return tuple(found)


def _order(scores: NDArray[np.float32], wish: Wish) -> NDArray[np.intp]:
    """On the logarithm, since one video may be wanted a thousand times as often as the next."""
    return wish.order(np.log1p(scores), None)
