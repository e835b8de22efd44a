"""Bytes of a backup by their hash, each kept once however many backups name it: copied in, swept, put back."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines.errors import BadInput, Unavailable
from pipelines.upkeep.manifests import CONTENT, Entry, blob

_BLOCK = 4 << 20  # bytes
_FULL = ("No space left", "Disk quota")


@dataclass(frozen=True, slots=True)
class Taken:
    sha256: str
    size: int  # bytes
    new: bool  # the folder had no such bytes


def take(folder: Path, blocks: Iterator[bytes]) -> Taken:
    """Copies what comes, hashing it on the way; whole or not at all."""
    digest, size = hashlib.sha256(), 0
    part = folder / CONTENT / f".{uuid.uuid4().hex}"
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with part.open("xb") as file:
            for block in blocks:
                digest.update(block)
                size += len(block)
                file.write(block)
        place = blob(folder, digest.hexdigest())
        if place.is_file() and place.stat().st_size == size:
            return Taken(digest.hexdigest(), size, new=False)
        place.parent.mkdir(exist_ok=True)
        part.replace(place)
        return Taken(digest.hexdigest(), size, new=True)
    except OSError as error:
        if any(word in str(error) for word in _FULL):
            raise Unavailable(folder, "its disk is full, free some space", 60) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def has(folder: Path, sha256: str, size: int) -> bool:
    try:
        return blob(folder, sha256).stat().st_size == size
    except FileNotFoundError:
        return False


def blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def put_back(folder: Path, entry: Entry, place: Path) -> None:
    """Copies the entry's bytes to a new file, with its time. BadInput when they are not those that were taken."""
    place.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with blob(folder, entry.sha256).open("rb") as source, place.open("xb") as file:
            for block in blocks(source):
                digest.update(block)
                file.write(block)
    except FileNotFoundError as error:
        raise _damaged(folder, entry, "are gone") from error
    except OSError as error:
        if any(word in str(error) for word in _FULL):
            raise Unavailable(place.parent, "the disk is full, free some space", 60) from error
        raise
    if digest.hexdigest() != entry.sha256:
        raise _damaged(folder, entry, "were changed")
    os.utime(place, ns=(entry.modified_ns, entry.modified_ns))


def verified(folder: Path, entry: Entry) -> Path:
    """The file with the entry's bytes, once they were held against their hash. BadInput otherwise."""
    path = blob(folder, entry.sha256)
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256:
                return path
    except FileNotFoundError as error:
        raise _damaged(folder, entry, "are gone") from error
    raise _damaged(folder, entry, "were changed")


def sweep(folder: Path, wanted: Collection[str]) -> int:
    """Deletes what none of these hashes names, and the remains of copies that were cut off; bytes freed."""
    freed = 0
    content = folder / CONTENT
    for path in content.rglob("*") if content.is_dir() else ():
        if path.is_file() and path.name not in wanted:
            freed += path.stat().st_size
            path.unlink()
    return freed


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _damaged(folder: Path, entry: Entry, how: str) -> BadInput:
    what = f"{entry.place}/{entry.key}"
    return BadInput(folder, f"its bytes of {what} {how}", "use another copy of this backup, or an older one")
