"""How much one caller may ask for: token buckets by key and by address, in bounded memory; and a place to hold back
those who ask too much.

One event loop uses them; nothing here blocks. What is answered is serving's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 20_000  # buckets of each kind
STRANGERS = 10  # times what one may have refused is what all strangers of an address may


@dataclass(frozen=True, slots=True)
class Who:
    """Whose bucket a request is taken from: a caller's, by their label, or a stranger's, by what they bring. All
    strangers of one ``address`` have a bucket together, so that new secrets are no way out; None for who is known."""

    name: str
    address: str | None = None


class Buckets:
    """Each holds ``capacity`` at most, gains ``rate`` a second, and begins full."""

    def __init__(self, rate: float, capacity: float, seconds: Callable[[], float]) -> None:
        self._rate, self._capacity, self._seconds = rate, capacity, seconds
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # content, and when it was that

    def __len__(self) -> int:
        return len(self._held)

    def wait(self, name: str) -> float:
        """Seconds until there is something to take; 0 when there is."""
        return max(0.0, (1.0 - self._content(name, self._seconds())) / self._rate)

    def take(self, name: str) -> None:
        """One; not below empty."""
        now = self._seconds()
        self._held[name] = (max(0.0, self._content(name, now) - 1.0), now)
        self._held.move_to_end(name)
        while len(self._held) > MOST:
            self._held.popitem(last=False)  # the longest not seen: it is full again, or nearly

    def _content(self, name: str, now: float) -> float:
        held = self._held.get(name)
        return self._capacity if held is None else min(self._capacity, held[0] + (now - held[1]) * self._rate)


class Limits:
    """``requests_per_second`` of one caller, and how many ``refusals_per_second`` before nothing of theirs is looked
    at until it is a second's worth less."""

    def __init__(
        self,
        requests_per_second: float,
        refusals_per_second: float,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = Buckets(requests_per_second, max(1.0, requests_per_second), seconds)
        self._refusals = Buckets(refusals_per_second, max(1.0, refusals_per_second), seconds)
        many = STRANGERS * refusals_per_second
        self._strangers = Buckets(many, max(1.0, many), seconds)

    def __len__(self) -> int:
        return len(self._requests) + len(self._refusals) + len(self._strangers)

    def wait(self, who: Who) -> float:
        """0: the request may go on, and is counted. Otherwise seconds until another may."""
        wait = max(self._requests.wait(who.name), self._refusals.wait(who.name))
        if who.address is not None:
            wait = max(wait, self._strangers.wait(who.address))
        if wait <= 0.0:
            self._requests.take(who.name)
        return wait

    def refused(self, who: Who) -> None:
        """Counts a request of theirs that was answered 4xx, or not looked at."""
        self._refusals.take(who.name)
        if who.address is not None:
            self._strangers.take(who.address)


class Bench:
    """Where those wait who asked too much, so that asking again at once gains them nothing. ``most`` at a time; who
    comes when it is full is answered at once."""

    def __init__(self, most: int = 200, seconds: float = 1.0) -> None:
        self._most, self._for = most, seconds
        self.sitting = 0

    async def sit(self) -> None:
        if self.sitting >= self._most:
            return
        self.sitting += 1
        try:
            await asyncio.sleep(self._for)
        finally:
            self.sitting -= 1


def place(address: str) -> str:
    """An address as a bucket knows it: of IPv6 the network of 64 bits, which one subscriber has to themself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
