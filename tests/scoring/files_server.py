"""Two real HTTP servers on loopback: a host of videos, and Gemini's Files API with its generateContent.

Both can fail at every step, as told by their switches, which may be changed while they run. What a model answers is
``llm_behaviour.Mind``'s; the text it is asked about is ``video:`` and the file's SHA-256, so any run can be checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.scoring.llm_behaviour import Behaviour, Mind, Verdict

PIECE = 64 * 1024


@dataclass(slots=True)
class Page:
    """What a path of the video host answers."""

    body: bytes | Path = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    claims: int | None = None  # Content-Length, when it is not the truth; the connection is cut after the body
    repeat: int = 1  # times the body is sent
    chunked: bool = False  # no Content-Length
    pause: float = 0.0  # s after each 64 KB
    hang: bool = False  # after the head, nothing more comes


class VideoHost:
    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: Counter[str] = Counter()
        self.serving = self.most_serving = 0
        self.url = ""

    def put(self, path: str, body: bytes | Path, **switches: Any) -> str:
        """Its link."""
        self.pages[path] = Page(body, **switches)
        return self.url + path

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404, text="gone")
        self.serving += 1
        self.most_serving = max(self.most_serving, self.serving)
        try:
            return await self._send(request, page)
        finally:
            self.serving -= 1

    async def _send(self, request: web.Request, page: Page) -> web.StreamResponse:
        body = page.body.read_bytes() if isinstance(page.body, Path) else page.body
        response = web.StreamResponse(status=page.status, headers=page.headers)
        if not page.chunked:
            response.content_length = len(body) * page.repeat if page.claims is None else page.claims
        await response.prepare(request)
        if page.hang:
            await asyncio.Event().wait()
        for _ in range(page.repeat):
            for at in range(0, len(body), PIECE):
                await response.write(body[at : at + PIECE])
                await asyncio.sleep(page.pause)
        if page.claims is not None and request.transport is not None:
            request.transport.close()
        return response


@dataclass(slots=True)
class Held:
    """A file that the API holds."""

    kind: str
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    expected: int = 0
    polls: int = 0  # that are still answered PROCESSING
    whole: bool = False

    @property
    def text(self) -> str:
        return f"video:{self.digest.hexdigest()}"


def text_of(body: bytes) -> str:
    """What the model is asked about when it is given this video."""
    return f"video:{hashlib.sha256(body).hexdigest()}"


# A fault: an HTTP status, or "drop" (the connection ends), or "hang" (no answer comes), or "late" (it is done, and the
# connection ends before the answer).
Fault = int | str
STEPS = ("start", "upload", "query", "poll", "generate", "delete")


class GeminiServer:
    def __init__(self, key: str) -> None:
        self.key = key
        self.mind = Mind(Behaviour(key=key))
        self.held: dict[str, Held] = {}
        self.uploads: dict[str, str] = {}
        self.deleted: list[str] = []
        self.faults: dict[str, list[Fault]] = {}  # by step, each met once
        self.always: dict[str, Fault] = {}  # by step
        self.processing = 1  # polls until a file is active
        self.unreadable = False  # files end as FAILED
        self.seen: Counter[str] = Counter()  # by step
        self.pieces: list[int] = []  # sizes of what was uploaded at once
        self.before: dict[str, Callable[[str], None]] = {}  # called with a file's name when a step begins
        self.url = ""
        self.reached = {step: threading.Event() for step in STEPS}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/resumable":
            commands = request.headers["X-Goog-Upload-Command"]
            return await self._step(request, "query" if commands == "query" else "upload", self._upload)
        if request.headers.get("x-goog-api-key") != self.key:
            return _error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")
        if request.path.endswith(":generateContent"):
            return await self._step(request, "generate", self._generate)
        if request.method == "POST" and request.path == "/upload/v1beta/files":
            return await self._step(request, "start", self._start)
        if request.path.startswith("/v1beta/files/"):
            if request.method == "DELETE":
                return await self._step(request, "delete", self._delete)
            return await self._step(request, "poll", self._poll)
        return web.Response(status=404, text="no such page")

    async def _step(self, request: web.Request, step: str, work: Callable[..., Any]) -> web.StreamResponse:
        self.seen[step] += 1
        waiting = self.faults.get(step)
        fault = waiting.pop(0) if waiting else self.always.get(step)
        if step in self.before:
            self.before[step](request.path)
        self.reached[step].set()
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "drop":
            return self._drop(request)
        if isinstance(fault, int):
            headers = {"Retry-After": "0"} if fault == 429 else None
            status = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED"}
            return _error(fault, status.get(fault, "UNAVAILABLE"), f"fault {fault}", headers=headers)
        response: web.StreamResponse = await work(request)
        return self._drop(request) if fault == "late" else response

    def _drop(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _start(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        assert (headers["X-Goog-Upload-Protocol"], headers["X-Goog-Upload-Command"]) == ("resumable", "start")
        name = (await request.json())["file"]["name"]
        if not re.fullmatch(r"files/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            return _error(400, "INVALID_ARGUMENT", "The name is not valid.")
        if name in self.held:
            return _error(409, "ALREADY_EXISTS", "There is such a file.")
        length = int(headers["X-Goog-Upload-Header-Content-Length"])
        kind = headers["X-Goog-Upload-Header-Content-Type"]
        self.held[name] = Held(kind, expected=length, polls=self.processing)
        number = str(len(self.uploads) + 1)
        self.uploads[number] = name
        given = {"X-Goog-Upload-URL": f"{self.url}/resumable?upload_id={number}", "X-Goog-Upload-Status": "active"}
        return web.Response(headers={**given, "X-Goog-Upload-Chunk-Granularity": "262144"})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        name = self.uploads[request.query["upload_id"]]
        file, command = self.held[name], request.headers["X-Goog-Upload-Command"]
        status = {"X-Goog-Upload-Status": "final" if file.whole else "active"}
        if command == "query":
            return web.Response(headers={**status, "X-Goog-Upload-Size-Received": str(file.size)})
        if int(request.headers["X-Goog-Upload-Offset"]) != file.size or file.whole:
            return _error(400, "INVALID_ARGUMENT", "The offset is not where the upload is.")
        piece = 0
        async for data in request.content.iter_any():
            file.digest.update(data)
            piece += len(data)
            file.size += len(data)
        self.pieces.append(piece)
        if "finalize" not in command:
            if piece % 262144:
                return _error(400, "INVALID_ARGUMENT", "The piece is not of the granularity.")
            return web.Response(headers=status)
        assert file.size == file.expected, (file.size, file.expected)
        file.whole = True
        return web.json_response({"file": self._plain(name)}, headers={"X-Goog-Upload-Status": "final"})

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        name = request.path.removeprefix("/v1beta/")
        if name not in self.held or not self.held[name].whole:
            return self._no_file(name)
        answer = self._plain(name)
        self.held[name].polls -= 1
        return web.json_response(answer)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        name = request.path.removeprefix("/v1beta/")
        if name not in self.held:
            return self._no_file(name)
        del self.held[name]
        self.deleted.append(name)
        return web.json_response({})

    def _plain(self, name: str) -> dict[str, Any]:
        file = self.held[name]
        state = "PROCESSING" if file.polls > 0 else "FAILED" if self.unreadable else "ACTIVE"
        plain = {"name": name, "mimeType": file.kind, "sizeBytes": str(file.size), "state": state}
        return {**plain, "uri": f"{self.url}/v1beta/{name}"}

    def _no_file(self, name: str) -> web.Response:
        what = f"You do not have permission to access the File {name[6:]} or it may not exist."
        return _error(403, "PERMISSION_DENIED", what)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        parts = asked["contents"][-1]["parts"]
        lent = next(part["fileData"] for part in parts if "fileData" in part)
        name = lent["fileUri"].removeprefix(f"{self.url}/v1beta/")
        file = self.held.get(name)
        if file is None or not file.whole:
            return self._no_file(name)
        if file.polls > 0 or lent["mimeType"] != file.kind:
            return _error(400, "FAILED_PRECONDITION", "The file is not in an ACTIVE state and usable.")
        # The row's text is a stand-in; the answer is to depend on the video.
        message = next(part for part in parts if "text" in part)
        message["text"] = re.sub(
            r"\A(<text ([0-9a-f]+)>\n).*?(\n</text \2>)", rf"\1{file.text}\3", message["text"], flags=re.S
        )
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await self._sent(request, self.mind.judge(request.path, headers, json.dumps(asked).encode()))

    async def _sent(self, request: web.Request, verdict: Verdict) -> web.StreamResponse:
        await asyncio.sleep(verdict.delay)
        if verdict.holds:
            self.mind.seen.in_flight -= 1
        if verdict.ending != "whole":
            return self._drop(request)
        return web.Response(status=verdict.status, body=verdict.body, content_type="application/json")


def _error(
    code: int, status: str, message: str, reason: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    error = {"code": code, "message": message, "status": status, "details": details}
    return web.json_response({"error": error}, status=code, headers=headers)


@contextmanager
def serving(*servers: VideoHost | GeminiServer) -> Iterator[None]:
    """Each on a port of its own, in one thread with a loop of its own; ``url`` is set."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        runners = []
        for server in servers:
            runner = web.ServerRunner(web.Server(server.answer), handle_signals=False, shutdown_timeout=0.01)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            runners.append(runner)
        ready.set()
        await stop.wait()
        hanging = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        for runner in runners:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="files-server", daemon=True)
    thread.start()
    try:
        if not ready.wait(30):
            raise RuntimeError("the servers did not start")
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
