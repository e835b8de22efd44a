"""An object as a file that is read from anywhere in it, a block at a time; nothing of it is put on this disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO, cast

BLOCK = 2 << 20  # bytes of one request; a store on the network answers each in some milliseconds


class ObjectFile(io.RawIOBase):
    """``read(first, last)`` gives these bytes of the state that ``tag`` names, None once the object is another: the
    file then ends there, as one that was cut."""

    def __init__(self, size: int, tag: str, read: Callable[[int, int], bytes | None]) -> None:
        self.size, self.tag = size, tag
        self._read = read
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        last = min(self._at + len(buffer), self.size)
        found = self._read(self._at, last) if self._at < last else None
        if found is None:
            return 0
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def buffered(file: ObjectFile) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(file, BLOCK))


def facts_of(file: BinaryIO) -> tuple[int, str]:
    """The size of an open file or object in bytes, and a word that is another for each state of it."""
    raw = getattr(file, "raw", None)
    if isinstance(raw, ObjectFile):
        return raw.size, raw.tag
    facts = os.fstat(file.fileno())
    return facts.st_size, f"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"
