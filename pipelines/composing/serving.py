"""The harmoniser that a composer is served by: the version of their rollout, the one before it, or the one that ships.

Which version is whose is models/rollout.py's, which are in memory models/versions.py's, what is counted of them
models/traffic.py's. How melodies are harmonised is chorale.py's.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines import clock
from pipelines.composing import chorale, encoding, tokens
from pipelines.composing.candidate_models import FEATURE_VERSION
from pipelines.composing.evaluation import NAME
from pipelines.composing.harmonizer import Harmonizer, Opinion
from pipelines.errors import BadInput, OrimonoError
from pipelines.models import artefacts, rollout
from pipelines.models.sessions import Warm
from pipelines.models.traffic import Pending
from pipelines.models.versions import Slot, Versions
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

log = logging.getLogger(__name__)
_HEARD = 64  # melodies kept from one count to the next


@dataclass(frozen=True, slots=True)
class Served:
    """``version``: as the registry calls it, or that of the harmoniser that ships; ``reasons``: why versions before it
    in the composer's order do not serve."""

    harmonizer: Harmonizer
    version: str
    registered: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Listening(Harmonizer):
    """Remembers the last melodies that it was asked about, (relative pitches int64[T], minor, shift): drift is measured
    by them. Copies of it with another memory (personal.py) tell it, too."""

    heard: deque[tuple[NDArray[np.int64], bool, int | None]] = field(
        default_factory=lambda: deque(maxlen=_HEARD), repr=False, compare=False
    )

    def skeleton(
        self, soprano: NDArray[np.int64], minor: bool, known: NDArray[np.int64] | None = None, shift: int | None = None
    ) -> Opinion:
        if len(soprano):
            self.heard.append((soprano, minor, shift))
        return Harmonizer.skeleton(self, soprano, minor, known, shift)


class LiveHarmonizers:
    """Holds the versions that are rolled out. Use it as a context, or ``close`` it: the counts go to the database then.

    Raises nothing while the database is away or a version is broken: the harmoniser that ships answers, and says why.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._loaded: dict[int, _Listening] = {}
        self._pending = Pending()
        self._versions = Versions(studio, NAME, FEATURE_VERSION, encoding.N_FEATURES, self._prepare)
        self._versions.refresh()

    def __enter__(self) -> LiveHarmonizers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hands the counts over, if the database is there."""
        with contextlib.suppress(OrimonoError):
            self.flush()

    def flush(self) -> None:
        """Hands the counts over now. Unavailable when the database is away; they are kept then."""
        self._pending.flush(self._studio.database, self._versions.counters, clock.now())

    def refresh(self) -> None:
        """Looks at the rollout now, for who serves for long."""
        self._versions.refresh()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why versions that are rolled out do not serve here, one sentence each."""
        return self._versions.problems

    @contextlib.contextmanager
    def of(self, owner: str) -> Iterator[Served]:
        """The harmoniser of this composer, for as long as they are served by it. What is raised inside, other than for
        their input, counts as a failure of the version, the time as its latency; both decide about its rollout."""
        slot, reasons = self._slot(owner)
        if slot is None:
            shipped = chorale.shipped()
            yield Served(shipped, shipped.version, False, reasons)
            return
        started = time.perf_counter()
        try:
            yield Served(self._loaded[slot.row.id], slot.row.version, True, reasons)
        except BadInput:
            raise
        except Exception as error:
            slot.counter.failed(f"{slot.row.version}: {_where(error)}", _ms(started))
            raise
        self._count(slot, _ms(started))

    def _slot(self, owner: str) -> tuple[Slot | None, tuple[str, ...]]:
        """The first version in the owner's order that serves, and why those before it do not."""
        table = self._versions.table
        if not table.enabled:
            return None, ("an operator has switched the models off",)
        reasons: list[str] = [] if table.routes.live is not None else list(self.problems)
        for model_id in rollout.route(table.routes, owner):
            slot = table.slots.get(model_id)
            if slot is None:
                continue
            if slot.warm is not None and model_id in self._loaded:
                return slot, tuple(reasons)
            reasons.append(slot.refused)
            slot.counter.passed_on(slot.refused) if slot.passing else slot.counter.failed(slot.refused, 0.0)
        return None, tuple(reasons)

    def _count(self, slot: Slot, ms: float) -> None:
        """One call; of each melody one beat, since beats of one melody are too alike to be told from a change of the
        world."""
        assert slot.warm is not None
        heard, answers = self._loaded[slot.row.id].heard, []
        while heard:
            answers.append(answer(slot.warm, *heard.popleft()))
        x = np.concatenate([np.empty((0, slot.warm.input_dim), np.float32), *(row for row, _ in answers)])
        outputs = np.concatenate([np.empty((0, slot.warm.output_dim), np.float32), *(out for _, out in answers)])
        slot.counter.answered(x, outputs, ms)

    def _prepare(self, row: ModelVersion) -> None:
        if row.id not in self._loaded:
            model = of_version(self._studio, row)
            given = {one.name: getattr(model, one.name) for one in fields(model) if one.init}
            self._loaded[row.id] = _Listening(**given)


def of_version(studio: Studio, row: ModelVersion) -> Harmonizer:
    """The version's whole harmoniser. BadInput, naming it, when its bytes are gone, have changed, or want another
    program."""
    remedy = "restore the object, or roll back to a version that has its bytes"
    bundle = row.provenance.get("bundle", {})
    try:
        data = studio.objects.get(bundle.get("key", ""))
    except BadInput as error:
        raise BadInput(artefacts.named(row), f"has lost its harmonizer ({error.reason})", remedy) from error
    if hashlib.sha256(data).hexdigest() != bundle.get("sha256"):
        raise BadInput(artefacts.named(row), "has another harmonizer than was registered", remedy)
    return replace(Harmonizer.from_bytes(data), version=row.version)


def answer(
    warm: Warm, relative: NDArray[np.int64], minor: bool, shift: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of one beat of a melody (int64[T] relative pitches, T a multiple of 4, not empty), always the same one: the row
    that the network reads, float32[1, d], and what it answers there to the whole melody, float32[1, k]."""
    frames = np.full((len(relative), 4), tokens.UNKNOWN)
    frames[:, 0] = relative
    rows = encoding.encode(frames, minor, shift).astype(np.float32)
    digest = hashlib.sha256(np.ascontiguousarray(relative).tobytes()).digest()
    at = int.from_bytes(digest[:8], "big") % len(rows)
    return rows[at : at + 1], warm.run(rows)[at : at + 1]


def _where(error: Exception) -> str:
    """What failed and at which place of the program, without its words: those may be a person's, and what is counted of
    versions is not searched when somebody withdraws."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
