"""A sheet that is a file: which bytes it is, and where its scored copy goes. What is in it is left to its format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.media.hashing import content_hash
from pipelines.media.replacing import replacing
from pipelines.scoring.scored import Scored

ENDINGS = {  # of each kind, the first being what a source with none or a wrong one gets
    "csv": (".csv", ".tsv", ".txt", ".tab", ".csv.gz", ".tsv.gz", ".txt.gz"),
    "xlsx": (".xlsx", ".xlsm", ".xltx", ".xltm"),
    "parquet": (".parquet", ".pq"),
}


@dataclass(slots=True)
class SheetFile:
    """A file's path, how messages call it, and its content hash as it was when it was opened."""

    path: Path
    name: str
    identity: str
    _seen: tuple[int, int, int] = field(repr=False)

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> SheetFile:
        """Raises BadInput when it cannot be read or holds nothing."""
        name = name or path.name
        seen = _signature(path, name)
        if seen[0] == 0:
            raise BadInput(name, "is empty (0 bytes)", "copy the file again")
        return cls(path, name, content_hash(path), seen)

    def unchanged(self) -> None:
        """Raises BadInput when the file is another than the one that was opened. Costs a look at its time and size."""
        now = _signature(self.path, self.name)
        if now != self._seen:
            if content_hash(self.path) != self.identity:
                raise self.changed()
            self._seen = now  # touched or copied over, with the same bytes

    def changed(self) -> BadInput:
        return BadInput(
            self.name, "was changed while it was being scored", "score it again; known answers cost nothing"
        )


class Answers:
    """Rows that are done, in order; asked for by number in the same order."""

    __slots__ = ("_next", "_rest")

    def __init__(self, scored: Iterable[Scored]) -> None:
        self._rest = iter(scored)
        self._next = next(self._rest, None)

    def of(self, number: int) -> Scored:
        """Row ``number``'s; one without an answer when it is not done yet."""
        while self._next is not None and self._next.row < number:
            self._next = next(self._rest, None)
        return self._next if self._next is not None and self._next.row == number else Scored(number, b"", None)


def _signature(path: Path, name: str) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise BadInput(name, "does not exist", "check the path") from error
    except PermissionError as error:
        raise BadInput(name, "may not be read", "allow its reading") from error
    if path.is_dir():
        raise BadInput(name, "is a folder", "give a file")
    return status.st_size, status.st_mtime_ns, status.st_ino


def destination(source: Path, out: Path | None, kind: str) -> Path:
    """Where the scored copy goes: ``out``, else NAME.scored.SUFFIX beside ``source``.

    Raises BadInput, before anything was asked, where it cannot or must not lie.
    """
    if out is None:
        out = source.with_name(scored_name(source.name, kind))
    if out.name.lower().endswith(_others(kind)):
        reason = f"ends like another kind of file than the sheet ({kind})"
        raise BadInput(out, reason, f"end it in {ENDINGS[kind][0]}")
    if out.is_dir():
        raise BadInput(out, "is a folder", "give the name of a file in it")
    if out.resolve() == source.resolve() or (out.exists() and out.samefile(source)):
        raise BadInput(out, "is the sheet itself, which is never overwritten", "give another name with --out")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(out, "cannot be written there", "give a place that you may write to with --out")
    return out


def scored_name(name: str, kind: str) -> str:
    """NAME.scored.SUFFIX; plain for a .csv.gz, with the kind's own ending where the source has another kind's."""
    stem, suffix = Path(name).stem, Path(name).suffix
    if suffix.lower() == ".gz":
        stem, suffix = Path(stem).stem, Path(stem).suffix
    if not suffix or suffix.lower() in _others(kind):
        suffix = ENDINGS[kind][0]
    return f"{stem}.scored{suffix}"


def _others(kind: str) -> tuple[str, ...]:
    return tuple(ending for other, endings in ENDINGS.items() if other != kind for ending in endings)


@contextmanager
def writing(out: Path) -> Iterator[Path]:
    """``replacing``, with what a person can mend worded as BadInput; a full disk is Unavailable."""
    try:
        with replacing(out) as temporary:
            yield temporary
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise BadInput(out, "cannot be written there", "give a place that you may write to with --out") from error
