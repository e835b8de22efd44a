"""From a viewer's vector to a list: the nearest videos they have not seen, in the order they wished for, each with its
reason.

Where vector and set come from is serving.py's; lists for who has no vector are popular.py's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.recommending import reasons, reranking
from pipelines.recommending.catalogue import Filters
from pipelines.recommending.searching import Ids
from pipelines.recommending.shelves import Shelf, State, uuids
from pipelines.storage import embeddings, videos
from pipelines.storage.recommendations import Decided
from pipelines.storage.recommending_tables import DIMENSIONS
from pipelines.storage.videos import Card

MOST = 1000  # places of a list
SPARE = 5  # more than asked for, should some have gone within the last seconds
POOL = 5  # times as many candidates as places, where their order is not that of their scores
FEWEST = 100  # candidates then
LIKED = 100  # newest videos that may be named as a reason
USUAL = (0.0, 0.25)  # of two videos' dot product, where no index has measured it


@dataclass(frozen=True, slots=True)
class Item:
    video_id: str
    external_id: str  # as the studio calls it
    title: str | None
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What a list is to be like. BadInput for numbers out of range."""

    limit: int = 20
    filters: Filters = Filters()  # noqa: RUF009 - frozen
    diversity: float = 0.0
    exploration: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST:
            raise BadInput(f"a list of {self.limit}", "cannot be made", f"ask for 1 to {MOST}")
        for name, value in (("diversity", self.diversity), ("exploration", self.exploration)):
            if not 0 <= value <= 1:  # NaN, too
                raise BadInput(f"{name} {value}", "is out of range", "give a number from 0 to 1")

    @property
    def plain(self) -> bool:
        """The order is that of the scores."""
        return self.diversity == 0 and self.exploration == 0

    @property
    def pool(self) -> int:
        """How many candidates are wanted."""
        return self.limit + SPARE if self.plain else max(FEWEST, POOL * self.limit)

    def at_least(self, exploration: float) -> Wish:
        return replace(self, exploration=max(self.exploration, exploration))

    def order(self, scores: NDArray[np.float32], vectors: NDArray[np.float32] | None) -> NDArray[np.intp]:
        """Places of the candidates, the first first."""
        n = self.limit + SPARE
        if self.plain:
            return np.argsort(-scores, kind="stable")[:n]
        drawn = reranking.explored(scores, self.exploration, np.random.default_rng(self.seed))
        if vectors is None:
            return np.argsort(-drawn, kind="stable")[:n]
        return reranking.diversified(drawn, vectors, n, self.diversity)


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates with scores that fall. ``vectors`` [n, 768]."""

    ids: Ids
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32] | None


def personal(
    session: Session, state: State, shelf: Shelf, vector: NDArray[np.float32], decided: Decided, wish: Wish
) -> tuple[Item, ...]:
    """The list for a viewer's vector: what of their version's set they have not seen."""
    found = nearest(session, state, shelf, vector, decided, wish)
    order = wish.order(found.scores, found.vectors if wish.diversity else None)
    return told(session, state, shelf, found, order, decided, wish)


def nearest(
    session: Session, state: State, shelf: Shelf, vector: NDArray[np.float32], decided: Decided, wish: Wish
) -> Found:
    """In memory, or by PostgreSQL for a set that is not there."""
    if shelf.index is not None:
        seen = shelf.index.rows_of(decided.video_ids)
        rows, scores = shelf.index.search(vector, wish.pool, state.blocked(shelf, wish.filters), seen)
        return Found(shelf.index.ids[rows], scores, shelf.index.vectors(rows))
    names = state.catalogue.names
    genres, without = (
        [names.get(word, word) for word in w] for w in (wish.filters.genres, wish.filters.without_genres)
    )
    near = embeddings.nearest(
        session,
        shelf.serving.set_id,
        vector,
        wish.pool,
        exclude=[UUID(name) for name in set(uuids(decided.video_ids))],
        available=wish.filters.available,
        indexed=shelf.serving.indexed,
        genres=genres,
        without_genres=without,
    )
    ids = [one.video_id for one in near]
    by_id = embeddings.vectors_of(session, "video", shelf.serving.set_id, ids)
    vectors = np.array([by_id[one] for one in ids], np.float32).reshape(len(ids), DIMENSIONS)
    return Found(
        np.array([one.bytes for one in ids], "S16"), np.array([one.score for one in near], np.float32), vectors
    )


def told(
    session: Session,
    state: State,
    shelf: Shelf,
    found: Found,
    order: NDArray[np.intp],
    decided: Decided,
    wish: Wish,
) -> tuple[Item, ...]:
    """The chosen ones with titles and reasons, as far as they are there and pass the filters at this moment."""
    chosen = uuids(found.ids[order])
    names, links = _liked(session, shelf, found, order, decided)
    cards = videos.cards(session, [*chosen, *{names[link] for link in links if link >= 0}])
    return items(
        state, chosen, found.scores[order], [names[link] if link >= 0 else None for link in links], cards, decided, wish
    )


def items(
    state: State,
    chosen: list[str],
    scores: NDArray[np.float32],
    liked: list[str | None],
    cards: dict[str, Card],
    decided: Decided,
    wish: Wish,
) -> tuple[Item, ...]:
    catalogue = state.catalogue
    wanted = catalogue.rows_of(np.unique(decided.video_ids[decided.wanted]))
    tastes = reasons.tastes(catalogue, wanted[wanted >= 0]) if len(wanted) else {}
    rows = catalogue.rows_of(np.array([UUID(name).bytes for name in chosen], "S16"))
    listed: list[Item] = []
    for name, row, score, link in zip(chosen, rows.tolist(), scores.tolist(), liked, strict=True):
        card = cards.get(name)
        if card is None or not wish.filters.admits(card.genres, card.available):
            continue  # gone or changed since the catalogue was read
        because = cards.get(link) if link is not None else None
        reason = reasons.because(because.title or because.external_id) if because is not None else None
        if reason is None:
            genre = reasons.taste(card.genres, tastes)
            reason = reasons.general(catalogue, row) if genre is None else reasons.matches(genre)
        listed.append(Item(name, card.external_id, card.title, score, reason or reasons.CLOSE))
        if len(listed) == wish.limit:
            break
    return tuple(listed)


def _liked(
    session: Session, shelf: Shelf, found: Found, order: NDArray[np.intp], decided: Decided
) -> tuple[list[str], list[int]]:
    """(ids of liked or watched videos, for each chosen one the one it is nearest to, or -1)."""
    newest = decided.video_ids[decided.wanted]
    _, first = np.unique(newest, return_index=True)
    newest = newest[np.sort(first)[:LIKED]]
    if shelf.index is not None:
        rows = shelf.index.rows_of(newest)
        names, vectors, usual = uuids(newest[rows >= 0]), shelf.index.vectors(rows[rows >= 0]), shelf.index.usual
    else:
        asked = [UUID(name) for name in uuids(newest)]
        by_id = embeddings.vectors_of(session, "video", shelf.serving.set_id, asked)
        names, usual = [str(one) for one in by_id], USUAL
        vectors = np.array(list(by_id.values()), np.float32).reshape(len(names), DIMENSIONS)
    if not names or found.vectors is None:
        return names, [-1] * len(order)
    return names, reasons.nearest_liked(found.vectors[order], vectors, usual).tolist()
