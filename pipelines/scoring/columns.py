"""Which columns of a sheet hold what: the texts, scores that people gave already, and where ours go.

The rule for every kind of sheet: a cell that a person filled is never overwritten. How cells are read and written is
left to the sheets.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.errors import BadInput
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Scored
from pipelines.scoring.sheet import EXTRA
from pipelines.texts import sayable

DEFAULT = "utterance"
SHOWN = 12  # columns that a message names
RUNS = "=+-@\t\r\n＝＋－＠"  # a cell that begins so is a formula to spreadsheets, full-width signs in Japanese ones

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a sheet's columns lie, counted from 0. Made by ``found``."""

    width: int  # of the header
    text: int
    targets: tuple[int | None, ...]  # of each category, then of each of EXTRA; None: to be added on the right
    categories: int  # how many of ``targets`` are scores
    added: tuple[str, ...]  # names of the columns to be added, in order
    ours: bool  # EXTRA stands there already: an earlier run wrote it, so it is replaced

    def narrowed(self) -> tuple[Columns, tuple[int, ...]]:
        """(the same for rows of which only some columns are looked at, those columns): each one there is a target of
        its own, in the order of ``targets``."""
        there = tuple(at for at in self.targets if at is not None)
        targets = tuple(None if at is None else there.index(at) for at in self.targets)
        return replace(self, targets=targets), there

    def given(self, cells: Sequence[str | None]) -> tuple[str | None, ...]:
        """What stands in each category's cell; ``cells`` may be shorter than the header."""
        return tuple(
            None if at is None or at >= len(cells) else filled(cells[at]) for at in self.targets[: self.categories]
        )

    def fill(self, cells: Sequence[str | None], scored: Scored) -> tuple[dict[int, Value], list[Value | None], int]:
        """(new values of cells there are, values of the columns to be added, how many cells were kept)."""
        answer = scored.answer
        if answer is None:
            kept = sum(cell is not None for cell in self.given(cells)) if scored.flag == "given" else 0
            return {}, [None] * len(self.added), kept
        confidence = None if answer.confidence is None else round(answer.confidence, 4)
        values: tuple[Value | None, ...] = (*answer.scores, confidence, answer.reason.strip(), scored.flag)
        changes: dict[int, Value] = {}
        added: list[Value | None] = []
        kept = 0
        for number, (at, value) in enumerate(zip(self.targets, values, strict=True)):
            if at is None:
                added.append(value)
            elif (number >= self.categories and self.ours) or at >= len(cells) or filled(cells[at]) is None:
                changes[at] = "" if value is None else value
            else:
                kept += 1
        return changes, added, kept


def filled(cell: str | None) -> str | None:
    """A cell's content, None when it is empty or only white space."""
    return (cell.strip() or None) if cell else None


def text_of(cell: str | None) -> str:
    """A cell as a SheetRow's text: NUL and halves of characters out, white space around it, too."""
    if not cell:
        return ""
    if "\0" in cell:
        cell = cell.replace("\0", "")
    if not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError:  # two halves in a row are a character that was cut in two
            cell = cell.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return cell.strip()


def defused(text: str) -> str:
    """As text that no spreadsheet runs, for formats whose cells have no type."""
    return "'" + text if text.startswith(tuple(RUNS)) else text


def found(header: Sequence[str | None], rubric: Rubric, column: str, name: str) -> Columns:
    """The columns of a sheet called ``name``. Raises BadInput when they are not there or not told apart."""
    text = text_column(header, column, name)
    for category in rubric.categories:
        if _key(category) in EXTRA:
            raise BadInput(f"category {category!r}", "is what a column of ours is called", "name it otherwise")
    targets: list[int | None] = []
    for title in (*rubric.categories, *EXTRA):
        at = _find(header, title, name)
        if at == text:
            reason = "is called like the column of the texts"
            raise BadInput(f"category {title!r}", reason, "name the category or the column otherwise")
        targets.append(at)
    added = tuple(title for title, at in zip((*rubric.categories, *EXTRA), targets, strict=True) if at is None)
    ours = all(at is not None for at in targets[-len(EXTRA) :])
    return Columns(len(header), text, tuple(targets), len(rubric.categories), added, ours)


def text_column(header: Sequence[str | None], column: str, name: str) -> int:
    """Where the column of the texts is. Raises BadInput when it is not there, or more than once."""
    at = _find(header, column, name)
    if at is None:
        titles = [_shown(title) for title in header if filled(title)]
        there = ", ".join(titles[:SHOWN]) + (f" and {len(titles) - SHOWN} more" if len(titles) > SHOWN else "")
        reason = f"has no column {_shown(column)} (it has {there or 'no header'})"
        raise BadInput(name, reason, "name the column of the texts with --column")
    return at


def names(header: Sequence[str | None], column: str) -> bool:
    """Whether a column of ``header`` is called ``column``."""
    return any(title is not None and _key(title) == _key(column) for title in header)


def _find(header: Sequence[str | None], title: str, name: str) -> int | None:
    """By the exact name, else by a name that differs in case or white space only."""
    exact = [number for number, other in enumerate(header) if other == title]
    wanted = _key(title)
    matches = exact or [number for number, other in enumerate(header) if other and _key(other) == wanted]
    if len(matches) > 1:
        raise BadInput(name, f"has {len(matches)} columns {_shown(title)}", "rename or remove all but one of them")
    return matches[0] if matches else None


def _key(title: str) -> str:
    if title.startswith("'") and title[1:].startswith(tuple(RUNS)):
        title = title[1:]  # as an earlier run defused it
    return " ".join(unicodedata.normalize("NFC", title).split()).casefold()


def _shown(title: str | None) -> str:
    line = " ".join((title or "").split())
    line = "".join(character if sayable(character) else "?" for character in line[:200])
    return f'"{line[:40]}..."' if len(line) > 40 else f'"{line}"'
