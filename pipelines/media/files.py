"""A file that somebody gave us: where its bytes lie, what they hash to, and what its owner calls it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipelines.errors import BadInput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MediaFile:
    path: Path
    content_hash: str
    name: str
    tags: tuple[str, ...] = ()


def saying_names(work: Callable[[], T], *files: MediaFile) -> T:
    """``work()``; bad input that it blames on the place where we keep a file is called by its owner's name for it."""
    try:
        return work()
    except BadInput as error:
        for file in files:
            if error.what in (str(file.path), file.path.name):
                raise BadInput(file.name, error.reason, error.remedy) from error
        raise


def stems(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Each file's name without its ending, with a number where that is ``taken`` or another file's, in any case."""
    known = {name.casefold() for name in taken}
    found = []
    for name in names:
        stem = unique = Path(name).stem
        for number in itertools.count(2):
            if unique.casefold() not in known:
                break
            unique = f"{stem}-{number}"
        known.add(unique.casefold())
        found.append(unique)
    return found
