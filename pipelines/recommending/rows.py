"""What one row of a catalogue, of decisions or of tags says, or why it cannot be used.

How cells are read from a file is reading.py's, what is stored of them storage/imports.py's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pipelines.governance.people import pseudonym
from pipelines.recommending.blocks import Block
from pipelines.recommending.people import video_id, viewer_id
from pipelines.storage.decisions import EARLIEST, SKEW
from pipelines.storage.recommending_tables import DECISIONS

LIKE, DISLIKE = 3.5, 2.0  # stars, of 5: from here up it was liked, from here down disliked, between them watched
MAX_RATING = 5.0  # above which a rating alone says nothing, as its scale is not known
SHOWN = 5  # lines named of each reason
LENGTHS = {"id": 200, "title": 500, "category": 200, "word": 200, "description": 10_000}  # characters
MANY = 200  # genres, performers or tags of one video
NOTHING = {"", "(no genres listed)", "\\n", "nan", "none", "null"}
_YEAR = re.compile(r"\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)\s*$")
_YEARS = range(1870, 2201)
_MILLISECONDS = 100_000_000_000  # a larger number is no second before the year 5138
_WORDS = {"true": True, "1": True, "yes": True, "y": True, "false": False, "0": False, "no": False, "n": False}


class Unusable(Exception):
    """Why one row is refused."""


@dataclass(slots=True)
class Tally:
    """How many rows by reason, and the first lines of each."""

    found: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    def add(self, reason: str, line: int) -> None:
        n, lines = self.found.get(reason, (0, []))
        self.found[reason] = (n + 1, lines if len(lines) >= SHOWN else [*lines, line])

    def add_many(self, reason: str, n: int, lines: list[int]) -> None:
        if n:
            before, first = self.found.get(reason, (0, []))
            self.found[reason] = (before + n, [*first, *lines][:SHOWN])

    @property
    def n(self) -> int:
        return sum(n for n, _ in self.found.values())


@dataclass(slots=True)
class Reader:
    """Makes rows for the temporary tables of storage/imports.py of the blocks of one job."""

    now: datetime
    refused: Tally = field(default_factory=Tally)
    left_out: Tally = field(default_factory=Tally)  # cells that were not understood, in rows that count
    rows: int = 0
    unused: set[tuple[UUID, str]] = field(default_factory=set)  # id and pseudonym of whom the refused rows name
    _viewers: dict[str, tuple[UUID, str]] = field(default_factory=dict)
    _videos: dict[str, tuple[UUID, str]] = field(default_factory=dict)

    def read(self, kind: str, block: Block) -> list[tuple[Any, ...]]:
        """The usable rows of a block."""
        make = {"videos": self._video, "decisions": self._decision, "tags": self._tag}[kind]
        for line, reason in block.broken:
            self.refused.add(reason, line)
        self.rows += len(block.lines) + len(block.broken)
        made = []
        names = list(block.columns)
        for line, *values in zip(block.lines, *block.columns.values(), strict=True):
            cells = dict(zip(names, values, strict=True))
            try:
                made.append((line, *make(cells, line)))
            except Unusable as reason:
                self.refused.add(str(reason), line)
                self._note(cells.get("user_id"))
        return made

    def _note(self, cell: Any) -> None:
        if cell is not None:
            with suppress(Unusable):
                self.unused.add(self._viewer(cell))

    def _decision(self, cells: dict[str, Any], line: int) -> tuple[Any, ...]:
        user, person = self._viewer(cells.get("user_id"))
        video, external = self._known_video(cells.get("video_id"))
        rating = _number(cells.get("rating"), "rating")
        said = cells.get("decision")
        if said is not None:
            decision = str(said).strip().casefold()
            if decision not in DECISIONS:
                raise Unusable(f"has a decision that is none of {', '.join(DECISIONS)}")
        elif rating is None:
            raise Unusable("has neither decision nor rating")
        elif not 0 <= rating <= MAX_RATING:
            raise Unusable(f"has a rating outside 0 to {MAX_RATING:g} and no decision")
        else:
            decision = "like" if rating >= LIKE else "dislike" if rating <= DISLIKE else "watch"
        return user, person, video, external, decision, rating, self._moment(cells.get("decided_at"))

    def _video(self, cells: dict[str, Any], line: int) -> tuple[Any, ...]:
        video, external = self._known_video(cells.get("video_id"))
        title = _text(cells.get("title"), "title", LENGTHS["title"])
        year = self._cell(line, "year", cells.get("year"), _year)
        if year is None and title and (found := _YEAR.search(title)) and int(found[1]) in _YEARS:
            year = int(found[1])
        available = self._cell(line, "available", cells.get("available"), _flag)
        return (
            video,
            external,
            title,
            _text(cells.get("description"), "description", LENGTHS["description"]),
            _text(cells.get("category"), "category", LENGTHS["category"]),
            _words(cells.get("genres"), "genre"),
            year,
            self._cell(line, "duration_s", cells.get("duration_s"), _duration),
            True if available is None else available,
            _words(cells.get("performers"), "performer"),
            _words(cells.get("tags"), "tag"),
        )

    def _tag(self, cells: dict[str, Any], line: int) -> tuple[Any, ...]:
        video, _ = self._known_video(cells.get("video_id"))
        tag = _text(cells.get("tag"), "tag", LENGTHS["word"])
        if tag is None:
            raise Unusable("has no tag")
        user, person = self._viewer(cells["user_id"]) if cells.get("user_id") is not None else (None, None)
        return video, user, person, tag.casefold()

    def _viewer(self, cell: Any) -> tuple[UUID, str]:
        if (known := self._viewers.get(cell)) is None:
            name = _text(cell, "user_id", LENGTHS["id"])
            if name is None:
                raise Unusable("has no user_id")
            known = self._viewers[cell] = named_viewer(name)
        return known

    def _known_video(self, cell: Any) -> tuple[UUID, str]:
        if (known := self._videos.get(cell)) is None:
            name = _text(cell, "video_id", LENGTHS["id"])
            if name is None:
                raise Unusable("has no video_id")
            known = self._videos[cell] = (video_id(name), name)
        return known

    def _moment(self, cell: Any) -> datetime:
        moment = _time(cell)
        if moment > self.now + SKEW:
            raise Unusable("was decided in the future")
        if moment < EARLIEST:
            raise Unusable(f"was decided before {EARLIEST.year}, or has no time")
        return moment

    def _cell(self, line: int, column: str, cell: Any, read: Callable[[str], Any]) -> Any:
        """An optional cell; what is not understood is left out and counted."""
        if cell is None or str(cell).strip().casefold() in NOTHING:
            return None
        try:
            return read(str(cell).strip())
        except (ValueError, OverflowError, Unusable):
            self.left_out.add(f"{column} not understood", line)
            return None


def named_viewer(name: str) -> tuple[UUID, str]:
    """Id and pseudonym. An id in place of a name is written in one way only, else one viewer had two pseudonyms."""
    user = viewer_id(name)
    try:
        UUID(name.strip())
    except ValueError:
        return user, pseudonym(name)
    return user, pseudonym(str(user))


def _text(cell: Any, column: str, most: int) -> str | None:
    """Any text is data, a formula, too; only what the database cannot hold, or no list could show, is refused."""
    if cell is None:
        return None
    text = " ".join(cell) if isinstance(cell, list) else str(cell)
    text = text.strip()
    if "\x00" in text:
        raise Unusable(f"has a NUL byte in {column}")
    if len(text) > most:
        raise Unusable(f"has a {column} of more than {most:,} characters")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise Unusable(f"has a {column} that is not UTF-8")
    return text or None


def _words(cell: Any, column: str) -> list[str]:
    """``Adventure|Comedy``, or a Parquet list; each once, in their order."""
    if cell is None:
        return []
    parts = cell if isinstance(cell, list) else str(cell).split("|")
    found = (_text(part, column, LENGTHS["word"]) for part in parts)
    words = [word for word in dict.fromkeys(found) if word and word.casefold() not in NOTHING]
    if len(words) > MANY:
        raise Unusable(f"has more than {MANY} {column}s")
    return words


def _number(cell: Any, column: str) -> float | None:
    if cell is None or (text := str(cell).strip()).casefold() in NOTHING:
        return None
    try:
        number = float(text)
    except ValueError:
        raise Unusable(f"has a {column} that is no number") from None
    if not math.isfinite(number) or abs(number) > 1e30:
        raise Unusable(f"has a {column} that is no finite number")
    return number if abs(number) > 1e-30 else 0.0  # the database's floats know nothing smaller


def _time(cell: Any) -> datetime:
    """Seconds or milliseconds since 1970, or ISO 8601, in UTC unless it says otherwise. Eight digits that are a date
    are that date: as seconds they would be of before 1974."""
    if cell is None:
        raise Unusable("has no decided_at")
    text = str(cell).strip()
    try:
        try:
            seconds = math.nan if _is_date(text) else float(text)
        except ValueError:
            seconds = math.nan
        if math.isnan(seconds):
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return datetime.fromtimestamp(seconds / (1000 if seconds > _MILLISECONDS else 1), UTC)
    except (ValueError, OverflowError, OSError):
        raise Unusable("has a decided_at that is neither seconds since 1970 nor ISO 8601") from None


def _is_date(text: str) -> bool:
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return False
    try:
        return datetime.fromisoformat(text).year >= EARLIEST.year
    except ValueError:
        return False


def _year(text: str) -> int:
    year = int(float(text[:4] if re.match(r"\d{4}-", text) else text))
    if year not in _YEARS:
        raise Unusable("is no year")
    return year


def _duration(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 1e9:
        raise Unusable("is no duration")
    return seconds if seconds > 1e-30 else 0.0


def _flag(text: str) -> bool:
    if (found := _WORDS.get(text.casefold())) is None:
        raise Unusable("is neither yes nor no")
    return found
