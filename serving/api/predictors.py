"""Parts of the house that ask models: one Predictor a name, and the recommender. Loaded in the background, so that
neither the start nor the first request waits.

Which version answers whom is pipelines.models.inference's. Here requests are brought to it, off the event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from numpy.typing import ArrayLike

from pipelines.errors import NotFound, Unavailable
from serving.api.house import House
from serving.api.opening import Opening
from serving.api.rounds import Rounds
from serving.api.telling import Telling

if TYPE_CHECKING:
    from pipelines.models.inference import Prediction, Predictor
    from pipelines.recommending.answers import Recommendations
    from pipelines.recommending.ranking import Wish
    from pipelines.recommending.serving import LiveRecommender

PATIENCE = 5.0  # s that a request which comes while models are loaded waits for them
THREADS = 4  # a model; one answers all, unless a call hangs
MOST_WAITING = 512  # of a model
LISTS_TOGETHER = 16
LISTS_THREADS = 3
_ELSEWHERE = {"two_tower": "/v1/recommendations", "harmonizer": "/v1/sketches and /v1/live"}


class Predictors:
    """Those that are asked directly: the models of mastering, whose inputs are rows of features."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._desks: dict[str, Desk] = {}
        self._opening = Opening("models", self._open)

    def _open(self) -> dict[str, Predictor]:
        from pipelines.mastering import tasks, training_set
        from pipelines.models.inference import Predictor

        studio = self._house.studio
        made = {
            name: Predictor(studio, name, feature_version=training_set.feature_version(name)) for name in tasks.TASKS
        }
        self._desks = {name: Desk(predictor) for name, predictor in made.items()}
        return made

    @property
    def problems(self) -> tuple[str, ...]:
        """Why what is rolled out does not serve here, one sentence each."""
        made = self._opening.made or {}
        return tuple(dict.fromkeys(one for predictor in made.values() for one in predictor.problems))

    def get(self, name: str) -> Predictor:
        """May wait while the models are loaded. NotFound for a name that is not asked directly."""
        made = self._opening.get(PATIENCE)
        if name not in made:
            raise _unknown(name, made)
        return made[name]

    async def answer(self, name: str, user: str, rows: ArrayLike) -> Prediction:
        """As Predictor.predict; the event loop goes on meanwhile."""
        desk = self._desks.get(name)
        if desk is None:
            await asyncio.to_thread(self.get, name)
            desk = self._desks[name]
        return await desk.answer(user, rows)

    def close(self) -> None:
        made = self._opening.close()
        for desk in self._desks.values():
            desk.close()
        for predictor in (made or {}).values():
            predictor.close()


def _unknown(name: str, known: dict[str, Predictor]) -> NotFound:
    if name in _ELSEWHERE:
        return NotFound(f"model {name}", "is not asked directly", f"ask {_ELSEWHERE[name]}")
    return NotFound(f"model {name}", "does not exist", f"choose one of {', '.join(known)}")


_Asked: TypeAlias = "tuple[str, ArrayLike, asyncio.Future[Prediction]]"


class Desk:
    """Brings questions from the event loop to one Predictor and answers back, each way together with others that are
    ready: a hop between threads for each would cost more than the model.

    A thread takes one question at a time, so one that hangs holds up nobody but its own.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._coming: list[_Asked] = []
        self._telling: Telling[Prediction] = Telling()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"orimono-desk-{predictor.name}", daemon=True)
            for _ in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    async def answer(self, user: str, rows: ArrayLike) -> Prediction:
        loop = asyncio.get_running_loop()
        self._loop = loop
        if self._asked.qsize() >= MOST_WAITING:
            raise Unavailable(f"model {self._predictor.name}", "is asked more than it can answer", 1)
        future: asyncio.Future[Prediction] = loop.create_future()
        self._coming.append((user, rows, future))
        if len(self._coming) == 1:  # a thread that wakes now would fight with this one for the interpreter
            loop.call_soon(self._hand_over)
        return await future

    def _hand_over(self) -> None:
        coming, self._coming = self._coming, []
        for asked in coming:
            self._asked.put(asked)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            user, rows, future = asked
            try:
                told: Prediction | BaseException = self._predictor.predict(user, rows)
            except BaseException as error:  # noqa: BLE001 - it is raised again where somebody waits for it
                told = error
            self._telling.add(future, told)
            if not self._telling.soon(self._loop):
                return
            del asked, future, told

    def close(self) -> None:
        for _ in self._threads:
            self._asked.put(None)


class Recommender:
    """The one LiveRecommender of this process. Who asks while lists are made waits for their end, and is answered
    together with all who came meanwhile, at a quarter of the work."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._rounds: Rounds[ListAsked, bytes] = Rounds(
            "recommendations", self._lists, together=LISTS_TOGETHER, threads=LISTS_THREADS
        )
        self._opening = Opening("recommendations", self._open)

    def _open(self) -> LiveRecommender:
        from pipelines.recommending.serving import LiveRecommender

        return LiveRecommender(self._house.studio)

    @property
    def problems(self) -> tuple[str, ...]:
        made = self._opening.made
        return made.problems if made is not None else ()

    def get(self) -> LiveRecommender:
        """May wait while it is made."""
        return self._opening.get(PATIENCE)

    async def answer(self, asked: ListAsked) -> bytes:
        """The list as it goes out; the event loop goes on meanwhile."""
        if self._opening.made is None:
            await asyncio.to_thread(self.get)
        return await self._rounds.answer(asked)

    def _lists(self, asked: Sequence[ListAsked]) -> list[bytes | None]:
        recommender = self.get()
        if len(asked) == 1:
            one = asked[0]
            return [one.context.run(lambda: one.told(recommender.recommend_one(one.viewer, one.wish)))]
        found = recommender.recommend_together([(one.viewer, one.wish) for one in asked])
        return [None if made is None else one.told(made) for one, made in zip(asked, found, strict=True)]

    def close(self) -> None:
        self._rounds.close()
        made = self._opening.close()
        if made is not None:
            made.close()


@dataclass(frozen=True, slots=True)
class ListAsked:
    """``told``: what the list is to go out as. ``context``: by which the log knows the request."""

    viewer: UUID
    wish: Wish
    told: Callable[[Recommendations], bytes]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


def warm(house: House) -> None:
    """Begins to load all of them, in the background."""
    house.one(Predictors)
    house.one(Recommender)
