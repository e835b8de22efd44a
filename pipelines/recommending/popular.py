"""Lists without a model: what is popular, with what nobody has met yet mixed in where exploration is wished for.

For viewers without history, and whenever everything else fails. Counts come from catalogue.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.recommending import ranking, reasons
from pipelines.recommending.ranking import Item, Wish
from pipelines.recommending.searching import Ids
from pipelines.recommending.shelves import State, uuids
from pipelines.storage import videos
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
        rows = np.flatnonzero(open_)
        best = rows[np.lexsort((catalogue.ids[rows], -catalogue.popular[rows]))[: wish.pool]]
        if wish.exploration:
            new = np.setdiff1d(rows[catalogue.total[rows] == 0], best)
            best = np.concatenate([best, rng.permutation(new)[: wish.pool]])
        scores = catalogue.popular[best].astype(np.float32)
        order = _order(scores, wish)
        open_[best[order]] = False
        chosen = uuids(catalogue.ids[best[order]])
        cards = videos.cards(session, chosen)
        made += ranking.items(state, chosen, scores[order], [None] * len(chosen), cards, decided, wish)
    return tuple(made[: wish.limit])


def filled(session: Session, state: State, items: tuple[Item, ...], decided: Decided, wish: Wish) -> tuple[Item, ...]:
    """What a set has too few of, for it lacks videos that came after it, is filled up with what is popular."""
    if len(items) >= wish.limit:
        return items
    taken = np.array([bytes.fromhex(item.video_id.replace("-", "")) for item in items], "S16")
    return (*items, *listed(session, state, decided, replace(wish, limit=wish.limit - len(items)), taken))


def remembered(state: State, seen: Ids | None, wish: Wish) -> tuple[Item, ...]:
    """The popular videos that this process knows of, without the database."""
    known = set() if seen is None else set(uuids(seen))
    cards = [c for c in state.popular if c.video_id not in known and wish.filters.admits(c.genres, c.available)]
    rows = state.catalogue.rows_of(np.array([bytes.fromhex(c.video_id.replace("-", "")) for c in cards], "S16"))
    scores = state.catalogue.popular[rows].astype(np.float32) if len(rows) else np.zeros(0, np.float32)
    items = []
    for place in _order(scores, wish)[: wish.limit].tolist():
        card = cards[place]
        reason = reasons.general(state.catalogue, int(rows[place])) or reasons.POPULAR
        items.append(Item(card.video_id, card.external_id, card.title, float(scores[place]), reason))
    return tuple(items)


def _order(scores: NDArray[np.float32], wish: Wish) -> NDArray[np.intp]:
    """On the logarithm, since one video may be wanted a thousand times as often as the next."""
    return wish.order(np.log1p(scores), None)
