"""What lies in the object store, object by object, and the rows that say how full it was.

Rows tell what belongs to whom; this sees what is really there, copies and the remains of killed puts included.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import obstore
from obstore.exceptions import BaseError, NotFoundError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pipelines.errors import Unavailable
from pipelines.storage.objects import Objects
from pipelines.storage.tables import StorageUse

HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_AT_ONCE = 1000  # keys of one deletion, as S3 takes them
_BLOCK = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, or (``copy``) a file on this disk that is none: a copy of what S3 holds, a put that was killed."""

    key: str
    size: int  # bytes
    modified: datetime
    copy: bool = False

    @property
    def hashes(self) -> set[str]:
        """The content hashes in its name: its own, or that of what it was computed from."""
        return set(HASH.findall(self.key.rsplit("/", 1)[-1]))


def stored(objects: Objects, folder: str = "") -> Iterator[Stored]:
    """Everything in the store, or below one of its folders, in no order. Unavailable when the store is away."""
    if objects.remote:
        try:
            for chunk in obstore.list(objects.store, folder or None, chunk_size=_AT_ONCE):
                for item in chunk:
                    yield Stored(item["path"], item["size"], item["last_modified"])
        except BaseError as error:
            raise _away(objects, error) from error
    yield from _on_disk(objects, folder)


def read(objects: Objects, key: str) -> Iterator[bytes]:
    """An object's bytes in blocks, past any copy of it on this disk. FileNotFoundError when it is gone, Unavailable
    when the store is away."""
    if not objects.remote:
        with (objects.folder / key).open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
        return
    try:
        yield from (bytes(block) for block in obstore.get(objects.store, key).stream(min_chunk_size=_BLOCK))
    except NotFoundError as error:
        raise FileNotFoundError(key) from error
    except BaseError as error:
        raise _away(objects, error) from error


def remove(objects: Objects, doomed: Collection[Stored]) -> None:
    """Deletes these for good; what is gone already is no trouble."""
    keys = sorted({item.key for item in doomed if not item.copy})
    if objects.remote:
        for first in range(0, len(keys), _AT_ONCE):
            try:
                obstore.delete(objects.store, keys[first : first + _AT_ONCE])
            except BaseError as error:
                raise _away(objects, error) from error
    for item in doomed:
        (objects.folder / item.key).unlink(missing_ok=True)


def add(session: Session, row: StorageUse) -> None:
    session.add(row)
    session.flush()


def newest(session: Session) -> StorageUse | None:
    return session.execute(select(StorageUse).order_by(StorageUse.at.desc(), StorageUse.id.desc()).limit(1)).scalar()


def thin(session: Session, before: datetime) -> int:
    """Of the measurements older than ``before`` the last of each day stays; how many went."""
    day = func.date_trunc("day", StorageUse.at, "UTC")
    last = select(func.max(StorageUse.id)).where(StorageUse.at < before).group_by(day)
    gone = delete(StorageUse).where(StorageUse.at < before, StorageUse.id.not_in(last)).returning(StorageUse.id)
    return len(session.execute(gone).all())


def _on_disk(objects: Objects, below: str) -> Iterator[Stored]:
    for place, _, names in os.walk(objects.folder / below):
        for name in names:
            path = Path(place) / name
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue  # deleted since the folder was read
            key = path.relative_to(objects.folder).as_posix()
            # The store writes NAME#1 and renames it; objects.py writes copies as .NAME.number.
            part = "#" in name or name.startswith(".")
            modified = datetime.fromtimestamp(facts.st_mtime, UTC)
            yield Stored(key, facts.st_size, modified, copy=objects.remote or part)


def _away(objects: Objects, error: BaseError) -> Unavailable:
    return Unavailable(objects.name, f"could not be reached ({str(error).splitlines()[0][:200]})", 10)
