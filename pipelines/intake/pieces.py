"""One piece of an upload as it comes in, and who may be at an upload's folder. What uploads there may be is
receiving.py's.

What counts as received is on the disk: the row's figure follows an fsync. A folder's lock says who works on it, so that
it falls with whoever is killed.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Conflict, NotFound, Unavailable
from pipelines.settings import Settings
from pipelines.storage import pending_uploads as table
from pipelines.storage.serving_tables import PendingUpload
from pipelines.studio import Studio

FOLDER = "incoming"
CHECKSUMS = ("sha1", "sha256")
KEEP_EVERY = 16 << 20  # bytes after which what came is made safe
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class BeingReceived(Conflict):
    """Somebody else is at this upload just now."""


class Damaged(BadInput):
    """A piece is not what its checksum says; nothing of it was kept."""


class TooLong(BadInput):
    """A piece goes beyond what was announced."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of one piece. BadInput for an algorithm that is none of ``CHECKSUMS`` or a digest that is none of its."""

    algorithm: str
    digest: bytes

    @classmethod
    def of(cls, said: str) -> Checksum:
        """From ``sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=``."""
        algorithm, _, encoded = said.partition(" ")
        if algorithm not in CHECKSUMS:
            raise BadInput("Upload-Checksum", "names an algorithm that is not known", f"use {' or '.join(CHECKSUMS)}")
        try:
            digest = base64.b64decode(encoded, validate=True)
        except ValueError:
            digest = b""
        if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
            raise BadInput("Upload-Checksum", f"is no {algorithm} in Base64", f"write it as `{algorithm} BASE64`")
        return cls(algorithm, digest)


def folder(settings: Settings, upload_id: str) -> Path:
    """Where its bytes lie. NotFound for what can be no upload's id."""
    if not _ID.fullmatch(upload_id):
        raise unknown(upload_id)
    return settings.home_path / FOLDER / upload_id


def unknown(upload_id: str) -> NotFound:
    return NotFound(f"upload {ascii(upload_id[:40])[1:-1]}", "does not exist", "list yours for those that do")


class Piece:
    """A part of an upload as it comes in: ``with Piece(...) as piece: piece.write(data)``.

    At its end what came is safe and counts, also when it was broken off; of one with a checksum, all or nothing.
    Raises NotFound, Conflict (another offset, or complete), BeingReceived; ``write`` TooLong for more than announced,
    Unavailable for a full disk; the end Damaged.
    """

    def __init__(self, studio: Studio, upload_id: str, offset: int, checksum: Checksum | None = None) -> None:
        self._studio, self.id, self.offset, self._checksum = studio, upload_id, offset, checksum
        self._digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        self._start = self._kept = offset
        self._stack = contextlib.ExitStack()
        self.row: PendingUpload

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            place = stack.enter_context(alone(self._studio.settings, self.id))
            with self._studio.database.session() as session:
                self.row = existing(session, self.id)
                there = length(place / self.row.name)
                if there < self.row.received:  # an older copy of the home: what is gone has to be sent again
                    self.row.received = there
            if self.row.status != "receiving" and self.offset == self.row.size:
                raise Conflict(self.row.name, "is complete", "send no more of it")
            if self.offset != self.row.received:
                reason = f"has {self.row.received} bytes, and this piece begins at {self.offset}"
                raise Conflict(self.row.name, reason, "ask by HEAD where to go on")
            descriptor = os.open(place / self.row.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            os.ftruncate(descriptor, self.offset)
            os.lseek(descriptor, self.offset, os.SEEK_SET)
            self._file = descriptor
            self._stack = stack.pop_all()
        return self

    def fits(self, length: int) -> bool:
        """Whether so many bytes more are no more than were announced."""
        return self.offset + length <= self.row.size

    def too_long(self) -> TooLong:
        return TooLong(self.row.name, f"is longer than the {self.row.size} bytes announced", "announce it anew")

    def write(self, data: bytes | memoryview) -> None:
        if not self.fits(len(data)):
            raise self.too_long()
        if self._digest is not None:
            self._digest.update(data)
        view = memoryview(data)
        with room_on_disk():
            while view:
                view = view[os.write(self._file, view) :]
        self.offset += len(data)
        if self._checksum is None and self.offset - self._kept >= KEEP_EVERY:
            self._keep()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if self._checksum is not None and (error is not None or self._digest is None or not self._sound()):
                os.ftruncate(self._file, self._start)
                self.offset = self._start
                if error is None:
                    raise Damaged("this piece", "is not what its Upload-Checksum says", "send it again")
                return
            self._keep()

    def _sound(self) -> bool:
        assert self._digest is not None and self._checksum is not None
        return secrets.compare_digest(self._digest.digest(), self._checksum.digest)

    def _keep(self) -> None:
        with room_on_disk():
            os.fsync(self._file)
        with self._studio.database.session() as session:
            row = existing(session, self.id)
            row.received, row.expires_at = self.offset, clock.now() + patience(self._studio.settings)
            if row.received == row.size and row.status == "receiving":
                row.status = "checking"
            self.row = row
        self._kept = self.offset


@contextlib.contextmanager
def alone(settings: Settings, upload_id: str) -> Iterator[Path]:
    """The upload's folder, locked for this process and thread until the end. BeingReceived when it is somebody's."""
    place = folder(settings, upload_id)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)  # of one that a job took, or that is lost with the disk
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BeingReceived("this upload", "is being received or looked at just now", "try again in a second") from None
    try:
        yield place
    finally:
        with contextlib.suppress(OSError):
            place.rmdir()  # only when it is empty: there is nothing to keep
        os.close(descriptor)


@contextlib.contextmanager
def room_on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("the disk", "is full, free some space", 60) from error
        raise


def existing(session: Session, upload_id: str) -> PendingUpload:
    row = table.locked(session, [upload_id]).get(upload_id)
    if row is None:
        raise unknown(upload_id)
    return row


def length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def patience(settings: Settings) -> timedelta:
    return timedelta(hours=settings.number("upload_hours"))


def sync(path: Path) -> None:
    """What was written to this file, or which names this folder has, survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
