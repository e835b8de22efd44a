"""A load generator in a process of its own: requests over connections that are kept open, at a rate or as fast as they
are answered.

At a rate, a request's time counts from the moment at which it was due: one that had to wait for a free connection was
late, too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any


@dataclass(frozen=True, slots=True)
class Load:
    """``requests``: (method, path, body) in turn. ``rate`` (a second): None asks as soon as there is an answer."""

    host: str
    port: int
    key: str
    requests: list[tuple[str, str, str]]
    seconds: float
    connections: int = 16
    rate: float | None = None
    most: int | None = None  # requests, after which it ends early


@dataclass(frozen=True, slots=True)
class Told:
    """``taken_ms``: of what was answered, sorted. ``lost``: connections that ended before their answer."""

    seconds: float
    statuses: dict[str, int]
    taken_ms: list[float]
    lost: int
    without_retry_after: int  # of those answered 503 and 429
    values: dict[str, int] = field(default_factory=dict)  # of "version" or "path" in the bodies

    @property
    def answered(self) -> int:
        return len(self.taken_ms)

    @property
    def rate(self) -> float:
        return self.answered / self.seconds

    def quantile(self, share: float) -> float:
        return self.taken_ms[min(len(self.taken_ms) - 1, int(share * len(self.taken_ms)))]


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, tally: _Tally) -> None:
        self.tally = tally
        self.transport: Any = None
        self.due = 0.0
        self.asking = False
        self._data = b""
        self._end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self.due, self.asking = due, True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        if not self._end:
            head = self._data.find(b"\r\n\r\n")
            if head < 0:
                return
            at = self._data.lower().find(b"content-length:", 0, head)
            length = int(self._data[at + 15 : self._data.find(b"\r", at)]) if at >= 0 else 0
            self._end = head + 4 + length
        if len(self._data) < self._end:
            return
        answer, self._data, self._end = self._data, b"", 0
        self.asking = False
        self.tally.answered(self, answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.tally.ended(self)


class _Tally:
    def __init__(self, load: Load) -> None:
        self.load = load
        head = (
            f"Host: {load.host}:{load.port}\r\nAuthorization: Bearer {load.key}\r\nContent-Type: application/json\r\n"
        )
        self.bytes: Iterator[bytes] = cycle(
            f"{method} {path} HTTP/1.1\r\n{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()
            for method, path, body in load.requests
        )
        self.taken: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.lost = self.without_retry_after = self.asked = 0
        self.free: list[_Connection] = []
        self.all: set[_Connection] = set()
        self.waiting: list[float] = []  # when they were due; the first at the end
        self.over = False
        self.done = asyncio.Event()

    def answered(self, connection: _Connection, answer: bytes) -> None:
        self.taken.append((time.perf_counter() - connection.due) * 1e3)
        status = answer[9:12].decode()
        self.statuses[status] += 1
        if status in ("503", "429") and b"\r\nretry-after:" not in answer[:2000].lower():
            self.without_retry_after += 1
        for name in (b'"version":"', b'"path":"'):
            at = answer.find(name)
            if at >= 0:
                self.values[answer[at + len(name) : answer.find(b'"', at + len(name))].decode()] += 1
        if b"\r\nconnection: close" in answer[:2000].lower():
            connection.transport.close()
            return
        self.next(connection)

    def next(self, connection: _Connection) -> None:
        if self.waiting:
            connection.ask(next(self.bytes), self.waiting.pop(0))
        elif self.over or (self.load.most is not None and self.asked >= self.load.most):
            self.free.append(connection)
            if not any(one.asking for one in self.all):
                self.done.set()
        elif self.load.rate is None:
            self.asked += 1
            connection.ask(next(self.bytes), time.perf_counter())
        else:
            self.free.append(connection)

    def ended(self, connection: _Connection) -> None:
        self.all.discard(connection)
        if connection in self.free:
            self.free.remove(connection)
        if connection.asking:
            self.lost += 1
        if not self.over:
            asyncio.get_running_loop().create_task(self.connect(1))
        elif not any(one.asking for one in self.all):
            self.done.set()

    async def connect(self, n: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(n):
            while not self.over:
                try:
                    _, made = await loop.create_connection(lambda: _Connection(self), self.load.host, self.load.port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                self.all.add(made)
                self.next(made)
                break

    async def run(self) -> Told:
        started = time.perf_counter()
        until = started + self.load.seconds
        await self.connect(self.load.connections)
        if self.load.rate is not None:
            await self._at_a_rate(self.load.rate, until)
        elif self.load.most is None:
            await asyncio.sleep(until - time.perf_counter())
        else:
            await asyncio.wait_for(self.done.wait(), self.load.seconds)
        self.over = True
        if any(one.asking for one in self.all):
            await asyncio.wait_for(self.done.wait(), 120)
        seconds = time.perf_counter() - started
        for one in list(self.all):
            one.transport.close()
        taken = sorted(round(ms, 3) for ms in self.taken)
        return Told(seconds, dict(self.statuses), taken, self.lost, self.without_retry_after, dict(self.values))

    async def _at_a_rate(self, rate: float, until: float) -> None:
        due = time.perf_counter()
        while due < until:
            now = time.perf_counter()
            while due <= now and due < until:
                self.asked += 1
                if self.free:
                    self.free.pop().ask(next(self.bytes), due)
                else:
                    self.waiting.append(due)
                due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


def put(load: Load, meanwhile: Callable[[], object] | None = None) -> Told:
    """Puts this load on a server from another process; ``meanwhile`` is called here while it runs."""
    command = [sys.executable, "-m", "benchmarks.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(asdict(load)))
        process.stdin.close()
        if meanwhile is not None:
            meanwhile()
        told = process.stdout.read()
    return Told(**json.loads(told))


def main() -> None:
    import uvloop

    given = json.load(sys.stdin)
    given["requests"] = [tuple(one) for one in given["requests"]]

    async def run() -> Told:
        return await _Tally(Load(**given)).run()

    json.dump(asdict(uvloop.run(run())), sys.stdout)


if __name__ == "__main__":
    main()
