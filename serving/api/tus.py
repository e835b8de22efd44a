"""What tus 1.0.0 adds to HTTP (https://tus.io/protocols/resumable-upload): its version in every request and answer, the
metadata of a new upload, and a body that is received as it comes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import format_datetime
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from pipelines.errors import BadInput, OrimonoError
from pipelines.intake import receiving
from pipelines.intake.pieces import CHECKSUMS, BeingReceived, Checksum, Damaged, Piece, TooLong
from pipelines.storage.serving_tables import PendingUpload
from serving.api import problems
from serving.api.house import House
from serving.api.problems import Refused

VERSION = "1.0.0"
MEDIA_TYPE = "application/offset+octet-stream"
BLOCK = 1 << 20  # bytes that are written at once
PATIENCE = 30.0  # s without a byte
MOST_METADATA = 16  # pairs
OFFERED = {
    "Tus-Resumable": VERSION,
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,creation-with-upload,termination,expiration,checksum",
    "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    "Tus-Max-Size": str(receiving.MOST_FILE),
}
_PLAIN = ("GET", "OPTIONS")


class Tus(APIRoute):
    """A route that speaks this version only, and says so whatever it answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                if request.method not in _PLAIN and request.headers.get("Tus-Resumable") != VERSION:
                    sentence = f"Tus-Resumable: is not {VERSION}; send that version"
                    raise Refused(412, sentence, {"Tus-Version": VERSION})
                response = await handle(request)
            except OrimonoError as error:
                response = problems.of_error(_worded(error), problems.request_id(request))
            except RequestValidationError as error:
                response = await problems.invalid(request, error)
            response.headers["Tus-Resumable"] = VERSION
            return response

        return handled


def _worded(error: OrimonoError) -> OrimonoError:
    """With the statuses that the protocol has for them."""
    if isinstance(error, BeingReceived):
        return Refused(423, str(error), {"Retry-After": "1"})
    if isinstance(error, TooLong):
        return Refused(413, str(error))
    if isinstance(error, Damaged):
        return Refused(460, str(error))
    return error


def checksum(said: str | None) -> Checksum | None:
    """Of the header; the protocol answers 400 to one that it does not know."""
    try:
        return Checksum.of(said) if said is not None else None
    except BadInput as error:
        raise Refused(400, str(error)) from error


def metadata(said: str) -> dict[str, str]:
    """``filename d29ybGQ=,kind bXVzaWM=``: keys, each with its value in Base64. BadInput when it is not that."""
    found: dict[str, str] = {}
    for pair in said.split(",") if said.strip() else ():
        key, _, value = pair.strip().partition(" ")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError as error:
            reason = f"has no Base64 of UTF-8 after {key[:40]!a}"
            raise BadInput("Upload-Metadata", reason, "write it as `filename BASE64,kind BASE64`") from error
        if not key or key in found or len(found) >= MOST_METADATA:
            raise BadInput("Upload-Metadata", "has an empty key, one twice, or too many", "give filename and kind")
        found[key] = text
    return found


def written(row: PendingUpload) -> str:
    """The metadata as its sender would write it."""
    pairs = {"filename": row.name, "kind": row.kind}
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def facts(row: PendingUpload) -> dict[str, str]:
    """Headers that say how far an upload is."""
    expires = format_datetime(row.expires_at.astimezone(UTC), usegmt=True)
    return {"Upload-Offset": str(row.received), "Upload-Expires": expires}


async def receive(
    house: House, request: Request, upload_id: str, offset: int, checksum: Checksum | None
) -> PendingUpload:
    """The upload with the request's body behind what was there. What came of one that broke off is kept, too."""
    async with _open(Piece(house.studio, upload_id, offset, checksum)) as piece:
        if not piece.fits(int(request.headers.get("Content-Length") or 0)):
            raise piece.too_long()
        waiting = bytearray()
        try:
            body = request.stream()
            while True:
                waiting += await asyncio.wait_for(anext(body), PATIENCE)
                if len(waiting) >= BLOCK:
                    full, waiting = bytes(waiting), bytearray()
                    await run_in_threadpool(piece.write, full)
        except StopAsyncIteration:
            pass
        except TimeoutError as error:
            sentence = f"this piece: nothing came for {PATIENCE:.0f} s; ask by HEAD where to go on"
            raise Refused(408, sentence) from error
        except ClientDisconnect as error:
            raise Refused(400, "this piece: the connection was cut; ask by HEAD where to go on") from error
        finally:
            if waiting:
                await asyncio.shield(run_in_threadpool(piece.write, bytes(waiting)))
    return piece.row


@asynccontextmanager
async def _open(piece: Piece) -> AsyncIterator[Piece]:
    """Its files and rows are not the event loop's to wait for; its end is waited for even by a request that is
    cancelled."""
    await run_in_threadpool(piece.__enter__)
    try:
        yield piece
    except BaseException as error:
        await asyncio.shield(run_in_threadpool(piece.__exit__, type(error), error, error.__traceback__))
        raise
    await asyncio.shield(run_in_threadpool(piece.__exit__, None, None, None))
