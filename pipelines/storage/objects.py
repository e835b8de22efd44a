"""Bytes by the hash of their content, and named ones for the cache: a local folder or S3, both through obstore.

Which object belongs to what is in the tables; what named objects mean is left to cache.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, S3Store

from pipelines.errors import BadInput, Unavailable
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage.object_file import ObjectFile, buffered

_CHUNK = 16 << 20  # bytes of one part of an upload


@dataclass(frozen=True, slots=True)
class Objects:
    """Every put is atomic: a reader sees the whole object or none. Keys are relative paths with slashes."""

    store: LocalStore | S3Store
    folder: Path  # the objects themselves, or the copies of what S3 holds
    remote: bool
    name: str  # as it is called in messages

    @classmethod
    def open(cls, settings: Settings) -> Objects:
        """The store that the settings name; connects to nothing yet. BadInput for another kind of URL."""
        url = settings.objects_url
        if not url:
            folder = settings.home_path / "objects"
            with _worded("the object store", folder):
                return cls(LocalStore(folder, mkdir=True), folder, remote=False, name=str(folder))
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise BadInput("ORIMONO_OBJECTS_URL", f"is {url!r}", "leave it empty or write s3://bucket/prefix")
        copies = (
            settings.home_path / "copies" / hashlib.sha256(f"{settings.s3_endpoint} {url}".encode()).hexdigest()[:16]
        )
        with _worded("the object store", copies):
            copies.mkdir(parents=True, exist_ok=True)
        return cls(s3_store(parts.netloc, parts.path.strip("/"), settings), copies, remote=True, name=url)

    def put_file(self, path: Path) -> str:
        """Key of the file's content, stored unless it is there already.

        Unavailable when the file changes meanwhile, or the store is full or away.
        """
        before = path.stat() if path.exists() else None
        return self.put_hashed(path, content_hash(path), before)

    def key_of(self, path: Path, digest: str) -> str:
        """What the key of a file with this hash is, stored or not."""
        return _key(digest, path.suffix)

    def put_hashed(self, path: Path, digest: str, before: os.stat_result | None = None) -> str:
        """``put_file`` for a file whose hash is known; ``before``: its state when it was hashed."""
        before = before or path.stat()
        key = self.key_of(path, digest)
        if self.size(key) == before.st_size:
            return key
        with _worded(key, self.name, writing=True):
            obstore.put(self.store, key, path, chunk_size=_CHUNK)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            if content_hash(self.local(key)) != digest:  # another put of this key may have been sound
                self.delete(key)
            raise Unavailable(path, "was changed while it was being stored", 5)
        return key

    def put_bytes(self, data: bytes, suffix: str) -> str:
        """Key of these bytes, stored unless they are there already; ``suffix`` such as ``.png``."""
        key = _key(hashlib.sha256(data).hexdigest(), suffix)
        if self.size(key) != len(data):
            self.put_named(key, data)
        return key

    def get(self, key: str) -> bytes:
        """The object's bytes. BadInput when there is none, Unavailable when the store is away."""
        with _worded(key, self.name):
            return bytes(obstore.get(self.store, _checked(key)).bytes())

    def local(self, key: str) -> Path:
        """A file with the object's bytes, to read only: the object itself, or a copy that is fetched once."""
        path = self.folder / _checked(key)
        if path.exists():
            return path
        if not self.remote:
            raise _missing(key)
        with _worded(key, self.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
            try:
                with part.open("wb") as file:
                    for chunk in obstore.get(self.store, key).stream(min_chunk_size=_CHUNK):
                        file.write(chunk)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return path

    def opened(self, key: str) -> BinaryIO:
        """The object to be read from anywhere in it, in place: no copy of it is made. BadInput when there is none."""
        if not self.remote:
            return self.local(key).open("rb", buffering=0)
        with _worded(key, self.name):
            head = obstore.head(self.store, _checked(key))
        tag = head["e_tag"]

        def read(first: int, last: int) -> bytes | None:
            try:
                with _worded(key, self.name):
                    found = obstore.get(self.store, key, options={"range": (first, last), "if_match": tag})
                    return bytes(found.bytes())
            except (_Missing, _Replaced):
                return None

        return buffered(ObjectFile(head["size"], (tag or "").strip('"'), read))

    def below(self, folder: str) -> Iterator[tuple[str, int]]:
        """Keys and sizes of the objects below this one of the store's folders, in no order."""
        with _worded(folder, self.name):
            for found in obstore.list(self.store, _checked(folder), chunk_size=1000):
                yield from ((item["path"], item["size"]) for item in found)

    def exists(self, key: str) -> bool:
        return self.size(key) is not None

    def sign(self, key: str, seconds: float) -> str:
        """A URL that anybody can read for that long; a ``file://`` URL, without end, for a local folder."""
        if isinstance(self.store, S3Store):
            with _worded(key, self.name):
                return obstore.sign(self.store, "GET", _checked(key), timedelta(seconds=seconds))
        return self.local(key).as_uri()

    def delete(self, key: str) -> None:
        """Removes the object and its copy; nothing happens when there is none."""
        if not self.exists(key):
            return
        with _worded(key, self.name):
            obstore.delete(self.store, key)
            if self.remote:
                (self.folder / key).unlink(missing_ok=True)

    def put_named(self, key: str, data: bytes | Path) -> None:
        """Stores bytes, or a file's, under a name of the caller's, in place of what was there."""
        with _worded(key, self.name, writing=True):
            obstore.put(self.store, _checked(key), data, chunk_size=_CHUNK)
            if self.remote:
                (self.folder / key).unlink(missing_ok=True)

    def get_named(self, key: str) -> bytes | None:
        """None when there is no such object."""
        return self.get(key) if self.exists(key) else None

    def local_named(self, key: str) -> Path | None:
        """As ``local``; None when there is no such object."""
        if (self.folder / _checked(key)).exists():
            return self.folder / key
        return self.local(key) if self.remote and self.exists(key) else None

    def size(self, key: str) -> int | None:
        try:
            with _worded(key, self.name):
                return obstore.head(self.store, _checked(key))["size"]
        except _Missing:
            return None


class _Missing(BadInput):
    """An object that is not there, told apart here from other bad input."""


class _Replaced(Unavailable):
    """An object that is another than it was when it was opened."""


def _missing(key: str) -> _Missing:
    return _Missing(key, "is not in the object store", "compute or upload it again")


def s3_store(bucket: str, prefix: str, settings: Settings) -> S3Store:
    """Credentials come from the settings, else from ``AWS_*`` or the machine's role, as obstore reads them."""
    given: dict[str, Any] = {"prefix": prefix or None}
    if settings.s3_access_key:
        given |= {"access_key_id": settings.s3_access_key, "secret_access_key": settings.s3_secret_key}
    if settings.s3_endpoint:
        given |= {
            "endpoint": settings.s3_endpoint,
            "virtual_hosted_style_request": False,
            "client_options": {"allow_http": True},
            "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        }
    return S3Store(bucket, **given)


def _key(digest: str, suffix: str) -> str:
    """``media/ab/abcd….ogg``: two hundred folders, and a suffix because some readers look at it."""
    suffix = suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else ""
    return f"media/{digest[:2]}/{digest}{suffix}"


def _checked(key: str) -> str:
    """Keys come from tables and callers: none may lead out of the store."""
    pure = PurePosixPath(key)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != key or not re.fullmatch(r"[\w./=+@-]+", key, re.ASCII):
        raise BadInput(repr(key), "is no key of an object", "keys are plain relative paths")
    return key


@contextlib.contextmanager
def _worded(what: str, where: object, *, writing: bool = False) -> Iterator[None]:
    """The store's failures in one sentence."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if writing:
            raise BadInput(where, "does not exist", "create the bucket or mend ORIMONO_OBJECTS_URL") from error
        raise _missing(what) from error
    except PreconditionError as error:
        raise _Replaced(what, "was replaced meanwhile", 1) from error
    except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
        remedy = "check the credentials (AWS_*) or the folder's permissions"
        raise BadInput(where, "refuses access", remedy) from error
    except (BaseError, OSError) as error:
        text = str(error)
        if "No space left" in text or "os error 28" in text or "Disk quota" in text:
            raise Unavailable(where, "the disk is full, free some space", 60) from error
        if isinstance(error, OSError) and not isinstance(error, BaseError):
            raise
        raise Unavailable(where, f"could not be reached for {what} ({text.splitlines()[0][:200]})", 10) from error
