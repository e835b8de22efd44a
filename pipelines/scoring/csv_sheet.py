"""A sheet that is a CSV file: read row by row in constant memory, from any chunk's first byte on; written beside it.

How the file is written down is csv_form.py's.
"""

from __future__ import annotations

import gzip
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from pipelines.errors import BadInput
from pipelines.scoring import columns
from pipelines.scoring.columns import Columns, Value
from pipelines.scoring.csv_form import REMEDY, Form, Records, form_of
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Scored
from pipelines.scoring.sheet import CHUNK, SheetRow, Span, Written
from pipelines.scoring.sheet_file import Answers, SheetFile, destination, writing

MAX_WIDTH = 16_384  # columns, as in spreadsheets


class CsvSheet:
    """``Sheet`` of a file of comma, semicolon or tab separated values, plain or packed by gzip."""

    kind = "csv"

    def __init__(self, file: SheetFile, form: Form, rubric: Rubric, column: str, out: Path) -> None:
        """Raises BadInput when the header lacks the text column."""
        self._file, self._form, self._out = file, form, out
        self.name, self.identity = file.name, file.identity
        self._records: Records | None = None
        self._next = -1  # number of the row that ``_records`` gives next
        self._header, self._first = header_of(file.path, form, file.name)
        self._columns: Columns = columns.found(self._header, rubric, column, file.name)

    @classmethod
    def opened(cls, path: Path, rubric: Rubric, column: str, out: Path | None, name: str | None) -> CsvSheet:
        """Raises BadInput when the file is no table or ``out`` is no place for the scored one."""
        out = destination(path, out, cls.kind)
        file = SheetFile.of(path, name)
        return cls(file, form_of(path, column, file.name), rubric, column, out)

    def spans(self, size: int = CHUNK) -> list[Span]:
        self._file.unchanged()
        marks: list[int] = []
        number = 0
        records = Records(self._file.path, self._form, self.name, self._first, 1)
        try:
            for start, _, cells in records:
                if cells:
                    if number % size == 0:
                        marks.append(start)
                    number += 1
        finally:
            records.close()
        return [Span(at * size, min(number, (at + 1) * size), mark) for at, mark in enumerate(marks)]

    def planned(self, spans: Sequence[Span]) -> None:
        """A file's rows are where they were, or it is another file."""

    def rows(self, span: Span) -> Iterator[SheetRow]:
        self._file.unchanged()
        if self._records is None or self._next != span.first:
            self.close()
            start, self._next = (span.mark, span.first) if span.mark else (self._first, 0)
            self._records = Records(self._file.path, self._form, self.name, start, self._next + 1)
        found = self._columns
        text, scored = found.text, any(at is not None for at in found.targets[: found.categories])
        nothing = (None,) * found.categories
        for _, _, cells in self._records:
            if not cells:
                continue
            number = self._next
            self._next += 1
            if number >= span.first:
                words = columns.text_of(cells[text]) if text < len(cells) else ""
                yield SheetRow(number, words, found.given(cells) if scored else nothing)
            if self._next >= span.last:
                return
        self._file.unchanged()
        if self._next < span.last:  # the bytes are the same, so the span is another file's
            raise self._file.changed()

    def write(self, rows: Sequence[Scored]) -> None:
        """The file is written by ``finish``."""

    def finish(self, scored: Iterable[Scored]) -> Written:
        self._file.unchanged()
        rows = kept = number = 0
        answers = Answers(scored)
        records = Records(self._file.path, self._form, self.name, self._first, 1)
        try:
            with writing(self._out) as temporary, self._output(temporary) as output:
                titles = [columns.defused(title) for title in self._columns.added]
                output.write(self._line("", self._header, {}, titles))
                for _, raw, cells in records:
                    if not cells:
                        output.write(raw + self._form.newline)
                        continue
                    mine = answers.of(number)
                    number += 1
                    changes, added, left = self._columns.fill(cells, mine)
                    rows += mine.answer is not None or mine.flag == "given"
                    kept += left
                    output.write(self._line(raw, cells, changes, list(map(_written, added))))
                self._file.unchanged()
        finally:
            records.close()
        return Written(str(self._out), rows, kept)

    def close(self) -> None:
        if self._records is not None:
            self._records.close()
            self._records, self._next = None, -1

    def _line(self, raw: str, cells: list[str], changes: dict[int, Value], added: list[str]) -> str:
        """A row with what is new. As it was where nothing in it changes, else with the same cells."""
        form, width = self._form, self._columns.width
        if raw and not changes and len(cells) == width:
            return form.delimiter.join([raw, *map(form.cell, added)]) + form.newline
        row = cells[:width] + [""] * (width - len(cells))
        for at, value in changes.items():
            row[at] = _written(value)
        # Cells beyond the header have no name; they stay beyond it, so that ours stand under theirs.
        return form.line(row + added + cells[width:]) + form.newline

    @contextmanager
    def _output(self, path: Path) -> Iterator[TextIO]:
        form = self._form
        errors = "surrogateescape" if form.errors == "surrogateescape" else "replace"
        packed = self._out.suffix.lower() == ".gz"
        with path.open("wb") as file:
            raw = cast("BinaryIO", gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if packed else file
            with io.TextIOWrapper(raw, "utf-8", errors, newline="", write_through=False) as output:
                if form.marked or form.encoding != "utf-8":
                    output.write("\ufeff")  # spreadsheets would take UTF-8 for something else
                output.write(form.prologue)
                yield output


def header_of(path: Path, form: Form, name: str) -> tuple[list[str], int]:
    """(names of the columns, byte of the first row after them). Raises BadInput when there are none."""
    records = Records(path, form, name, form.first, 0)
    try:
        for _, _, cells in itertools.islice(records, 1_000):
            if cells:
                if len(cells) > MAX_WIDTH:
                    raise BadInput(name, f"has {len(cells):,} columns", f"give at most {MAX_WIDTH:,}")
                return [cell.replace("\0", "") for cell in cells], records.position
    finally:
        records.close()
    raise BadInput(name, "has no header and no rows", REMEDY)


def _written(value: Value | None) -> str:
    if value is None:
        return ""
    return (
        columns.defused(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )
