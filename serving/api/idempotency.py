"""POST requests that may be sent again: with the same Idempotency-Key and body, what was answered before is answered.

``APIRouter(route_class=Idempotent)`` does it for every POST of a router. Not for answers that hold a secret: they are
kept for a day. Only what succeeded is kept; after a failure the next request is the first one again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pipelines import clock, processes
from pipelines.errors import BadInput, OrimonoError
from pipelines.identity.callers import Caller
from pipelines.storage import idempotent_answers
from pipelines.storage.serving_tables import IdempotentAnswer
from serving.api.callers import InHouse, caller_of
from serving.api.house import House
from serving.api.problems import Refused

REPLAYED = "Idempotency-Replayed"
MOST_KEPT = 1 << 20  # bytes of an answer
LONGEST = timedelta(minutes=1)  # that another machine works on a request
FORGOTTEN = timedelta(minutes=10)  # after which a process that seems to live is another one with its number
_NOT_KEPT = frozenset(("content-length", "date", "set-cookie", "x-request-id"))
_WORKER = {"host": socket.gethostname(), "pid": os.getpid(), "mark": uuid.uuid4().hex}
_under_way: set[tuple[str, str]] = set()  # in this process
_lock = threading.Lock()
log = logging.getLogger(__name__)

_KEY = Header(
    alias="Idempotency-Key",
    min_length=1,
    max_length=200,
    pattern=r"^[\x21-\x7e]+$",
    description="makes it safe to send this request again, for a day: the same key with the same body does it once",
)


class _Known(Exception):
    """The answer is there already."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Request:
    """One request with a key, while it is worked on."""

    def __init__(self, house: House, caller: str, key: str, digest: str) -> None:
        self.house, self.caller, self.key, self.digest = house, caller, key, digest

    def begin(self) -> Response | None:
        """What was answered before, if it was. Refused while another one is under way, BadInput for another body."""
        own = (self.caller, self.key)
        with _lock:
            first = own not in _under_way
            _under_way.add(own)
        ours = False
        try:
            with self.house.session() as session:
                row = idempotent_answers.begin(session, *own, self.digest, _worker())
                if row is not None:
                    if row.request_hash != self.digest:
                        reason = "was sent with another request before"
                        raise BadInput("this Idempotency-Key", reason, "take a new key for a new request")
                    if row.status is not None:
                        return _again(row)
                    if not first or _lives(row):
                        sentence = "this request: is under way since you sent it before; ask again in a second"
                        raise Refused(409, sentence, {"Retry-After": "1"})
                    idempotent_answers.take_over(session, row, _worker())
            ours = True
        finally:
            if first and not ours:
                with _lock:
                    _under_way.discard(own)
        return None

    def end(self, response: Response | None) -> None:
        """Keeps what may be answered again. When that fails, the answer still counts: the next one does it anew, which
        whoever makes something guards against by ``token_of``."""
        try:
            body = _body(response)
            with self.house.session() as session:
                if response is None or body is None:
                    idempotent_answers.drop(session, self.caller, self.key)
                else:
                    headers = {k: v for k, v in response.headers.items() if k.lower() not in _NOT_KEPT}
                    idempotent_answers.answer(session, self.caller, self.key, response.status_code, headers, body)
        except OrimonoError as error:
            log.warning("an answer is not kept: %s", error)
        finally:
            with _lock:
                _under_way.discard((self.caller, self.key))


class Idempotent(APIRoute):
    """A route whose POST takes an Idempotency-Key."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        if "POST" in (more.get("methods") or ()):
            given = list(more.get("dependencies") or ())
            more["dependencies"] = given if any(d.dependency is _begun for d in given) else [*given, Depends(_begun)]
        super().__init__(path, endpoint, **more)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            response: Response | None = None
            try:
                response = await handle(request)
                return response
            except _Known as known:
                return known.response
            finally:
                begun: _Request | None = getattr(request.state, "idempotent", None)
                if begun is not None:
                    await run_in_threadpool(begun.end, response)

        return handled


def token_of(request: Request) -> str:
    """Tells requests that are one from others, even where the answer was lost: for whoever must not make a thing twice.
    Empty without a key."""
    begun: _Request | None = getattr(request.state, "idempotent", None)
    return f"{begun.key}:{begun.digest}" if begun is not None else ""


async def _begun(
    request: Request,
    caller: Annotated[Caller, Depends(caller_of)],
    house: InHouse,
    key: Annotated[str | None, _KEY] = None,
) -> None:
    if key is None:
        return
    digest = hashlib.sha256()
    # Another key of the same person may be allowed less.
    for part in (request.method, request.url.path, request.url.query, *sorted(caller.scopes)):
        digest.update(part.encode() + b"\n")
    digest.update(await request.body())
    begun = _Request(house, caller.actor.pseudonym, key, digest.hexdigest())
    if (known := await run_in_threadpool(begun.begin)) is not None:
        raise _Known(known)
    request.state.idempotent = begun


def _worker() -> dict[str, Any]:
    return {**_WORKER, "pid": os.getpid()}


def _lives(row: IdempotentAnswer) -> bool:
    """Whether somebody outside this process still works on this request."""
    if row.headers.get("mark") == _WORKER["mark"] and row.headers.get("pid") == os.getpid():
        return False
    age = clock.now() - row.created_at
    if row.headers.get("host") != _WORKER["host"]:
        return age < LONGEST
    pid = row.headers.get("pid")
    return isinstance(pid, int) and pid != os.getpid() and processes.lives(pid) and age < FORGOTTEN


def _again(row: IdempotentAnswer) -> Response:
    assert row.status is not None
    headers = {str(name): str(value) for name, value in row.headers.items()}
    return Response((row.body or "").encode(), row.status, {**headers, REPLAYED: "true"})


def _body(response: Response | None) -> str | None:
    """None for what is not to be answered again."""
    if response is None or not 200 <= response.status_code < 300:
        return None
    body = getattr(response, "body", None)
    if not isinstance(body, bytes) or len(body) > MOST_KEPT:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
