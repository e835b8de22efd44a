"""A call that must not take longer than so long, made in a warm thread of its own.

A call into a library cannot be ended from outside, only left alone: its thread goes on and ends when the call does.
The hand-over and back takes about 15 µs, where a future of concurrent.futures takes five times that, and its
executor would hold up the end of the process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
MOST_IDLE = 8  # warm threads that wait; a burst of more callers has more for a while


class TooLate(Exception):
    """The call is still under way. ``thread`` ends when it does."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        super().__init__("the call took too long")


class Hands(Generic[T]):
    """As many threads as there are callers at once; each is given one call at a time."""

    def __init__(self) -> None:
        self._idle: deque[_Hand[T]] = deque()
        self._closed = False

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """What ``function`` returns or raises. TooLate after so many seconds; its result is then nobody's."""
        try:
            hand = self._idle.pop()  # the one that worked last: its caches are warm
        except IndexError:
            hand = _Hand()
        hand.calls.put(function)
        finished = False
        try:
            finished = hand.done.acquire(timeout=seconds)
        finally:  # also when the caller is interrupted
            if not finished:
                hand.calls.put(None)
        if not finished:
            raise TooLate(hand.thread)
        result, error = hand.result, hand.error
        hand.result = hand.error = None
        if self._closed or len(self._idle) >= MOST_IDLE:
            hand.calls.put(None)
        else:
            self._idle.append(hand)
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # no error: it is a T

    def close(self) -> None:
        """Ends the threads that wait; one that works ends after its call."""
        self._closed = True
        while self._idle:
            self._idle.pop().calls.put(None)


class _Hand(Generic[T]):
    __slots__ = ("calls", "done", "error", "result", "thread")

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], T] | None] = SimpleQueue()  # None: go home
        self.done = threading.Lock()
        self.done.acquire()
        self.result: T | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._work, name="orimono-model", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while True:
            function = self.calls.get()
            if function is None:
                return
            try:
                self.result = function()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the caller waits
                self.error = error
            del function  # what it holds is not kept alive by a thread that waits
            self.done.release()
