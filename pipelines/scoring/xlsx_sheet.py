"""A sheet that is a workbook: the worksheet with the text column, read row by row, copied with our columns beside.

How cells get into the copy is xlsx_cells.py's; which column holds what, columns.py's.
"""

from __future__ import annotations

import datetime
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.scoring import columns, xlsx_cells
from pipelines.scoring.columns import Columns, Value
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Scored
from pipelines.scoring.sheet import CHUNK, SheetRow, Span, Written
from pipelines.scoring.sheet_file import Answers, SheetFile, destination, writing
from pipelines.scoring.xlsx_cells import Change

if TYPE_CHECKING:
    from openpyxl import Workbook

MAX_ROWS = 1_048_576  # of a worksheet, and columns: Excel's own limits
MAX_COLUMNS = 16_384
MAX_PARTS = 10_000
MAX_UNPACKED = 2 << 30  # bytes
MAX_WHOLE = 256 << 20  # bytes of a part that openpyxl holds in memory (strings, styles)
TITLES = 100  # rows in which the header is looked for
_ERRORS = frozenset(("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"))
# What openpyxl and zipfile raise for a workbook that is none, besides OSError.
_BROKEN = (zipfile.BadZipFile, zlib.error, LookupError, ValueError, TypeError, AttributeError, EOFError, SyntaxError)
_BROKEN += (NotImplementedError, RuntimeError, OverflowError)  # type: ignore[assignment]


class XlsxSheet:
    """``Sheet`` of an Excel workbook. A formula counts by the value that was last computed for it."""

    kind = "xlsx"

    def __init__(self, file: SheetFile, rubric: Rubric, column: str, out: Path) -> None:
        """Raises BadInput when it is no whole workbook, or no worksheet has the text column."""
        self._file, self._out = file, out
        self.name, self.identity = file.name, file.identity
        with _workbook(file.path, file.name) as book:
            self._title, self._row, header = _header(book, column, file.name)
            self._part = _part_of(book, self._title)
        self._columns: Columns
        self._columns, self._there = columns.found(header, rubric, column, file.name).narrowed()
        self._text = self._columns.text
        self._last = 0  # the last column in use, from 1; 0 when not known yet
        self._reader: Iterator[SheetRow] | None = None
        self._next = -1

    @classmethod
    def opened(cls, path: Path, rubric: Rubric, column: str, out: Path | None, name: str | None) -> XlsxSheet:
        """Raises BadInput when the file is no table or ``out`` is no place for the scored one."""
        out = destination(path, out, cls.kind)
        return cls(SheetFile.of(path, name), rubric, column, out)

    def spans(self, size: int = CHUNK) -> list[Span]:
        self._file.unchanged()
        rows = sum(1 for _ in self._values(measured=True))
        return [Span(first, min(first + size, rows)) for first in range(0, rows, size)]

    def planned(self, spans: Sequence[Span]) -> None:
        """A file's rows are where they were, or it is another file."""

    def rows(self, span: Span) -> Iterator[SheetRow]:
        self._file.unchanged()
        if self._reader is None or self._next > span.first:
            self.close()
            self._reader, self._next = self._read(), 0
        while self._next < span.last:
            row = next(self._reader, None)
            if row is None:
                raise self._file.changed()
            self._next += 1
            if row.number >= span.first:
                yield row

    def write(self, rows: Sequence[Scored]) -> None:
        """The file is written by ``finish``."""

    def finish(self, scored: Iterable[Scored]) -> Written:
        self._file.unchanged()
        if not self._last:
            for _ in self._values(measured=True):
                pass
        last = self._last + len(self._columns.added)
        if last > MAX_COLUMNS:
            raise BadInput(self.name, f"has no room for {len(self._columns.added)} more columns", "remove some")
        counts = _Counts()
        sheet = xlsx_cells.Worksheet(self.name, self._changes(Answers(scored), counts), last)
        with _opened(self._file.path, self.name) as source, writing(self._out) as temporary:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as target:
                xlsx_cells.copy(source, target, self._part, sheet)
            self._file.unchanged()
        return Written(str(self._out), counts.rows, counts.kept + sheet.kept)

    def close(self) -> None:
        reader, self._reader, self._next = self._reader, None, -1
        if reader is not None:
            reader.close()  # type: ignore[attr-defined]

    def _read(self) -> Iterator[SheetRow]:
        for number, cells in enumerate(self._values()):
            text = _words(cells[self._text]) if self._text < len(cells) else None
            words = "" if text in _ERRORS else columns.text_of(text)
            yield SheetRow(number, words, self._columns.given(self._seen(cells)))

    def _seen(self, cells: Sequence[Any]) -> list[str | None]:
        return [_words(cells[at]) if at < len(cells) else None for at in self._there]

    def _changes(self, answers: Answers, counts: _Counts) -> Iterator[Change]:
        first = self._last + 1
        if self._columns.added:
            yield Change(self._row, dict(enumerate(self._columns.added, first)), titles=True)
        for number, cells in enumerate(self._values()):
            scored = answers.of(number)
            changes, added, kept = self._columns.fill(self._seen(cells), scored)
            counts.kept += kept
            counts.rows += scored.answer is not None or scored.flag == "given"
            new: dict[int, Value] = {self._there[at] + 1: value for at, value in changes.items()}
            new |= {at: value for at, value in enumerate(added, first) if value is not None}
            if new:
                yield Change(self._row + 1 + number, new)

    def _values(self, *, measured: bool = False) -> Iterator[Sequence[Any]]:
        """Cells of each row under the header; empty rows count when others follow.

        ``measured``: finds out the last column in use, too.
        """
        last = 0
        with _workbook(self._file.path, self.name) as book:
            sheet = book[self._title]
            empty: list[Sequence[Any]] = []
            for number, cells in enumerate(_rows(sheet, self.name), 1):
                if measured and len(cells) > last:
                    last = max(last, next((at for at in range(len(cells), 0, -1) if cells[at - 1] is not None), 0))
                if number <= self._row:
                    continue
                empty.append(cells)
                if any(cell is not None and cell != "" for cell in cells):
                    yield from empty
                    empty.clear()
        if measured:
            self._last = last


