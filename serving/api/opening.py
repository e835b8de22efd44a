"""What takes time to make and needs the stores: made by a thread, tried again until they are there, while all else
goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pipelines.errors import OrimonoError, Unavailable

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_WAIT = 0.25  # s until the next try; then twice as long each time
LONGEST_WAIT = 5.0


class Opening(Generic[T]):
    """``what`` names it in Unavailable; ``make`` may raise what it likes."""

    def __init__(self, what: str, make: Callable[[], T]) -> None:
        self._what = what
        self._make = make
        self._made: T | None = None
        self._wrong = "is being loaded"
        self._there = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._open, name=f"orimono-opening-{what}", daemon=True)
        self._thread.start()

    @property
    def made(self) -> T | None:
        """It, if it is there."""
        return self._made

    def get(self, patience: float = 0.0) -> T:
        """It; Unavailable when it is not there within so many seconds."""
        if self._made is None and patience > 0:
            self._there.wait(patience)
        made = self._made
        if made is None:
            raise Unavailable(self._what, self._wrong, 1)
        return made

    def close(self) -> T | None:
        """Ends the tries; what was made is the caller's to close."""
        self._closing.set()
        self._thread.join(timeout=10)
        made, self._made = self._made, None
        return made

    def _open(self) -> None:
        wait = FIRST_WAIT
        while not self._closing.is_set():
            try:
                self._made = self._make()
            except OrimonoError as error:
                if self._wrong != (wrong := f"cannot be loaded yet ({error})"):
                    log.warning("%s %s", self._what, wrong)
                self._wrong = wrong
            except Exception:  # a thread that dies in silence would never serve
                log.exception("%s: defect while it was loaded", self._what)
                self._wrong = "cannot be loaded, as Orimono itself fails"
            else:
                self._there.set()
                return
            self._closing.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)
