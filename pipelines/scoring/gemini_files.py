"""Gemini's Files API: a video sent up in pieces, waited for until it can be looked at, and deleted.

Files are called as their sender says, so that they can be found again. Which are lent, and for how long, is video.py's.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.scoring.fetching import finished
from pipelines.scoring.provider import Lost, Refused, Throttled
from pipelines.scoring.statuses import failure
from pipelines.scoring.wire import MAX_BODY, Endpoint, Heard

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 4  # of one request, before the row as a whole is tried again
PIECE = 8 << 20  # bytes sent by one request
BLOCK = 256 << 10  # bytes read at once
SILENCE = 60.0  # s
FIRST_POLL, LAST_POLL = 0.5, 5.0  # s between two looks at a file that is being prepared
PATIENCE = 600.0  # s until a file is prepared
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # s between two tries
CLOSED = (404, 410, 416)  # of an upload: it is to begin anew
GONE = (403, 404)  # Gemini says 403 of a file that there is not


class GeminiFiles:
    """Of one account. Every method raises Throttled, Lost, Refused (this file only) or BadInput (every file)."""

    def __init__(self, session: ClientSession, endpoint: Endpoint, model: str) -> None:
        self._session, self._endpoint, self._model = session, endpoint, model
        self.address = endpoint.base.removesuffix("/v1beta")
        self._key = {"x-goog-api-key": endpoint.key} if endpoint.key else {}

    async def upload(self, path: Path, name: str, kind: str) -> None:
        """Sends all of it; a piece that is lost on the way is sent again from where the other side has it.

        ``name``: "files/" and up to 40 small letters, digits and dashes. ``kind``: its MIME type.
        """
        size = path.stat().st_size
        where, step = await self._again(lambda: self._start(name, kind, size))
        offset, failures = 0, 0
        with path.open("rb", buffering=0) as file:
            while True:
                last = offset + step >= size
                try:
                    await self._send(where, file, offset, min(step, size - offset), last=last)
                except (Lost, Throttled) as error:
                    failures += 1
                    if failures >= TRIES:
                        raise
                    await asyncio.sleep(_wait(error, failures))
                    received = await self._again(lambda: self._received(where))
                    if received is None:
                        return
                    offset = min(received, size)
                    continue
                offset, failures = offset + step, 0
                if last:
                    return

    async def active(self, name: str) -> str:
        """Its URI once it can be looked at. Refused for a video that Gemini cannot read."""
        pause = FIRST_POLL
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    answer = await self._again(lambda: self._call("GET", f"/v1beta/{name}", passing=GONE))
                    file = _parsed(answer.body)
                    state, uri = file.get("state"), file.get("uri")
                    if answer.status in GONE:
                        raise Lost("Gemini has lost the video")
                    if state == "FAILED":
                        raise Refused("Gemini cannot read this video")
                    if state == "ACTIVE" and isinstance(uri, str):
                        return uri
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LAST_POLL)
        except TimeoutError as error:
            raise Lost(f"Gemini has not prepared the video within {PATIENCE:g} s") from error

    async def exists(self, name: str) -> bool:
        answer = await self._again(lambda: self._call("GET", f"/v1beta/{name}", passing=GONE))
        return answer.status == 200

    async def delete(self, name: str) -> bool:
        """False where there is no such file, or none that this key may touch: Gemini says the same of both."""
        answer = await self._again(lambda: self._call("DELETE", f"/v1beta/{name}", passing=GONE))
        return answer.status == 200

    async def _start(self, name: str, kind: str, size: int) -> tuple[str, int]:
        """The address to send it to, and how many bytes at once."""
        headers = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(size),
            "X-Goog-Upload-Header-Content-Type": kind,
        }
        body = {"file": {"name": name, "display_name": name}}
        answer = await self._call("POST", "/upload/v1beta/files", headers=headers, json=body, passing=(409,))
        if answer.status == 409:  # a start whose answer was lost: nobody else knows this name
            await self._call("DELETE", f"/v1beta/{name}", passing=GONE)
            answer = await self._call("POST", "/upload/v1beta/files", headers=headers, json=body)
        where = answer.headers.get("X-Goog-Upload-URL", "")
        if not where.startswith(("https://", self.address + "/")):
            raise Lost("Gemini did not say where to send the video")
        grain = answer.headers.get("X-Goog-Upload-Chunk-Granularity", "")
        least = int(grain) if grain.isascii() and grain.isdigit() and 0 < int(grain) <= 1 << 28 else PIECE
        return where, least * max(1, PIECE // least)

    async def _send(self, where: str, file: RawIOBase, offset: int, length: int, *, last: bool) -> None:
        headers = {
            "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
            "X-Goog-Upload-Offset": str(offset),
            "Content-Length": str(length),
        }
        answer = await self._call("POST", where, headers=headers, data=_pieces(file, offset, length), key=False)
        if answer.headers.get("X-Goog-Upload-Status", "final" if last else "active") != ("final" if last else "active"):
            raise Lost("Gemini broke off the upload")

    async def _received(self, where: str) -> int | None:
        """Bytes that the other side has; None when it has the whole file."""
        answer = await self._call("POST", where, headers={"X-Goog-Upload-Command": "query"}, key=False)
        if answer.headers.get("X-Goog-Upload-Status") == "final":
            return None
        received = answer.headers.get("X-Goog-Upload-Size-Received", "")
        if not (received.isascii() and received.isdigit()):
            raise Lost("Gemini broke off the upload")
        return int(received)

    async def _call(
        self,
        method: str,
        where: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        key: bool = True,
        passing: tuple[int, ...] = (),
    ) -> Heard:
        """The answer to one request when it is 200 or among ``passing``. The address of an upload needs no key."""
        import aiohttp

        url = self.address + where if where.startswith("/") else where
        sent = {**(self._key if key else {}), **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=20.0, sock_read=SILENCE)
        try:
            async with self._session.request(
                method, url, headers=sent, json=json, data=data, timeout=timeout, allow_redirects=False
            ) as answer:
                heard = Heard(answer.status, answer.headers, await _read(answer))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Lost(f"Gemini's Files API is away ({type(error).__name__})") from error
        if heard.status == 200 or heard.status in passing:
            return heard
        if not key and heard.status in CLOSED:
            raise Lost("Gemini has forgotten the upload")
        raise failure(heard, self._endpoint, self._model)

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        for number in range(1, TRIES):
            try:
                return await work()
            except (Lost, Throttled) as error:
                wait = _wait(error, number)
                if wait > LONGEST_WAIT:
                    raise
                await asyncio.sleep(wait)
        return await work()


async def _pieces(file: RawIOBase, offset: int, length: int) -> AsyncIterator[bytes]:
    await finished(file.seek, offset)
    while length > 0:
        block = await finished(file.read, min(BLOCK, length))
        if not block:
            raise Lost("the video was cut on this machine")
        length -= len(block)
        yield block


async def _read(answer: ClientResponse) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_BODY:
            raise Lost("Gemini's Files API answers without end")
    return bytes(body)


def _parsed(body: bytes) -> dict[str, Any]:
    """Of a body that is no JSON object (an error's page in HTML): nothing."""
    try:
        plain = json.loads(body)
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _wait(error: Lost | Throttled, number: int) -> float:
    """Seconds before try ``number`` + 1."""
    return FIRST_WAIT * 2.0 ** (number - 1) if error.retry_after is None else error.retry_after
