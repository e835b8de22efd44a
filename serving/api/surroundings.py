"""What surrounds every request: a name for it, who may come in how often, what is told of it afterwards.

One ASGI middleware for all, since each costs twenty microseconds by itself. What happens to body and answer is
exchange.py's, who may come gate.py's, what is counted traffic.py's, what is written logs.py's, spans are tracing.py's.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from typing import Any

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api import logs, problems
from serving.api.exchange import MOST_BODY, TOO_LARGE, Exchange
from serving.api.gate import Gate
from serving.api.hosts import Hosts
from serving.api.house import House
from serving.api.logs import Access, Noted
from serving.api.streams import Streams
from serving.api.tracing import Tracing
from serving.api.traffic import Traffic

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(rb"[A-Za-z0-9-]{8,64}")
FILES = ("/v1/uploads", "/upload")  # whose bodies are files, with limits of their own
JOB_PARAMETERS = ("job", "name")  # of paths that name one
OPEN = "/health"  # always answered: whoever watches over this process must not take it for dead
QUIET = ("/health", "/static", "/metrics")  # told at DEBUG only, so that a log is not full of them
MOST_REFUSALS_TOLD = 10  # lines a second of requests that nobody looked at
UNKNOWN = "(no such path)"
_names = random.Random()  # noqa: S311 - names of requests are no secrets, and the system's own chance costs 50 us
NUL = "the request: its address holds a NUL byte; leave it out"


class Surroundings:
    """The middleware; it is the outermost of the application's own."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house
        self._gate = house.one(Gate)
        self._hosts = Hosts(house.settings)
        self._traffic = house.one(Traffic)
        self._streams = house.one(Streams)
        self._tracing = house.one(Tracing) if house.settings.otlp_endpoint else None
        self._quiet = () if house.settings.log_level == "DEBUG" else QUIET
        self._refusals = (0, 0)  # the second, and how many were told in it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = state["request_id"] = _request_id(headers)
        noted = Noted(request_id)
        token = logs.begin(noted)
        path: str = scope["path"]
        tagged = path.startswith("/v1/") and scope["method"] in ("GET", "HEAD")
        exchange = Exchange(headers, receive, send, request_id, limited=not path.startswith(FILES), tagged=tagged)
        exchange.closing = self._house.draining
        task = exchange.task = asyncio.current_task()
        exchange.streams = self._streams
        who = state["who"] = self._gate.who(scope, headers)
        span = self._tracing.begin(scope["method"], headers) if self._tracing is not None else None
        self._traffic.under_way += 1
        let_in = False
        try:
            wait = 0.0 if path.startswith(OPEN) else self._gate.wait(who)
            if wait > 0:
                exchange.closing = exchange.linger = True
                refusal = await self._gate.refusal(who, wait, request_id)
                await refusal(scope, receive, exchange.send)
            elif "\x00" in path or b"%00" in scope["query_string"]:  # no name has it, and the database takes none
                let_in = True
                await problems.answer(400, NUL, request_id)(scope, receive, exchange.send)
            elif (refused := self._refused(scope, headers, request_id)) is not None:
                let_in = exchange.closing = exchange.linger = True
                await refused(scope, receive, exchange.send)
            else:
                let_in = True
                await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if task is None or not self._streams.ending or task not in self._streams:
                raise
            task.uncancel()
            await exchange.end_stream()
        except Exception as error:
            if exchange.started:  # half an answer is cut off, so that nobody takes it for a whole one
                log.exception("defect in %s, after the answer had begun", route_of(scope))
                raise
            answer = await _defect(scope, error)
            await answer(scope, receive, exchange.send)
        finally:
            self._traffic.under_way -= 1
            if task is not None:
                self._streams.discard(task)
            caller = state.get("caller")
            label = noted.caller = caller.label if caller is not None else ""
            self._gate.answered(who, headers, exchange.status, label or None)
            self._tell(scope, exchange, noted, started, let_in)
            if span is not None and self._tracing is not None:
                self._tracing.end(span, route_of(scope), exchange.status, noted)
            logs.end(token)

    def _refused(self, scope: Scope, headers: dict[bytes, bytes], request_id: str) -> Response | None:
        """What is seen by the head alone."""
        try:
            self._hosts.check(headers, scope["headers"])
        except problems.Refused as refused:
            return problems.of_error(refused, request_id)
        return _too_large(headers, scope["path"], request_id)

    def _tell(self, scope: Scope, exchange: Exchange, noted: Noted, started: float, let_in: bool) -> None:
        ms = (time.perf_counter() - started) * 1e3
        route = route_of(scope)
        self._traffic.of(route).count(exchange.status or 499, ms)
        if scope["path"].startswith(self._quiet) and exchange.status < 500:
            return
        if not let_in and not self._told_now():
            return
        if not noted.job:
            noted.job = _job(scope)
        logs.access(Access(time.time(), route, exchange.status or 499, ms, exchange.size, noted))

    def _told_now(self) -> bool:
        """Whether one more request that nobody looked at is worth a line: a flood of them fills no disk."""
        second, told = self._refusals
        now = int(time.monotonic())
        self._refusals = (now, told + 1 if second == now else 1)
        return self._refusals[1] <= MOST_REFUSALS_TOLD

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        state: dict[str, Any] = scope.setdefault("state", {})
        request_id = state["request_id"] = _request_id(headers)
        noted = Noted(request_id)
        token = logs.begin(noted)
        who = state["who"] = self._gate.who(scope, headers)
        status = 403  # what a handshake that nobody accepts is answered with

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = 101
            await send(message)

        self._traffic.sockets += 1
        try:
            if self._gate.wait(who) > 0 or self._house.draining:
                await receive()
                await send({"type": "websocket.close", "code": 1013, "reason": "not now"})
            elif self._refused(scope, headers, request_id) is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": "not meant for this server"})
            else:
                await self._app(scope, receive, sent)
        finally:
            self._traffic.sockets -= 1
            caller = state.get("caller")
            noted.caller = caller.label if caller is not None else ""
            self._gate.answered(who, headers, status, noted.caller or None)
            ms = (time.perf_counter() - started) * 1e3
            logs.access(Access(time.time(), route_of(scope), status, ms, 0, noted))
            logs.end(token)


def route_of(scope: Scope) -> str:
    """Method and path as documented, which are few; never the path that was asked for."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context, "path_format", None) or getattr(scope.get("route"), "path", None)
    if path is None and "endpoint" in scope:
        path = scope["path"] if scope["path"] in ("/openapi.json",) else "/static"
    return f"{scope.get('method', 'WS')} {path or UNKNOWN}"


def _job(scope: Scope) -> str:
    """The job that the path names, in the routes that are about one."""
    parameters = scope.get("path_params")
    if not parameters or "/job" not in scope["path"]:
        return ""
    return next((str(parameters[key]) for key in JOB_PARAMETERS if key in parameters), "")


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id")
    if given is not None and REQUEST_ID.fullmatch(given):
        return given.decode()
    return f"{_names.getrandbits(64):016x}"


def _too_large(headers: dict[bytes, bytes], path: str, request_id: str) -> Response | None:
    """A body that says beforehand that it is too large is not waited for."""
    length = headers.get(b"content-length")
    if length is None or len(length) < 7 or path.startswith(FILES) or int(length) <= MOST_BODY:
        return None
    return problems.answer(413, TOO_LARGE, request_id)


async def _defect(scope: Scope, error: Exception) -> Response:
    """By the application's own handler, which pages and problems share."""
    handler: Any = scope["app"].exception_handlers[Exception]
    answer: Response = await handler(Request(scope), error)
    return answer