class _Counts:
    __slots__ = ("kept", "rows")

    def __init__(self) -> None:
        self.rows = self.kept = 0


def header_of(path: Path, column: str | None, name: str) -> list[str | None]:
    """Names of the columns, of the worksheet that has ``column`` if one has. BadInput when it is no whole workbook."""
    with _workbook(path, name) as book:
        return _header(book, column, name)[2]


def _header(book: Workbook, column: str | None, name: str) -> tuple[str, int, list[str | None]]:
    """(worksheet, the header's row from 1, names of its columns) of the first worksheet with ``column``, the one that
    was last looked at coming first. The first row with anything in it, when none has it."""
    active = book.active
    sheets = sorted(book.worksheets, key=lambda sheet: sheet is not active)
    found: tuple[str, int, list[str | None]] | None = None
    for sheet in sheets:
        for number, cells in enumerate(_rows(sheet, name, TITLES), 1):
            header = [_words(cell) for cell in cells]
            if any(columns.filled(title) for title in header):
                here = (sheet.title, number, header)
                found = found or here  # titles may stand above the header
                if column is None or columns.names(header, column):
                    return here
    if found is None:
        raise BadInput(name, "has no header and no rows", "give a workbook with a table")
    return found


def _rows(sheet: Any, name: str, most: int | None = None) -> Iterator[Sequence[Any]]:
    sheet.reset_dimensions()  # which many programs write wrong
    try:
        for number, cells in enumerate(sheet.iter_rows(values_only=True, max_row=most), 1):
            if number > MAX_ROWS or len(cells) > MAX_COLUMNS:
                reason = f"has more than {MAX_ROWS:,} rows or {MAX_COLUMNS:,} columns"
                raise BadInput(name, reason, "save it again with a spreadsheet")
            yield cells
    except _BROKEN as error:
        raise BadInput(name, "is a damaged workbook", "open it with a spreadsheet and save it again") from error


def _words(value: Any) -> str | None:
    """A cell as text: 4.0 as 4, and what XML cannot hold out of its escapes."""
    if value is None:
        return None
    if isinstance(value, str):
        if "_x" in value:
            from openpyxl.utils.escape import unescape

            return str(unescape(value))
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """Raises BadInput for a damaged archive, and for one that would fill the memory or the disk when unpacked."""
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise BadInput(name, "is a damaged workbook", "open it with a spreadsheet and save it again") from error
    with archive:
        parts = archive.infolist()
        whole = [part.file_size for part in parts if not part.filename.startswith(("xl/worksheets/", "xl/media/"))]
        large = sum(part.file_size for part in parts) > MAX_UNPACKED or max(whole, default=0) > MAX_WHOLE
        if large or len(parts) > MAX_PARTS:
            raise BadInput(name, "unpacks to more than a workbook may hold", "save its table as .csv")
        if len({part.filename for part in parts}) < len(parts):
            raise BadInput(name, "holds a part twice", "open it with a spreadsheet and save it again")
        if any(part.flag_bits & 1 for part in parts):
            raise BadInput(name, "has a password", "save it without one")
        yield archive


@contextmanager
def _workbook(path: Path, name: str) -> Iterator[Workbook]:
    import openpyxl

    # It warns of what it would leave out when it wrote the workbook, which it does not.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\.")
    with _opened(path, name), path.open("rb") as file:
        try:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except _BROKEN as error:
            raise BadInput(name, "is a damaged workbook", "open it with a spreadsheet and save it again") from error
        try:
            yield book
        finally:
            book.close()


def _part_of(book: Workbook, title: str) -> str:
    """The archive's part that holds a worksheet."""
    return str(book[title]._worksheet_path)  # type: ignore[attr-defined]
