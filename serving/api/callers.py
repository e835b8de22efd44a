"""Who calls, as FastAPI's dependencies: ``Annotated[Caller, calls("jobs:read")]`` in a route's arguments.

What a key is, is pipelines/identity's. Here it is asked for off the event loop, once for all who bring the same one.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pipelines.errors import Unavailable
from pipelines.identity import keys
from pipelines.identity.callers import Caller, Scope
from pipelines.identity.known import Remembered
from serving.api.house import House
from serving.api.problems import Refused

PATIENCE = 2.0  # s that one who was known is kept waiting for a new answer
QUEUE = 256  # how many unknown ones may wait at once
log = logging.getLogger(__name__)

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="an API key, or a token of the OIDC issuer")


def house_of(request: Request) -> House:
    house: House = request.app.state.house
    return house


InHouse = Annotated[House, Depends(house_of)]


class Callers:
    """A part of the house: its memory of keys, and the threads that ask."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._keys = Remembered(self._key)
        self._new = ThreadPoolExecutor(2, "callers")
        self._again = ThreadPoolExecutor(1, "callers-again")  # a flood of unknown keys does not keep known ones waiting
        self._asked: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[Caller | None]] = {}

    def label(self, secret: str) -> str | None:
        """What limits and logs know this key or token by, without asking; None when it is not known."""
        caller = self._keys.late(secret)
        return caller.label if caller is not None else None

    async def of(self, secret: str) -> Caller:
        """Who brings this key or token. Refused (401) when it is none; Unavailable while that cannot be known."""
        known = self._keys.known(secret)
        if known is None:
            caller = await self._wait(secret)
        else:
            caller = known.caller
            if known.ask:
                self._ask(secret, self._again)
        if caller is None:
            raise unknown()
        return caller

    async def _wait(self, secret: str) -> Caller | None:
        before = self._keys.late(secret)
        asked = self._ask(secret, self._again if before else self._new)
        done, _ = await asyncio.wait([asked], timeout=PATIENCE)
        if done:
            return asked.result()
        if before is None:
            raise Unavailable("the database", "takes long to say whose key this is", 2)
        return before

    def _ask(self, secret: str, threads: ThreadPoolExecutor) -> asyncio.Future[Caller | None]:
        loop = asyncio.get_running_loop()
        if (asked := self._asked.get((loop, secret))) is not None:
            return asked
        if len(self._asked) >= QUEUE and threads is self._new:
            raise Unavailable("this server", "is asked for more keys at once than it can look up", 1)
        asked = loop.run_in_executor(threads, self._keys.ask, secret)
        self._asked[loop, secret] = asked

        def done(future: asyncio.Future[Caller | None]) -> None:
            self._asked.pop((loop, secret), None)
            if not future.cancelled() and (error := future.exception()) is not None:  # read, so that none is "lost"
                log.debug("a key could not be looked up: %s", error)

        asked.add_done_callback(done)
        return asked

    def _key(self, secret: str) -> keys.Found | None:
        if keys.FORM.match(secret) is None:
            return None
        with self._house.session() as session:
            return keys.verify(session, secret)

    def forget(self, key_id: int) -> None:
        """It was revoked here: no more of it at once."""
        self._keys.forget(key_id)

    def close(self) -> None:
        self._new.shutdown(wait=False, cancel_futures=True)
        self._again.shutdown(wait=False, cancel_futures=True)


def unknown() -> Refused:
    sentence = "this key or token: is none, expired or revoked; ask for a new one"
    return Refused(401, sentence, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


async def caller_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """401 without a key or token, or with one that is none."""
    if credentials is None:
        sentence = "this request: names no caller; send Authorization: Bearer KEY"
        raise Refused(401, sentence, {"WWW-Authenticate": "Bearer"})
    caller = await house_of(request).one(Callers).of(credentials.credentials)
    request.state.caller = caller  # for the log and for metrics
    return caller


def calls(scope: Scope) -> Any:
    """The caller, who has this scope; 403 otherwise."""

    async def allowed(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        caller.needs(scope)
        return caller

    return Depends(allowed)
