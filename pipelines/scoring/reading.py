"""Rows on their way: what is known of each, and the reading of them, block by block, outside of the event loop."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from pipelines.scoring.asking import Account
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.provider import Provider
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Flag, Scored, Tally
from pipelines.scoring.sheet import Sheet, SheetRow

BLOCK = 100  # rows read at once
LONG = 2_000  # characters that count for one more


class Ledger(Protocol):
    """What is known of rows and chunks, for good. Methods block; two threads may call them at once.

    ``tally`` and ``seconds`` of ``record`` are what came since the chunk's last record.
    """

    def begin(self, chunk: Chunk) -> frozenset[int]: ...

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Answer]: ...

    def record(
        self, chunk: Chunk, rows: Sequence[Scored], fresh: Mapping[bytes, Answer], tally: Tally, seconds: float
    ) -> None: ...

    def end(self, chunk: Chunk, error: str | None) -> None: ...

    def leave(self, chunk: Chunk) -> None: ...

    def clean(self) -> None: ...

    def abandon(self) -> None:
        """Somebody's call has not come back, and is not waited for any more: what is asked next is to fail at once.
        Does not block."""


@dataclass(slots=True, eq=False)
class Part(Account):
    """A chunk under way."""

    chunk: Chunk = field(kw_only=True)
    began: float = field(kw_only=True)  # s of Flow.shared at its last record
    left: int = 0  # rows read and neither recorded nor failed
    read: bool = False  # to its end
    error: str | None = None  # of its first row that failed
    failed: int = 0


@dataclass(slots=True, eq=False)
class Row:
    part: Part
    number: int
    key: bytes
    text: str
    weight: int
    scored: Scored | None = None  # known without asking
    hit: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    part: Part
    scored: Scored
    weight: int
    slot: bool  # held by it until it is recorded
    fresh: bool = False  # a model's own valid answer


class Reading:
    """A sheet's rows as the producer wants them. One thread reads; ``lock`` is the sheet's, whoever uses it."""

    def __init__(self, sheet: Sheet, rubric: Rubric, provider: Provider, ledger: Ledger, max_chars: int) -> None:
        self.lock = threading.Lock()
        self._sheet, self._rubric, self._provider, self._ledger = sheet, rubric, provider, ledger
        self._max_chars = max_chars

    def rows(self, chunk: Chunk) -> Iterator[SheetRow]:
        return self._sheet.rows(chunk.span)

    def block(self, rows: Iterator[SheetRow], before: frozenset[int], part: Part) -> list[Row]:
        """The next rows that are not recorded yet; empty at the chunk's end."""
        block: list[Row] = []
        while not block:
            with self.lock:
                found = list(islice(rows, BLOCK))
            if not found:
                return []
            block = [self._look_at(row, part) for row in found if row.number not in before]
        keys = [row.key for row in block if row.scored is None]
        known = self._ledger.recall(keys) if keys else {}
        for row in block:
            if row.scored is None and row.key in known:
                row.scored, row.hit = Scored(row.number, row.key, known[row.key]), True
        return block

    def _look_at(self, row: SheetRow, part: Part) -> Row:
        rubric, provider, answer = self._rubric, self._provider, None
        key = rubric.key(row.text, provider.name, provider.model, provider.prompt)
        flag: Flag = "given" if row.complete else "" if row.text else "empty"
        if not flag and len(row.text) > self._max_chars:
            flag, answer = "too_long", Answer((rubric.middle,) * len(rubric.categories))
        if flag:
            return Row(part, row.number, key, "", 1, Scored(row.number, key, answer, flag))
        return Row(part, row.number, key, row.text, 1 + len(row.text) // LONG)

    def close(self, rows: Iterator[SheetRow]) -> None:
        if isinstance(rows, Generator):  # perhaps left half way, with a file open
            with self.lock:
                rows.close()
