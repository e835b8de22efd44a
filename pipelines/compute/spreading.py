"""One function over many inputs on the machines of a cluster: as many on their way as it takes, those whose machine
died sent again, one that kills its workers given up alone.

How a cluster is spoken to is cluster.py's.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.compute import node
from pipelines.compute.address import cluster_of
from pipelines.compute.cluster import Cluster, Died, Flight, connected
from pipelines.compute.node import Work
from pipelines.errors import Unavailable
from pipelines.settings import Settings
from pipelines.storage.objects import Objects

log = logging.getLogger(__name__)
P = TypeVar("P")
R = TypeVar("R")
CRASHES = 2  # of an input's own workers before it is given up
TRIES = 8  # however many machines die under it
LOOK = 1.0  # s between two looks at the cluster
VERDICT = 30.0  # s in which the cluster notices that a whole machine is gone: its detector misses five heartbeats
NOBODY = 300.0  # s without any processor; machines that are started on demand take minutes


class Lost(Exception):
    """An input whose worker processes died one after the other, on machines that live."""


@dataclass(slots=True)
class _Task:
    number: int
    parcel: bytes
    machines_lost: int  # when it was sent first
    sent: int = 0
    crashes: int = 0
    doubted: float = 0.0  # until then it may still turn out that its machine died


def spread(
    settings: Settings, work: Work[P, R], given: Iterable[P], *, window: int | None = None, grace: float = 0.0
) -> Generator[tuple[int, R | Lost]]:
    """(number of the input, what ``work(settings, input)`` returned), as they come; Lost for one that cannot be done.

    ``work`` is a function of a module. Inputs are read as they are sent, at most ``window`` (twice the processors) at
    once. An OrimonoError of the work ends all of it, as does this generator's closing: what runs is told to end, and
    killed ``grace`` seconds later. Unavailable while the cluster is away or has no machine.
    """
    address = cluster_of(settings)
    assert address is not None
    run = _Run(settings, work, connected(address), grace)
    try:
        yield from run.answers(enumerate(given), window)
    finally:
        run.end()


class _Run:
    def __init__(self, settings: Settings, work: Work[Any, Any], cluster: Cluster, grace: float) -> None:
        self.settings, self.work, self.cluster, self.grace = settings, work, cluster, grace
        self.name = f"orimono.{work.__module__}.{work.__qualname__}"
        self.objects, self.known = Objects.open(settings), dict[Path, str]()
        self.flying: dict[Flight, _Task] = {}
        self.again: deque[_Task] = deque()
        self.doubted: list[_Task] = []
        self.looked, self.processors, self.machines_lost = 0.0, 0.0, 0
        self.worked = time.monotonic()  # when there last was a processor

    def answers(self, given: Iterator[tuple[int, Any]], window: int | None) -> Iterator[tuple[int, Any]]:
        exhausted = False
        while True:
            self._look()
            most = max(2, int(2 * self.processors)) if window is None else window
            while len(self.flying) < most and (self.again or not exhausted):
                if self.again:
                    self._send(self.again.popleft())
                elif (found := next(given, None)) is not None:
                    number, value = found
                    parcel = node.parcel_of(self.settings, self.work, value, self.objects, self.known)
                    self._send(_Task(number, parcel, self.machines_lost))
                else:
                    exhausted = True
            if not (self.flying or self.again or self.doubted):
                return
            for task in self._given_up():
                yield task.number, Lost(f"its worker died {task.crashes} times")
            if not self.flying:
                time.sleep(LOOK / 4)
                continue
            for flight in self.cluster.ended([*self.flying], LOOK):
                task = self.flying.pop(flight)
                answer = self.cluster.answer(flight)
                if isinstance(answer, Died):
                    if self._lose(task, answer):
                        yield task.number, Lost(f"its machines died {task.sent} times")
                else:
                    yield task.number, node.opened(answer)

    def end(self) -> None:
        flights = [*self.flying]
        if not flights:
            return
        self.cluster.cancel(flights, force=not self.grace)
        deadline = time.monotonic() + self.grace
        while flights and time.monotonic() < deadline:
            try:
                done = self.cluster.ended(flights, LOOK)
            except Unavailable:
                return
            flights = [flight for flight in flights if flight not in done]
        if self.grace:
            self.cluster.cancel(flights, force=True)

    def _send(self, task: _Task) -> None:
        task.sent += 1
        self.flying[self.cluster.send(self.name, task.parcel)] = task

    def _lose(self, task: _Task, died: Died) -> bool:
        """What follows from a death: the input goes out again, or its fault is doubted. True: nothing helps."""
        log.warning("%s: %s; input %d goes out again", self.name, died.reason, task.number)
        if task.sent >= TRIES:
            return True
        if died.of == "worker":
            task.crashes += 1
        if task.crashes < CRASHES:
            self.again.append(task)
        else:
            task.doubted = time.monotonic() + VERDICT
            self.doubted.append(task)
        return False

    def _given_up(self) -> list[_Task]:
        """Of those that killed their workers. One under which a machine died meanwhile goes out again instead."""
        found = []
        for task in [*self.doubted]:
            if self.machines_lost > task.machines_lost:
                task.machines_lost, task.crashes = self.machines_lost, 0
                self.again.append(task)
            elif time.monotonic() >= task.doubted:
                found.append(task)
            else:
                continue
            self.doubted.remove(task)
        return found

    def _look(self) -> None:
        now = time.monotonic()
        if now - self.looked < LOOK:
            return
        self.looked = now
        state = self.cluster.state()
        self.processors, self.machines_lost = state.processors, state.lost
        if self.processors > 0:
            self.worked = now
        elif now - self.worked > NOBODY:
            raise Unavailable("the Ray cluster", f"at {self.cluster.address} has no machine with a processor", 60)
