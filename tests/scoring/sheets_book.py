"""A spreadsheet in memory as Google's server keeps one, and the hands of a person who works in it."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any

FULL = re.compile(r"(?:'(?P<title>(?:[^']|'')+)'|(?P<plain>[^'!]+))!(?P<range>.+)")
CORNER = re.compile(r"([A-Z]*)([0-9]*)")


@dataclass(frozen=True)
class Shown:
    """A cell whose format shows its value otherwise: a date, money, 4.00."""

    value: float
    text: str


@dataclass(frozen=True)
class Formula:
    """What a cell becomes when a client lets Google read "=..." as a person's typing."""

    text: str


class Wrong(Exception):
    """400, with Google's words."""


@dataclass
class Page:
    """A worksheet. Cells from row 0; "" is empty. All of it under ``lock``, which the server holds, too."""

    gid: int
    title: str
    cells: list[list[Any]]
    columns: int = 26
    rows: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        self.rows = max(self.rows, len(self.cells))
        self.columns = max(self.columns, *(len(row) for row in self.cells)) if self.cells else self.columns
        self.cells = [[*row, *[""] * (self.columns - len(row))] for row in self.cells]
        self.cells += [[""] * self.columns for _ in range(self.rows - len(self.cells))]

    def insert_row(self, at: int, values: list[Any]) -> None:
        with self.lock:
            self.cells.insert(at, [*values, *[""] * (self.columns - len(values))])
            self.rows += 1

    def delete_row(self, at: int) -> None:
        with self.lock:
            del self.cells[at]
            self.rows -= 1

    def move_row(self, source: int, to: int) -> None:
        with self.lock:
            self.cells.insert(to, self.cells.pop(source))

    def sort(self, column: int) -> None:
        with self.lock:
            used = max(number for number, row in enumerate(self.cells) if any(cell != "" for cell in row)) + 1
            self.cells[1:used] = sorted(self.cells[1:used], key=lambda row: str(row[column]))

    def insert_column(self, at: int, title: str = "") -> None:
        with self.lock:
            for number, row in enumerate(self.cells):
                row.insert(at, "" if number else title)
            self.columns += 1

    def delete_column(self, at: int) -> None:
        with self.lock:
            for row in self.cells:
                del row[at]
            self.columns -= 1

    def put(self, row: int, column: int, value: Any) -> None:
        with self.lock:
            self.cells[row][column] = value

    def column(self, title: str) -> list[Any]:
        """Cells under the header ``title``, down to the last row with anything in it."""
        with self.lock:
            at = self.cells[0].index(title)
            used = max((number for number, row in enumerate(self.cells) if any(cell != "" for cell in row)), default=0)
            return [row[at] for row in self.cells[1 : used + 1]]

    def header(self) -> list[str]:
        with self.lock:
            return [cell for cell in self.cells[0] if cell != ""]

    def grow(self, rows: int, columns: int) -> None:
        for row in self.cells:
            row += [""] * columns
        self.columns += columns
        self.cells += [[""] * self.columns for _ in range(rows)]
        self.rows += rows

    def corners(self, name: str) -> tuple[int, int, int, int]:
        """(top, left, bottom, right), the last two excluded, of A1:B2, A:B, 1:1, C2:C or A1."""
        first, _, last = name.partition(":")
        halves = CORNER.fullmatch(first), CORNER.fullmatch(last or first)
        if not first or halves[0] is None or halves[1] is None:
            raise Wrong(f"Unable to parse range: {name}")
        (left, top), (right, bottom) = halves[0].groups(), halves[1].groups()
        corners = (
            int(top) - 1 if top else 0,
            number(left) if left else 0,
            int(bottom) if bottom else self.rows,
            number(right) + 1 if right else self.columns,
        )
        if corners[0] >= self.rows or corners[1] >= self.columns:
            limits = f"Max rows: {self.rows}, max columns: {self.columns}"
            raise Wrong(f"Range ('{self.title}'!{name}) exceeds grid limits. {limits}")
        return corners

    def read(self, name: str, render: str) -> list[list[Any]]:
        """Without empty cells at the end of a row and empty rows at the end, as the API leaves them out."""
        top, left, bottom, right = self.corners(name)
        found = [[_shown(cell, render) for cell in row[left:right]] for row in self.cells[top:bottom]]
        for row in found:
            while row and row[-1] == "":
                row.pop()
        while found and not found[-1]:
            found.pop()
        return found

    def check(self, name: str, values: list[list[Any]]) -> tuple[int, int]:
        top, left, bottom, right = self.corners(name)
        if bottom > self.rows or right > self.columns:
            raise Wrong(f"Range ('{self.title}'!{name}) exceeds grid limits. Max rows: {self.rows}, max columns: ...")
        if len(values) > bottom - top or any(len(row) > right - left for row in values):
            raise Wrong(f"Requested writing within range ['{self.title}'!{name}], but tried writing outside it")
        if any(isinstance(cell, str) and len(cell) > 50_000 for row in values for cell in row):
            raise Wrong("Your input contains more than the maximum of 50000 characters in a single cell.")
        return top, left

    def write(self, name: str, values: list[list[Any]], option: str) -> None:
        top, left = self.check(name, values)
        for down, row in enumerate(values):
            for across, cell in enumerate(row):
                if cell is not None:
                    typed = option == "USER_ENTERED" and isinstance(cell, str) and cell.startswith("=")
                    self.cells[top + down][left + across] = Formula(cell) if typed else cell


@dataclass
class Book:
    id: str
    title: str
    pages: list[Page]

    def page(self, full: str) -> tuple[Page, str]:
        """The worksheet and the rest of a range such as 'Sheet 1'!A1:B2."""
        found = FULL.fullmatch(full)
        if found is None:
            raise Wrong(f"Unable to parse range: {full}")
        title = found["plain"] or found["title"].replace("''", "'")
        for page in self.pages:
            if page.title == title:
                return page, found["range"]
        raise Wrong(f"Unable to parse range: {full}")

    def described(self) -> dict[str, Any]:
        return {
            "spreadsheetId": self.id,
            "properties": {"title": self.title, "locale": "ja_JP", "timeZone": "Asia/Tokyo"},
            "sheets": [
                {
                    "properties": {
                        "sheetId": page.gid,
                        "title": page.title,
                        "index": index,
                        "sheetType": "GRID",
                        "gridProperties": {"rowCount": page.rows, "columnCount": page.columns},
                    }
                }
                for index, page in enumerate(self.pages)
            ],
        }


def number(letters: str) -> int:
    """A is 0, AA is 26."""
    found = 0
    for letter in letters:
        found = found * 26 + ord(letter) - 64
    return found - 1


def _shown(cell: Any, render: str) -> Any:
    if isinstance(cell, Shown):
        return cell.text if render == "FORMATTED_VALUE" else cell.value
    if isinstance(cell, Formula):
        return cell.text if render == "FORMULA" else "#ERROR!"
    if render == "FORMATTED_VALUE" and not isinstance(cell, str):
        return str(cell).upper() if isinstance(cell, bool) else f"{cell:g}"
    return cell
