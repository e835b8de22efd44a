"""Steps that nodes of a cluster find by name."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import BadInput, Unavailable
from pipelines.items import Produced
from pipelines.settings import Settings
from pipelines.storage.cache import Cache


@dataclass(frozen=True, slots=True)
class Filed:
    """``out``: a folder of the machine that asks."""

    file: Path
    out: Path | None = None


def step(settings: Settings, cache: Cache, payload: str) -> Produced:
    match payload.split():
        case ["bad"]:
            raise BadInput("song.ogg", "is empty", "upload it again")
        case ["defect"]:
            raise ZeroDivisionError("oops")
        case ["crash"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["away"]:
            raise Unavailable("the store", "is away", 7)
        case ["sleep", seconds, *_]:
            time.sleep(float(seconds))
    data = cache.get_or_put("test", "1", payload.replace(" ", "-"), {}, payload.encode, ".txt")
    where: dict[str, float | int | str] = {"bytes": len(data), "home": settings.home, "pid": os.getpid()}
    return Produced(cache.misses == 0, where)


def upper(settings: Settings, cache: Cache, wanted: Filed) -> Produced:
    """Costly once, then copied to where its owner looks for it."""
    text = wanted.file.read_text()
    data = cache.get_or_put("upper", "1", text, {}, lambda: text.upper().encode(), ".txt")
    if wanted.out is not None:
        wanted.out.mkdir(parents=True, exist_ok=True)
        (wanted.out / "upper.txt").write_bytes(data)
    return Produced(cache.misses == 0, {"home": settings.home, "read": str(wanted.file)})
