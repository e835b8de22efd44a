"""Where requests wait until the controller lets them go: one line for everybody, first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from pipelines.scoring.controller import Controller, Ticket
from pipelines.scoring.provider import Quota


class Closed(Exception):
    """Nothing more is to be sent."""


class Turnstile:
    """Lives in one event loop. Each ticket is given back once, by one of the four methods named after an outcome."""

    def __init__(self, control: Controller) -> None:
        self.control = control
        self._loop = asyncio.get_running_loop()
        self._line: deque[asyncio.Future[Ticket]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def enter(self, *, again: bool = False) -> Ticket:
        """Waits for leave to send one request; ``again``: before those who were not sent yet. Raises Closed."""
        if self._closed:
            raise Closed
        if not self._line and not self.control.paced:
            now = self._loop.time()
            if self.control.delay(now) == 0.0:
                return self.control.send(now)
        place: asyncio.Future[Ticket] = self._loop.create_future()
        if again:
            self._line.appendleft(place)
        else:
            self._line.append(place)
        self._advance()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.withdrawn(place.result())  # called in and cancelled at the same moment
            raise

    def answered(self, ticket: Ticket, quota: Quota | None = None) -> None:
        self.control.answered(ticket, self._loop.time(), quota)
        self._advance()

    def throttled(self, ticket: Ticket, retry_after: float | None, quota: Quota | None = None) -> None:
        self.control.throttled(ticket, self._loop.time(), retry_after, quota)
        self._advance()

    def lost(self, ticket: Ticket) -> None:
        self.control.lost(ticket, self._loop.time())
        self._advance()

    def withdrawn(self, ticket: Ticket) -> None:
        self.control.withdrawn(ticket)
        self._advance()

    def close(self) -> None:
        """Everybody in line, and whoever comes later, gets Closed."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for place in self._line:
            if not place.done():
                place.set_exception(Closed())
        self._line.clear()

    def _advance(self) -> None:
        """Lets in whoever may go. By pace they go in step, some at each tick, not one by one."""
        line = self._line
        while line and line[0].done():  # cancelled
            line.popleft()
        if not line:
            return
        now, control = self._loop.time(), self.control
        if control.paced:
            delay = control.delay(now)
            if delay is not None:
                self._wake_at(now + max(delay, 1e-6))
            return
        self._let_in()

    def _let_in(self) -> None:
        line, control = self._line, self.control
        while line:
            if line[0].done():
                line.popleft()
                continue
            now = self._loop.time()
            delay = control.delay(now)
            if delay is None:
                return  # an answer brings us back
            if delay > 0.0:
                self._wake_at(now + delay)
                return
            line.popleft().set_result(control.send(now))

    def _wake_at(self, when: float) -> None:
        grain = self.control.grain
        when = math.ceil(when / grain) * grain
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._let_in()
