"""Brings what threads found out back to those who wait for it on the event loop, all that is ready in one call."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

A = TypeVar("A")


class Telling(Generic[A]):
    """Any number of threads may ``add`` and say ``soon``."""

    def __init__(self) -> None:
        self._told: deque[tuple[asyncio.Future[A], A | BaseException]] = deque()
        self._under_way = False

    def add(self, future: asyncio.Future[A], told: A | BaseException) -> None:
        """An exception is raised where the future is awaited."""
        self._told.append((future, told))

    def soon(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Has the loop tell what was added; False when it is closed and nobody waits."""
        if self._told and not self._under_way:
            self._under_way = True
            assert loop is not None
            try:
                loop.call_soon_threadsafe(self._tell)
            except RuntimeError:
                return False
        return True

    def _tell(self) -> None:
        self._under_way = False  # before the look: what comes after it is told by the next
        while self._told:
            future, told = self._told.popleft()
            if future.done():  # the client has gone
                continue
            if isinstance(told, BaseException):
                future.set_exception(told)
            else:
                future.set_result(told)
