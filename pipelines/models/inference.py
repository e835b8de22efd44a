"""The one class that asks models: the version of a user's rollout answers, or the one before it, or the rule.

Which version is whose is rollout.py's, which are in memory versions.py's, what is counted traffic.py's.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines import clock
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.models import rollout, sessions
from pipelines.models.deadlines import Hands, TooLate
from pipelines.models.traffic import UNCOUNTED, Pending
from pipelines.models.versions import Prepare, Slot, Versions
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

log = logging.getLogger(__name__)

RULE = "rule"
MOST_STUCK = 2  # calls of one version that never came back, before it is left alone until one does

Rule = Callable[[NDArray[np.float32]], ArrayLike]
# What a version is asked with, where each makes its own of the request; None: it has nothing to go by.
Inputs = Callable[[ModelVersion], ArrayLike | None]


@dataclass(frozen=True, slots=True)
class Prediction:
    outputs: NDArray[np.float32]  # [n, k]
    version: str  # "rule" when no version answered
    fell_back: bool  # the rule or a version other than the user's own answered
    latency_ms: float  # of the whole call
    classes: tuple[str, ...] = ()  # of a classifier, in the order of the outputs
    model_id: int | None = None
    reasons: tuple[str, ...] = ()  # why the versions before it did not answer


class Predictor:
    """Answers for one model name; any number of threads may ask at once.

    A version fails a call when it could not be loaded, takes longer than ``timeout_s``, raises, or answers in another
    shape or with NaN: the next one is asked, with a time-out of its own, and at last ``fallback``, the rule: a function
    of float32[n, d] that gives [n, k] (``fallback_classes`` names its outputs). The rule also answers while the flag
    ``enable_cpu_ml`` is off; without a rule the flag changes nothing here.

    Versions are loaded and exchanged by a thread that looks every ``refresh_s`` seconds and hands the counts over; no
    call waits for it. While database or object store are away, what is in memory serves on.

    Make it in the process that asks (threads do not follow a fork). Use it as a context, or ``close`` it: the last
    counts go to the database then, or at the end of the process. One that is killed loses those of one interval.
    """

    def __init__(
        self,
        studio: Studio,
        name: str,
        *,
        feature_version: str,
        input_dim: int | None = None,
        timeout_s: float = 3.0,
        refresh_s: float = 5.0,
        fallback: Rule | None = None,
        fallback_classes: Sequence[str] = (),
        prepare: Prepare | None = None,
    ) -> None:
        """Loads what is rolled out now. Raises nothing when that fails: see ``problems``.

        A version of another ``feature_version``, or ``input_dim`` where that is given, is refused; so is one for which
        ``prepare`` raises an OrimonoError. It is called, by the thread that loads, before a version serves: for what
        belongs to it beside its ONNX file.
        """
        self.name = name
        self._database = studio.database
        self._timeout_s = timeout_s
        self._refresh_s = refresh_s
        self._fallback = fallback
        self._fallback_classes = tuple(fallback_classes)
        self._versions = Versions(studio, name, feature_version, input_dim, prepare)
        self._hands: Hands[NDArray[np.float32]] = Hands()
        self._pending = Pending()
        self._closing = threading.Event()
        self.refresh()
        self._thread = threading.Thread(target=self._keep_up, name=f"orimono-{name}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why versions that are rolled out do not serve here, one sentence each; empty when all is well."""
        return self._versions.problems

    @property
    def enabled(self) -> bool:
        """False while an operator has switched the models off (the flag ``enable_cpu_ml``)."""
        return self._versions.table.enabled

    def routed(self, user_id: str) -> tuple[ModelVersion, ...]:
        """The versions that this user's call would ask, in order, also those that were refused."""
        table = self._versions.table
        return tuple(table.slots[i].row for i in rollout.route(table.routes, user_id) if i in table.slots)

    def predict(self, user_id: str, X: ArrayLike | Inputs, *, counted: bool = True) -> Prediction:
        """Answers for float32[n, d] or [d] (one row), by the version of this user.

        ``X`` may be a function of the version's row, called here for each version that is tried: where it raises an
        OrimonoError, or gives rows that do not fit, that version has failed with this sentence and the next one is
        asked, as it is, without a failure, where the function gives None. There is no rule for such a call, since
        nobody knows what it would be given. ``counted``: False for work in bulk, by which no version is to be judged.

        BadInput for inputs of another shape or that are not finite, whichever version is asked. Unavailable when no
        version answers and there is no rule; what the rule raises rises.
        """
        started = time.perf_counter()
        table = self._versions.table
        x = None if callable(X) else self._rows(X, table.width)
        fallback = None if x is None else self._fallback
        reasons: list[str] = []
        if table.enabled or fallback is None:
            for model_id in rollout.route(table.routes, user_id):
                slot = table.slots.get(model_id)
                outputs = None if slot is None else self._ask(slot, X if x is None else x, reasons, counted)
                if slot is not None and slot.warm is not None and outputs is not None:
                    ms = (time.perf_counter() - started) * 1e3
                    version, classes = slot.row.version, slot.warm.classes
                    return Prediction(outputs, version, bool(reasons), ms, classes, model_id, tuple(reasons))
        if fallback is None or x is None:
            why = "; ".join(reasons or self.problems) or "no version is rolled out"
            raise Unavailable(f"model {self.name}", f"has no version that answers and no rule ({why})", self._refresh_s)
        outputs = np.asarray(fallback(x), np.float32).reshape(len(x), -1)
        ms = (time.perf_counter() - started) * 1e3
        return Prediction(outputs, RULE, True, ms, self._fallback_classes, None, tuple(reasons))

    def predict_together(
        self, user_ids: Sequence[str], inputs: Callable[[ModelVersion], ArrayLike]
    ) -> list[Prediction | None]:
        """Answers for users who are asked of the same versions, by one run of their first: a row of ``inputs`` each.
        Counted as so many calls.

        None, and nothing counted, wherever that is not enough: no such version, none that is well, a run that fails or
        takes too long, a row without an answer. Who gets None is to be asked by ``predict``, which knows what to do.
        """
        started = time.perf_counter()
        nobody: list[Prediction | None] = [None] * len(user_ids)
        table = self._versions.table
        first = next(iter(rollout.route(table.routes, user_ids[0])), None) if user_ids and table.enabled else None
        slot = None if first is None else table.slots.get(first)
        if slot is None or slot.warm is None or slot.stuck:
            return nobody
        try:
            x = self._rows(inputs(slot.row), slot.row.input_dim)
            outputs = self._run(slot.warm, x)
        except TooLate as late:
            slot.stuck = [*slot.stuck, late.thread]
            return nobody
        except Exception as error:  # noqa: BLE001 - each of them meets it again, by themselves
            log.info("model %s: %d rows together: %s", self.name, len(user_ids), sessions.first_line(error))
            return nobody
        ms = (time.perf_counter() - started) * 1e3
        found: list[Prediction | None] = []
        for row in range(len(user_ids)):
            own = outputs[row : row + 1]
            if slot.warm.wrong(own, 1) is not None:
                found.append(None)
                continue
            slot.counter.answered(x[row : row + 1], own, ms)
            found.append(Prediction(own, slot.row.version, False, ms, slot.warm.classes, slot.row.id))
        return found

    def _rows(self, X: ArrayLike, width: int | None) -> NDArray[np.float32]:
        what = f"inputs of model {self.name}"
        try:
            with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
                x = np.ascontiguousarray(X, np.float32)
        except (TypeError, ValueError) as error:
            raise BadInput(what, "are no table of numbers", "give float32 [n, d] or [d]") from error
        if x.ndim == 1 and np.ndim(X) == 1:
            x = x[None]
        if x.ndim != 2 or not len(x) or width not in (None, x.shape[1]):
            wanted = f"[n, {width or 'd'}]"
            raise BadInput(what, f"have the shape {list(np.shape(X))}", f"give float32 {wanted} with at least one row")
        if not np.isfinite(x).all():
            raise BadInput(what, "hold NaN or infinity", "leave those rows out or mend their features")
        return x

    def _ask(self, slot: Slot, X: ArrayLike | Inputs, reasons: list[str], counted: bool) -> NDArray[np.float32] | None:
        """One version's answer; None, with the reason added, when it has none."""
        version, counter = slot.row.version, slot.counter if counted else UNCOUNTED
        if slot.warm is None:
            reasons.append(slot.refused)
            counter.passed_on(slot.refused) if slot.passing else counter.failed(slot.refused, 0.0)
            return None
        if slot.stuck:
            slot.stuck = [thread for thread in slot.stuck if thread.is_alive()]
            if len(slot.stuck) >= MOST_STUCK:
                reasons.append(f"{version}: {len(slot.stuck)} earlier calls have not come back")
                counter.passed_on(reasons[-1])
                return None
        started = time.perf_counter()
        try:
            made = X(slot.row) if callable(X) else X
            if made is None:
                reasons.append(f"{version}: has nothing to go by for this user")
                return None
            x = self._rows(made, slot.row.input_dim) if callable(X) else np.asarray(X, np.float32)
        except OrimonoError as error:
            reasons.append(f"{version}: {error}")
            counter.failed(reasons[-1], (time.perf_counter() - started) * 1e3)
            return None
        try:
            outputs = self._run(slot.warm, x)
        except TooLate as late:
            slot.stuck = [*slot.stuck, late.thread]
            wrong: str | None = f"took more than {self._timeout_s:g} s"
        except Exception as error:  # noqa: BLE001 - onnxruntime's own, and whatever a model makes it raise
            wrong = f"fails ({sessions.first_line(error)})"
        else:
            wrong = slot.warm.wrong(outputs, len(x))
        ms = (time.perf_counter() - started) * 1e3
        if wrong is None:
            counter.answered(x, outputs, ms)
            return outputs
        reasons.append(f"{version}: {wrong}")
        counter.failed(reasons[-1], ms)
        return None

    def _run(self, warm: sessions.Warm, x: NDArray[np.float32]) -> NDArray[np.float32]:
        import onnxruntime

        options = onnxruntime.RunOptions()
        try:
            return self._hands.call(lambda: warm.run(x, options), self._timeout_s)
        except TooLate:
            options.terminate = True  # ends it at its next node, so that it does not keep a core
            raise

    def refresh(self) -> None:
        """Looks at the rollout now, as the thread does; for who has just changed it."""
        self._versions.refresh()

    def flush(self) -> None:
        """Hands the counts over now. Raises Unavailable when the database is away; they are kept then."""
        self._pending.flush(self._database, self._versions.counters, clock.now())

    def _keep_up(self) -> None:
        while not self._closing.wait(self._refresh_s):
            for step in (self.flush, self.refresh):
                try:
                    step()
                except OrimonoError as error:
                    self._versions.away(str(error))
                except Exception:  # a thread that dies in silence would freeze the rollout
                    log.exception("model %s: defect in %s", self.name, step.__name__)

    def close(self) -> None:
        """Hands the last counts over, if the database is there, and ends the threads. May be called twice."""
        atexit.unregister(self.close)
        self._closing.set()
        self._thread.join(timeout=10)
        with contextlib.suppress(OrimonoError):
            self.flush()
        self._hands.close()
