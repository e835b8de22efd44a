"""What the API's routes share: settings, the studio, and parts that are made when they are first asked for.

A part is a class whose constructor takes the house; one that has ``close`` is closed when the house is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from pipelines.settings import Settings
from pipelines.studio import Studio

T = TypeVar("T")
log = logging.getLogger(__name__)


class House:
    """Any number of threads may use it. The stores are opened by the first use that finds them there: until then each
    raises Unavailable, so the API starts, and answers for itself, while they are away."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._studio: Studio | None = None
        self._parts: dict[type, Any] = {}
        self._locks: dict[type, threading.RLock] = {}
        self.draining = False  # no new work: this process is about to end

    @property
    def studio(self) -> Studio:
        """Raises Unavailable while a store cannot be reached."""
        if self._studio is None:
            with self._lock:
                if self._studio is None:
                    self._studio = Studio.open(self.settings)
        return self._studio

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
        """Closes all parts, the last made first, then the stores."""
        for part in reversed(list(self._parts.values())):
            close = getattr(part, "close", None)
            if close is not None:
                try:
                    close()
                except Exception:  # the others are to be closed, too
                    log.exception("%s did not close", type(part).__name__)
        self._parts.clear()
        if self._studio is not None:
            self._studio.database.close()
            self._studio = None
