"""HTTP/1.1 on a connection, as uvicorn speaks it, with ends to patience: a head that does not come or does not end, an
answer that nobody reads.

A body that does not come is surroundings.py's, which can answer it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 30.0  # from its first byte (or the connection) to its last
MOST_CONNECTIONS = 4096  # beyond, a new one is closed: what they take is wanted for files and the database, too
READ_SECONDS = 60.0  # an answer that stands full in its buffer is read on by then
MOST_HEAD = 64 << 10  # bytes; and of what stands between and behind the bytes of a body
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s"
)
_SENTENCE = (
    b'{"type":"about:blank","title":"Request Header Fields Too Large","status":431,'
    b'"detail":"the request: its head is larger than 64 kB; send less"}'
)


class Patient(HttpToolsProtocol):
    """One connection."""

    most = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.access_log = False  # a path may hold a right; surroundings.py tells the route
        self._head_ends: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._idle_bytes = 0
        self._read_by: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.most:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_ends is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD and b"\r\n\r\n" not in data:
                self._cancel()
                self.transport.write(_TOO_LARGE % (len(_SENTENCE), _SENTENCE))
                self.transport.close()
                return
        elif self._idle_bytes > MOST_HEAD:
            self.transport.abort()
            return
        self._idle_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        if self._head_ends is None:
            self._expect_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_ends is not None:  # else behind the body, where nobody looks for one
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None
        self._idle_bytes = 0
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_by = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._read_by is not None:
            self._read_by.cancel()
            self._read_by = None
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head_bytes = self._idle_bytes = 0
        self._head_ends = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _cancel(self) -> None:
        for timer in (self._head_ends, self._read_by):
            if timer is not None:
                timer.cancel()
        self._head_ends = self._read_by = None
