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
from pipelines.recommending.catalogue import Catalogue, Filters
from pipelines.recommending.searching import Ids, Rows
from pipelines.recommending.shelves import Shelf, State, uuids
from pipelines.storage import embeddings, recommendations
from pipelines.storage.recommendations import Decided
from pipelines.storage.recommending_tables import DIMENSIONS
from pipelines.storage.videos import Card

MOST = 1000  # places of a list
SPARE = 5  # more than asked for, should some have gone within the last seconds
POOL = 5  # times as many candidates as places, where their order is not that of their scores
FEWEST = 100  # candidates then
LIKED = 40  # newest videos that may be named as a reason
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
    """Candidates with scores that fall. ``rows`` and ``seen`` (what the viewer decided on): in the index, where there
    is one; ``vectors`` [n, 768] otherwise."""

    ids: Ids
    scores: NDArray[np.float32]
    rows: Rows | None = None
    seen: Rows | None = None
    vectors: NDArray[np.float32] | None = None

    def whole(self, shelf: Shelf) -> NDArray[np.float32]:
        """Their vectors."""
        if self.vectors is not None:
            return self.vectors
        assert shelf.index is not None and self.rows is not None
        return shelf.index.vectors(self.rows)


@dataclass(frozen=True, slots=True)
class Choice:
    """A list before its titles: ids and scores, for each the liked video to name as its reason, and what is ``said`` of
    it whoever asks; and the genres that the viewer chose more often than others."""

    names: list[str]
    scores: NDArray[np.float32]
    links: list[str | None]
    said: list[str | None]
    tastes: dict[str, float]

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        names: list[str],
        scores: NDArray[np.float32],
        links: list[str | None],
        rows: Rows,
        wanted: Rows,
    ) -> Choice:
        """By rows of the catalogue (-1 where it has none) of the list and of what the viewer wanted."""
        wanted = wanted[wanted >= 0]
        tastes = reasons.tastes(catalogue, wanted) if len(wanted) else {}
        return cls(names, scores, links, reasons.general(catalogue, rows), tastes)


def personal(
    session: Session, state: State, shelf: Shelf, vector: NDArray[np.float32], decided: Decided, wish: Wish
) -> tuple[Item, ...]:
    """The list for a viewer's vector: what of their version's set they have not seen."""
    found = nearest(session, state, shelf, vector, decided, wish)
    order = wish.order(found.scores, found.whole(shelf) if wish.diversity else None)
    return told(session, state, shelf, found, order, decided, wish)


def nearest(
    session: Session, state: State, shelf: Shelf, vector: NDArray[np.float32], decided: Decided, wish: Wish
) -> Found:
    """In memory, or by PostgreSQL for a set that is not there."""
    if shelf.index is not None:
        seen = shelf.index.rows_of(decided.video_ids)
        rows, scores = shelf.index.search(vector, wish.pool, state.blocked(shelf, wish.filters), seen)
        return Found(shelf.index.ids[rows], scores, rows, seen)
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
    scores = np.array([one.score for one in near], np.float32)
    return Found(np.array([one.bytes for one in ids], "S16"), scores, None, None, vectors)


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
    chosen = choice(session, state, shelf, found, order, decided)
    cards = recommendations.cards(session, [*chosen.names, *{link for link in chosen.links if link}])
    return items(chosen, cards, wish)


def choice(
    session: Session, state: State, shelf: Shelf, found: Found, order: NDArray[np.intp], decided: Decided
) -> Choice:
    links = _liked(session, shelf, found, order, decided)
    if found.rows is not None and found.seen is not None and shelf.rows is not None:
        wanted = found.seen[decided.wanted]
        rows, wanted = shelf.rows[found.rows[order]], shelf.rows[wanted[wanted >= 0]]
    else:
        rows = state.catalogue.rows_of(found.ids[order])
        wanted = state.catalogue.rows_of(decided.video_ids[decided.wanted])
    return Choice.of(state.catalogue, uuids(found.ids[order]), found.scores[order], links, rows, wanted)


def items(chosen: Choice, cards: dict[str, Card], wish: Wish) -> tuple[Item, ...]:
    """Those of the chosen that are there and pass the filters, as many as are wished for."""
    listed: list[Item] = []
    for name, score, link, said in zip(chosen.names, chosen.scores.tolist(), chosen.links, chosen.said, strict=True):
        card = cards.get(name)
        if card is None or not wish.filters.admits(card.genres, card.available):
            continue  # gone or changed since the catalogue was read
        because = None if link is None else cards.get(link)
        if because is not None:
            reason = reasons.because(because.title or because.external_id)
        else:
            genre = reasons.taste(card.genres, chosen.tastes)
            reason = said or reasons.CLOSE if genre is None else reasons.matches(genre)
        listed.append(Item(name, card.external_id, card.title, score, reason))
        if len(listed) == wish.limit:
            break
    return tuple(listed)


def _liked(session: Session, shelf: Shelf, found: Found, order: NDArray[np.intp], decided: Decided) -> list[str | None]:
    """For each chosen one the liked or watched video of the viewer that it is nearest to, None where none is near."""
    if shelf.index is not None and found.rows is not None and found.seen is not None:
        rows = found.seen[decided.wanted]
        rows = rows[rows >= 0][:LIKED]
        chosen, liked = shelf.index.vectors(found.rows[order]), shelf.index.vectors(rows)
        links = reasons.nearest_liked(chosen, liked, shelf.index.usual)
        names: list[str | None] = [*uuids(shelf.index.ids[rows]), None]  # -1: the last
        return [names[place] for place in links.tolist()]
    newest = dict.fromkeys(UUID(name) for name in uuids(decided.video_ids[decided.wanted][:LIKED]))
    by_id = embeddings.vectors_of(session, "video", shelf.serving.set_id, list(newest))
    asked = [one for one in newest if one in by_id]  # the newest of two that are as near
    vectors = np.array([by_id[one] for one in asked], np.float32).reshape(len(asked), DIMENSIONS)
    near = reasons.nearest_liked(found.whole(shelf)[order], vectors, USUAL)
    return [None if place < 0 else str(asked[place]) for place in near.tolist()]
