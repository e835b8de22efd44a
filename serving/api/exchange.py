"""One request and its answer, as the application sees them: a body that has a size and an end, an answer with a tag by
which it need not be sent twice, and headers that keep browsers from mischief.

Which requests are let in, and what is told of them, is surroundings.py's.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Send

from serving.api.streams import Streams

BODY_SECONDS = 30.0  # without a byte
SMALL_BODY_SECONDS = 60.0  # from the head to the end of a body that is no file
MOST_BODY = 1 << 20  # bytes of a body that is no file
MOST_TAGGED = 4 << 20  # bytes of an answer that gets a tag
LINGER_SECONDS = 2.0  # a body that is not wanted is read on so long, or the sender never sees the answer
MOST_LINGERED = 32 << 20  # bytes

_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_FRESH = (b"cache-control", b"private, no-cache")  # kept, but asked about each time
_NEVER = (b"cache-control", b"no-store")
_VARY = (b"vary", b"Authorization, Cookie")
_CLOSE = (b"connection", b"close")
_GOODBYE = b"retry: 1000\n: the server stops; ask again\n\n"


class Exchange:
    """``send`` and ``receive`` stand between server and application. Of one request, on the event loop."""

    __slots__ = (
        "_body",
        "_done",
        "_ends_at",
        "_held",
        "_if_none_match",
        "_limit",
        "_receive",
        "_request_id",
        "_send",
        "_swallow",
        "_tagged",
        "closing",
        "finished",
        "linger",
        "size",
        "started",
        "status",
        "streams",
        "task",
    )

    def __init__(
        self,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
        request_id: str,
        *,
        limited: bool,
        tagged: bool,
    ) -> None:
        """``limited``: its body is no file. ``tagged``: a JSON answer gets a tag."""
        self._receive, self._send = receive, send
        self._request_id = request_id.encode()
        self._done = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._limit = MOST_BODY if limited else None
        self._ends_at = time.monotonic() + SMALL_BODY_SECONDS if limited else None
        self._body = 0
        self._tagged = tagged
        self._if_none_match = headers.get(b"if-none-match")
        self._held: Message | None = None
        self._swallow = False  # 304: the body stays here
        self.closing = False  # the connection ends with this answer
        self.linger = False
        self.task: asyncio.Task[object] | None = None  # that answers
        self.streams: Streams | None = None  # where it is put when its answer turns out to have no end
        self.started = self.finished = False
        self.status = 0
        self.size = 0

    async def receive(self) -> Message:
        """Raises HTTPException for a body that is too large (413) or does not come (408)."""
        if self._done:
            return await self._receive()
        patience = BODY_SECONDS
        if self._ends_at is not None:
            patience = min(patience, self._ends_at - time.monotonic())
        try:
            async with asyncio.timeout(patience):
                message = await self._receive()
        except TimeoutError:
            self.closing = self.linger = True
            raise HTTPException(408, "the request: its body did not come in time; send it without pauses") from None
        if message["type"] != "http.request":
            self._done = True
            return message
        self._done = not message.get("more_body", False)
        self._body += len(message.get("body", b""))
        if self._limit is not None and self._body > self._limit:
            self.closing = self.linger = True
            raise HTTPException(413, TOO_LARGE)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            await self._start(message)
        elif kind == "http.response.body":
            await self._part(message)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        status = message["status"]
        headers = list(message.get("headers", ()))
        names = {name.lower(): value for name, value in headers}
        if b"content-security-policy" not in names:
            headers.append(_POLICY)
        headers.extend(one for one in _ALWAYS if one[0] not in names)
        headers.append((b"x-request-id", self._request_id))
        if self.closing and b"connection" not in names:
            headers.append(_CLOSE)
        kind = names.get(b"content-type", b"")
        if status == 200 and self._tagged and (kind.startswith(b"application/json") or b"etag" in names):
            if b"cache-control" not in names:
                headers.append(_FRESH)
            if b"vary" not in names:
                headers.append(_VARY)
            tag = names.get(b"etag")
            if tag is None:
                self._held = {**message, "headers": headers}
                return
            if self._same(tag):
                status, headers = self._unchanged(headers)
        elif b"cache-control" not in names:
            headers.append(_NEVER)
        if kind.startswith(b"text/event-stream") and self.streams is not None and self.task is not None:
            self.streams.add(self.task)
        await self._begin({**message, "status": status, "headers": headers})

    async def _begin(self, message: Message) -> None:
        self.started = True
        self.status = message["status"]
        await self._send(message)

    async def _part(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._held is not None:
            held, self._held = self._held, None
            if not more and len(body) <= MOST_TAGGED:
                tag = tag_of(body)
                headers = [*held["headers"], (b"etag", tag)]
                status = 200
                if self._same(tag):
                    status, headers = self._unchanged(headers)
                held = {**held, "status": status, "headers": headers}
            await self._begin(held)
        if self._swallow:
            if not more:
                self.finished = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        self.size += len(body)
        if not more and self.linger and not self._done:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await self._read_on()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        self.finished = not more
        await self._send(message)

    async def end_stream(self) -> None:
        """The proper end of an answer without an end."""
        if self.started and not self.finished:
            self.finished = True
            await self._send({"type": "http.response.body", "body": _GOODBYE, "more_body": False})

    def _same(self, tag: bytes) -> bool:
        """RFC 9110, 13.1.2: compared weakly, any of a list, or * for whatever there is."""
        if self._if_none_match is None:
            return False
        asked = (one.strip().removeprefix(b"W/") for one in self._if_none_match.split(b","))
        return any(one in (b"*", tag.removeprefix(b"W/")) for one in asked)

    def _unchanged(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, list[tuple[bytes, bytes]]]:
        self._swallow = True
        dropped = (b"content-length", b"content-type", b"content-encoding")
        return 304, [(name, value) for name, value in headers if name.lower() not in dropped]

    async def _read_on(self) -> None:
        """To close with bytes unread would reset the connection, and the answer be lost with it."""
        read = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._done and read < MOST_LINGERED:
                    message = await self._receive()
                    read += len(message.get("body", b""))
                    self._done = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            pass


TOO_LARGE = f"the request: its body is larger than {MOST_BODY >> 20} MB; send files to /v1/uploads"


def tag_of(body: bytes) -> bytes:
    """The tag that an answer with this body gets."""
    return b'"%s"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
