"""Who may come in how often, told by what a request brings before anybody has looked at it. The counting is
pipelines/identity/limits.py's."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from pipelines.errors import TooMany
from pipelines.identity.limits import Bench, Limits, Who, place
from serving.api import problems
from serving.api.house import House

MOST_KNOWN = 20_000
REFUSED = range(400, 500)
TOO_MANY = (
    "this caller: sent more requests, or more that had to be refused, than are looked at; wait, then go on slower"
)


class Gate:
    """A part of the house, for the event loop's thread alone."""

    def __init__(self, house: House) -> None:
        settings = house.settings
        self._limits = Limits(settings.number("api_requests_per_second"), settings.number("api_refusals_per_second"))
        self._known: dict[int, Who] = {}  # by a keyed hash of what they bring: memory holds no secret
        self.bench = Bench()

    def who(self, scope: Scope, headers: dict[bytes, bytes]) -> Who:
        """By the label of a key or session that was good once; strangers by what they bring and where they are."""
        secret = headers.get(b"authorization") or headers.get(b"cookie")
        if secret is None:
            return Who(_address(scope))
        mark = hash(secret)
        return self._known.get(mark) or Who(f"stranger:{mark}", _address(scope))

    def wait(self, who: Who) -> float:
        """Seconds until this caller may come again; 0 when they may now, which counts."""
        return self._limits.wait(who)

    def recognise(self, who: Who | None, label: str) -> None:
        """Who came as a stranger is this caller: then their own limits count, however they wrote their key or cookie.
        Raises TooMany."""
        if who is None or who.name == label:
            return
        caller = Who(label)
        wait = self._limits.wait(caller)
        if wait > 0:
            raise TooMany("this caller", "sent more requests, or more that had to be refused, than are looked at", wait)

    def answered(self, who: Who, headers: dict[bytes, bytes], status: int, label: str | None) -> None:
        """``label``: of the caller, who turned out to be one."""
        if label is not None and who.name != label:
            who = Who(label)
            secret = headers.get(b"authorization") or headers.get(b"cookie")
            if secret is not None and status != 429:
                while len(self._known) >= MOST_KNOWN:
                    del self._known[next(iter(self._known))]  # the first that came
                self._known[hash(secret)] = who
        if status in REFUSED:
            self._limits.refused(who)

    async def refusal(self, who: Who, wait: float, request_id: str) -> Response:
        """429, after a while on the bench: to ask again at once gains nothing."""
        await self.bench.sit()
        return problems.answer(429, TOO_MANY, request_id, retry_after=max(wait, 1.0))


def _address(scope: Scope) -> str:
    client: Any = scope.get("client")
    return f"address:{place(str(client[0]))}" if client else "address:unknown"
