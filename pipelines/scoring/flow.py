"""The stages that a sheet's rows go through inside the event loop: producer, invokers, writer, cleaner.

Every stage takes from the one before it as fast as it can give on; what is under way altogether is bounded, so that a
slow provider or a slow database slows the reading. One row's asking is asking.py's, the reading of blocks reading.py's;
the thread that all this runs in is pipeline.py's.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.scoring.asking import REFUSALS, Asker, Exhausted, Options
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.controller import Controller
from pipelines.scoring.lane import Lane
from pipelines.scoring.progress import Meter, Shared
from pipelines.scoring.provider import Provider
from pipelines.scoring.reading import Done, Ledger, Part, Reading, Row
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Flag, Scored, Tally
from pipelines.scoring.sheet import Sheet
from pipelines.scoring.stopping import HANGING, Stop
from pipelines.scoring.turnstile import Closed, Turnstile

log = logging.getLogger(__name__)

AHEAD = 600  # rows that are read and wait to be asked, at most; a long text counts for several
GATHER = 0.1  # s that answers wait for others, to be recorded together
RECENT = 2_048  # answers remembered for rows that were read before these were recorded
CLEAN = 60.0  # s between cleanings of the cache
NONSENSE = 50  # rows without a valid answer, from the first on, that are enough


class Flow:
    """One run's stages and what they share. Made and used inside one event loop."""

    def __init__(
        self,
        sheet: Sheet,
        chunks: Sequence[Chunk],
        rubric: Rubric,
        provider: Provider,
        ledger: Ledger,
        options: Options,
        meter: Meter,
    ) -> None:
        self.sheet, self.chunks, self.rubric, self.provider = sheet, chunks, rubric, provider
        self.ledger, self.options, self.meter = ledger, options, meter
        self.finished: list[str] = []
        self.failed: dict[str, str] = {}
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        most = min(options.most, provider.most or options.most)
        self._most = max(1, most)
        control = Controller(self._most, self._loop.time(), options.pace(500.0))
        self._turnstile = Turnstile(control)
        self._asker = Asker(provider, rubric, self._turnstile, options)
        self._slots = asyncio.Semaphore(self._most)
        self._line: asyncio.Queue[Row | None] = asyncio.Queue()  # bounded by what _admit lets in
        self._inside, self._room = 0, asyncio.Event()
        self._waiting: dict[bytes, list[Row]] = {}  # a key in line or asked about -> the other rows that have it
        self._recent: dict[bytes, tuple[Answer, Flag]] = {}
        self._done: list[Done] = []
        self._ended: list[Part] = []
        self._some, self._enough = asyncio.Event(), asyncio.Event()
        self._open: dict[int, Part] = {}
        self._stop = Stop()
        self._given_up = self._all_done = False
        self._valid, self._nonsense = False, 0  # some row got an answer of its own; rows until then
        self._shared = Shared(self._open, self._loop.time)
        # One thread reads and one writes; a sheet is touched by one of them at a time.
        self._reader = Lane("score-read")
        self._writer = Lane("score-write")
        self._reading = Reading(sheet, rubric, provider, ledger, options.max_chars)

    async def run(self) -> None:
        """Until all is done, or stopped; raises what made that necessary."""
        try:
            async with self.provider:
                # What is there by now stays: to look through it again and again would stop the loop for 80 ms.
                gc.freeze()
                await self._stages()
        except BaseException as error:  # noqa: BLE001  (raised below)
            self.error = self.error or error
        finally:
            gc.unfreeze()
            # What they were asked for is done, or was given up: they end at once, or not at all.
            for lane in (self._reader, self._writer):
                lane.shutdown()
                lane.ended(0.0 if self._given_up else HANGING)
            if self._asker.refusals > REFUSALS:
                log.warning("%d rows were refused altogether", self._asker.refusals)
        if self.error is not None:
            raise self.error

    def stop(self, error: BaseException | None = None) -> None:
        """Asks nothing more. The first error is the run's."""
        if error is not None and self.error is None:
            self.error = error
        self._stop.set()
        self._turnstile.close()
        self._room.set()

    def hurry(self) -> None:
        """After ``stop``: waits for nobody any more, but for a moment."""
        self._stop.hurry()

    async def _stages(self) -> None:
        workers = [asyncio.create_task(self._guard(self._invoke())) for _ in range(self._most)]
        producer = asyncio.create_task(self._guard(self._produce()))
        writer = asyncio.create_task(self._guard(self._write()))
        cleaner = asyncio.create_task(self._guard(self._clean()))
        stopping = asyncio.create_task(self._stop.wait())
        asked = asyncio.gather(producer, *workers, return_exceptions=True)
        ends: list[asyncio.Future[Any]] = [asked, stopping]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._stop.is_set():
            await self._drain(producer, workers)
        await asked
        self._all_done = True
        self._some.set()
        self._enough.set()
        try:
            await self._end_of(writer)
            # Who was in the middle of a chunk's begin has begun it before it is left.
            await self._end_of(self._in(self._reader, lambda: None))
            await self._end_of(self._in(self._writer, self._leave))
            if self.error is None:
                await self._end_of(self._in(self._writer, self.ledger.clean))
        finally:
            stopping.cancel()
            cleaner.cancel()
            await asyncio.gather(stopping, cleaner, return_exceptions=True)

    def _in(self, lane: Lane, call: Callable[[], None]) -> asyncio.Future[None]:
        return self._loop.run_in_executor(lane, call)

    async def _end_of(self, work: asyncio.Future[None]) -> None:
        """Once the run is to stop, whatever hangs is not waited for without a bound."""
        if not await self._stop.ended(work):
            work.cancel()
            self._given_up = True
            self.ledger.abandon()
            raise Unavailable("the database", "has not answered, and is not waited for any more", 60)
        await work

    async def _drain(self, producer: asyncio.Task[None], workers: Sequence[asyncio.Task[None]]) -> None:
        """What waits ends now, what was sent gets a few seconds to be answered."""
        producer.cancel()
        sending = self._asker.sending
        for worker in workers:
            if worker not in sending:
                worker.cancel()
        running = [worker for worker in workers if worker in sending]
        if running:
            await self._stop.ended(asyncio.gather(*running, return_exceptions=True), answers=True)
            for worker in running:
                worker.cancel()

    async def _guard(self, stage: Coroutine[object, object, None]) -> None:
        """A stage that fails stops the run; one that is cancelled by a stop has ended."""
        try:
            await stage
        except (asyncio.CancelledError, Closed):
            if not self._stop.is_set() and not self._all_done:
                raise
        except Exception as error:  # noqa: BLE001  (raised again by run)
            self.stop(error)

    # -- producer

    async def _produce(self) -> None:
        for chunk in self.chunks:
            part = Part(chunk=chunk, began=self._shared.seconds())
            self._open[chunk.id] = part
            before = await self._loop.run_in_executor(self._reader, self.ledger.begin, chunk)
            self._asker.answered_before |= bool(before)
            self.meter.done += len(before)
            rows = self._reading.rows(chunk)
            while block := await self._loop.run_in_executor(self._reader, self._reading.block, rows, before, part):
                if part.abandoned:
                    break
                await self._admit(block)
            await self._loop.run_in_executor(self._reader, self._reading.close, rows)
            part.read = True
            self._settle(part)
        for _ in range(self._most):
            self._line.put_nowait(None)

    async def _admit(self, block: Sequence[Row]) -> None:
        """Lets rows in once there is room: to be asked, to share another's answer, or done as they are."""
        weight = sum(row.weight for row in block)
        while self._inside and self._inside + weight > AHEAD + self._most:
            self._room.clear()
            await self._room.wait()
        self._inside += weight
        for row in block:
            row.part.left += 1
            if row.scored is not None:
                self._finish(row, row.scored.answer, row.scored.flag, hit=row.hit)
            elif row.key in self._recent:
                self._finish(row, *self._recent[row.key], hit=True)
            elif row.key in self._waiting:
                self._waiting[row.key].append(row)
            else:
                self._waiting[row.key] = []
                self._line.put_nowait(row)

    # -- invokers

    async def _invoke(self) -> None:
        while not self._stop.is_set():
            await self._slots.acquire()
            row = await self._line.get()
            if row is None or self._stop.is_set():
                self._slots.release()
                return
            part = row.part
            if part.abandoned:
                self._give_up(row, part.error or "")
                continue
            try:
                answer, flag = await self._asker.ask(row.text, part, row.number)
            except Exhausted as end:
                part.abandoned |= end.everybody
                self._give_up(row, end.reason)
                continue
            part.tally.asked += 1
            others = self._waiting.pop(row.key)
            recent = self._recent
            recent[row.key] = answer, flag
            if len(recent) > RECENT:
                del recent[next(iter(recent))]
            self._finish(row, answer, flag, slot=True)
            for other in others:
                self._finish(other, answer, flag, hit=True)
            self._valid |= flag != "fallback"
            if not self._valid:
                self._nonsense += 1
                if self._nonsense == NONSENSE:
                    reason = f"gave no valid answer to the first {NONSENSE} rows"
                    self.stop(BadInput("the model", reason, "try another model or fewer categories"))

    def _finish(self, row: Row, answer: Answer | None, flag: Flag, *, slot: bool = False, hit: bool = False) -> None:
        part = row.part
        part.tally.rows += 1
        part.tally.cache_hits += hit
        if flag != "fallback":  # which asking.py counts
            part.tally.count(flag)
        scored = row.scored or Scored(row.number, row.key, answer, flag)
        self._done.append(Done(part, scored, row.weight, slot, slot and not flag))
        self._some.set()
        if len(self._done) >= max(1, self._most // 3):
            self._enough.set()

    def _give_up(self, row: Row, reason: str) -> None:
        """The row, and those with the same text, fail their chunks."""
        self._slots.release()
        for one in (row, *self._waiting.pop(row.key, ())):
            part = one.part
            part.error = part.error or f"row {one.number + 1}: {reason}"
            part.failed += 1
            part.left -= 1
            self._leave_room(one.weight)
            self._settle(part)

    def _leave_room(self, weight: int) -> None:
        self._inside -= weight
        self._room.set()

    def _settle(self, part: Part) -> None:
        if part.read and part.left == 0:
            self._ended.append(part)
            self._some.set()
            self._enough.set()

    # -- writer

    async def _write(self) -> None:
        while not self._all_done or self._done or self._ended:
            await self._some.wait()
            if not self._enough.is_set():
                try:
                    async with asyncio.timeout(GATHER):
                        await self._enough.wait()
                except TimeoutError:
                    pass
            self._some.clear()
            self._enough.clear()
            done, self._done = self._done, []
            by_part: dict[Part, list[Done]] = defaultdict(list)
            for one in done:
                by_part[one.part].append(one)
            for part, rows in by_part.items():
                await self._record(part, rows)
            ended, self._ended = self._ended, []
            for part in ended:
                await self._end(part)

    async def _record(self, part: Part, done: Sequence[Done]) -> None:
        tally, seconds = self._taken(part)
        rows = [one.scored for one in done]
        fresh = {s.key: s.answer for one in done if one.fresh and (s := one.scored).answer is not None}
        await self._loop.run_in_executor(self._writer, self._record_now, part.chunk, rows, fresh, tally, seconds)
        self.meter.tally.add(tally)
        self.meter.done += len(rows)
        self.meter.window = self._turnstile.control.window
        part.left -= len(done)
        self._leave_room(sum(one.weight for one in done))
        for one in done:
            if one.slot:
                self._slots.release()
        self._settle(part)

    def _taken(self, part: Part) -> tuple[Tally, float]:
        """What came since the chunk's last record."""
        tally, part.tally = part.tally, Tally()
        before, part.began = part.began, self._shared.seconds()
        return tally, part.began - before

    def _record_now(
        self, chunk: Chunk, rows: list[Scored], fresh: dict[bytes, Answer], tally: Tally, seconds: float
    ) -> None:
        self.ledger.record(chunk, rows, fresh, tally, seconds)
        if rows and not self._given_up:
            with self._reading.lock:
                self.sheet.write(rows)

    async def _end(self, part: Part) -> None:
        if part.tally != Tally():  # what rows cost that came to nothing
            await self._record(part, [])
            self._ended.remove(part)  # settled once already
        more = f" (and {part.failed - 1} more)" if part.failed > 1 else ""
        error = f"{part.error}{more}" if part.error else None
        await self._loop.run_in_executor(self._writer, self.ledger.end, part.chunk, error)
        self._shared.seconds()
        del self._open[part.chunk.id]
        if error is None:
            self.finished.append(part.chunk.chunk_id)
        else:
            self.failed[part.chunk.chunk_id] = error

    def _leave(self) -> None:
        """Chunks that are neither finished nor failed are left for the next run, with what their tries cost."""
        ended = {*self.finished, *self.failed}
        for part in self._open.values():
            tally, seconds = self._taken(part)
            # Rows that are done and not recorded, since the ledger failed, do not count.
            tally = replace(tally, rows=0, asked=0, cache_hits=0, fallbacks=0, refused=0, too_long=0)
            if tally != Tally():
                try:
                    self.ledger.record(part.chunk, [], {}, tally, seconds)
                except OrimonoError as error:
                    self.error = self.error or error
                    break
                self.meter.tally.add(tally)
        for chunk in self.chunks:
            if chunk.chunk_id not in ended:
                self.ledger.leave(chunk)

    # -- cleaner

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(CLEAN)
            await self._loop.run_in_executor(self._writer, self.ledger.clean)
