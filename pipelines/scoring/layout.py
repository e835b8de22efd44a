"""Where the rows of a sheet lay when it was planned and where they lie now, known by hashes of their texts only.

People sort, insert and delete while a sheet is scored. Texts are found again, the first of several equal ones by the
first that is left. Reading the sheet is google_grid.py's.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.media.replacing import replacing
from pipelines.scoring.sheet import Span

GONE = -1
DAYS = 90  # that a layout is kept when nobody uses it
KEPT = 64  # layouts of a sheet, those used last: each was planned from by somebody who may come back
SUFFIX = ".rows"


def digest(text: str) -> int:
    """64 bits of a text's hash; 0 for no text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little") | 1 if text else 0


class Layout:
    """Row ``number`` of the plan had the text ``texts[number]`` and lies at ``places[number]``, both from 0.

    ``edits``: texts that took the place of theirs before they were read.
    """

    def __init__(self, texts: array[int]) -> None:
        self.texts = texts
        self.places = array("q", range(len(texts)))
        self.edits: dict[int, int] = {}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Layout:
        return cls(array("Q", map(digest, texts)))

    def __len__(self) -> int:
        return len(self.texts)

    def mark(self, first: int, last: int) -> int:
        """What a span's mark is: 62 bits of the hash of its rows, in order."""
        held = self.texts[first:last].tobytes()
        return int.from_bytes(blake2b(held, digest_size=8).digest(), "little") >> 2

    def planned(self, spans: Sequence[Span]) -> bool:
        """Whether ``spans`` were cut from this one."""
        return all(span.last <= len(self) and self.mark(span.first, span.last) == span.mark for span in spans)

    def relocate(self, now: Sequence[int]) -> list[int]:
        """Finds every row in the sheet as it is ``now``: digests of its texts in order.

        Returns the places that no row of the plan has: new ones and edited ones.
        """
        where: dict[int, deque[int]] = defaultdict(deque)
        for place, held in enumerate(now):
            if held:
                where[held].append(place)
        for number, planned in enumerate(self.texts):
            held = self.edits.get(number, planned)
            found = where.get(held) if held else None
            self.places[number] = found.popleft() if found else GONE
        return sorted(place for left in where.values() for place in left)

    def adopt(self, number: int, now: Sequence[int], free: set[int]) -> None:
        """Row ``number``, not asked yet, is gone: when a new text stands where it would be, that is its text now."""
        before = self.places[number - 1] if number else GONE
        after = self.places[number + 1] if number + 1 < len(self) else GONE
        for place in (before + 1 if before != GONE or not number else GONE, after - 1 if after != GONE else GONE):
            if place in free:
                free.discard(place)
                self.edits[number], self.places[number] = now[place], place
                return

    def text(self, number: int) -> int:
        """Digest of what row ``number`` says, as far as is known."""
        return self.edits.get(number, self.texts[number])

    def save(self, folder: Path, name: str) -> None:
        """So that another process, which scores another chunk or goes on tomorrow, means the same rows.

        Raises Unavailable when the disk is full.
        """
        path = folder / f"{name}-{self.mark(0, len(self)):016x}{SUFFIX}"
        with replacing(path, durable=False) as temporary:
            temporary.write_bytes(self.texts.tobytes())
        since = clock.now().timestamp() - DAYS * 86_400
        for old in [*_newest(folder, name)[KEPT:], *_newest(folder, "*", before=since)]:
            old.unlink(missing_ok=True)


def folder(home: Path) -> Path:
    """Where layouts are kept."""
    return home / "scoring" / "google"


def name_of(identity: str, column: str) -> str:
    """What the layouts of a sheet's column are called; those of one sheet begin alike."""
    return f"{_digits(identity)}{_digits(column)}"


def forget(folder: Path, identity: str) -> None:
    """Deletes the layouts of a sheet."""
    for path in folder.glob(f"{_digits(identity)}*{SUFFIX}"):
        path.unlink(missing_ok=True)


def _digits(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def saved(folder: Path, name: str, spans: Sequence[Span]) -> Layout | None:
    """The layout that ``spans`` were cut from; None when nobody kept it."""
    for path in _newest(folder, name):
        layout = _loaded(path)
        if layout is not None and layout.planned(spans):
            path.touch()
            return layout
    return None


def newest(folder: Path, name: str) -> Layout | None:
    """The layout that was used last; None when nobody kept one."""
    return next((found for path in _newest(folder, name) if (found := _loaded(path)) is not None), None)


def lost(what: str) -> BadInput:
    reason = "has changed since it was planned, and this machine does not know how its rows lay"
    return BadInput(what, reason, "score it anew: the scores that stand in it are kept")


def _loaded(path: Path) -> Layout | None:
    texts: array[int] = array("Q")
    try:
        held = path.read_bytes()
    except FileNotFoundError:  # swept by another process
        return None
    texts.frombytes(held[: len(held) // texts.itemsize * texts.itemsize])
    return Layout(texts)


def _newest(folder: Path, name: str, before: float = math.inf) -> list[Path]:
    """Layouts of a sheet that were last used ``before`` (POSIX s), the newest first."""
    found = []
    for path in folder.glob(f"{name}-*{SUFFIX}"):
        try:
            found.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # swept by another process
            continue
    return [path for used, path in sorted(found, reverse=True) if used < before]
