"""One thread that does what blocks, in the order of asking. Unlike the standard library's it never keeps the process:
what hangs in it, such as a call to a database that does not answer, is left behind when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Lane(Executor):
    """For ``loop.run_in_executor``. To be shut down."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Does what was asked for, and ends. Does not wait for that: ``ended`` does."""
        self._work.put(None)

    def ended(self, within: float) -> bool:
        """Whether the thread has, after at most so many seconds."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _main(self) -> None:
        while (item := self._work.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
                future.set_exception(error)
            else:
                future.set_result(result)
            del item, future, call  # nothing is held while it waits
