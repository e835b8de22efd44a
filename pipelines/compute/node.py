"""What a machine of the cluster does with a parcel: it opens it in a home of its own, works, and sends the answer.

Which machine that is, and what happens when it dies, is spreading.py's. Nothing here knows Ray.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pipelines import clock
from pipelines.compute import parcels
from pipelines.compute.address import LOCAL
from pipelines.errors import BadInput, OrimonoError
from pipelines.settings import PROJECT, Settings
from pipelines.storage.objects import Objects

P = TypeVar("P")
R = TypeVar("R")
Work = Callable[[Settings, P], R]  # a module's own function, which the other machine finds by its name
# s in which copies are shared. They go when as long again is over, so that nobody is reading one: twice this is well
# within the day in which whoever withdraws is promised to be nowhere any more.
_SPELL = 6 * 3600


@dataclass(frozen=True, slots=True)
class Answer:
    """``failure``: what the product expects, to be raised at home; ``defect``: what it does not, with its traceback."""

    value: Any = None
    failure: OrimonoError | None = None
    defect: str | None = None


def parcel_of(
    settings: Settings, work: Work[P, R], given: P, objects: Objects, known: dict[Path, str] | None = None
) -> bytes:
    """What ``perform`` takes. The code's fingerprint comes first: other code may not even read the rest."""
    return pickle.dumps((fingerprint(), pickle.dumps((settings, work)), parcels.pack(given, objects, known)))


def perform(parcel: bytes) -> bytes:
    """The pickled Answer. On a machine with other code, a failure: its results would lie under this code's names."""
    code, head, body = pickle.loads(parcel)  # noqa: S301 - from the same house, over its own cluster
    if code != fingerprint():
        reason = "runs another version of Orimono than the machine that asks"
        return _pickled(Answer(failure=BadInput("a machine of the Ray cluster", reason, "deploy one image everywhere")))
    try:
        sent, work = pickle.loads(head)  # noqa: S301
        settings = replace(sent, home=str(own_home()), compute=LOCAL, workers="1")
        given = parcels.unpack(body, Objects.open(settings))
        return _pickled(Answer(work(settings, given)))
    except OrimonoError as failure:
        return _pickled(Answer(failure=failure))
    except Exception:  # noqa: BLE001 - told at home, where there is a log
        return _pickled(Answer(defect=traceback.format_exc()))


def _pickled(answer: Answer) -> bytes:
    return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)


def own_home() -> Path:
    """Where this machine keeps copies of objects for the next hours: nothing in it is missed when it goes. Former ones
    are removed. BadInput when somebody else made it."""
    base = Path(tempfile.gettempdir()) / f"orimono-node-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    facts = base.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise BadInput(base, "belongs to somebody else", "remove it, or give the node's processes another TMPDIR")
    spell = int(clock.now().timestamp() // _SPELL)
    for place in base.iterdir():
        if not place.name.isdecimal() or int(place.name) < spell - 1:
            shutil.rmtree(place, ignore_errors=True)  # another process does the same
    home = base / str(spell)
    home.mkdir(exist_ok=True)
    return home


@functools.cache
def fingerprint() -> str:
    """Of the code that computes: equal on two machines whose results may lie in one cache."""
    digest = hashlib.sha256()
    for path in sorted((PROJECT / "pipelines").rglob("*.py")):
        digest.update(f"{path.relative_to(PROJECT).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def opened(answer: bytes) -> Any:
    """The value that the work returned. Raises its failure, or Defect with the other machine's traceback."""
    found: Answer = pickle.loads(answer)  # noqa: S301
    if found.failure is not None:
        raise found.failure
    if found.defect is not None:
        raise Defect(found.defect)
    return found.value


class Defect(Exception):
    """A failure of ours on another machine, with its traceback."""
