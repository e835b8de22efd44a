"""The versions of one model that a process holds in memory: loaded when they are rolled out, kept while they may serve.

Which version answers a call, and what when it fails, is inference.py's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.models import artefacts, rollout, sessions
from pipelines.models.rollout import Routes
from pipelines.models.traffic import Counter
from pipelines.storage import flags, models
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

log = logging.getLogger(__name__)

FLAG = "enable_cpu_ml"
KEPT = 4  # versions in memory: the routed ones, and those that served last, for a quick way back
AGAIN_S = 60.0  # a version that was refused is tried again: its object may have been restored


Prepare = Callable[[ModelVersion], object]


@dataclass(slots=True)
class Slot:
    """One version: warm, or refused for a reason."""

    row: ModelVersion
    counter: Counter
    warm: sessions.Warm | None = None
    refused: str = ""
    passing: bool = False  # the reason is the store's, not the version's
    tried_at: float = 0.0  # monotonic, s
    stuck: list[threading.Thread] = field(default_factory=list)  # calls that were left alone


@dataclass(frozen=True, slots=True)
class Table:
    """What one prediction looks at: exchanged as a whole, never changed."""

    routes: Routes
    slots: Mapping[int, Slot]
    width: int | None  # of the inputs, when it is known
    enabled: bool = True  # False: an operator switched the models off


class Versions:
    """``table`` is read by any number of threads, without a lock; ``refresh`` exchanges it."""

    def __init__(
        self, studio: Studio, name: str, feature_version: str, input_dim: int | None, prepare: Prepare | None = None
    ) -> None:
        self.table = Table(Routes(name, None, None), {}, input_dim)
        self._studio = studio
        self._name = name
        self._feature_version = feature_version
        self._input_dim = input_dim
        self._prepare = prepare
        self._lock = threading.Lock()
        self._left: dict[int, Counter] = {}  # of the versions that left last: calls may have been under way
        self._away = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why versions that are rolled out do not serve here, one sentence each."""
        table = self.table
        slots = [table.slots[i] for i in _routed(table.routes) if i in table.slots]
        return (*([self._away] if self._away else []), *(slot.refused for slot in slots if slot.refused))

    @property
    def counters(self) -> dict[int, Counter]:
        return {**self._left, **{i: slot.counter for i, slot in self.table.slots.items()}}

    def refresh(self) -> None:
        """Looks at the rollout and loads what is new. While the database is away everything stays as it is."""
        with self._lock:
            try:
                with self._studio.database.session() as session:
                    routes = rollout.current(session, self._name)
                    rows = models.of_ids(session, _routed(routes))
                    enabled = flags.enabled(session, FLAG)
            except OrimonoError as error:
                self.away(str(error))
                return
            self.away("")
            slots = self._slots(routes, rows)
            live = None if routes.live is None else slots.get(routes.live)
            width = self._input_dim or (None if live is None else live.row.input_dim)
            gone = {i: slot.counter for i, slot in self.table.slots.items() if i not in slots}
            self.table = Table(routes, slots, width, enabled)
            self._left = dict([*self._left.items(), *gone.items()][-2 * KEPT :])

    def away(self, reason: str) -> None:
        """Notes what cannot be reached ("": all is well again); logged when it begins."""
        if reason and not self._away:
            log.warning("model %s: %s; the versions in memory serve on", self._name, reason)
        self._away = reason

    def _slots(self, routes: Routes, rows: Mapping[int, ModelVersion]) -> dict[int, Slot]:
        before = self.table.slots
        slots = {i: self._slot(before.get(i), rows[i]) for i in _routed(routes) if i in rows}
        others = [i for i, slot in before.items() if i not in slots and slot.warm is not None]
        for i in others[: max(0, KEPT - len(slots))]:
            slots[i] = before[i]
        return slots

    def _slot(self, before: Slot | None, row: ModelVersion) -> Slot:
        now = time.monotonic()
        if before is not None:
            due = before.passing or now - before.tried_at >= AGAIN_S
            if before.warm is not None or not due:
                return before
        known = before.counter if before is not None else self._left.pop(row.id, None)
        counter = known or Counter(row.input_dim, row.output_dim, row.reference)
        try:
            return Slot(row, counter, self._load(row), tried_at=now)
        except OrimonoError as error:
            refused = str(error)
            if before is None or before.refused != refused:
                log.error("%s", refused)
            return Slot(row, counter, None, refused, isinstance(error, Unavailable), now)

    def _load(self, row: ModelVersion) -> sessions.Warm:
        what, remedy = artefacts.named(row), "train it again with these features, or restart with the newer program"
        if row.feature_version != self._feature_version:
            reason = f"wants features {row.feature_version!r}, this program makes {self._feature_version!r}"
            raise BadInput(what, reason, remedy)
        if self._input_dim is not None and row.input_dim != self._input_dim:
            reason = f"wants {row.input_dim} features, this program makes {self._input_dim}"
            raise BadInput(what, reason, remedy)
        warm = sessions.warm(
            artefacts.load(self._studio.objects, row),
            what,
            feature_version=row.feature_version,
            input_dim=row.input_dim,
            output_dim=row.output_dim,
        )
        if self._prepare is not None:
            self._prepare(row)
        return warm


def _routed(routes: Routes) -> tuple[int, ...]:
    running = None if routes.running is None else routes.running[0]
    return tuple(dict.fromkeys(i for i in (running, routes.live, routes.previous) if i is not None))
