"""A provider in virtual time: token bucket, places, storms, lost answers, and a client that always has rows to send."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.scoring.controller import Controller


@dataclass
class Server:
    rate: float = math.inf
    burst: float = 1.0
    places: int = 10**9
    latency: float = 0.05
    jitter: float = 0.0
    reject_latency: float = 0.002
    retry_after: str = "none"  # "none", "ms", "seconds"
    storms: Sequence[tuple[float, float]] = ()
    lost: float = 0.0
    queue: int | None = None  # answered at once by so many, the others wait
    lifted: tuple[float, float] | None = None  # from then on, this rate
    tokens: float = field(init=False)
    filled: float = 0.0
    busy: int = 0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def admit(self, now: float) -> float | None:
        """None: let in; else seconds to wait, as Retry-After would say."""
        for begin, end in self.storms:
            if begin <= now < end:
                return end - now
        if self.busy >= self.places:
            return 0.01
        if self.lifted is not None and now >= self.lifted[0]:
            self.rate, self.lifted = self.lifted[1], None
        if self.rate != math.inf:
            self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
            self.filled = now
            if self.tokens < 1.0 - 1e-9:
                return (1.0 - self.tokens) / self.rate
            self.tokens -= 1.0
        self.busy += 1
        return None


@dataclass
class Result:
    seconds: float
    requests: int
    throttled: int
    lost: int
    trace: list[tuple[float, float, float, int]]

    def wasted(self, rows: int) -> float:
        return (self.requests - rows) / rows


def simulate(
    server: Server,
    rows: int = 10_000,
    most: int = 256,
    seed: int = 0,
    limit: float = 1e5,
    controller=None,
    tick: float = 0.001,
) -> Result:
    """Sends ``rows`` until each is answered. Timers fire on ``tick``, as an event loop's do."""
    rng = random.Random(seed)
    now = 0.0
    control = controller or Controller(most, now)
    left, answered, requests, throttled, lost = rows, 0, 0, 0, 0
    events: list[tuple[float, int, str, object, object]] = []
    order = 0
    timer: float | None = None
    trace: list[tuple[float, float, float, int]] = []

    def push(at: float, kind: str, *what: object) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (at, order, kind, what, None))

    push(0.0, "pump")
    while answered < rows:
        now, _, kind, what, _ = heapq.heappop(events)
        if now > limit:
            break
        if kind == "arrive":
            ticket = what[0]
            after = server.admit(now)
            if after is not None:
                said = {"none": None, "ms": math.ceil(after * 1000) / 1000, "seconds": float(math.ceil(after))}
                push(now + server.reject_latency, "reject", ticket, said[server.retry_after])
            else:
                took = server.latency * (1.0 + server.jitter * rng.expovariate(1.0))
                if server.queue is not None and server.busy > server.queue:
                    took *= server.busy / server.queue
                push(now + took, "done", ticket)
            continue
        if kind == "reject":
            throttled += 1
            left += 1
            control.throttled(what[0], now, what[1])
            trace.append((now, control.rate, control.window, control.in_flight))
        elif kind == "done":
            server.busy -= 1
            if rng.random() < server.lost:
                lost += 1
                left += 1
                control.lost(what[0], now)
            else:
                answered += 1
                control.answered(what[0], now)
        elif kind == "timer":
            timer = None
        while left > 0:
            wait = control.delay(now)
            if wait == 0.0 and control.paced and kind != "timer":
                wait = 1e-6  # at the next tick, with others
            if wait is None:
                break
            if wait > 0.0:
                at = math.ceil((now + wait) / tick) * tick
                if timer is None or at < timer - 1e-9:
                    timer = at
                    push(at, "timer")
                break
            left -= 1
            requests += 1
            push(now + 0.0005, "arrive", control.send(now))
    return Result(now, requests, throttled, lost, trace)
