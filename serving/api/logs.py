"""Log lines as JSON, each with the request, job and run that it belongs to; one line a request.

Lines are written by a thread of their own: whoever logs never waits for a terminal. What is worth a line is the
caller's to say; no secret belongs in one.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

from pipelines.settings import Settings

MOST_WAITING = 20_000  # lines; beyond, the oldest are lost, and that is told
OFTEN = 0.2  # s between two looks for lines
# An API key but for its name, a bearer's credentials, a JSON Web Token, a signed link's right
SECRETS = re.compile(
    r"(?<=orm_[0-9a-f]{8}_)[\w-]{43}|(?<=Bearer )[^\s\"',]+|eyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=/v1/files/)[^/\s\"']+"
)
# What uvicorn says of every WebSocket that is refused with a proper answer
EXPECTED = ("ASGI callable returned without completing handshake.",)
ROOMS = ("pipelines", "resources", "serving")


@dataclass(slots=True)
class Noted:
    """What the lines of one request say of it. Whoever learns more writes it here, from any thread."""

    request_id: str
    caller: str = ""  # a label, no name
    job: str = ""
    run: str = ""  # Dagster's id


_noted: contextvars.ContextVar[Noted | None] = contextvars.ContextVar("orimono_request", default=None)


def begin(noted: Noted) -> contextvars.Token[Noted | None]:
    return _noted.set(noted)


def end(token: contextvars.Token[Noted | None]) -> None:
    _noted.reset(token)


def note(*, job: str = "", run: str = "") -> None:
    """The request that is being answered is about this job, this run of Dagster's. Outside a request: nothing."""
    noted = _noted.get()
    if noted is not None:
        noted.job, noted.run = job or noted.job, run or noted.run


@dataclass(frozen=True, slots=True)
class Access:
    """A request that was answered. ``route`` is as documented, never as asked: a path may hold a secret."""

    at: float  # s since 1970
    route: str
    status: int
    ms: float
    size: int  # bytes of the answer's body
    noted: Noted
    level: str = "INFO"


class Writer:
    """Writes lines to a stream, in order, a bit later. Any number of threads may hand them over."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: collections.deque[Access | str] = collections.deque(maxlen=MOST_WAITING)
        self._lost = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="orimono-log", daemon=True)
        self._thread.start()

    def put(self, line: Access | str) -> None:
        if len(self._lines) == MOST_WAITING:
            self._lost += 1
        self._lines.append(line)

    def flush(self) -> None:
        lines = []
        for _ in range(len(self._lines)):
            with contextlib.suppress(IndexError):
                line = self._lines.popleft()
                lines.append(line if isinstance(line, str) else access_line(line))
        lost, self._lost = self._lost, 0
        if lost:
            lines.append(_line(datetime.now(UTC), "WARNING", "serving.logs", f"{lost} lines were lost", None))
        if lines:
            with contextlib.suppress(OSError, ValueError):  # whoever read has gone
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(2)
        self.flush()

    def _write(self) -> None:
        while not self._closing.wait(OFTEN):
            self.flush()


class Handler(logging.Handler):
    """Gives ordinary log records to a writer."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg in EXPECTED:
            return
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                message += "\n" + logging.Formatter().formatException(record.exc_info)
            at = datetime.fromtimestamp(record.created, UTC)
            self._writer.put(_line(at, record.levelname, record.name, without_secrets(message), _noted.get()))
        except Exception:  # noqa: BLE001 - a line that cannot be made fails nobody
            self.handleError(record)


def without_secrets(text: str) -> str:
    """A library may say what it was given: keys, tokens and signed links are taken out, whoever wrote them."""
    return SECRETS.sub("***", text)


_writer: Writer | None = None


def access(line: Access) -> None:
    """One line for a request, where lines are written at all."""
    if _writer is not None:
        _writer.put(line)


@contextlib.contextmanager
def to_stderr(settings: Settings, stream: IO[str] | None = None) -> Iterator[None]:
    """While the block lasts every line of this process goes to stderr (or ``stream``) as JSON."""
    global _writer
    writer = Writer(stream or sys.stderr)
    handler = Handler(writer)
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries speak only when something is wrong
    for room in ROOMS:
        logging.getLogger(room).setLevel(settings.log_level)
    _writer = writer
    try:
        yield
    finally:
        _writer = None
        root.handlers[:] = before
        writer.close()


def access_line(line: Access) -> str:
    noted = line.noted
    told = {
        "ts": _moment(datetime.fromtimestamp(line.at, UTC)),
        "level": line.level,
        "event": "request",
        "request_id": noted.request_id,
        "route": line.route,
        "status": line.status,
        "ms": round(line.ms, 2),
        "bytes": line.size,
    }
    return json.dumps(told | _of(noted))


def _line(at: datetime, level: str, logger: str, message: str, noted: Noted | None) -> str:
    told = {"ts": _moment(at), "level": level, "logger": logger, "message": message}
    if noted is not None:
        told |= {"request_id": noted.request_id} | _of(noted)
    return json.dumps(told)


def _of(noted: Noted) -> dict[str, str]:
    found = {"caller": noted.caller, "job": noted.job, "run": noted.run}
    return {key: value for key, value in found.items() if value}


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
