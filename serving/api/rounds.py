"""Questions that are quicker answered together, in rounds: who asks while one is under way is in the next. Nobody waits
for others to come.

What is asked, and of what, is predictors.py's.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from pipelines.errors import Unavailable
from serving.api.telling import Telling

MOST_WAITING = 512
LATE = 0.1  # s after which a round is not waited for: another thread begins the next

Q = TypeVar("Q")
A = TypeVar("A")


class Rounds(Generic[Q, A]):
    """``work`` answers up to ``together`` questions in their order: None for one that is to be asked alone, which the
    others do not wait for. What it raises, each of them is told. At most ``threads`` rounds at once, the second when
    the first is late."""

    def __init__(
        self, name: str, work: Callable[[Sequence[Q]], Sequence[A | None]], *, together: int, threads: int
    ) -> None:
        self._name = name
        self._work = work
        self._together = together
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._alone: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._telling: Telling[A] = Telling()
        self._bell: SimpleQueue[bool] = SimpleQueue()  # False: go home
        self._lock = threading.Lock()
        self._begun: dict[int, float] = {}  # by thread: when its round began
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lonely = True
        self._ringing = self._watched = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"orimono-{name}", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def answer(self, question: Q) -> A:
        """Unavailable when too many wait."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        if len(self._waiting) + len(self._alone) >= MOST_WAITING:
            raise Unavailable(self._name, "are asked for more than can be made", 1)
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, future))
        if not self._ringing:
            self._ringing = True
            loop.call_soon(self._ring)  # after all who came with this one
        return await future

    def _ring(self) -> None:
        self._ringing = False
        now = time.monotonic()
        if all(now - begun >= LATE for begun in list(self._begun.values())):
            self._bell.put(True)
        elif not self._watched:  # the end of a round begins the next, should it end
            self._watched = True
            assert self._loop is not None
            self._loop.call_later(LATE, self._look)

    def _look(self) -> None:
        self._watched = False
        if self._waiting or self._alone:
            self._ring()

    def _serve(self) -> None:
        while self._bell.get():
            while taken := self._take():
                try:
                    told: Sequence[A | BaseException | None] = self._work([question for question, _ in taken])
                except BaseException as error:  # noqa: BLE001 - it is raised again where somebody waits for it
                    told = [error] * len(taken)
                for one, answer in zip(taken, told, strict=True):
                    if answer is None:
                        self._alone.append(one)
                    else:
                        self._telling.add(one[1], answer)
                if not self._telling.soon(self._loop):
                    return
                del told

    def _take(self) -> list[tuple[Q, asyncio.Future[A]]]:
        """Who is in this thread's next round; nobody while another thread's is under way."""
        me = threading.get_ident()
        with self._lock:
            self._begun.pop(me, None)
            now = time.monotonic()
            if any(now - begun < LATE for begun in self._begun.values()):
                return []
            alone = bool(self._alone) and (self._lonely or not self._waiting)
            self._lonely = not alone  # in turn, so that neither waits for all the others
            line, most = (self._alone, 1) if alone else (self._waiting, self._together)
            taken = [line.popleft() for _ in range(min(len(line), most))]
            if taken:
                self._begun[me] = now
            return taken

    def close(self) -> None:
        for _ in self._threads:
            self._bell.put(False)
