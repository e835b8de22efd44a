"""The faults: what is killed, filled or cut, for how long, and in what order a seed brings them."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.faults.world import World

PATIENCE = 6.0  # s that a fault waits for somebody to befall: a worker, a run
SPREAD = 16.0  # s in which the faults of a round begin
Targets = Callable[[World], Sequence[psutil.Process]]


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    at: float  # s after the round's beginning
    seconds: float  # how long it lasts; nothing to a kill
    begun: float = 0.0  # s, when it befell somebody; 0: there was nobody

    def __str__(self) -> str:
        if not self.begun:
            return f"{self.kind} (nobody)"
        return f"{self.kind} {self.begun:.1f}" + (f"+{self.seconds:.1f}" if self.kind in LASTING else "")


def _backends(world: World) -> list[psutil.Process]:
    """One of PostgreSQL's processes that serves a client: the server starts anew when it is killed."""
    found = []
    for server in world.database():
        for child in server.children():
            with contextlib.suppress(psutil.Error):
                if "orimono" in " ".join(child.cmdline()):
                    found.append(child)
    return found


KILLS: dict[str, Targets] = {
    "worker": lambda world: world.workers(),
    "run": lambda world: world.run_processes(),
    "code server": lambda world: world.code_server(),
    "daemon": lambda world: world.processes("dagster._daemon"),
    "webserver": lambda world: world.processes("serving.ui_guard"),
    "API": lambda world: world.processes("serving.cli", "serve"),
    "PostgreSQL": lambda world: world.database(),
    "PostgreSQL's backend": _backends,
    "PostgreSQL's keeper": lambda world: [p for p in psutil.process_iter() if _is_keeper(p, world.home)],
    "up": lambda world: [psutil.Process(world.up.pid)] if world.up is not None and world.up.poll() is None else [],
}
LASTING = ("disk full", "S3 refusing", "S3 silent", "model refusing", "model silent", "model failing")
# What befalls people most comes most often.
WEIGHTS = {"run": 3, "worker": 3, "code server": 2, "daemon": 2, "PostgreSQL": 2, "disk full": 2, "API": 2}
KINDS = (*KILLS, *LASTING)


def drawn(rng: random.Random, count: int | None = None) -> list[Fault]:
    """Three to five faults of different kinds, by the moment they come."""
    left, found = list(KINDS), []
    for _ in range(count or rng.randint(3, 5)):
        kind = rng.choices(left, [WEIGHTS.get(k, 1) for k in left])[0]
        left.remove(kind)
        found.append(Fault(kind, rng.uniform(0.5, SPREAD), rng.uniform(2.0, 6.0)))
    return sorted(found, key=lambda fault: fault.at)


def parse(text: str) -> Fault:
    """From ``KIND:AT:SECONDS``; ValueError for another."""
    kind, at, seconds = text.split(":")
    if kind not in KINDS:
        raise ValueError(kind)
    return Fault(kind, float(at), float(seconds))


def befall(world: World, fault: Fault, start: float, rng: random.Random) -> Fault:
    """Waits for its moment, does it, undoes what can be undone; with the moment when it began."""
    time.sleep(max(0.0, start + fault.at - time.monotonic()))
    if fault.kind in KILLS:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = list(KILLS[fault.kind](world))
            if found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    rng.choice(found).send_signal(signal.SIGKILL)
                    begun = time.monotonic() - start
                    if fault.kind == "up":
                        assert world.up is not None
                        world.up.wait()
                        world.start()
                    return replace(fault, begun=begun)
            time.sleep(0.1)
        return fault
    if fault.kind == "disk full" and not world.on_disk:
        return fault
    begun = time.monotonic() - start
    {
        "disk full": lambda: fill(world.home.parent, fault.seconds),
        "S3 refusing": lambda: _cut(world.s3.cut, "refusing", world.s3.mend, fault.seconds),
        "S3 silent": lambda: _cut(world.s3.cut, "silent", world.s3.mend, fault.seconds),
        "model refusing": lambda: _cut(world.model.cut, "refusing", world.model.mend, fault.seconds),
        "model silent": lambda: _cut(world.model.cut, "silent", world.model.mend, fault.seconds),
        "model failing": lambda: _fail(world, fault.seconds),
    }[fault.kind]()
    return replace(fault, begun=begun)


def fill(disk: Path, seconds: float) -> None:
    """To the last byte, and again what is let go meanwhile; then freed."""
    ballast = disk / "ballast"
    end = time.monotonic() + seconds
    try:
        with ballast.open("wb", buffering=0) as file:
            size = 1 << 24
            while time.monotonic() < end:
                try:
                    os.posix_fallocate(file.fileno(), ballast.stat().st_size, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    if size == 4096:
                        time.sleep(0.05)
                    size = max(4096, size // 4)
    finally:
        ballast.unlink(missing_ok=True)


def _is_keeper(process: psutil.Process, home: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        line = " ".join(process.cmdline())
        return "keeper.py" in line and f"{home}/postgres" in line
    return False


def _cut(cut: Callable[[str], None], way: str, mend: Callable[[], None], seconds: float) -> None:
    cut(way)
    try:
        time.sleep(seconds)
    finally:
        mend()


def _fail(world: World, seconds: float) -> None:
    world.llm.behaviour.unavailable = 1.0
    try:
        time.sleep(seconds)
    finally:
        world.llm.behaviour.unavailable = 0.0
