"""How things come along, as server-sent events: one thread a house asks the database once a second for all listeners.

What is told of a job or a sheet is the views'. Whoever may listen is decided by the route, before the first event.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, Protocol, TypeVar

from sqlalchemy.orm import Session
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Receive, Scope, Send

from pipelines.errors import OrimonoError, TooMany, Unavailable
from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.jobs import Job
from serving.wire.scoring import ScoringJob

log = logging.getLogger(__name__)

EVERY = 1.0  # s between two questions
HEARTBEAT = 15  # s of silence until a comment says that the connection lives
LONGEST = 600.0  # s; then the listener comes again, and shows its key again
MOST, MOST_OF_ONE = 500, 20  # listeners, of all and of one caller
RETRY_MS = 2000  # when a listener is to come again
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Key = TypeVar("Key", str, int)
End = Literal["ended", "gone", "closing", "again"]


class Told(Protocol):
    """What is told: a job or a scoring job."""

    @property
    def ended(self) -> bool: ...

    def model_dump_json(self) -> str: ...


@dataclass(frozen=True, slots=True)
class News:
    """The newest state of one thing. ``id`` is a hash of it: who comes again and names it has seen it."""

    id: str
    data: str
    ended: bool


@dataclass(eq=False, slots=True)
class _Listener(Generic[Key]):
    """One connection; only the newest news waits for it. ``gone``: there is no such thing any more."""

    key: Key
    who: str
    loop: asyncio.AbstractEventLoop
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    news: News | None = None
    gone: bool = False

    def tell(self, news: News | None) -> None:
        """From any thread."""

        def put() -> None:
            self.news, self.gone = news or self.news, news is None
            self.woken.set()

        with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile
            self.loop.call_soon_threadsafe(put)


class _Stream(EventSourceResponse):
    """Says that the listener left, however that came."""

    def __init__(self, events: AsyncIterator[ServerSentEvent], left: Callable[[], None]) -> None:
        super().__init__(events, ping=HEARTBEAT, headers=HEADERS)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


class Watcher(Generic[Key]):
    """Listeners of one kind of thing. ``states`` answers for many at once, leaving out those that there are not."""

    def __init__(self, house: House, states: Callable[[Session, Collection[Key]], Mapping[Key, Told]]) -> None:
        self._house = house
        self._states: Callable[[Session, Collection[Key]], Mapping[Key, Told]] = states
        self._listeners: set[_Listener[Key]] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def events(self, caller: Caller, key: Key, last_id: str | None = None) -> EventSourceResponse:
        """``progress`` whenever the thing has changed (at once, unless ``last_id`` says that the listener knows), then
        ``end``: ended, gone, closing (the server goes), or again (come back). TooMany beyond a caller's share,
        Unavailable when there is no place for anybody."""
        listener = self._enter(caller.actor.pseudonym, key)
        return _Stream(self._follow(listener, last_id), lambda: self._leave(listener))

    def _enter(self, who: str, key: Key) -> _Listener[Key]:
        if self._house.draining:
            raise Unavailable("this server", "is about to go", 2)
        listener = _Listener(key, who, asyncio.get_running_loop())
        with self._lock:
            mine = sum(1 for one in self._listeners if one.who == who)
            if mine >= MOST_OF_ONE:
                raise TooMany("you", f"follow {mine} things already", HEARTBEAT)
            if len(self._listeners) >= MOST:
                raise Unavailable("this server", f"has {MOST} listeners already", HEARTBEAT)
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
                self._thread.start()
        return listener

    async def _follow(self, listener: _Listener[Key], last_id: str | None) -> AsyncIterator[ServerSentEvent]:
        until = asyncio.get_running_loop().time() + LONGEST
        while True:
            end = await self._pause(listener, until)
            news = listener.news
            if news is not None and news.id != last_id:
                last_id = news.id
                yield ServerSentEvent(news.data, event="progress", id=news.id, retry=RETRY_MS)
            if end is None and news is not None and news.ended:
                end = "ended"
            if end is not None:
                yield ServerSentEvent(json.dumps({"reason": end}), event="end", id=last_id, retry=RETRY_MS)
                return

    async def _pause(self, listener: _Listener[Key], until: float) -> End | None:
        """Until there is news, or reason to end."""
        loop = asyncio.get_running_loop()
        while not listener.woken.is_set():
            if self._house.draining or self._stop.is_set():
                return "closing"
            if loop.time() >= until:
                return "again"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(listener.woken.wait(), EVERY / 4)
        listener.woken.clear()
        return "gone" if listener.gone else None

    def _leave(self, listener: _Listener[Key]) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def _watch(self) -> None:
        """The thread: until nobody listens."""
        while not self._stop.is_set():
            with self._lock:
                listeners = list(self._listeners)
                if not listeners:
                    self._thread = None
                    return
            self._look(listeners)
            self._stop.wait(EVERY)

    def _look(self, listeners: Collection[_Listener[Key]]) -> None:
        wanted = {listener.key for listener in listeners}
        try:
            with self._house.session() as session:
                states = {key: _news(state) for key, state in self._states(session, wanted).items()}
        except OrimonoError as error:  # the database is away: listeners wait, as for anything else
            log.warning("nobody is told of progress: %s", error)
            return
        except Exception:
            log.exception("defect while looking for progress")
            return
        for listener in listeners:
            news = states.get(listener.key)
            if news is None or listener.news is None or listener.news.id != news.id:
                listener.tell(news)


def _news(told: Told) -> News:
    data = told.model_dump_json()
    return News(hashlib.sha256(data.encode()).hexdigest()[:16], data, told.ended)


class JobEvents(Watcher[str]):
    """Jobs, by name."""

    def __init__(self, house: House) -> None:
        from pipelines import job_state
        from serving.views import jobs

        def states(session: Session, names: Collection[str]) -> dict[str, Job]:
            found = job_state.of_names(session, names)
            return {name: jobs.told(house.settings, state) for name, state in found.items()}

        super().__init__(house, states)


class ScoringEvents(Watcher[int]):
    """Scoring jobs, by id."""

    def __init__(self, house: House) -> None:
        from pipelines.errors import NotFound
        from serving.views import scoring

        def states(session: Session, ids: Collection[int]) -> dict[int, ScoringJob]:
            found = {}
            for one in ids:
                with contextlib.suppress(NotFound):
                    found[one] = scoring.told(house.settings, scoring.sheet(session, one))
            return found

        super().__init__(house, states)
