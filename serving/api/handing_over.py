"""The house's hand for what is submitted where no sensor sees this disk: a thread takes it in soon after, and what a
stopped process left at the start. What is done is pipelines/intake/handing_over.py's.
"""

from __future__ import annotations

import logging
import threading
import time

from pipelines.errors import OrimonoError
from serving.api.house import House

AGAIN_SECONDS = 2.0  # to the next look while something waits
LOOK_SECONDS = 60.0
LAST_SECONDS = 5.0  # at the end: who stops for good may leave its disk behind
DROP_SECONDS = 600.0  # between two looks for bytes of uploads that nobody knows
log = logging.getLogger(__name__)


class HandingOver:
    """A part of the house; with a local object store it has nothing to do."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._bell = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None and self._house.settings.objects_url:
            self._thread = threading.Thread(target=self._serve, name="orimono-handing-over", daemon=True)
            self._thread.start()

    def soon(self) -> None:
        """Something was submitted."""
        self._bell.set()

    def close(self) -> None:
        """What was submitted last is taken in, unless a store is away."""
        self._closing = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS + 1.0)

    def _serve(self) -> None:
        dropped = -DROP_SECONDS
        while not self._closing:
            left = self._look()
            if time.monotonic() - dropped >= DROP_SECONDS:
                self._drop()
                dropped = time.monotonic()
            self._bell.wait(LOOK_SECONDS if left == 0 else AGAIN_SECONDS)
            self._bell.clear()
        end = time.monotonic() + LAST_SECONDS
        while self._look() and time.monotonic() < end:
            time.sleep(0.2)

    def _look(self) -> int | None:
        """How many are left to the next look; None when none was possible."""
        from pipelines.intake import handing_over

        try:
            return handing_over.hand_over(self._house.studio) if self._house.opened or not self._closing else None
        except OrimonoError as error:
            log.debug("what was submitted waits: %s", error)
        except Exception:
            log.exception("what was submitted could not be taken in")
        return None

    def _drop(self) -> None:
        from pipelines.intake import handing_over

        try:
            handing_over.drop_unknown(self._house.studio)
        except OrimonoError as error:
            log.debug("bytes of uploads that nobody knows wait: %s", error)
        except Exception:
            log.exception("bytes of uploads that nobody knows could not be dropped")
