"""How many requests may be in flight and how fast they may be sent, found out from what comes back.

Pure decisions over a clock that is handed in; turnstile.py makes the pipeline wait for them. Two limits are looked for
at once, since a 429 does not say which of them was met: requests in flight (``window``) and requests a second
(``rate``). What a bucket's rate must be, given all that was let through and all that was not, is bucket.py's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.scoring.bucket import Bucket
from pipelines.scoring.provider import Quota

START = 4.0  # requests in flight before anything is known: what a wrong key costs
FLOOR = 1.0
FIRST_PACE = 50.0  # requests a second before the first answer
GRAIN = 0.02  # s; what is due within is sent together: request by request costs twice the processor time
BACK = 0.7  # of the rate at a first 429, which may be far above what can be sustained
LESS = 0.85  # of a rate that was too high, while its bounds are wide
UNDER = 0.975  # of a limit that is known: clocks differ, and a bucket that is never empty forgives a stutter
SURE = 1.3  # a rate known to lie between bounds that far apart is known
TINY = 1e-6  # s that no clock tells apart
SMALL = 4.0  # tokens
MEANT = 40.0  # requests that are to come through before one more is risked
PRICE = 20.0  # a probe upward is tried after this many times what a failed one costs
GUESS = 5.0  # the same while little is known
SHORTEST, LONGEST = 1.5, 120.0  # s between probes upward
SLOWEST_PROBE = 1.0  # s between single requests during a storm
OUTAGE = 10  # answers lost in a row that are taken for a storm


@dataclass(slots=True)
class Ticket:
    """One request under way: when it was sent, and as how manieth of those in flight."""

    at: float
    level: int


class Controller:
    """Slow start until the first 429, then held just under what was found, with rare steps above it.

    ``most``: requests in flight, never more. ``cap``: requests a second, never more. All times are seconds of one
    monotonic clock; all methods are cheap (a few microseconds) and none blocks.
    """

    def __init__(self, most: int, now: float, cap: float = math.inf) -> None:
        self.most, self.cap = max(1, most), cap
        self.window = min(START, self.most)
        self.rate = math.inf  # as paced now
        self._grain = GRAIN
        self.in_flight = 0
        self.gate = now  # nobody is sent before
        self.last_answer = now
        self.latency = 0.0  # s, smoothed, of answers
        self._best_latency = math.inf  # of a round
        self._starting = True
        self._next = now  # the next send, by pace
        self._cut_at = -math.inf  # a 429 for what was sent before tells nothing new
        self._probe: Ticket | None = None  # the one request that may try whether a gate is open
        self._single = False
        self._storm = 0  # probes in a row that failed
        self._lost = 0  # answers lost in a row
        self._rejection = 0.0  # s, smoothed, until a 429 comes back
        self._base = self._goal = math.inf  # rate after the last cut; rate it returns to
        self._since, self._pause = now, SHORTEST
        self._evaluated = now
        self._accepted = 0.0  # highest level that was answered lately
        self._bucket = Bucket(now)
        self._round = (now, 0)  # begin of a round trip and what was answered before
        self._answers = 0
        self._best_throughput = 0.0
        self._flat = 0
        self._crowd = False
        self._held = 0.0  # requests in flight that were once too many by one
        self._breadth = 0.0  # s between steps of the window
        self._told = 0.0  # s to wait, by the last cut's 429
        self._before: tuple[float, ...] | None = None  # what the last cut changed, should it prove to be a storm
        self._widened = now
        self._hint: tuple[float, float] | None = None  # rate by headers, valid until

    @property
    def paced(self) -> bool:
        """Whether a rate is kept to; else only the window counts."""
        return self._goal != math.inf or self.cap != math.inf

    @property
    def grain(self) -> float:
        """Seconds between the ticks at which it is worth to ask for leave."""
        return self._grain if self.paced else min(self._grain, max(0.001, 0.25 * self.latency))

    # -- asking for leave

    def delay(self, now: float) -> float | None:
        """Seconds until one more may be sent (0.0: now); None when that waits for an answer, not for the clock."""
        if self.in_flight >= int(self.window):
            return None
        if now < self.gate - TINY:
            return self.gate - now
        if self._single:
            if self._probe is not None:
                # A rejection comes back fast; a probe that has outlived one is as good as let in.
                left = self._probe.at + 2.0 * self._rejection + 0.05 - now
                if left > 0.0 or self._storm:
                    return max(left, 0.001) if not self._storm else None
                self._single, self._probe = False, None
            else:
                return 0.0
        self._pace(now)
        wait = self._next - now
        return wait if wait > TINY else 0.0

    def send(self, now: float) -> Ticket:
        """Counts one request as sent; call it when ``delay`` is 0."""
        self.in_flight += 1
        ticket = Ticket(now, self.in_flight)
        if self._single and self._probe is None:
            self._probe = ticket
        pace = self._pace(now)
        gap = 1.0 / pace
        # A late timer is made up for, but not by more than that: it would be a burst.
        self._next = max(self._next, now - max(0.5 * gap, min(1.5 * self.grain, self.grain + 0.004))) + gap
        self._bucket.sent(now)
        return ticket

    # -- what came back

    def answered(self, ticket: Ticket, now: float, quota: Quota | None = None) -> None:
        self._returned(ticket)
        self.last_answer = now
        self._lost = 0
        self._answers += 1
        took = now - ticket.at
        self.latency += (took - self.latency) * (0.1 if self.latency else 1.0)
        if self._single and ticket.at >= self.gate:
            self._open(now)
        if ticket.level > self._accepted:
            self._accepted = ticket.level
        if self._starting:
            if ticket.level >= 0.7 * self.window:
                self.window = min(self.most, self.window + (1.0 if self.window < 64 else 0.25))
        elif ticket.level >= int(self.window) and self.window < self.most and now > self._widened + self._breadth:
            if not self._slow():
                self.window = min(self.most, self.window + max(1.0, 0.03 * self.window))
            self._widened = now
        if ticket.at >= self._round[0]:
            self._end_round(now)
        if quota is not None:
            self._heed(quota, now)

    def throttled(self, ticket: Ticket, now: float, retry_after: float | None, quota: Quota | None = None) -> None:
        """A 429. Cuts once for all that was under way together; closes the gate for everybody."""
        self._returned(ticket)
        took = now - ticket.at
        self._rejection += (took - self._rejection) * (0.3 if self._rejection else 1.0)
        probe = ticket is self._probe
        if quota is not None:
            self._heed(quota, now)
        if probe:
            self._probe = None
            self._storm += 1
        wait = retry_after if retry_after is not None else 0.0
        if self._storm:
            wait = max(wait, min(SLOWEST_PROBE, 0.05 * 2.0 ** (self._storm - 1)))
        elif retry_after is None:
            wait = min(0.25, max(0.02, 0.5 * self.latency))
        self.gate = max(self.gate, now + wait)
        self._bucket.rejected(ticket.at)
        if ticket.at <= self._cut_at:
            if self._crowd:  # sent before the cut: one less that was let in
                self.window = self._held = max(FLOOR, self.window - 1.0)
            return
        if not probe:
            self._cut(ticket, now, wait)
            self._cut_at = now
        self._single = True

    def lost(self, ticket: Ticket, now: float) -> None:
        """No answer. One is chance; many in a row are a storm, whatever the status was."""
        self._returned(ticket)
        self._lost += 1
        probe = ticket is self._probe
        if probe:
            self._probe = None
        if self._lost >= OUTAGE or (probe and self._storm):
            self._storm += 1
            self._single = True
            self.gate = max(self.gate, now + min(SLOWEST_PROBE, 0.05 * 2.0 ** (self._storm - 1)))
        elif probe:
            self._single = False

    def withdrawn(self, ticket: Ticket) -> None:
        """Cancelled, refused or unusable: it says nothing about limits."""
        self._returned(ticket)
        if ticket is self._probe:
            self._probe = None

    # -- how it decides

    def _returned(self, ticket: Ticket) -> None:
        self.in_flight -= 1

    def _open(self, now: float) -> None:
        """A probe came through."""
        if self._before is not None and self._was_storm(now):
            # Seconds of nothing but 429, where many came through before, are no bucket's work: on as before.
            (self.window, self.rate, self._base, self._goal, self._since, self._pause, self._breadth) = self._before
            self._since, self._evaluated = self._since + now - self._cut_at, now
            self._bucket.pardon(self._cut_at)
        self._single, self._probe, self._storm, self._before = False, None, 0, None

    def _was_storm(self, now: float) -> bool:
        """Whether what was silent since the last cut was silent for longer than any bucket takes to its next token."""
        usual = self._bucket.recent(self._cut_at, 0.5)
        silent = now - self._cut_at > max(0.5, 8.0 / usual) and self._answers >= 20
        return silent and (self._storm > 0 or self._told > max(1.0, 8.0 / usual))

    def _slow(self) -> bool:
        """Whether answers take twice what they took: the server queues, and more in flight only wait longer."""
        return self.latency > 2.0 * self._best_latency + 0.02

    def _end_round(self, now: float) -> None:
        begin, before = self._round
        length = now - begin
        self._round = (now, self._answers)
        if length <= 0.0:
            return
        if self._answers - before >= 4:
            self._best_latency = min(self._best_latency * 1.001, self.latency)
        if not self._starting:
            return
        throughput = (self._answers - before) / length
        if throughput > 1.2 * self._best_throughput:
            self._best_throughput, self._flat = throughput, 0
        elif self.window >= 16:
            self._flat += 1
            if self._flat >= 3 or self._slow():  # more in flight bring no more through
                self._starting = False
                self._widened, self._breadth = now, 8.0 * self.latency

    def _cut(self, ticket: Ticket, now: float, wait: float) -> None:
        self._told = wait
        self._before = (self.window, self.rate, self._base, self._goal, self._since, self._pause, self._breadth)
        paced = self._pace(now)
        sending = self._bucket.recent(ticket.at, max(2.0 * self.latency, 0.05))
        # More than were ever answered at once, and than were thought to be too many before: that may be why.
        self._crowd = ticket.level > max(0.9 * self._accepted, self._held)
        self._starting = False
        price = wait + 2.0 * self._rejection + 0.02
        if self._crowd:
            self.window = self._held = max(FLOOR, min(self.window, float(self.in_flight)))
            self._widened = now
            self._breadth = min(LONGEST, max(4.0 * self.latency, 2.0 * self._breadth, 4.0 * price))
            return
        low, high = self._bucket.estimate() or (0.0, math.inf)
        reached = min(paced, sending)
        if low and self._bucket.burst(low) < SMALL:
            # Our own stutters are as large as such a bucket: more history would tell no more.
            high = min(high, 1.5 * low)
        middle = math.sqrt(low * high) if low else 0.0
        if low and high <= SURE * low:
            self._base, self._goal = UNDER * low, UNDER * middle
            # Longer and longer between failed probes; a second 429 of the same kind is none.
            probed = now - self._since >= self._pause
            pause = max(PRICE * price, (2.0 if probed else 1.0) * self._pause)
        elif low:
            # Between the bounds, but lower than what was just too much.
            self._base = max(UNDER * low, min(middle, LESS * paced))
            self._goal = max(self._base, UNDER * min(high, reached))
            pause = GUESS * price
        else:
            self._base, self._goal = BACK * reached, UNDER * reached
            pause = max(GUESS * price, 1.5 * self._pause)
        # Whatever the history says, this much was too much just now.
        self._base, self._goal = min(self._base, 0.95 * paced), min(self._goal, paced)
        self._pause = min(LONGEST, max(SHORTEST, MEANT / self._goal, pause))
        # It is the rate that counts: there is to be room for what it brings into flight.
        self.window = max(self.window, min(self.most, 1.5 * self._goal * self.latency + 2.0))
        self._since = self._evaluated = now + wait
        self.rate = self._base
        bears = self._bucket.burst(low or reached)  # at once; half of it is left for stutters
        self._grain = min(GRAIN, max(0.002, 0.5 * bears / self._goal))

    def _pace(self, now: float) -> float:
        """Requests a second allowed now."""
        if self._goal != math.inf:
            if now > self._next + max(4.0 / self.rate, 0.02) and now > self._evaluated:
                self._since += now - self._evaluated  # nobody wanted to go faster: nothing was tried
            self._evaluated = max(now, self._evaluated)
            t = max(0.0, now - self._since) / self._pause
            if t < 1.0:
                self.rate = self._goal - (self._goal - self._base) * (1.0 - t) ** 3
            else:
                over = t - 1.0
                self.rate = self._goal * math.exp(min(50.0, over + 0.1 * over**2))
        limit = min(self.rate, self.cap, self._smooth())
        if self._hint is not None:
            if now < self._hint[1]:
                return min(limit, self._hint[0])
            self._hint = None
        return limit

    def _smooth(self) -> float:
        """A window's worth of requests spread over a round trip: a small bucket would not bear them at once."""
        if not self.latency:
            return FIRST_PACE
        return (2.0 if self._starting else 1.5) * self.window / self.latency

    def _heed(self, quota: Quota, now: float) -> None:
        """Headers that tell how fast a bucket fills are believed once it runs low."""
        if quota.requests is None or quota.remaining is None or not quota.reset or quota.reset <= 0.0:
            return
        if quota.remaining < 0.2 * quota.requests:
            filling = (quota.requests - quota.remaining) / quota.reset
            if filling > 0.0:
                self._hint = (UNDER * filling, now + 2.0)
