"""Lists for many viewers at once: by their stored vectors as long as these know all that the viewer decided, through
the tower for who decided something since.

What they have seen comes in one query, dot products and reasons are matrix products, titles are asked for once. The
list of one viewer is serving.py's and ranking.py's, from which these differ by nothing but the vector.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import Unavailable
from pipelines.models.inference import Predictor
from pipelines.recommending import popular, ranking, reasons, versions
from pipelines.recommending.answers import TABLE, TOWER
from pipelines.recommending.embedding import together
from pipelines.recommending.ranking import Choice, Found, Item, Wish
from pipelines.recommending.searching import Index, Rows
from pipelines.recommending.shelves import Shelf, Shelves, State, uuids
from pipelines.storage import embeddings, recommendations
from pipelines.storage.database import Database
from pipelines.storage.recommendations import Crowd
from pipelines.storage.tables import ModelVersion

log = logging.getLogger(__name__)
AT_ONCE = 2  # threads; numpy and the database leave the interpreter free
ROWS = 250  # viewers of one of them, and of one run of the tower: within its time-out
LINKED = 64  # viewers whose reasons are looked for at a time: 13 MB of vectors
PATIENCE = 30.0  # s to wait for a set that another thread is loading

Listed = tuple[tuple[Item, ...], str, str]  # list, path, version


@dataclass(frozen=True, slots=True)
class Part:
    """Viewers of one block who are answered alike."""

    path: str
    version: str
    state: State
    crowd: Crowd
    choices: list[Choice]


def lists(
    database: Database, shelves: Shelves, predictor: Predictor, user_ids: Sequence[UUID], wish: Wish
) -> dict[UUID, Listed]:
    """Of those for whom there is a vector of their own version, and its set in memory (waited for, if it is about to
    come); nobody else is in it. Nobody at all while the database is away."""
    blocks = [user_ids[start : start + ROWS] for start in range(0, len(user_ids), ROWS)]

    def block(ids: Sequence[UUID]) -> list[Part]:
        try:
            with database.session() as session:
                return _parts(session, shelves, predictor, ids, wish)
        except Unavailable as away:  # a set that was dropped meanwhile; the others' lists stay
            log.info("lists for %d: %s", len(ids), away)
            return []

    found: dict[UUID, Listed] = {}
    try:
        shelves.settle(PATIENCE)
        with ThreadPoolExecutor(AT_ONCE, "orimono-lists") as threads:
            parts = [part for parts in threads.map(block, blocks) for part in parts]
        with database.session() as session:
            shown = {name for part in parts for one in part.choices for name in (*one.names, *one.links) if name}
            cards = recommendations.cards(session, list(shown))
            for part in parts:
                for place, (user_id, choice) in enumerate(zip(part.crowd.user_ids, part.choices, strict=True)):
                    made = ranking.items(choice, cards, wish)
                    if len(made) < wish.limit:
                        made = popular.filled(session, part.state, made, part.crowd.decided(place), wish)
                    found[user_id] = made, part.path, part.version
    except Unavailable as away:
        log.info("lists for many: %s", away)
    return found


def _parts(
    session: Session, shelves: Shelves, predictor: Predictor, user_ids: Sequence[UUID], wish: Wish
) -> list[Part]:
    crowd = recommendations.crowd(session, user_ids)
    state = shelves.state
    routes: dict[tuple[int, ...], list[int]] = {}
    rows: dict[int, ModelVersion] = {}
    for place, user_id in enumerate(crowd.user_ids):
        routed = predictor.routed(str(user_id))
        rows |= {row.id: row for row in routed}
        routes.setdefault(tuple(row.id for row in routed), []).append(place)
    parts = []
    for route, places in routes.items():
        if not route:
            continue
        shelf = state.shelves.get(route[0])
        asked = crowd if len(places) == len(crowd) else crowd.of(places)
        if shelf is not None and shelf.index is not None:
            told = dict(zip(asked.user_ids, asked.told.tolist(), strict=True))
            known, vectors = embeddings.fresh(session, shelf.serving.set_id, told)
            here = {user_id: row for row, user_id in enumerate(known)}
            held = [place for place, user_id in enumerate(asked.user_ids) if user_id in here]
            if held:
                some = asked if len(held) == len(asked) else asked.of(held)
                order = [here[user_id] for user_id in some.user_ids]
                made = choices(state, shelf, shelf.index, vectors[order], some, wish)
                parts.append(Part(TABLE, rows[route[0]].version, state, some, made))
            asked = asked.of([place for place, user_id in enumerate(asked.user_ids) if user_id not in here])
        if len(asked):
            parts += _by_tower(session, shelves, predictor, asked, wish)
    return parts


def _by_tower(session: Session, shelves: Shelves, predictor: Predictor, crowd: Crowd, wish: Wish) -> list[Part]:
    """Of viewers who are asked of the same versions; nothing where their own does not answer, or is not in memory."""
    known = recommendations.viewers(session, crowd.user_ids)
    met: dict[int, State] = {}
    moment = int(clock.now().timestamp())

    def inputs(row: ModelVersion) -> NDArray[np.float32]:
        met[row.id] = shelves.state_for(row)
        tower = shelves.tower(row)
        histories = [known[user_id].decided.history(versions.WHOLE) for user_id in crowd.user_ids]
        return tower.user_inputs(together(histories, uuids), asked=moment)

    if any(user_id not in known for user_id in crowd.user_ids):
        return []  # forgotten since the query before
    try:
        answer = predictor.predict(str(crowd.user_ids[0]), inputs, counted=False)
    except Unavailable:
        return []
    assert answer.model_id is not None
    state = met[answer.model_id]
    shelf = state.shelves[answer.model_id]
    if shelf.index is None or answer.fell_back:
        return []
    made = choices(state, shelf, shelf.index, answer.outputs, crowd, wish)
    return [Part(TOWER, answer.version, state, crowd, made)]


def choices(
    state: State, shelf: Shelf, index: Index, vectors: NDArray[np.float32], crowd: Crowd, wish: Wish
) -> list[Choice]:
    """As ranking.choice, for each row of ``vectors`` [m, 768] and viewer of the crowd."""
    assert shelf.rows is not None
    rows = index.rows_of(crowd.video_ids)
    searched = index.search_many(
        vectors, wish.pool, state.blocked(shelf, wish.filters), np.split(rows, crowd.offsets[1:-1])
    )
    picked: list[Rows] = []
    scores: list[NDArray[np.float32]] = []
    for near, dots in searched:
        found = Found(index.ids[:0], dots, near)
        order = wish.order(dots, found.whole(shelf) if wish.diversity else None)
        picked.append(near[order])
        scores.append(dots[order])
    wanted = np.flatnonzero(crowd.wanted & (rows >= 0))
    viewers = np.repeat(np.arange(len(crowd)), np.diff(crowd.offsets))[wanted]
    links = _links(index, picked, viewers, rows[wanted])
    shown = np.concatenate(picked)
    kept = shelf.rows[rows[wanted]] >= 0
    tastes = reasons.tastes_of_each(state.catalogue, viewers[kept], shelf.rows[rows[wanted]][kept], len(crowd))
    said = reasons.general(state.catalogue, shelf.rows[shown])
    names = uuids(index.ids[shown])
    made, start = [], 0
    for number, dots in enumerate(scores):
        end = start + len(dots)
        made.append(Choice(names[start:end], dots, links[start:end], said[start:end], tastes[number]))
        start = end
    return made


def _links(index: Index, picked: Sequence[Rows], viewers: Rows, liked: Rows) -> list[str | None]:
    """For each video picked, one viewer after the other, the liked one that is its reason. ``viewers`` [n] rising, and
    what each of them ``liked`` [n], the newest first."""
    m, most = len(picked), max(map(len, picked), default=0)
    shown = np.full((m, most), -1, np.intp)
    held = np.arange(most) < np.array([len(rows) for rows in picked])[:, None]
    shown[held] = np.concatenate(picked)
    sizes = np.bincount(viewers, minlength=m)
    newest = np.arange(len(viewers)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = newest < ranking.LIKED
    theirs = np.full((m, ranking.LIKED), -1, np.intp)
    theirs[viewers[kept], newest[kept]] = liked[kept]
    found = np.full((m, most), -1, np.intp)
    for start in range(0, m, LINKED):
        some, known = shown[start : start + LINKED], theirs[start : start + LINKED]
        near = reasons.nearest_liked(index.vectors(some), index.vectors(known), index.usual, known >= 0)
        found[start : start + LINKED] = np.where(near < 0, -1, np.take_along_axis(known, np.maximum(near, 0), axis=1))
    distinct, places = np.unique(found[held], return_inverse=True)
    names = [None if row < 0 else name for row, name in zip(distinct.tolist(), uuids(index.ids[distinct]), strict=True)]
    return [names[place] for place in places.tolist()]
