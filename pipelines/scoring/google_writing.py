"""Writing scores into a worksheet that people work in. When to, and how often it is tried, is google_sheet.py's.

Google has no write with a condition. So every write follows a look at the header, the texts and the cells that it is
about, and the next look shows whether rows moved between the two: then ours are taken back and written again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.scoring.columns import Columns, Value
from pipelines.scoring.google_grid import Cell, Grid, Seen
from pipelines.scoring.layout import GONE, Layout, digest
from pipelines.scoring.scored import Scored
from pipelines.scoring.tries import Busy

log = logging.getLogger(__name__)

LOOKS = 6  # at a sheet that somebody keeps changing, before it counts as busy
Patiently = Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True, slots=True)
class Mended:
    """Of a lot of rows: as in Written."""

    rows: int
    kept: int
    moved: int
    gone: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """A row as it was written, and where."""

    scored: Scored
    place: int
    cells: dict[int, Value]  # by number in Columns.targets


class Writing:
    """Into ``grid``, whose rows are found by ``layout``. One thread puts; another may look meanwhile."""

    def __init__(self, grid: Grid, layout: Layout) -> None:
        self.grid, self.layout = grid, layout
        self._lock = threading.Lock()  # of the layout's places
        self._last: list[Wrote] = []
        self._asked: set[int] = set()  # of the layout's edits: those whose scores are for the new text

    def look(self, numbers: Sequence[int], *, adopt: bool = False, also: Sequence[int] = ()) -> Seen:
        """Rows ``numbers`` where ``layout.places`` says they are, which is made true; and places ``also``.

        ``adopt``: a row whose text was edited has its new text. Raises Busy when the sheet does not hold still.
        """
        held = self.layout
        for _ in range(LOOKS):
            with self._lock:
                places = [(number, held.places[number]) for number in numbers]
            seen = self.grid.look([*(place for _, place in places if place != GONE), *also])
            if not self.grid.saw(seen):
                continue
            if all(digest(seen.texts.get(place, "")) == held.text(number) for number, place in places if place != GONE):
                return seen
            self.relocate(numbers if adopt else ())
        raise Busy(f"{self.grid.client.name} is being changed all the time")

    def relocate(self, adopt: Sequence[int] = ()) -> None:
        """Finds all rows again by a look at all texts."""
        self.grid.refresh()
        now = [digest(text) for text in self.grid.texts()]
        with self._lock:
            free = set(self.layout.relocate(now))
            for number in adopt:
                if self.layout.places[number] == GONE:
                    self.layout.adopt(number, now, free)

    def answered(self, rows: Sequence[Scored]) -> None:
        """``rows`` were asked by us, so that their scores are for the texts that we have read."""
        self._asked.update(row.row for row in rows if row.row in self.layout.edits)

    def mend(self, rows: Sequence[Scored], patiently: Patiently) -> Mended:
        """Writes what is missing and reads it back until nothing is; then counts."""
        strangers = {row.row for row in rows if row.row in self.layout.edits and row.row not in self._asked}
        if any(self.layout.places[row.row] == GONE for row in rows if row.answer is not None):
            patiently(self.relocate)  # it may be back
        there = [row for row in rows if row.row not in strangers]
        for _ in range(LOOKS):
            if not patiently(lambda: self.put(there)):
                break
        places = {row.row: GONE if row.row in strangers else self.layout.places[row.row] for row in rows}
        there = [row for row in there if places[row.row] != GONE]
        seen = patiently(lambda: self.grid.look([places[row.row] for row in there], exact=True)) if there else None
        many = self.grid.columns.categories
        kept = sum(_kept(row, seen.cells.get(places[row.row], ()), many) for row in there) if seen else 0
        done = [row for row in rows if row.answer is not None or row.flag == "given"]
        gone = sum(places[row.row] == GONE for row in done)
        moved = sum(places[row.row] not in (row.row, GONE) for row in done)
        return Mended(len(done) - gone, kept, moved, gone)

    def put(self, rows: Sequence[Scored]) -> bool:
        """Writes what is missing of ``rows``; whether there was anything."""
        for _ in range(LOOKS):
            seen = self.look([row.row for row in rows], also=[wrote.place for wrote in self._last])
            if self.grid.columns.added:
                self.grid.prepare()
                continue
            if any(digest(seen.texts.get(one.place, "")) != self.layout.text(one.scored.row) for one in self._last):
                self._settle()
                continue
            self._last = []
            columns = self.grid.columns
            wrote = []
            for row in rows:
                place = self.layout.places[row.row]
                if row.answer is not None and place != GONE:
                    cells = _missing(row, seen.cells.get(place, ()), columns)
                    if cells:
                        wrote.append(Wrote(row, place, cells))
            if wrote:
                self._last = wrote  # before the request: it may be carried out although it seems to fail
                self._write(wrote, columns)
            return bool(wrote)
        raise Busy(f"{self.grid.client.name} is being changed all the time")

    def _settle(self) -> None:
        """Rows moved at about the time of the last write. If it was before, what was written stands in other people's
        rows now: it is taken back there, and the rows are written again where they are."""
        last, self._last = self._last, []
        self.relocate()
        places = {one.scored.row: self.layout.places[one.scored.row] for one in last}
        seen = self.grid.look([*(place for place in places.values() if place != GONE), *(one.place for one in last)])
        if not self.grid.saw(seen):
            self._last = last
            return
        right = {places[one.scored.row]: one.cells for one in last if _holds(seen, places[one.scored.row], one.cells)}
        wrong = [
            one
            for one in last
            if places[one.scored.row] not in right and _holds(seen, one.place, one.cells) and one.place not in right
        ]
        if not wrong:
            return
        log.warning("%s: rows were moved while they were written; %d are set right", self.grid.client.name, len(wrong))
        columns = self.grid.columns
        self._write([Wrote(one.scored, one.place, dict.fromkeys(one.cells, "")) for one in wrong], columns)
        self.put([one.scored for one in wrong])

    def _write(self, rows: Sequence[Wrote], columns: Columns) -> None:
        at = {number: column for number, column in enumerate(columns.targets) if column is not None}
        self.grid.write(
            {(one.place + 1, at[number]): value for one in rows for number, value in one.cells.items() if number in at}
        )


def _values(scored: Scored) -> tuple[Value, ...]:
    """What a row's cells should hold, as Columns.targets; "" where nothing."""
    answer = scored.answer
    assert answer is not None
    confidence = "" if answer.confidence is None else round(answer.confidence, 4)
    return (*answer.scores, confidence, answer.reason.strip(), scored.flag)


