"""Judges an untrusted file in a process of its own, with bounds on memory, processor time, wall time and writing.

What is looked at is looking.py's. A decoder that is led astray by a file takes only that process with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipelines import work_folders
from pipelines.errors import BadInput, Unavailable
from pipelines.settings import PROJECT, Settings

MEMORY = 3 << 30  # bytes of address space: a workbook's strings may take 256 MB of text
SECONDS = 60.0  # for the smallest file
SLOWEST = 20e6  # bytes/s that a disk reads at least: larger files get more time
MOST_ANSWER = 64 << 10  # bytes
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS)
REMEDY = "export it again, or give another file"


@dataclass(frozen=True, slots=True)
class Bounds:
    """``seconds`` of wall time, and of processor time."""

    memory: int = MEMORY  # bytes
    seconds: float = SECONDS


def look(path: Path, kind: str, settings: Settings, bounds: Bounds | None = None) -> str:
    """SHA-256 of the file.

    Raises BadInput, naming it, when it is not what ``kind`` says, or when looking at it takes more than ``bounds``
    allow; Unavailable when the process could not be started or was ended from outside.
    """
    bounds = bounds or Bounds(seconds=SECONDS + path.stat().st_size / SLOWEST)
    asked = {"path": str(path.resolve()), "kind": kind, "hours": settings.max_media_hours}
    asked |= {"memory": bounds.memory, "seconds": max(1, round(bounds.seconds))}  # type: ignore[dict-item]
    status, out = _run(json.dumps(asked), bounds.seconds)
    answer = _answer(out) if status == 0 else {}
    if isinstance(digest := answer.get("hash"), str):
        return digest
    if isinstance(refused := answer.get("refused"), list):
        raise BadInput(path.name, *(str(part) for part in refused[1:3]))
    if status is None or status == -signal.SIGXCPU:
        reason = f"takes more than {bounds.seconds:.0f} s to be looked at, which no sound file of its size does"
        raise BadInput(path.name, reason, REMEDY)
    if answer.get("memory") or _memory(status, out):
        reason = f"needs more than {bounds.memory / (1 << 30):.3g} GB of memory merely to be opened"
        raise BadInput(path.name, reason, REMEDY)
    if status in [-crash for crash in _CRASHES] or status > 0:
        raise BadInput(path.name, "cannot be read: it breaks the program that reads it", REMEDY)
    raise Unavailable(path.name, "could not be looked at", 5)


def _run(asked: str, seconds: float) -> tuple[int | None, bytes]:
    """Exit status (None: out of time) and what it said. It sees none of our settings, and has a folder of its own."""
    environment = {"PATH": os.defpath, "PYTHONPATH": str(PROJECT), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    # One thread each: every further one reserves address space.
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS"), "1")
    with work_folders.opened() as folder:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.intake.looking"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable("the check of uploads", f"cannot start a process ({error.strerror})", 10) from error
        with process:
            try:
                out, _ = process.communicate(asked.encode() + b"\n", timeout=seconds)
            except subprocess.TimeoutExpired:
                _end(process)
                return None, b""
            except BaseException:
                _end(process)
                raise
    return process.returncode, out[-MOST_ANSWER:]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answer(out: bytes) -> dict[str, object]:
    """The last line; libraries may have written before it."""
    lines = out.splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _memory(status: int, out: bytes) -> bool:
    return status != 0 and any(word in out for word in (b"MemoryError", b"bad_alloc", b"Cannot allocate memory"))
