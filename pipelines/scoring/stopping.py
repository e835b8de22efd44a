"""How long a run that is to stop waits for what it has under way: for answers, for the ledger and the sheet."""

from __future__ import annotations

import asyncio
import math
from typing import Any

DRAIN = 5.0  # s that what is in flight gets when the run is to stop
HANGING = 20.0  # s more that the ledger and the sheet get then
AT_ONCE = 1.0  # s that they get when nobody waits any more


class Stop:
    """Of one run. Lives in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._set = asyncio.Event()
        self._changed = self._loop.create_future()
        self._answers = self._all = math.inf  # until when they are waited for

    def is_set(self) -> bool:
        return self._set.is_set()

    async def wait(self) -> None:
        await self._set.wait()

    def set(self) -> None:
        if not self.is_set():
            now = self._loop.time()
            self._set.set()
            self._limit(now + DRAIN, now + DRAIN + HANGING)

    def hurry(self) -> None:
        """No answer is waited for any more, and what there is is recorded at once or not at all."""
        self._set.set()
        now = self._loop.time()
        self._limit(now, now + AT_ONCE)

    async def ended(self, work: asyncio.Future[Any], *, answers: bool = False) -> bool:
        """Whether it has. Waits for that: without a bound until the stop, for the rest of its time after it."""
        while not work.done():
            until = self._answers if answers else self._all
            left = None if until == math.inf else until - self._loop.time()
            if left is not None and left <= 0:
                return False
            await asyncio.wait([work, self._changed], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return True

    def _limit(self, answers: float, everything: float) -> None:
        self._answers, self._all = min(self._answers, answers), min(self._all, everything)
        self._changed.set_result(None)
        self._changed = self._loop.create_future()
