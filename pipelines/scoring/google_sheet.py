"""A Google Sheet as a Sheet: read in blocks, written while the rows come in, compared and mended at the end.

Requests are google_http.py's, ranges google_grid.py's, where rows went layout.py's, and how a lot of rows is written
into a sheet that people work in, google_writing.py's.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import google_address, google_auth
from pipelines.scoring import layout as layouts
from pipelines.scoring.columns import filled
from pipelines.scoring.google_grid import CHARACTERS, Grid
from pipelines.scoring.google_writing import Writing
from pipelines.scoring.layout import Layout
from pipelines.scoring.quota import Stopped
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Scored
from pipelines.scoring.sheet import CHUNK, SheetRow, Span, Written
from pipelines.scoring.tries import patiently

if TYPE_CHECKING:
    from pipelines.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

GOOGLE = "Google Sheets"
EVERY = 2.0  # s between two writes, at least
AT_ONCE, WEIGHT = 2_000, 1_000_000  # rows and characters of one write; Google advises 2 MB
AHEAD = 5_000  # rows read at once, at most
WAITING = 50_000  # rows that wait to be written; of more, the oldest are left to ``finish``
GRACE = 150.0  # s that closing waits for a request that is under way


def opened(place: str, rubric: Rubric, column: str, settings: Settings) -> GoogleSheet:
    """The Google Sheet at ``place``: an address, or a .gsheet file.

    Raises BadInput for no, wrong or unwelcome credentials, no such sheet or worksheet, no text column; Unavailable when
    Google does not answer for five minutes.
    """
    address = google_address.address(place)
    account = google_auth.account(settings)
    url = google_auth.safe(settings.google_sheets_url, "ORIMONO_GOOGLE_SHEETS_URL")
    from pipelines.scoring import google_http

    stop = threading.Event()
    client = google_http.SheetsClient(account, url, f"Google Sheet {address.key}", stop)
    try:
        grid = patiently(GOOGLE, lambda: Grid(client, address, rubric, column), stop)
        patiently(GOOGLE, grid.locate, stop)
    except BaseException:
        client.close()
        raise
    return GoogleSheet(grid, settings, stop)


class GoogleSheet:
    """Made by ``opened``. ``write`` hands rows to a thread of its own, which ``finish`` and ``close`` end."""

    kind = "google"

    def __init__(self, grid: Grid, settings: Settings, stop: threading.Event) -> None:
        self._grid, self.name = grid, grid.client.name
        self.identity = f"google:{grid.key}:{grid.gid}"
        self.place = google_address.Address(grid.key, grid.gid).url
        self._folder = layouts.folder(settings.home_path)
        self._file = layouts.name_of(self.identity, str(grid.column))
        self._layout: Layout | None = None
        self._per_row = 200.0  # characters, roughly, to read ahead by
        self._block: list[SheetRow] = []
        self._writing: Writing | None = None
        self._stop, self._drain = stop, threading.Event()
        self._waiting: deque[Scored] = deque(maxlen=WAITING)
        self._some = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def spans(self, size: int = CHUNK) -> list[Span]:
        """Also adds our columns, so that a sheet that may only be read is known before anything is paid for."""
        made = self._planned_anew()
        if not any(made.texts):
            reason = "has no text under its header"
            raise BadInput(self.name, reason, "fill the column, or name another one with --column")
        self._patiently(self._grid.prepare)
        made.save(self._folder, self._file)
        starts = range(0, len(made), size)
        return [Span(at, min(at + size, len(made)), made.mark(at, min(at + size, len(made)))) for at in starts]

    def rows(self, span: Span) -> Iterator[SheetRow]:
        """Rows that a person moved since are found; one that is gone has no text, one that was edited before it is
        read here, its new one."""
        self.planned([span])
        held = self._known()
        for number in range(span.first, span.last):
            block = self._block
            if not block or not block[0].number <= number <= block[-1].number:
                ahead = int(min(max(CHARACTERS / self._per_row, CHUNK), AHEAD))
                last = min(max(number + ahead, span.last if span.last - number <= AHEAD else 0), len(held))
                block = self._block = self._patiently(lambda at=number, last=last: self._read(held, at, last))  # type: ignore[misc]
            yield block[number - block[0].number]

    def planned(self, spans: Sequence[Span]) -> None:
        """Rows are numbered as in the plan that ``spans`` were cut from: here, by another process, or by the sheet as
        it still is. BadInput when nobody knows that plan any more."""
        if self._layout is None or not self._layout.planned(spans):
            found = layouts.saved(self._folder, self._file, spans)
            if found is None:
                found = self._planned_anew()
                if not found.planned(spans):
                    self._layout = None
                    raise layouts.lost(self.name)
            self._layout, self._writing, self._block = found, None, []

    def write(self, rows: Sequence[Scored]) -> None:
        """Raises what ended the writing for good, such as a sheet that is not ours to edit any more."""
        if self._error is not None:
            raise self._error
        if self._writing is not None:
            self._writing.answered(rows)
        self._waiting.extend(row for row in rows if row.answer is not None)
        self._some.set()
        if self._thread is None and self._waiting:
            self._drain.clear()
            self._thread = threading.Thread(target=self._write_on, name="google-sheet", daemon=True)
            self._thread.start()

    def finish(self, scored: Iterable[Scored]) -> Written:
        """Raises Unavailable when Google does not answer for five minutes; the next ``finish`` goes on from there."""
        self._end_writing()
        if self._error is not None:
            raise self._error
        self._waiting.clear()
        rows = kept = moved = gone = 0
        rest = iter(scored)
        while lot := list(islice(rest, AT_ONCE)):
            writing = self._into(self._known())
            while lot:
                part = _light(lot)
                del lot[: len(part)]
                found = writing.mend(part, self._patiently)
                rows, kept, moved, gone = (
                    rows + found.rows, kept + found.kept, moved + found.moved, gone + found.gone,
                )  # fmt: skip
        return Written(self.place, rows, kept, moved, gone)

    def close(self) -> None:
        self._stop.set()
        self._end_writing()
        self._grid.client.close()

    def _planned_anew(self) -> Layout:
        sizes = [0, 0]

        def texts() -> Iterator[str]:
            for text in self._grid.texts(self._patiently):
                sizes[0] += len(text)
                sizes[1] += 1
                yield text

        self._layout = made = Layout.of(texts())
        self._per_row = sizes[0] / max(sizes[1], 1) + 50
        self._writing, self._block = None, []
        return made

    def _known(self) -> Layout:
        """The plan that rows were read by. When none were, as by who only gathers what others scored: the last one."""
        if self._layout is None:
            self._layout = layouts.newest(self._folder, self._file) or self._planned_anew()
        return self._layout

    def _into(self, held: Layout) -> Writing:
        if self._writing is None:
            self._writing = Writing(self._grid, held)
        return self._writing

    def _read(self, held: Layout, first: int, last: int) -> list[SheetRow]:
        """Rows ``first`` to ``last`` as they are now, wherever they are."""
        writing = self._into(held)
        seen = writing.look(range(first, last), adopt=True)
        found = []
        many = len(self._grid.rubric.categories)
        for number in range(first, last):
            place = held.places[number]
            cells = seen.cells.get(place, ())[:many]
            given = tuple(None if cell is None else filled(str(cell)) for cell in cells) or (None,) * many
            ours = any(cell is not None for cell in seen.cells.get(place, ())[many:])
            found.append(SheetRow(number, seen.texts.get(place, ""), given, ours))
        return found

    def _write_on(self) -> None:
        """The thread's: whatever has gathered, when two seconds and a write of the quota are there."""
        try:
            while not self._drain.is_set():
                if not self._waiting:
                    self._some.wait(0.2)
                    self._some.clear()
                    continue
                if self._drain.wait(max(EVERY, self._grid.client.writes.wait())):
                    return
                lot = _light([self._waiting[at] for at in range(min(AT_ONCE, len(self._waiting)))])
                try:
                    self._patiently(lambda lot=lot: self._into(self._known()).put(lot), self._drain)  # type: ignore[misc]
                except Unavailable as error:
                    log.warning("%s; %d rows wait to be written, and are kept in the database", error, len(lot))
                    continue
                for _ in lot:
                    self._waiting.popleft()
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 (raised where the rows come from, and where they are asked for)
            self._error = error

    def _end_writing(self) -> None:
        self._drain.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(GRACE)
            self._thread = None

    def _patiently(self, call: Callable[[], T], stop: threading.Event | None = None) -> T:
        return patiently(GOOGLE, call, stop or self._stop)


def _light(rows: Sequence[Scored]) -> list[Scored]:
    """As many of the first rows as one request should carry; one at least."""
    weight, found = 0, list[Scored]()
    for row in rows:
        weight += len(row.answer.reason) + 10 * len(row.answer.scores) + 50 if row.answer else 0
        if found and weight > WEIGHT:
            break
        found.append(row)
    return found
