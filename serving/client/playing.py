"""A live session: notes go up as they are played, what to play in the next beat comes down."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import httpx

from serving.client.errors import Unreachable, of_problem
from serving.client.transport import Transport, problem_of
from serving.wire.live import (
    SUBPROTOCOL,
    TOLD,
    Advance,
    Committed,
    NoteOff,
    NoteOn,
    Ready,
    Silent,
    Start,
    Stop,
    Trouble,
)

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection


class LiveSession:
    """One player's accompaniment, for one thread. Use it as a context, or ``close`` it."""

    def __init__(self, transport: Transport, start: Start, *, timeout: float = 10.0) -> None:
        """``ready`` says which parts may play. ApiError for a start that is refused, Unreachable without an answer."""
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect
        from websockets.typing import Subprotocol

        self._timeout = timeout
        request = httpx.Request("GET", f"{transport.url}/v1/live")
        address = "ws" + str(request.url).removeprefix("http")
        self._open = ExitStack()
        try:
            self._socket: ClientConnection = self._open.enter_context(
                connect(
                    address,
                    subprotocols=[Subprotocol(SUBPROTOCOL)],
                    additional_headers=transport.headers,
                    user_agent_header=None,
                    open_timeout=timeout,
                    proxy=None,
                )
            )
        except InvalidStatus as refused:
            said = refused.response
            found = httpx.Response(
                said.status_code, headers=said.headers.raw_items(), content=bytes(said.body or b""), request=request
            )
            raise of_problem(problem_of(found)) from refused
        except (OSError, InvalidHandshake) as error:
            raise Unreachable(f"{transport.url}: opened no live session ({error})") from error
        try:
            answer = self._ask(start)
        except BaseException:
            self._open.close()
            raise
        assert isinstance(answer, Ready)
        self.ready = answer

    def __enter__(self) -> LiveSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def note_on(self, beat: float, pitch: int, velocity: int = 80) -> None:
        self._say(NoteOn(type="note_on", beat=beat, pitch=pitch, velocity=velocity))

    def note_off(self, beat: float, pitch: int) -> None:
        self._say(NoteOff(type="note_off", beat=beat, pitch=pitch))

    def advance(self, beat: float) -> Committed | None:
        """It is ``beat`` now: what to play in the one after it; None for nothing yet."""
        answer = self._ask(Advance(type="advance", beat=beat))
        assert isinstance(answer, Committed | Silent)
        return answer if isinstance(answer, Committed) else None

    def close(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(Stop(type="stop").model_dump_json())
        except ConnectionClosed:
            return
        finally:
            self._open.close()

    def _say(self, message: NoteOn | NoteOff | Advance | Start) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(message.model_dump_json(exclude_none=True))
        except ConnectionClosed as closed:
            raise Unreachable(f"the live session was ended ({closed})") from closed

    def _ask(self, message: Advance | Start) -> Ready | Committed | Silent:
        from websockets.exceptions import ConnectionClosed

        self._say(message)
        try:
            answer = TOLD.validate_json(self._socket.recv(self._timeout))
        except (ConnectionClosed, TimeoutError) as closed:
            raise Unreachable(f"the live session was ended ({closed})") from closed
        if isinstance(answer, Trouble):
            self._open.close()
            raise of_problem(answer.problem)
        return answer
