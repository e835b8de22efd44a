"""What the API's routes share: settings, the studio, and parts that are made when they are first asked for.

A part is a class whose constructor takes the house; one that has ``close`` is closed when the house is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.orm import Session

from pipelines.errors import Unavailable
from pipelines.settings import Settings
from pipelines.studio import Studio

if TYPE_CHECKING:
    from pipelines.storage.objects import Objects

T = TypeVar("T")
log = logging.getLogger(__name__)

OPENING_SECONDS = 3.0  # that somebody waits while another opens the stores
AGAIN_SECONDS = 1.0  # between two attempts to open them


class House:
    """Any number of threads may use it. The stores are opened by the first use that finds them there: until then each
    raises Unavailable, so the API starts, and answers for itself, while they are away."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._opening = threading.RLock()
        self._studio: Studio | None = None
        self._objects: Objects | None = None
        self._failed: tuple[float, Unavailable] | None = None  # when, and why it could not be opened
        self._parts: dict[type, Any] = {}
        self._locks: dict[type, threading.RLock] = {}
        self._closed = False
        self.draining = False  # no new work: this process is about to end

    @property
    def studio(self) -> Studio:
        """Raises Unavailable while a store cannot be reached. One at a time tries, and no other waits long for it."""
        if self._studio is None:
            if not self._opening.acquire(timeout=OPENING_SECONDS):
                raise Unavailable("the database", "is being opened", 2)
            try:
                if self._closed:
                    raise Unavailable("this server", "has been stopped", 2)
                if self._studio is None:
                    if self._failed is not None and time.monotonic() - self._failed[0] < AGAIN_SECONDS:
                        raise self._failed[1]
                    try:
                        self._studio = Studio.open(self.settings)
                    except Unavailable as error:
                        self._failed = (time.monotonic(), error)
                        raise
            finally:
                self._opening.release()
        return self._studio

    @property
    def objects(self) -> Objects:
        """The object store, also while the database is away."""
        if self._objects is None:
            from pipelines.storage.objects import Objects

            self._objects = Objects.open(self.settings)
        return self._objects

    @property
    def opened(self) -> bool:
        """Whether the stores were there once; they may be away now."""
        return self._studio is not None

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        with self.studio.database.session() as session:
            yield session

    def one(self, kind: type[T]) -> T:
        """The house's one of this kind, made now if need be; what its constructor raises rises, and the next asks
        again. Others are not kept waiting."""
        if kind not in self._parts:
            with self._lock:
                lock = self._locks.setdefault(kind, threading.RLock())
            with lock:
                if kind not in self._parts:
                    made = kind(self)  # type: ignore[call-arg]
                    self._parts[kind] = made
        part: T = self._parts[kind]
        return part

    def made(self, kind: type[T]) -> T | None:
        """The one of this kind if there is one already."""
        return self._parts.get(kind)

    def close(self) -> None:
        """Closes all parts, the last made first, then the stores. For good."""
        for part in reversed(list(self._parts.values())):
            close = getattr(part, "close", None)
            if close is not None:
                try:
                    close()
                except Exception:  # the others are to be closed, too
                    log.exception("%s did not close", type(part).__name__)
        self._parts.clear()
        self._closed = True
        if self._studio is not None:
            self._studio.database.close()
            self._studio = None
