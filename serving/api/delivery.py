"""One file over HTTP: whole or a range of it, as a browser's player asks; with headers that let it do no harm.

Whether who asks may have it is decided before.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import BinaryIO
from urllib.parse import quote

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipelines.storage.object_file import facts_of
from serving.api.problems import Refused

PIECE = 256 * 1024  # bytes read at a time
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SHOWN = ("video/", "audio/", "image/png", "image/jpeg", "application/json", "text/plain", "text/html")
# A report runs its own script and shows the files beside it, but as nobody: it has no origin, so no cookie, and it
# cannot act as the pages.
_REPORT = "sandbox allow-scripts allow-downloads; default-src 'self' 'unsafe-inline' data: blob:; form-action 'none'"
_NOTHING = "sandbox; default-src 'none'"


def deliver(request: Request, file: BinaryIO, name: str, media_type: str, *, keep: bool = False) -> Response:
    """The answer to a GET or HEAD; takes over ``file`` and closes it. ``keep``: to be saved under ``name``, and not to
    lie in any cache. Raises Refused (416) for a range beyond the end."""
    try:
        size, state = facts_of(file)
        tag = f'"{state}"'
        headers = _headers(name, media_type, tag, keep=keep)
        if not keep and tag in _tags(request.headers.get("if-none-match", "")):
            file.close()
            return Response(status_code=304, headers=headers)
        first, last, part = _range(request, size, tag)
    except BaseException:
        file.close()
        raise
    headers["Content-Length"] = str(last - first)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(_pieces(file, first, last), status, headers, media_type)


def _headers(name: str, media_type: str, tag: str, *, keep: bool) -> dict[str, str]:
    shown = not keep and media_type.startswith(_SHOWN)
    plain = re.sub(r"[^ !#-\[\]-~]|%", "_", name)
    way = "inline" if shown else "attachment"
    return {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "no-store" if keep else "private, max-age=60",
        "Content-Disposition": f"{way}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": _REPORT if media_type.startswith("text/html") else _NOTHING,
        # A report without an origin shows the video beside it.
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Referrer-Policy": "no-referrer",  # the address is the right to read
    }


def _range(request: Request, size: int, tag: str) -> tuple[int, int, bool]:
    """First byte, last (excluded), and whether that is a part. Several ranges at once, or what is no range, get the
    whole, as RFC 9110 (14.2) allows; so does one of another state of the file (If-Range)."""
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or not (found[1] or found[2]) or request.headers.get("if-range", tag) != tag:
        return 0, size, False
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size
    else:
        first, last = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < first:
            return 0, size, False
    if first >= size or first >= last:
        sentence = f"this range: begins behind the end; the file has {size} bytes"
        raise Refused(416, sentence, {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    return first, last, True


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


async def _pieces(file: BinaryIO, first: int, last: int) -> AsyncIterator[bytes]:
    """Bytes from ``first`` to ``last``; fewer when the file was cut meanwhile. It is closed at the end, also when
    nobody reads on."""
    try:
        at = await anyio.to_thread.run_sync(file.seek, first)
        while at < last:
            piece = await anyio.to_thread.run_sync(file.read, min(PIECE, last - at))
            if not piece:
                return
            at += len(piece)
            if at >= last:
                file.close()  # whoever has the last piece may not come back for the end
            yield piece
    finally:
        file.close()
