"""The house's eyes on uploads: looks at those that are all there, a few at a time, and finishes what an earlier process
left. What is looked at is pipelines/intake's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from pipelines.errors import OrimonoError
from pipelines.intake import receiving, submitting
from pipelines.intake.pieces import BeingReceived
from pipelines.storage import pending_uploads
from pipelines.storage.serving_tables import PendingUpload
from serving.api.house import House

AT_ONCE = 2  # each is a process
log = logging.getLogger(__name__)


class Checking:
    """A part of the house. Asked twice about one upload, it looks once."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, "checking")
        self._under_way: dict[str, Future[PendingUpload]] = {}
        self._threads.submit(self._take_up)

    def look(self, upload_id: str) -> Future[PendingUpload]:
        """The upload as it is afterwards; an expected failure leaves it to be looked at again."""
        with self._lock:
            if (known := self._under_way.get(upload_id)) is not None:
                return known
            made = self._threads.submit(receiving.check, self._house.studio, upload_id)
            self._under_way[upload_id] = made
        made.add_done_callback(self._done(upload_id))
        return made

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _take_up(self) -> None:
        try:
            submitting.finish(self._house.studio)
            with self._house.session() as session:
                left = pending_uploads.unchecked(session)
        except OrimonoError as error:
            log.warning("what an earlier process left is not taken up yet: %s", error)
            return
        for upload_id in left:
            try:
                self.look(upload_id)
            except RuntimeError:  # closed meanwhile
                return

    def _done(self, upload_id: str) -> Callable[[Future[PendingUpload]], None]:
        def forget(done: Future[PendingUpload]) -> None:
            with self._lock:
                self._under_way.pop(upload_id, None)
            error = None if done.cancelled() else done.exception()
            if error is not None and not isinstance(error, BeingReceived):
                log.warning("upload %s: not looked at: %s", upload_id, error)

        return forget
