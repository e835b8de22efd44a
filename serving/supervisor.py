"""Keeps programs running: each is started again with a growing pause when it dies or hangs, and ended in order.

Which programs a house has, and how each is asked whether it is well, is parts.py's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
ASK_SECONDS = 2.0  # between two questions whether a program is well
LEAVE_SECONDS = 5.0  # what is left of a program's processes gets so long after SIGTERM
STOP_SECONDS = 45.0  # a run's process gets this long to end its step, the API less: it needs 20 s at most
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # s before the first start again, the second ...
STEADY_SECONDS = 120.0  # who was well for so long begins with the shortest pause again
NEVER_WELL = 5  # starts of a program that was never well, before it counts as one that cannot start
BAD_INPUT = 2  # exit code of a program that says that its settings or its port cannot be


@dataclass(frozen=True, slots=True)
class Part:
    """A program to keep. ``well`` asks it, from a thread of its own, and may take seconds."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    well: Callable[[], bool]
    silence_seconds: float = 90.0  # without a good answer, before it counts as hung
    start_seconds: float = 300.0  # the same from its start to its first good answer
    quiet: bool = False  # what it prints is nothing to be shown
    after: str = ""  # the part that must have been well once before this one is started first


@dataclass(slots=True)
class _Kept:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0  # as the system tells it, s since 1970
    started: float = 0.0  # monotonic, like those below
    well_since: float | None = None  # of this process
    well_at: float = 0.0
    was_well: bool = False  # ever
    starts: int = 0  # in a row that did not last
    next_start: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class CannotStartError(Exception):
    """A part that would die again however often it is started; its sentence."""


class Supervisor:
    """``record``: where the processes are written down, so that the next supervisor of the house can end what one that
    was killed left behind."""

    def __init__(self, parts: Sequence[Part], record: Path) -> None:
        self._kept = [_Kept(part) for part in parts]
        self._record = record
        self._stopping = threading.Event()

    def run(self) -> int:
        """Until SIGINT or SIGTERM (0), or a part cannot start (1)."""
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for kept in self._kept:
            threading.Thread(target=self._ask, args=(kept,), daemon=True).start()
        try:
            while True:
                for kept in self._kept:
                    self._look(kept)
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            return 0
        except CannotStartError as error:
            _tell(str(error))
            return 1
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C leaves nobody behind
            self._stopping.set()
            self._stop()

    def _look(self, kept: _Kept) -> None:
        now = time.monotonic()
        if kept.process is None:
            if now >= kept.next_start and all(k.was_well for k in self._kept if k.part.name == kept.part.after):
                self._start(kept)
            return
        code = kept.process.poll()
        if code is not None:
            self._ended(kept, f"has ended (exit code {code})", code)
            return
        with kept.lock:
            asked_from = kept.well_at if kept.well_since is not None else kept.started
            patience = kept.part.silence_seconds if kept.well_since is not None else kept.part.start_seconds
        if now - asked_from >= patience:
            self._ended(kept, f"has not answered for {now - asked_from:.0f} s", None)

    def _start(self, kept: _Kept) -> None:
        part = kept.part
        process = subprocess.Popen(  # noqa: S603
            part.command,
            cwd=part.folder,
            stdout=subprocess.DEVNULL if part.quiet else None,
            env={**os.environ, **part.environment},
            # In a group of its own: the terminal's Ctrl-C comes to us alone, and what is left can be ended as one.
            start_new_session=True,
            # A shell starts its background jobs with SIGINT ignored, which would be inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        with kept.lock:
            kept.process, kept.started, kept.well_since = process, time.monotonic(), None
            with contextlib.suppress(psutil.Error):
                kept.born = psutil.Process(process.pid).create_time()
        kept.starts += 1
        self._write_down()

    def _ended(self, kept: _Kept, what: str, code: int | None) -> None:
        now = time.monotonic()
        process, well_since = kept.process, kept.well_since
        assert process is not None
        # Runs are children of the code server: they must not go on unseen beside those that a new one starts.
        end_group(process.pid, at_once=True)
        process.wait()
        with kept.lock:
            kept.process, kept.well_since = None, None
        if not kept.was_well and (code == BAD_INPUT or kept.starts >= NEVER_WELL):
            raise CannotStartError(f"{kept.part.name} {what} and cannot start, so all of it ends")
        if well_since is not None and now - well_since >= STEADY_SECONDS:
            kept.starts = 1
        pause = PAUSES[min(kept.starts, len(PAUSES)) - 1]
        kept.next_start = now + pause
        _tell(f"{kept.part.name} {what}; it is started again in {pause:g} s")

    def _ask(self, kept: _Kept) -> None:
        while not self._stopping.wait(ASK_SECONDS if kept.well_since is not None else LOOK_SECONDS):
            process = kept.process
            if process is None or not _is_well(kept.part):
                continue
            with kept.lock:
                if kept.process is not process:
                    continue
                now = time.monotonic()
                kept.well_at = now
                if kept.well_since is None:
                    kept.well_since = now
                    if kept.was_well:
                        _tell(f"{kept.part.name} works again")
                    kept.was_well = True

    def _stop(self) -> None:
        """In order: each is asked to end when those before it have; who needs too long is ended."""
        deadline = time.monotonic() + STOP_SECONDS
        for kept in self._kept:
            if kept.process is None:
                continue
            kept.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                kept.process.wait(max(0.1, deadline - time.monotonic()))
        for kept in self._kept:
            if kept.process is not None:
                end_group(kept.process.pid)
                kept.process.wait()
        self._record.unlink(missing_ok=True)

    def _write_down(self) -> None:
        lines = [f"{kept.process.pid} {kept.born}" for kept in self._kept if kept.process is not None]
        try:
            temporary = self._record.with_suffix(".new")
            temporary.write_text("\n".join(lines))
            temporary.replace(self._record)
        except OSError as error:  # a full disk must not keep the house from starting
            log.warning("%s: cannot be written (%s)", self._record, error.strerror)


def end_leftovers(record: Path) -> int:
    """Ends what a supervisor that was killed left running, by its record; how many groups of processes there were."""
    try:
        lines = record.read_text().splitlines()
    except FileNotFoundError:
        return 0
    found = 0
    for line in lines:
        with contextlib.suppress(ValueError):
            pid, born = line.split()
            # A group's number is not given out again while any of its processes lives, but afterwards it is.
            with contextlib.suppress(psutil.NoSuchProcess):
                if abs(psutil.Process(int(pid)).create_time() - float(born)) > 1:
                    continue
            found += end_group(int(pid))
    record.unlink(missing_ok=True)
    return found


def end_group(group: int, *, at_once: bool = False) -> bool:
    """Ends what is left of the processes that one of ours began; whether there were any."""
    found = False
    for ending in (signal.SIGKILL,) if at_once else (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + LEAVE_SECONDS
        try:
            os.killpg(group, ending)
            found = True
            while time.monotonic() < deadline and _any_lives(group):
                time.sleep(0.05)
        except ProcessLookupError:
            return found
    return found


def _any_lives(group: int) -> bool:
    """Whether a process of the group is more than one that waits to be reaped, by us or, without an init, by nobody."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                return True
    return False


def _is_well(part: Part) -> bool:
    try:
        return part.well()
    except Exception:
        log.debug("%s could not be asked", part.name, exc_info=True)
        return False


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
