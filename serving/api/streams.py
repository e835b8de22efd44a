"""Answers without an end (server-sent events): what is under way, and how they are ended when the server is to stop."""

from __future__ import annotations

import asyncio

from serving.api.house import House


class Streams:
    """A part of the house, for the event loop's thread alone."""

    def __init__(self, house: House) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self.ending = False

    def add(self, task: asyncio.Task[object]) -> None:
        self._tasks.add(task)
        if self.ending:
            task.cancel()

    def discard(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)

    def end(self) -> None:
        """Whoever listens gets a proper end of the answer, and asks the server that comes after this one."""
        self.ending = True
        for task in list(self._tasks):
            task.cancel()

    def __contains__(self, task: object) -> bool:
        return task in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)
