"""A language model's HTTP server on loopback: OpenAI's /v1/chat/completions and Gemini's :generateContent.

A bare asyncio protocol, so that a benchmark on two cores measures its client. In a thread (``serve``), in a process of
its own (``spawn``, or ``python -m tests.scoring.llm_server --port 0 --behaviour '{"latency": 0.05}'``, which prints its
address). Over HTTP, too: GET /state (counts), POST /behaviour (JSON of switches to set), POST /restart (counts anew).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.scoring.llm_behaviour import Behaviour, Mind, Seen, expected, expected_confidence, expected_reason
from tests.scoring.llm_bodies import Verdict

__all__ = ["LLM", "Behaviour", "Remote", "expected", "expected_confidence", "expected_reason", "serve", "spawn"]

PHRASES = {200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 429: b"Too Many Requests"}
JSON_TYPE = b"Content-Type: application/json\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection; a request at a time."""

    def __init__(self, mind: Mind, connections: set[Connection]) -> None:
        self.mind, self.connections = mind, connections
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._next()

    def _next(self) -> None:
        head_end = self.buffer.find(b"\r\n\r\n")
        if self.busy or head_end < 0:
            return
        first, *lines = self.buffer[:head_end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < head_end + 4 + length:
            return
        body = bytes(self.buffer[head_end + 4 : head_end + 4 + length])
        del self.buffer[: head_end + 4 + length]
        method, path, _ = first.split(" ")
        self.busy = True
        path = path.partition("?")[0]
        if method == "POST" and path.endswith(("/chat/completions", ":generateContent")):
            verdict = self.mind.judge(path, headers, body)
        else:
            verdict = _control(self.mind, method, path, body)
        if verdict.delay > 0:
            self.loop.call_later(verdict.delay, self._send, verdict)
        else:
            self._send(verdict)

    def _send(self, verdict: Verdict) -> None:
        if verdict.holds:
            self.mind.seen.in_flight -= 1
        if self.transport is None:
            return
        if verdict.ending == "dropped":
            self.transport.abort()
            return
        kind = b"" if b"Content-Type" in verdict.headers else JSON_TYPE
        head = b"HTTP/1.1 %d %s\r\n%s%sContent-Length: %d\r\n\r\n" % (
            verdict.status, PHRASES.get(verdict.status, b"Error"), kind, verdict.headers, len(verdict.body),
        )  # fmt: skip
        if verdict.ending == "broken":
            self.transport.write(head + verdict.body[: len(verdict.body) // 2])
            self.transport.close()
        elif verdict.spread > 0:
            self.transport.write(head)
            size = len(verdict.body) // 10 + 1
            parts = [verdict.body[at : at + size] for at in range(0, len(verdict.body), size)]
            self._drip(parts, verdict.spread / len(parts))
        else:
            self.transport.write(head + verdict.body)
            self._done()

    def _drip(self, parts: list[bytes], pause: float) -> None:
        if self.transport is None:
            return
        self.transport.write(parts[0])
        if parts[1:]:
            self.loop.call_later(pause, self._drip, parts[1:], pause)
        else:
            self._done()

    def _done(self) -> None:
        self.busy = False
        if self.buffer:
            self._next()


def _control(mind: Mind, method: str, path: str, body: bytes) -> Verdict:
    if (method, path) == ("GET", "/state"):
        return Verdict(200, json.dumps({"requests": asdict(mind.seen), "asked": mind.asked}).encode())
    if (method, path) == ("POST", "/behaviour"):
        for name, value in json.loads(body).items():
            setattr(mind.behaviour, name, value)
        return Verdict(200, b"{}")
    if (method, path) == ("POST", "/restart"):
        mind.restart()
        return Verdict(200, b"{}")
    return Verdict(404, b'{"error": {"message": "no such page", "code": null}}')


class LLM:
    """The server in a thread of this process. ``behaviour`` may be changed at any time."""

    def __init__(self, mind: Mind, address: str) -> None:
        self.mind, self.address = mind, address

    @property
    def url(self) -> str:
        """OpenAI's base URL; Gemini's is ``address``."""
        return f"{self.address}/v1"

    @property
    def behaviour(self) -> Behaviour:
        return self.mind.behaviour

    @property
    def requests(self) -> Seen:
        return self.mind.seen

    @property
    def asked(self) -> Counter[str]:
        return self.mind.asked

    def restart(self) -> None:
        self.mind.restart()


@contextmanager
def serve(behaviour: Behaviour | None = None) -> Iterator[LLM]:
    mind, ready = Mind(behaviour or Behaviour()), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    found: list[str] = []

    async def main() -> None:
        async with listening(mind, 0) as address:
            found.append(address)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="llm-server", daemon=True)
    thread.start()
    try:
        if not ready.wait(30):
            raise RuntimeError("the language model's server did not start")
        yield LLM(mind, found[0])
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


class listening:  # noqa: N801
    """``async with listening(mind, port) as address``; connections are cut at the end."""

    def __init__(self, mind: Mind, port: int) -> None:
        self.mind, self.port = mind, port
        self.connections: set[Connection] = set()

    async def __aenter__(self) -> str:
        loop = asyncio.get_running_loop()
        make = lambda: Connection(self.mind, self.connections)  # noqa: E731
        self.server = await loop.create_server(make, "127.0.0.1", self.port, backlog=1024)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Remote:
    """The server in a process of its own."""

    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/v1"

    def state(self) -> tuple[Seen, Counter[str]]:
        plain = json.loads(self._call("/state"))
        return Seen(**plain["requests"]), Counter(plain["asked"])

    def change(self, **switches: Any) -> None:
        self._call("/behaviour", json.dumps(switches).encode())

    def restart(self) -> None:
        self._call("/restart", b"")

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(self.address + path, body), timeout=30) as response:
            found: bytes = response.read()
            return found


@contextmanager
def spawn(behaviour: Behaviour | None = None) -> Iterator[Remote]:
    switches = json.dumps(asdict(behaviour or Behaviour()))
    command = [sys.executable, "-m", "tests.scoring.llm_server", "--port", "0", "--behaviour", switches]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            yield Remote(process.stdout.readline().strip())
        finally:
            process.terminate()


async def _main(mind: Mind, port: int) -> None:
    async with listening(mind, port) as address:
        sys.stdout.write(address + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", type=json.loads, default={}, help="JSON of Behaviour's switches")
    arguments = parser.parse_args()
    asyncio.run(_main(Mind(Behaviour(**arguments.behaviour)), arguments.port))
