"""Writing scores into a worksheet that people work in. When to, and how often it is tried, is google_sheet.py's.

Google has no write with a condition. So every write follows a look at the header, the texts and the cells that it is
about, and the next look shows whether rows or a column moved between the two: then ours are taken back, what they
covered is restored, and they are written where they belong.
"""

from __future__ import annotations

import logging
import re
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

MARGIN, ROWS = 1, 20  # columns and rows beside ours that are read before a write, lest they be written over
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?")
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


@dataclass(frozen=True, slots=True)
class Before:
    """What the last write was decided by."""

    columns: Columns
    seen: Seen


class Writing:
    """Into ``grid``, whose rows are found by ``layout``. One thread puts; another may look meanwhile."""

    def __init__(self, grid: Grid, layout: Layout) -> None:
        self.grid, self.layout = grid, layout
        self._lock = threading.Lock()  # of the layout's places
        self._last: list[Wrote] = []
        self._before: Before | None = None
        self._asked: set[int] = set()  # of the layout's edits: those whose scores are for the new text

    def look(self, numbers: Sequence[int], *, adopt: bool = False, put: bool = False) -> Seen:
        """Rows ``numbers`` where ``layout.places`` says they are, which is made true; to ``put``, also the last write.

        ``adopt``: a row whose text was edited has its new text. Raises Busy when the sheet does not hold still.
        """
        held = self.layout
        for _ in range(LOOKS):
            with self._lock:
                places = [(number, held.places[number]) for number in numbers]
            wanted = [place for _, place in places if place != GONE]
            if put and wanted:
                first, last = min(wanted), max(wanted)
                wanted += [*range(max(first - ROWS, 0), first), *range(last + 1, last + ROWS + 1)]
            if put:
                wanted += [one.place for one in self._last]
            seen = self.grid.look(wanted, margin=MARGIN if put else 0)
            known = self.grid.saw(seen)
            if put and self._last and self._before and self._before.seen.header != self.grid.header:
                self._settle_columns(self._before)
                continue
            if not known:
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
            seen = self.look([row.row for row in rows], put=True)
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
                # Before the request: it may be carried out although it seems to fail.
                self._last, self._before = wrote, Before(columns, seen)
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
        then = self._before.seen if self._before else seen
        covered = {digest(text): then.cells[place] for place, text in then.texts.items() if text}
        back = []
        for one in wrong:
            cells = covered.get(digest(seen.texts.get(one.place, "")), ())
            held = {number: cells[number] if number < len(cells) else None for number in one.cells}
            back.append(Wrote(one.scored, one.place, {number: _typed(cell or "") for number, cell in held.items()}))
        self._write(back, self.grid.columns)
        self.put([one.scored for one in wrong])

    def _settle_columns(self, before: Before) -> None:
        """Columns were added or deleted at about the time of the last write. If it was before, what was written stands
        in other columns now: there, what stood in them is put back as it was shown."""
        last, self._last = self._last, []
        places = [one.place for one in last]
        seen = self.grid.look(places, margin=MARGIN)
        if not self.grid.saw(seen):
            self._last = last
            return
        wrong = [one for one in last if not _holds(seen, one.place, one.cells)]
        titles = {title: column for column, title in enumerate(before.seen.header) if title}
        back: dict[tuple[int, int], Value] = {}
        for one in wrong:
            now, then = seen.rows.get(one.place, {}), before.seen.rows.get(one.place, {})
            for number, value in one.cells.items():
                column = before.columns.targets[number]
                if column is None or not _same(now.get(column), value):
                    continue
                title = seen.header[column] if column < len(seen.header) else ""
                covered = _typed(then.get(titles.get(title, -1), ""))
                if value != "" or covered != "":
                    back[one.place + 1, column] = covered
        if back:
            name = self.grid.client.name
            log.warning("%s: columns were moved while %d rows were written; they are set right", name, len(wrong))
            self.grid.write(back)

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


def _typed(cell: Cell) -> Value:
    """A cell as it was shown, as what it most likely is."""
    text = str(cell)
    return float(text) if _NUMBER.fullmatch(text) else text
