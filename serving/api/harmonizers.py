"""A part of the house that composes: the harmonisers of the rollout, kept up to date, and room for few sketches."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from pipelines.errors import OrimonoError, Unavailable
from serving.api.house import House
from serving.api.opening import Opening

if TYPE_CHECKING:
    from pipelines.composing.serving import LiveHarmonizers, Served

T = TypeVar("T")
log = logging.getLogger(__name__)

REFRESH_S = 5.0
AT_ONCE = 2  # sketches
QUEUE_S = 3.0  # that one waits for its turn
SKETCH_S = 15.0  # that one may take


class Harmonizers:
    """Any number of threads may ask."""

    def __init__(self, house: House) -> None:
        from pipelines.models.deadlines import Hands

        self._house = house
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._hands: Hands[object] = Hands()
        self._closing = threading.Event()
        self._opening = Opening("the harmonizer", self._open)
        self._thread = threading.Thread(target=self._keep_up, name="orimono-harmonizers", daemon=True)
        self._thread.start()

    def _open(self) -> LiveHarmonizers:
        from pipelines.composing.serving import LiveHarmonizers

        return LiveHarmonizers(self._house.studio)

    @contextlib.contextmanager
    def of(self, owner: str) -> Iterator[Served]:
        """As LiveHarmonizers.of; the one that ships while the stores cannot be reached."""
        from pipelines.composing import chorale
        from pipelines.composing.serving import Served

        try:
            models = self._opening.get(1.0)
        except Unavailable as away:
            shipped = chorale.shipped()
            yield Served(shipped, shipped.version, False, (str(away),))
            return
        with models.of(owner) as served:
            yield served

    def at_most(self, call: Callable[[], T]) -> T:
        """What ``call`` gives; Unavailable when it takes too long, or as many are under way as there is room for. One
        that is left alone keeps its room until it ends."""
        from pipelines.models.deadlines import TooLate

        if not self._room.acquire(timeout=QUEUE_S):
            raise Unavailable("sketches", f"{AT_ONCE} others are being made", 2)

        def made() -> object:
            try:
                return call()
            finally:
                self._room.release()

        try:
            return self._hands.call(made, SKETCH_S)  # type: ignore[return-value]
        except TooLate:
            raise Unavailable(
                "this sketch", f"takes longer than {SKETCH_S:g} s; make a job of the melody", 60
            ) from None

    @property
    def problems(self) -> tuple[str, ...]:
        made = self._opening.made
        return made.problems if made is not None else ()

    def _keep_up(self) -> None:
        while not self._closing.wait(REFRESH_S):
            models = self._opening.made
            for step in () if models is None else (models.flush, models.refresh):
                try:
                    step()
                except OrimonoError as error:
                    log.debug("harmonizers: %s", error)  # versions.py has told it once
                except Exception:  # a thread that dies in silence would freeze the rollout
                    log.exception("harmonizers: defect in %s", step.__name__)

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=10)
        models = self._opening.close()
        if models is not None:
            models.close()
        self._hands.close()
