"""Sends a file in pieces (tus 1.0.0), and goes on where it broke off."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from serving.client.errors import ApiError, Unreachable, of_problem
from serving.client.transport import Transport, problem_of
from serving.wire.uploads import Upload

PIECE = 8 << 20  # bytes
TUS = {"Tus-Resumable": "1.0.0"}
Watch = Callable[[int, int], None]  # bytes sent, bytes in all


def send(
    transport: Transport,
    path: Path,
    kind: str,
    *,
    name: str | None = None,
    attempts: int = 8,
    sleep: Callable[[float], None] = time.sleep,
    watch: Watch | None = None,
) -> str:
    """Id of the upload, when its last byte has arrived; the API still judges what it holds then.

    ``attempts``: how often in a row a piece may fail before Unreachable. ApiError for a file that is refused.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        metadata = {"filename": name or path.name, "kind": kind, "sha256": digest}
        said = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
        made = transport.send(
            "POST", "/v1/uploads", headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": said}, once=True
        )
        place = httpx.URL(transport.url).join(made.headers["Location"]).path
        offset, failed = 0, 0
        while offset < size:
            file.seek(offset)
            try:
                offset = _piece(transport, place, file.read(PIECE), offset)
                failed = 0
            except (Unreachable, ApiError) as error:
                if isinstance(error, ApiError) and error.status not in (409, 423, 429, 503):
                    raise
                failed += 1
                if failed >= attempts:
                    raise
                sleep(min(8.0, 0.25 * 2.0**failed))
                offset = _offset(transport, place)
            if watch is not None:
                watch(offset, size)
    return place.rsplit("/", 1)[-1]


def judged(transport: Transport, id_: str, seconds: float, sleep: Callable[[float], None] = time.sleep) -> Upload:
    """The upload once what it holds has been looked at; Unreachable when that takes longer."""
    end = time.monotonic() + seconds
    wait = 0.05
    while True:
        found: Upload = transport.ask("GET", f"/v1/uploads/{id_}", Upload)
        if found.status not in ("receiving", "checking"):
            return found
        if time.monotonic() >= end:
            raise Unreachable(f"{found.name}: was not judged within {seconds:g} s")
        sleep(wait)
        wait = min(1.0, 1.5 * wait)


def _piece(transport: Transport, place: str, data: bytes, offset: int) -> int:
    """The offset after the piece."""
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    try:
        response = transport.http.patch(place, content=data, headers=headers)
    except httpx.TransportError as error:
        raise Unreachable(f"{transport.url}: broke off ({type(error).__name__})") from error
    if response.status_code >= 400:
        raise of_problem(problem_of(response))
    return int(response.headers["Upload-Offset"])


def _offset(transport: Transport, place: str) -> int:
    return int(transport.send("HEAD", place, headers=TUS).headers["Upload-Offset"])
