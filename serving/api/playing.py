"""Live sessions over WebSockets: who may play, one message after another, and how a session ends.

What the messages are is serving/wire/live.py's; what is played to them, pipelines.composing.live's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from fastapi import WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from pipelines.errors import BadInput, OrimonoError, TooMany, Unavailable
from pipelines.identity.callers import Caller
from serving.api import problems
from serving.api.callers import Callers, recognised
from serving.api.house import House
from serving.api.problems import Refused
from serving.views import live as views
from serving.wire import live as wire

if TYPE_CHECKING:
    from pipelines.composing.live import Accompanist

T = TypeVar("T")
log = logging.getLogger(__name__)

MOST_PLAYERS = 64
MOST_OF_ONE = 8  # sessions of one caller
THREADS = 2
FIRST_S = 10.0  # until the first message
IDLE_S = 600.0  # between two
SEND_S = 10.0  # until the player has read an answer
ASK_S = 30.0  # after which a key is looked at again
BURST = 2 * wire.MESSAGES_PER_SECOND
WATCH_S = 0.25


class End(Exception):
    """The session ends with this close code; ``error`` is told before."""

    def __init__(self, code: int, error: OrimonoError | None = None) -> None:
        self.code = code
        self.error = error
        super().__init__(code)


class Players:
    """A part of the house, for the event loop: who plays at this moment."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.threads = ThreadPoolExecutor(THREADS, "orimono-live")
        self._tasks: dict[asyncio.Task[object], str] = {}
        self._watch: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def seat(self, caller: Caller) -> AsyncIterator[None]:
        """One player's place. End (1013) when there is none."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MOST_PLAYERS:
            raise End(1013, Unavailable("live mode", f"has room for {MOST_PLAYERS}, and all play", 30))
        if sum(label == caller.label for label in self._tasks.values()) >= MOST_OF_ONE:
            raise End(1013, TooMany("this key", f"has {MOST_OF_ONE} sessions already", 30))
        self._tasks[task] = caller.label
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watched())
        try:
            yield
        finally:
            del self._tasks[task]

    async def _watched(self) -> None:
        """Ends all sessions when the server is about to."""
        while self._tasks:
            if self._house.draining:
                for task in list(self._tasks):
                    task.cancel()
                return
            await asyncio.sleep(WATCH_S)

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)


class Session:
    """One connection."""

    def __init__(self, socket: WebSocket, house: House) -> None:
        self._socket = socket
        self._house = house
        self._secret = ""
        self._caller: Caller | None = None
        self._asked_at = 0.0
        self._credit = float(BURST)
        self._seen = time.monotonic()

    async def run(self) -> None:
        """From the handshake to the close. Who may not play is answered by HTTP where their key came with the
        handshake, and by a close code otherwise."""
        try:
            _check_origin(self._socket, self._house)
            self._secret = _carried(self._socket)
            if self._secret:
                await self._recognise()
        except OrimonoError as error:
            await self._socket.send_denial_response(problems.of_error(error, self._request_id))
            return
        offered = self._socket.scope.get("subprotocols") or ()
        await self._socket.accept(subprotocol=wire.SUBPROTOCOL if wire.SUBPROTOCOL in offered else None)
        code = 1000
        try:
            await self._play()
        except End as end:
            code = end.code
            if end.error is not None:
                await self._tell_error(end.error)
        except WebSocketDisconnect:
            return
        except asyncio.CancelledError:
            code = 1012
            if self._house.draining:
                await self._tell_error(Unavailable("this server", "ends", 2))
        except Exception:
            log.exception("a live session failed")
            code = 1011
        if self._socket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(RuntimeError, TimeoutError):
                async with asyncio.timeout(SEND_S):
                    await self._socket.close(code)

    async def _play(self) -> None:
        try:
            first = await self._next(FIRST_S)
        except BadInput as error:
            raise End(1007, error) from error
        if not isinstance(first, wire.Start):
            raise End(1007, BadInput("the first message", "is no start", 'begin with {"type": "start"}'))
        if self._caller is None:
            self._secret = first.token or ""
        caller = await self._allowed()
        players = self._house.one(Players)
        async with players.seat(caller):
            try:
                player, ready = await self._off_loop(views.accompanist, self._house, caller, first)
            except BadInput as error:
                raise End(1007, error) from error
            await self._tell(ready)
            while True:
                try:
                    played = await self._next(IDLE_S)
                    if isinstance(played, wire.Stop):
                        return
                    await self._heard(player, played)
                except BadInput as error:  # of this message; the session goes on
                    await self._tell_error(error)
                if time.monotonic() - self._asked_at > ASK_S:
                    await self._allowed()

    async def _heard(self, player: Accompanist, played: wire.Start | wire.NoteOn | wire.NoteOff | wire.Advance) -> None:
        if isinstance(played, wire.NoteOn):
            player.note_on(played.beat, played.pitch, played.velocity)
        elif isinstance(played, wire.NoteOff):
            player.note_off(played.beat, played.pitch)
        elif isinstance(played, wire.Advance):
            found = await self._off_loop(player.advance, played.beat)
            await self._tell(views.committed(found, played.beat))
        else:
            raise BadInput("start", "came again", "connect again to begin anew")

    async def _off_loop(self, call: Callable[..., T], *arguments: object) -> T:
        threads = self._house.one(Players).threads
        return await asyncio.get_running_loop().run_in_executor(threads, call, *arguments)

    async def _next(self, patience: float) -> wire.Start | wire.NoteOn | wire.NoteOff | wire.Advance | wire.Stop:
        """The next message. BadInput for one that is not understood in detail; End for what no player sends."""
        try:
            async with asyncio.timeout(patience):
                message = await self._socket.receive()
        except TimeoutError:
            reason = f"said nothing for {patience:g} s"
            raise End(1008, BadInput("this session", reason, "connect again to play on")) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        self._pace()
        text = message.get("text")
        if text is None:
            raise End(1003, BadInput("a message", "is no text", "send JSON as text"))
        if len(text) > wire.LONGEST_MESSAGE and len(text.encode()) > _longest(self._caller):
            raise End(1009, BadInput("a message", f"is longer than {wire.LONGEST_MESSAGE} bytes", "send less"))
        try:
            return wire.PLAYED.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "a message"
            wrong = BadInput(place[:100], str(first["msg"])[:200], "see GET /v1/live for what is understood")
            if first["type"] in ("json_invalid", "union_tag_not_found", "union_tag_invalid", "model_type", "dict_type"):
                raise End(1007, wrong) from error
            raise wrong from error

    def _pace(self) -> None:
        now = time.monotonic()
        self._credit = min(float(BURST), self._credit + (now - self._seen) * wire.MESSAGES_PER_SECOND) - 1
        self._seen = now
        if self._credit < 0:
            raise End(1008, TooMany("this session", f"sends more than {wire.MESSAGES_PER_SECOND} messages a second", 1))

    async def _recognise(self) -> Caller:
        """Who brings the key. Raises as Callers.of does; NotAllowed without the scope."""
        caller = await self._house.one(Callers).of(self._secret)
        caller.needs("live")
        self._caller, self._asked_at = caller, time.monotonic()
        recognised(self._socket, caller)
        return caller

    async def _allowed(self) -> Caller:
        """As ``_recognise``; End where that raises. One who plays goes on while nobody can say whose key it is."""
        if not self._secret:
            reason = "names no caller; give token in start, or a subprotocol, or Authorization"
            raise End(1008, Refused(401, f"this session: {reason}"))
        try:
            return await self._recognise()
        except Unavailable as away:
            if self._caller is None:
                raise End(1013, away) from away
            self._asked_at = time.monotonic()
            return self._caller
        except OrimonoError as error:
            raise End(1008, error) from error

    @property
    def _request_id(self) -> str:
        return str(self._socket.scope.get("state", {}).get("request_id", ""))

    async def _tell(self, answer: wire.Ready | wire.Committed | wire.Silent | wire.Trouble) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send_text(answer.model_dump_json())
        except TimeoutError:
            raise WebSocketDisconnect(1006) from None

    async def _tell_error(self, error: OrimonoError) -> None:
        problem = json.loads(bytes(problems.of_error(error, self._request_id).body))
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # they have gone
            await self._tell(wire.Trouble(problem=problem))


def _longest(caller: Caller | None) -> int:
    """A first message may carry a token."""
    return wire.LONGEST_MESSAGE if caller is not None else wire.LONGEST_MESSAGE + 8192


def _check_origin(socket: WebSocket, house: House) -> None:
    """Refused for a page of somebody else's: browsers say where a script comes from, others say nothing."""
    origin = socket.headers.get("origin")
    if origin is None:
        return
    ours = {socket.headers.get("host", "").lower(), urlsplit(house.settings.api_address).netloc.lower()}
    try:
        theirs = urlsplit(origin).netloc.lower()
    except ValueError:
        theirs = ""
    if theirs not in ours:
        raise Refused(403, "this page: is not Orimono's; play from its own pages or from a program")


def _carried(socket: WebSocket) -> str:
    """The key or token of the handshake, "" for none."""
    scheme, _, secret = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    offered = socket.scope.get("subprotocols") or ()
    return next((one.removeprefix(wire.BEARER) for one in offered if one.startswith(wire.BEARER)), "")