def _missing(scored: Scored, cells: Sequence[Cell | None], columns: Columns) -> dict[int, Value]:
    """What is to be written into a row with ``cells``: scores where there is none, and with a score what goes with it,
    over what an earlier run has said of others."""
    many = columns.categories
    values = _values(scored)
    cells = [*cells, *[None] * (len(values) - len(cells))]
    fresh = any(cell is None for cell in cells[:many])
    ours = fresh or any(_same(cell, value) for cell, value in zip(cells[:many], values[:many], strict=True))
    wanted = {
        number: value
        for number, (cell, value) in enumerate(zip(cells, values, strict=True))
        if (cell is None and (number < many or ours))
        or (number >= many and fresh and columns.ours and not _same(cell, value))
    }
    return wanted if any(value != "" or cells[number] is not None for number, value in wanted.items()) else {}


def _kept(scored: Scored, cells: Sequence[Cell | None], many: int) -> int:
    """Cells that hold something, and not ours."""
    if scored.answer is None:
        return sum(cell is not None for cell in cells[:many]) if scored.flag == "given" else 0
    return sum(cell is not None and not _same(cell, value) for cell, value in zip(cells, _values(scored), strict=False))


def _holds(seen: Seen, place: int, cells: dict[int, Value]) -> bool:
    held = seen.cells.get(place)
    return held is not None and all(_same(held[number], value) for number, value in cells.items())


def _same(cell: Cell | None, value: Value) -> bool:
    """Whether a cell, as a number or as it is shown, holds a value of ours."""
    if cell is None or isinstance(value, str):
        return " ".join(str(cell or "").split()) == " ".join(str(value).split())
    try:
        return not isinstance(cell, bool) and abs(float(cell) - value) < 5e-5
    except ValueError:
        return str(cell) == str(value)
