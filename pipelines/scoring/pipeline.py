"""Rows of a sheet to be scored: asked, validated, recorded, written, however the run ends.

``run`` is what the rest of the house calls. It keeps the event loop (flow.py) in a thread of its own, so that whatever
is raised into the caller, Ctrl-C or an orchestrator's interruption, ends the run in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.scoring.asking import Options
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.flow import Flow
from pipelines.scoring.progress import Meter, Progress
from pipelines.scoring.provider import Provider
from pipelines.scoring.reading import Ledger
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Tally
from pipelines.scoring.sheet import Sheet
from pipelines.scoring.stopping import DRAIN, HANGING

__all__ = ["Ledger", "Options", "Outcome", "Progress", "run"]

WATCH = 0.5  # s between two looks at the progress


@dataclass(frozen=True, slots=True)
class Outcome:
    """``finished`` and ``failed`` (with one sentence why) are partitions; what is in neither was left for later."""

    tally: Tally
    finished: tuple[str, ...]
    failed: Mapping[str, str]
    stopped: bool
    seconds: float


def run(
    sheet: Sheet,
    chunks: Sequence[Chunk],
    rubric: Rubric,
    provider: Provider,
    ledger: Ledger,
    options: Options | None = None,
    *,
    watch: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Scores every row of ``chunks`` that is not recorded yet.

    ``watch`` is called in the caller's thread, twice a second and at the end. Once ``stop`` is set, or when something
    is raised into the caller's thread (and raised on), nothing more is asked, what is in flight gets a few seconds,
    what is answered is recorded, and chunks not done are left for the next run. The same happens before an error of
    the provider (BadInput: nobody will be answered), the ledger or the sheet is raised.
    """
    runner = _Runner(sheet, chunks, rubric, provider, ledger, options or Options())
    began = time.monotonic()
    runner.thread.start()
    try:
        while not runner.done.wait(WATCH):
            if watch is not None:
                watch(runner.meter.read(time.monotonic()))
            if stop is not None and stop.is_set():
                runner.stop()
    except BaseException:
        runner.stop()
        # A second Ctrl-C cuts the wait for answers short, and what is there is recorded if that can be done at once.
        try:
            ended = runner.done.wait(DRAIN + HANGING + 5.0)
        except KeyboardInterrupt:
            runner.hurry()
            ended = runner.done.wait(2.0)
        if not ended:
            ledger.abandon()
        raise
    runner.thread.join()
    if runner.error is not None:
        raise runner.error
    flow = runner.flow
    assert flow is not None
    progress = runner.meter.read(time.monotonic())
    if watch is not None:
        watch(progress)
    stopped = len(flow.finished) + len(flow.failed) < len(chunks)
    return Outcome(progress.tally, tuple(flow.finished), flow.failed, stopped, time.monotonic() - began)


class _Runner:
    """The event loop's thread and the caller's hold on it."""

    def __init__(
        self,
        sheet: Sheet,
        chunks: Sequence[Chunk],
        rubric: Rubric,
        provider: Provider,
        ledger: Ledger,
        options: Options,
    ) -> None:
        self._given = sheet, chunks, rubric, provider, ledger, options
        self.meter = Meter(sum(chunk.span.last - chunk.span.first for chunk in chunks))
        self.flow: Flow | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._main, name="scoring", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._starting = threading.Lock()

    def stop(self) -> None:
        """From any thread, at any time."""
        with self._starting:
            self._stopping = True
            if self._loop is not None and self.flow is not None and not self.done.is_set():
                with contextlib.suppress(RuntimeError):  # closed in this very moment
                    self._loop.call_soon_threadsafe(self.flow.stop)

    def hurry(self) -> None:
        """After ``stop``, for who cannot wait."""
        with self._starting, contextlib.suppress(RuntimeError):
            if self._loop is not None and self.flow is not None and not self.done.is_set():
                self._loop.call_soon_threadsafe(self.flow.hurry)

    def _main(self) -> None:
        try:
            # Not the loop of whoever runs us: a Ray worker brings uvloop, whose timers do not tell when they are due.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._run())
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            self.error = error
        finally:
            self.done.set()

    async def _run(self) -> None:
        flow = Flow(*self._given, self.meter)
        with self._starting:
            self._loop, self.flow = asyncio.get_running_loop(), flow
            if self._stopping:
                flow.stop()
        await flow.run()
