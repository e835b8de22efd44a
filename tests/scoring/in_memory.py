"""A ledger and a sheet in memory, with what was done to them, for tests of the pipeline."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.scoring.chunks import Chunk
from pipelines.scoring.scored import Answer, Scored, Tally
from pipelines.scoring.sheet import CHUNK, SheetRow, Span, Written


@dataclass
class MemoryLedger:
    """Keeps everything; ``slow`` seconds a record; fails with ``broken`` once it has so many rows."""

    rows: dict[int, Scored] = field(default_factory=dict)
    cache: dict[bytes, Answer] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    recorded: Counter[int] = field(default_factory=Counter)
    records: int = 0
    cleaned: int = 0
    abandoned: bool = False
    slow: float = 0.0
    broken: Exception | None = None
    broken_after: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, chunk: Chunk) -> frozenset[int]:
        with self.lock:
            self.status[chunk.chunk_id] = "running"
            return frozenset(n for n in self.rows if chunk.span.first <= n < chunk.span.last)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        with self.lock:
            return {key: self.cache[key] for key in keys if key in self.cache}

    def record(
        self, chunk: Chunk, rows: Sequence[Scored], fresh: Mapping[bytes, Answer], tally: Tally, seconds: float
    ) -> None:
        if self.slow:
            time.sleep(self.slow)
        with self.lock:
            if self.broken is not None and len(self.rows) >= self.broken_after:
                raise self.broken
            assert self.status[chunk.chunk_id] == "running"
            self.records += 1
            for row in rows:
                assert chunk.span.first <= row.row < chunk.span.last
                self.rows[row.row] = row
                self.recorded[row.row] += 1
            self.cache |= fresh
            self.tally.add(tally)
            self.seconds += seconds

    def end(self, chunk: Chunk, error: str | None) -> None:
        with self.lock:
            self.status[chunk.chunk_id] = "failed" if error else "finished"
            if error:
                self.errors[chunk.chunk_id] = error

    def leave(self, chunk: Chunk) -> None:
        with self.lock:
            self.status[chunk.chunk_id] = "planned"

    def clean(self) -> None:
        self.cleaned += 1

    def abandon(self) -> None:
        self.abandoned = True


@dataclass
class MemorySheet:
    """Rows are texts, or (text, cells that are filled)."""

    texts: Sequence[str]
    given: Mapping[int, tuple[str | None, ...]] = field(default_factory=dict)
    categories: int = 2
    name: str = "sheet"
    kind: str = "csv"
    identity: str = "memory"
    written: dict[int, Scored] = field(default_factory=dict)
    read: int = 0
    users: int = 0

    def spans(self, size: int = CHUNK) -> list[Span]:
        return [Span(first, min(first + size, len(self.texts))) for first in range(0, len(self.texts), size)]

    def rows(self, span: Span) -> Iterator[SheetRow]:
        for number in range(span.first, span.last):
            assert self.users == 0
            self.read += 1
            yield SheetRow(number, self.texts[number], self.given.get(number, (None,) * self.categories))

    def write(self, rows: Sequence[Scored]) -> None:
        self.users += 1
        self.written |= {row.row: row for row in rows}
        self.users -= 1

    def finish(self, scored: Iterable[Scored]) -> Written:
        return Written("memory", len(list(scored)))

    def close(self) -> None:
        pass

    def chunks(self, size: int = CHUNK) -> list[Chunk]:
        return [Chunk(n, f"1-{n:04d}", span) for n, span in enumerate(self.spans(size), 1)]
