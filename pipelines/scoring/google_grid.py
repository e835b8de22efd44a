"""One worksheet: its title and size, its columns, its cells read and written by range.

Each read says what the header was at that moment, so that nobody writes by a header that is no more. Which rows are
read and written, and how often it is tried, is google_sheet.py's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NoReturn

from pipelines.errors import BadInput
from pipelines.scoring import columns
from pipelines.scoring.google_address import Address
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.tries import Busy, Elsewhere
from pipelines.texts import sayable

if TYPE_CHECKING:
    from pipelines.scoring.columns import Columns
    from pipelines.scoring.google_http import SheetsClient

MOST_CELLS = 10_000_000  # that Google lets a spreadsheet have
RANGES = 40  # in one read: they all stand in its address
GAP = 200  # rows that are read along rather than named as two ranges
BLOCK, LEAST, MOST = 2_000, 100, 20_000  # rows of one read: at first, and within which it adapts
CHARACTERS = 2_000_000  # that one read should bring

Cell = str | int | float | bool
Changes = Mapping[tuple[int, int], columns.Value]  # (row, column), both from 0 with the header as row 0


@dataclass(frozen=True, slots=True)
class Seen:
    """Cells at one moment. ``texts`` and ``cells`` by place (0 is the first row under the header)."""

    header: tuple[str, ...]
    rows: dict[int, dict[int, Cell]] = field(repr=False)  # all that was read, by place and column
    texts: dict[int, str] = field(repr=False)
    cells: dict[int, tuple[Cell | None, ...]] = field(repr=False)  # as Columns.targets; None where empty


class Grid:
    """Worksheet ``address`` of a spreadsheet. Methods raise what SheetsClient.request does."""

    def __init__(self, client: SheetsClient, address: Address, rubric: Rubric, column: str) -> None:
        self.client, self.key, self.rubric, self.column = client, address.key, rubric, column
        self._gid = address.gid
        self.lock = threading.RLock()
        self.refresh()
        self.header: tuple[str, ...] = ()
        self.columns: Columns

    def refresh(self) -> None:
        """Title and size, as they are now. BadInput when the worksheet is not there."""
        held = self.client.fetch_sheet_metadata(self.key)
        sheets = [one["properties"] for one in held.get("sheets", [])]
        found = [one for one in sheets if self._gid in (None, one["sheetId"])]
        if not found:
            reason = f"has no worksheet with gid {self._gid}"
            raise BadInput(self.client.name, reason, "open the worksheet in a browser and copy its address")
        own = found[0]
        if "gridProperties" not in own:
            raise BadInput(self.client.name, "is a chart, not a table", "give the address of a worksheet with rows")
        self.gid: int = own["sheetId"]
        self._gid = self.gid
        self.title: str = own["title"]
        self.size = own["gridProperties"]["rowCount"], own["gridProperties"]["columnCount"]
        grids = [one["gridProperties"] for one in sheets if "gridProperties" in one]
        self.all_cells = sum(one["rowCount"] * one["columnCount"] for one in grids)
        name = f"{held['properties']['title']} / {self.title}"
        self.client.name = name if sayable(name) else f"Google Sheet {self.key}"

    def locate(self) -> None:
        """Reads the header and finds the columns by it. BadInput when they are not there or not told apart."""
        (rows,) = self._read(["1:1"])
        self._found(_header(rows))

    def saw(self, seen: Seen) -> bool:
        """Whether the header was the one we know; when not, it is from now on, and what was read is of no use."""
        with self.lock:
            if seen.header == self.header:
                return True
            self._found(seen.header)
            return False

    def prepare(self) -> None:
        """Adds the columns that are missing, right of the last one in use; shows in any case that we may write."""
        with self.lock:
            at = self.columns
            if not at.added:
                last = at.targets[-1] or 0
                self.write({(0, last): self.header[last]})
                return
            missing = len(self.header) + len(at.added) - self.size[1]
            if missing > 0:
                if self.all_cells + missing * self.size[0] > MOST_CELLS:
                    reason = f"has no room for {missing} more columns of {self.size[0]:,} rows in Google's 10 million"
                    raise BadInput(self.client.name, reason, "delete empty rows and columns, or score a copy as CSV")
                # Not by setting a width: that would cut off what a person has added in this very moment.
                more = {"sheetId": self.gid, "dimension": "COLUMNS", "length": missing}
                self.client.batch_update(self.key, {"requests": [{"appendDimension": more}]})
                self.size = self.size[0], self.size[1] + missing
            self.write({(0, len(self.header) + number): name for number, name in enumerate(at.added)})
            self._found((*self.header, *at.added))

    def texts(self, patiently: Callable[[Callable[[], Seen]], Seen] = lambda call: call()) -> Iterator[str]:
        """The column of the texts, from the first row under the header to the last that is not empty."""
        held, blank, place, block = self.size[0] - 1, 0, 0, BLOCK
        while place < held:
            last = min(place + block, held)
            seen = patiently(lambda place=place, last=last: self.look(range(place, last), targets=False))  # type: ignore[misc]
            if not self.saw(seen):
                continue
            for number in range(place, last):
                text = seen.texts.get(number, "")
                if not text:
                    blank += 1
                    continue
                yield from [""] * blank
                blank = 0
                yield text
            size = sum(map(len, seen.texts.values()))
            block = int(min(max(CHARACTERS / (size / (last - place) + 1), LEAST), MOST, block * 4))
            place = last

    def look(self, places: Sequence[int], *, targets: bool = True, exact: bool = False, margin: int = 0) -> Seen:
        """Texts, and the cells that we fill, of rows ``places``. ``exact``: numbers as numbers, not as they are shown;
        texts are then not read. ``margin``: columns to be read left and right of those that we fill."""
        with self.lock:
            at, header = self.columns, self.header
        wide = [one for one in at.targets if one is not None] if targets else []
        beside = {one + by for one in wide for by in range(-margin, margin + 1) if 0 <= one + by < self.size[1]}
        wanted = sorted({*wide, *beside} if exact else {*wide, *beside, at.text})
        groups = [(group[0], group[-1]) for group in _runs(wanted, 1)]
        if len(groups) > RANGES:
            groups = [(wanted[0], wanted[-1])]
        there = self.size[0] - 1
        runs = [(run[0], run[-1]) for run in _runs(sorted(place for place in places if place < there), GAP)]
        most = max((RANGES - 1) // max(len(groups), 1), 1)
        if len(runs) > most:  # all over the sheet: one long run reads no more than the sheet
            runs = [(runs[0][0], runs[-1][1])]
        ranges = ["1:1"] + [
            f"{letters(left)}{first + 2}:{letters(right)}{last + 2}" for first, last in runs for left, right in groups
        ]
        found, *blocks = self._read(ranges, exact=exact)
        rows: dict[int, dict[int, Cell]] = {}
        areas = [(first, left) for first, _ in runs for left, _ in groups]
        for (first, left), block in zip(areas, blocks, strict=True):
            for down, line in enumerate(block):
                rows.setdefault(first + down, {}).update(enumerate(line, left))
        texts = {} if exact else {place: columns.text_of(str(row.get(at.text, ""))) for place, row in rows.items()}
        cells = {
            place: tuple(None if one is None else _cell(row.get(one)) for one in at.targets)
            for place, row in rows.items()
        }
        return Seen(_header(found) if found else header, rows, texts, cells)

    def write(self, changes: Changes) -> None:
        """In one request; RAW, so that nothing that a model said is run as a formula. Cells between are not touched."""
        data = [
            {"range": self._named(f"{letters(left)}{top + 1}:{letters(left + len(rows[0]) - 1)}{top + len(rows)}"),
             "majorDimension": "ROWS", "values": rows}
            for top, left, rows in rectangles(changes)
        ]  # fmt: skip
        try:
            self.client.values_batch_update(self.key, {"valueInputOption": "RAW", "data": data})
        except Elsewhere:
            self._lost()

    def _found(self, header: tuple[str, ...]) -> None:
        self.columns = columns.found(header, self.rubric, self.column, self.client.name)
        self.header = header

    def _read(self, ranges: list[str], *, exact: bool = False) -> list[list[list[Cell]]]:
        render = "UNFORMATTED_VALUE" if exact else "FORMATTED_VALUE"
        params: dict[str, Any] = {"majorDimension": "ROWS", "valueRenderOption": render}
        try:
            held = self.client.values_batch_get(self.key, [self._named(one) for one in ranges], params)
        except Elsewhere:
            self._lost()
        return [one.get("values", []) for one in held["valueRanges"]]

    def _lost(self) -> NoReturn:
        """The worksheet was renamed, or rows or columns are fewer: looks where everything is now, to be asked again."""
        self.refresh()
        held = self.client.values_get(self.key, self._named("1:1"), {"valueRenderOption": "FORMATTED_VALUE"})
        with self.lock:
            self._found(_header(held.get("values", [])))
        raise Busy(f"{self.client.name} is being changed", 0.2)

    def _named(self, range: str) -> str:
        title = self.title.replace("'", "''")
        return f"'{title}'!{range}"


def letters(column: int) -> str:
    """A column's name from its number: 0 is A, 26 is AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def rectangles(changes: Changes) -> list[tuple[int, int, list[list[columns.Value]]]]:
    """Changes as (top row, left column, values): cells side by side, rows of the same width joined downwards."""
    found: list[tuple[int, int, list[list[columns.Value]]]] = []
    last: dict[tuple[int, int, int], list[list[columns.Value]]] = {}  # by (next row, left, width)
    for row, cells in groupby(sorted(changes.items()), key=lambda one: one[0][0]):
        held = {column: value for (_, column), value in cells}
        below: dict[tuple[int, int, int], list[list[columns.Value]]] = {}
        for run in _runs(sorted(held), 1):
            values = [held[column] for column in run]
            rows = last.get((row, run[0], len(run)))
            if rows is None:
                rows = []
                found.append((row, run[0], rows))
            rows.append(values)
            below[row + 1, run[0], len(run)] = rows
        last = below
    return found


def _runs(numbers: Sequence[int], gap: int) -> list[list[int]]:
    """Sorted numbers, cut wherever the next is more than ``gap`` further."""
    runs = [[numbers[0]]] if numbers else []
    for before, after in pairwise(numbers):
        if after - before > gap:
            runs.append([])
        runs[-1].append(after)
    return runs


def _header(rows: list[list[Cell]]) -> tuple[str, ...]:
    return tuple(str(cell) for cell in rows[0]) if rows else ()


def _cell(cell: Cell | None) -> Cell | None:
    return None if cell is None or (isinstance(cell, str) and not cell.strip()) else cell
