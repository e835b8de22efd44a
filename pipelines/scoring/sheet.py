"""A sheet: rows of text to be scored, wherever they lie. CSV, XLSX, Parquet and Google Sheets behind one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.scoring.scored import Scored

CHUNK = 500  # rows, one Dagster partition
EXTRA = ("score_confidence", "score_reason", "score_flag")  # columns beside one a category


@dataclass(frozen=True, slots=True)
class SheetRow:
    """Row ``number``, 0 being the first under the header."""

    number: int
    text: str  # without NUL and lone surrogates, outer white space stripped; "" where there is nothing to score
    given: tuple[str | None, ...]  # what stands in each category's cell already; None where it is empty
    ours: bool = False  # score_* cells are filled: a run scored it, so what is given is no person's judgement alone

    @property
    def complete(self) -> bool:
        return bool(self.given) and all(cell is not None for cell in self.given)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows ``first`` to ``last``, ``last`` excluded. ``mark``: where a reader finds the first one (a CSV's byte)."""

    first: int
    last: int
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a sheet."""

    place: str  # a path or an address
    rows: int  # that hold scores now
    kept: int = 0  # cells that a person had filled in, left as they are
    moved: int = 0  # rows that a person moved while it ran, found again
    gone: int = 0  # rows whose text a person changed or deleted while it ran; their scores are kept in the database


class Sheet(Protocol):
    """Opened for one text column and the categories. Methods block; they are called from a thread, one at a time."""

    name: str  # for messages
    kind: str  # "csv", "xlsx", "parquet" or "google"
    identity: str  # content hash of a file, id and worksheet of a Google Sheet: the same sheet has the same

    def spans(self, size: int = CHUNK) -> list[Span]:
        """One pass over the whole sheet: every row in spans of ``size``, in order. BadInput for an unusable sheet."""
        ...

    def planned(self, spans: Sequence[Span]) -> None:
        """The spans of an earlier process, before anything else is asked of a sheet that is gone on with: a Google
        Sheet may look otherwise by now, and this says which rows were meant. BadInput when it cannot tell any more."""
        ...

    def rows(self, span: Span) -> Iterator[SheetRow]:
        """In order. Spans asked for one after the other cost one pass. BadInput when the sheet is another by now."""
        ...

    def write(self, rows: Sequence[Scored]) -> None:
        """Called with each lot of rows once they are recorded. A file does nothing; a Google Sheet writes when its
        quota allows, and takes rows faster than it can write them."""
        ...

    def finish(self, scored: Iterable[Scored]) -> Written:
        """``scored``: every row that is done so far, in order of rows; also called when a run was stopped half way.

        A file is written whole, beside its source and in one step; a Google Sheet is compared and mended.
        """
        ...

    def close(self) -> None: ...
