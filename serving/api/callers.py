"""Who calls, as FastAPI's dependencies: ``Annotated[Caller, calls("jobs:read")]`` in a route's arguments.

What keys, tokens and sessions are is pipelines/identity's. Here they are asked for off the event loop, once for all who
bring the same one.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from pipelines.errors import Unavailable
from pipelines.identity import keys, sessions
from pipelines.identity.callers import Caller, Scope
from pipelines.identity.known import Answer, Remembered, mark
from pipelines.identity.sessions import SignedIn
from pipelines.identity.tokens import MAX_BYTES, Tokens, Verified
from serving.api.gate import Gate
from serving.api.house import House
from serving.api.problems import Refused

PATIENCE = 2.0  # s that one who was known is kept waiting for a new answer; others five times that
QUEUE = 256  # how many unknown ones may wait at once
READING = ("GET", "HEAD", "OPTIONS")
A = TypeVar("A", bound=Answer)
log = logging.getLogger(__name__)

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="an API key, or a token of the OIDC issuer")


async def house_of(request: Request) -> House:  # async: FastAPI would ask a plain function in a thread
    house: House = request.app.state.house
    return house


InHouse = Annotated[House, Depends(house_of)]


class _Asked(Generic[A]):
    """One kind of secret: what is remembered of it, and threads of its own that ask."""

    def __init__(self, name: str, remembered: Remembered[A]) -> None:
        self.remembered = remembered
        self._new = ThreadPoolExecutor(2, f"{name}-new")
        self._again = ThreadPoolExecutor(1, f"{name}-again")  # so that a flood of new ones leaves the known in peace
        self._pending: dict[tuple[asyncio.AbstractEventLoop, bytes], asyncio.Future[A | None]] = {}

    async def of(self, secret: str) -> A | None:
        """None: nobody's. Unavailable while that cannot be known."""
        known = self.remembered.known(secret)
        if known is not None:
            if known.ask:
                self._ask(secret, self._again)
            return known.answer
        before = self.remembered.late(secret)
        asked = self._ask(secret, self._new if before is None else self._again)
        done, _ = await asyncio.wait([asked], timeout=PATIENCE if before is not None else 5 * PATIENCE)
        if done:
            return asked.result()
        slow = Unavailable("this server", "takes long to find out whose key or token this is", 2)
        self.remembered.hangs(slow)
        if before is None:
            raise slow
        return before

    def _ask(self, secret: str, threads: ThreadPoolExecutor) -> asyncio.Future[A | None]:
        loop = asyncio.get_running_loop()
        one = (loop, mark(secret))
        if (pending := self._pending.get(one)) is not None:
            return pending
        if len(self._pending) >= QUEUE and threads is self._new:
            raise Unavailable("this server", "is asked for more keys at once than it can look up", 1)
        asked = self._pending[one] = loop.run_in_executor(threads, self.remembered.ask, secret)

        def done(future: asyncio.Future[A | None]) -> None:
            self._pending.pop(one, None)
            if not future.cancelled() and (error := future.exception()) is not None:  # read, so that none is "lost"
                log.debug("a key or token could not be looked up: %s", error)

        asked.add_done_callback(done)
        return asked

    def close(self) -> None:
        self._new.shutdown(wait=False, cancel_futures=True)
        self._again.shutdown(wait=False, cancel_futures=True)


class Callers:
    """A part of the house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._keys = _Asked[keys.Found]("keys", Remembered(self._key))
        self._sessions = _Asked[SignedIn]("sessions", Remembered(self._session))
        self._tokens: _Asked[Verified] | None = None
        if house.settings.oidc_issuer:
            self._tokens = _Asked("tokens", Remembered(Tokens(house.settings).verify))

    async def of(self, secret: str) -> Caller:
        """Who brings this key or token. Refused (401) when it is none; Unavailable while that cannot be known."""
        asked = self._kind(secret)
        found = await asked.of(secret) if asked is not None else None
        if found is None:
            raise _nobodys()
        caller: Caller = found.caller
        return caller

    async def signed_in(self, cookie: str) -> SignedIn | None:
        """Who comes with this cookie (``sessions.COOKIE``) of the pages."""
        return await self._sessions.of(cookie)

    def forget_key(self, key_id: int) -> None:
        """It was revoked here: no more of it at once."""
        for asked in (self._keys, self._sessions):
            asked.remembered.forget(lambda caller: caller.key_id == key_id)

    def forget_session(self, cookie: str) -> None:
        """They signed out here."""
        found = self._sessions.remembered.late(cookie)
        if found is not None:
            self._sessions.remembered.forget(lambda caller: caller is found.caller)

    def close(self) -> None:
        for asked in (self._keys, self._sessions, self._tokens):
            if asked is not None:
                asked.close()

    def _kind(self, secret: str) -> _Asked[Any] | None:
        """Who can say whose it is; None for what is neither key nor token by its form."""
        if keys.FORM.match(secret) is not None:
            return self._keys
        return self._tokens if len(secret) <= MAX_BYTES and secret.count(".") == 2 else None

    def _key(self, secret: str) -> keys.Found | None:
        with self._house.session() as session:
            return keys.verify(session, secret)

    def _session(self, cookie: str) -> SignedIn | None:
        with self._house.session() as session:
            return sessions.find(session, cookie)


def _nobodys() -> Refused:
    sentence = "this key or token: is none, expired or revoked; ask for a new one"
    return Refused(401, sentence, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _nobody(sentence: str) -> Refused:
    return Refused(401, sentence, {"WWW-Authenticate": "Bearer"})


async def caller_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """401 without a key or token, or with one that is none. Scripts of the pages come with the pages' cookie and, if
    they change something, with their form's token in ``X-CSRF-Token``."""
    callers = (await house_of(request)).one(Callers)
    cookie = request.cookies.get(sessions.COOKIE)
    if credentials is not None:
        caller = await callers.of(credentials.credentials)
    elif cookie is not None and "Authorization" not in request.headers:
        caller = await _of_pages(callers, request, cookie)
    else:
        raise _nobody("this request: names no caller; send Authorization: Bearer KEY")
    recognised(request, caller)
    return caller


def recognised(connection: HTTPConnection, caller: Caller) -> None:
    """Notes who calls, for the log, for metrics and for limits. Raises TooMany when this caller is to wait, though what
    they brought was not known as theirs yet."""
    connection.state.caller = caller
    house: House = connection.app.state.house
    house.one(Gate).recognise(getattr(connection.state, "who", None), caller.label)


async def _of_pages(callers: Callers, request: Request, cookie: str) -> Caller:
    found = await callers.signed_in(cookie)
    if found is None:
        raise _nobody("this session: is over; sign in again, or send Authorization: Bearer KEY")
    if request.method not in READING and not found.meant(request.headers.get(sessions.CSRF_HEADER, "")):
        raise Refused(403, f"this request: lacks the page's token in {sessions.CSRF_HEADER}; load the page again")
    return found.caller


def calls(scope: Scope) -> Any:
    """The caller, who has this scope; 403 otherwise."""

    async def allowed(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        caller.needs(scope)
        return caller

    return Depends(allowed)
