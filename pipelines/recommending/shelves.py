"""What a process holds to recommend from: each version's towers and the vectors of the set that serves it, and the
catalogue. Read by requests as one state, exchanged as a whole by a thread.

Which version a viewer gets is models/inference.py's, what is done with the state serving.py's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines import clock
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.models import artefacts
from pipelines.recommending import versions
from pipelines.recommending.catalogue import Catalogue, Filters
from pipelines.recommending.searching import HEAD, Ids, Index, Rows
from pipelines.storage import recommendations
from pipelines.storage.recommendations import Serving
from pipelines.storage.recommending_tables import DIMENSIONS
from pipelines.storage.tables import ModelVersion
from pipelines.storage.videos import Card
from pipelines.studio import Studio

if TYPE_CHECKING:
    from pipelines.recommending.two_tower import TwoTower

log = logging.getLogger(__name__)

COUNTED_EVERY_S = 60.0  # what is popular
REMEMBERED = 2000  # popular videos that are kept for when the database is away
TOWERS = 4  # versions whose towers are kept


@dataclass(frozen=True, slots=True)
class Shelf:
    """The set that serves one version. Without an index PostgreSQL is asked."""

    serving: Serving
    index: Index | None = None
    rows: Rows | None = None  # of the index's vectors in the catalogue, -1 where a video is gone
    withheld: NDArray[np.bool_] | None = None  # [n] what is never shown unless asked for: gone, or not available


@dataclass(frozen=True, slots=True)
class State:
    catalogue: Catalogue
    shelves: Mapping[int, Shelf]  # by version
    popular: tuple[Card, ...] = ()  # the most wanted first

    def blocked(self, shelf: Shelf, filters: Filters) -> NDArray[np.bool_]:
        """[n of the index]: what these filters do not admit."""
        assert shelf.rows is not None and shelf.withheld is not None
        if filters == Filters():
            return shelf.withheld
        return ~self.catalogue.admitted(filters)[shelf.rows] | (shelf.rows < 0)


class Shelves:
    """``state`` is read by any number of threads, without a lock; ``refresh`` exchanges it.

    Vectors are held in memory while all of them take no more than ``memory_mb``; those of sets that served before stay
    while there is room, for a quick way back.
    """

    def __init__(self, studio: Studio, memory_mb: float) -> None:
        self._studio = studio
        self._room = memory_mb * (1 << 20)
        self._lock = threading.Lock()
        self._looking = threading.Lock()  # one look at a time
        self._towers: dict[int, TwoTower] = {}
        self._indexes: dict[Serving, Index] = {}  # the one used last at the end
        self._too_large: set[Serving] = set()  # for what room there was
        self._changed: tuple[int, datetime | None] = (-1, None)
        self._counted = -np.inf
        self._closing = False
        empty = Catalogue.of(
            recommendations.Columns(np.zeros(0, "S16"), np.zeros(0, np.intp), (), np.zeros(0, np.bool_)),
            recommendations.Wanted(np.zeros(0, "S16"), *(np.zeros(0),) * 3),  # type: ignore[arg-type]
        )
        self.state = State(empty, {})

    def prepare(self, row: ModelVersion) -> None:
        """Loads what belongs to a version beside its user tower. BadInput when it is gone or damaged, Unavailable when
        the store is away."""
        self._fetch(row)

    def _fetch(self, row: ModelVersion) -> TwoTower:
        if "bundle" not in row.provenance:
            raise BadInput(
                artefacts.named(row), "names no towers", "train it again, or roll back to a version that has them"
            )
        tower = versions.towers(self._studio, row)
        with self._lock:
            self._towers[row.id] = tower
            for old in list(self._towers)[:-TOWERS]:
                del self._towers[old]
        self.refresh(load=False)  # before the version serves, or it would fail its first calls for want of its set
        return tower

    def tower(self, row: ModelVersion) -> TwoTower:
        """One that had to make room is loaded anew. Raises as ``prepare`` does."""
        with self._lock:
            tower = self._towers.pop(row.id, None)
            if tower is not None:
                self._towers[row.id] = tower  # the last to go
                return tower
        return self._fetch(row)

    def state_for(self, row: ModelVersion) -> State:
        """The present state. Unavailable for a version without embeddings."""
        state = self.state
        if row.id not in state.shelves:
            raise Unavailable(artefacts.named(row), "has no embeddings yet", 5)
        return state

    def settle(self, seconds: float) -> None:
        """Sees to it that the sets that serve are in memory, as far as there is room for them, or waits for at most so
        long while another thread does. Unavailable when the database is away."""
        shelves = self.state.shelves.values()
        if any(shelf.index is None and shelf.serving not in self._too_large for shelf in shelves):
            self.refresh(patience=seconds)

    def refresh(self, *, load: bool = True, patience: float = -1) -> None:
        """Looks at pointers and catalogue now; ``load``: and takes the vectors of new sets into memory, until which
        PostgreSQL searches them. Does nothing when another thread looks for longer than ``patience`` (s; by default it
        is waited for). Raises Unavailable when the database is away; everything stays as it is then."""
        if not self._looking.acquire(timeout=patience):
            return
        try:
            with self._lock:
                towers = list(self._towers)
            with self._studio.database.session() as session:
                serving = recommendations.serving(session, towers)
                changed = recommendations.state_of_catalogue(session)
                due = time.monotonic() - self._counted >= COUNTED_EVERY_S
                catalogue, popular = self.state.catalogue, self.state.popular
                if changed != self._changed or due:
                    columns, wanted = recommendations.catalogue(session), recommendations.wanted(session, clock.now())
                    catalogue = Catalogue.of(columns, wanted)
                    best = catalogue.best[:REMEMBERED]
                    cards = recommendations.cards(session, uuids(catalogue.ids[best]))
                    popular = tuple(cards[i] for i in uuids(catalogue.ids[best]) if i in cards)
            with self._lock:
                if catalogue is not self.state.catalogue:
                    self._changed, self._counted = changed, time.monotonic()
                self._show(catalogue, popular, serving)
            if load:
                for wanted_set in dict.fromkeys(serving.values()):
                    self._load(wanted_set)
                with self._lock:
                    self._show(catalogue, popular, serving)
        finally:
            self._looking.release()

    def close(self) -> None:
        """A load that is under way stops."""
        self._closing = True

    def _show(self, catalogue: Catalogue, popular: tuple[Card, ...], serving: Mapping[int, Serving]) -> None:
        before, shelves = self.state, {}
        made: dict[int, Shelf] = {}
        for model_id, present in serving.items():
            index = self._indexes.get(present)
            old = before.shelves.get(model_id)
            if old is not None and old.serving == present and old.index is index and catalogue is before.catalogue:
                shelves[model_id] = old
            elif index is None:
                shelves[model_id] = Shelf(present)
            else:
                if id(index) not in made:
                    rows = catalogue.rows_of(index.ids)
                    allowed = np.append(catalogue.admitted(Filters()), False)
                    made[id(index)] = Shelf(present, index, rows, ~allowed[rows])
                shelves[model_id] = replace(made[id(index)], serving=present)
        self.state = State(catalogue, shelves, popular)

    def _load(self, wanted: Serving) -> None:
        """Into memory, if there is room for it beside the sets that serve; others leave."""
        with self._lock:
            if wanted in self._indexes:
                self._indexes[wanted] = self._indexes.pop(wanted)
                return
            used = {shelf.serving for shelf in self.state.shelves.values()}
            size = wanted.n_videos * (DIMENSIONS * 2 + HEAD * 4 + 40)
            for other in [other for other in self._indexes if other not in used]:
                if sum(index.nbytes for index in self._indexes.values()) + size > self._room:
                    del self._indexes[other]
            if sum(index.nbytes for index in self._indexes.values()) + size > self._room:
                self._too_large.add(wanted)
                return
            self._too_large.discard(wanted)
        try:
            with self._studio.database.session() as session:
                blocks = self._blocks(recommendations.vectors(session, wanted.set_id))
                index = Index.build(wanted.n_videos, DIMENSIONS, blocks)
        except (_Closing, Unavailable) as ended:
            log.info("embedding set %d is not in memory: %s", wanted.set_id, ended)
            return
        with self._lock:
            self._indexes[wanted] = index

    def _blocks(self, blocks: Iterator[tuple[Ids, NDArray[np.float32]]]) -> Iterator[tuple[Ids, NDArray[np.float32]]]:
        for block in blocks:
            if self._closing:
                raise _Closing("this process ends")
            yield block


class _Closing(OrimonoError):
    pass


def uuids(ids: Ids) -> list[str]:
    """As PostgreSQL and everybody else write them."""
    digits = np.frombuffer(np.ascontiguousarray(ids).tobytes().hex().encode(), "u1").reshape(-1, 32)
    text = np.full((len(digits), 36), ord("-"), np.uint8)
    for start, end, moved in ((0, 8, 0), (8, 12, 1), (12, 16, 2), (16, 20, 3), (20, 32, 4)):
        text[:, start + moved : end + moved] = digits[:, start:end]
    whole = text.tobytes().decode()
    return [whole[at : at + 36] for at in range(0, len(whole), 36)]


def ids_of(names: Sequence[str]) -> Ids:
    """What ``uuids`` has written."""
    return np.frombuffer(bytes.fromhex("".join(names).replace("-", "")), "S16")
