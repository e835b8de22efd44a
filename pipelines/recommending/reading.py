"""Tables that somebody gives (CSV, gzipped CSV, Parquet), read in blocks of cells, whatever their columns are called.

How Parquet is unpacked is parquet.py's, what a row must say rows.py's, what becomes of it importing.py's. Nothing is
ever whole in memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from pipelines.errors import BadInput
from pipelines.recommending import parquet
from pipelines.recommending.blocks import BLOCK, MAX_BLOCK, MAX_BYTES, MAX_CELL, MAX_LINE, MAX_ROWS, MAX_UNPACKED, Block
from pipelines.recommending.headings import places

FORMATS = "give CSV (also .csv.gz) or Parquet with a header"


def check(path: Path, kind: str) -> None:
    """Looks at the head of the file only. BadInput when it is no table or lacks a column that ``kind`` needs."""
    with _readable(path):
        if _magic(path) == b"PAR1":
            parquet.opened(path, kind, path.name)
            return
        with _text(path) as file:
            _header(next(_records(_Lines(file), file), None), kind, path.name)


def blocks(path: Path, kind: str, name: str) -> Iterator[Block]:
    """All rows; ``name``: what its owner calls the file, for messages. BadInput as ``check``, and for a file that is
    damaged, or larger than the limits, which may be noticed only half way."""
    if (size := path.stat().st_size) > MAX_BYTES:
        raise BadInput(name, f"is {size >> 20} MB, more than {MAX_BYTES >> 20}", "divide it into several jobs")
    with _readable(path, name):
        found = _of_parquet(path, kind, name) if _magic(path) == b"PAR1" else _of_text(path, kind, name)
        rows = 0
        for block in found:
            rows += len(block.lines)
            if rows > MAX_ROWS:
                raise BadInput(name, f"has more than {MAX_ROWS:,} rows", "divide it into several jobs")
            yield block


def _of_text(path: Path, kind: str, name: str) -> Iterator[Block]:
    with _text(path) as file:
        lines = _Lines(file)
        records = _records(lines, file)
        placed = _header(next(records, None), kind, name)
        width = max(placed.values()) + 1
        numbers: list[int] = []
        cells: dict[str, list[Any]] = {column: [] for column in placed}
        broken: list[tuple[int, str]] = []
        begun = lines.far
        for line, record in records:
            if isinstance(record, str):
                broken.append((line, record))
            elif record:
                numbers.append(line)
                record += [""] * (width - len(record))
                for column, place in placed.items():
                    cells[column].append(record[place][:MAX_CELL] or None)
            if len(numbers) + len(broken) >= BLOCK or lines.far - begun > MAX_BLOCK:
                yield Block(numbers, cells, broken + lines.taken())
                begun = lines.far
                numbers, cells, broken = [], {column: [] for column in placed}, []
        yield Block(numbers, cells, broken + lines.taken())


class _Lines:
    """The lines of a text, numbered; those too long to be a row are left out and remembered."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.number, self.far = file, 0, 0  # lines and characters that were read
        self._long: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[str]:
        while line := self.file.readline(MAX_LINE):
            self.number += 1
            if len(line) == MAX_LINE and not line.endswith("\n"):
                while (more := self.file.readline(MAX_LINE)) and not more.endswith("\n"):
                    pass
                self._long.append((self.number, f"is longer than {MAX_LINE:,} characters"))
                continue
            self.far += len(line)
            yield line

    def taken(self) -> list[tuple[int, str]]:
        found, self._long = self._long, []
        return found


def _records(lines: _Lines, file: IO[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Each row's first line and cells, or why there are none."""
    start = file.tell()
    head = file.readline(MAX_LINE)
    delimiter = max(",;\t", key=head.count)
    file.seek(start)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        line = lines.number + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a cell of more than 128 KB, mostly for want of a closing quote
            yield line, f"cannot be read as CSV ({error})"


def _header(record: tuple[int, list[str] | str] | None, kind: str, name: str) -> dict[str, int]:
    """Where each of our columns is."""
    if record is None or isinstance(record[1], str) or not any(record[1]):
        raise BadInput(name, "has no header", FORMATS)
    if any(not cell.replace("\t", " ").isprintable() for cell in record[1]):
        raise BadInput(name, "is no table of text", FORMATS)
    return places(record[1], kind, name)


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    """The file's text, unpacked; bytes that are no UTF-8 become lone surrogates, to be refused row by row."""
    packed = _magic(path)[:2] == b"\x1f\x8b"
    with path.open("rb") as raw:
        inner = cast(IO[bytes], gzip.GzipFile(fileobj=raw) if packed else raw)
        head = inner.read(2)
        inner.seek(0)
        encoding = "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        errors = "replace" if encoding == "utf-16" else "surrogateescape"
        limited = io.BufferedReader(_Limited(inner, path.name))
        with io.TextIOWrapper(limited, encoding=encoding, errors=errors, newline="") as file:
            yield file


class _Limited(io.RawIOBase):
    """Lets no more than ``MAX_UNPACKED`` bytes through."""

    def __init__(self, inner: IO[bytes], name: str) -> None:
        self._inner, self._name, self._far = inner, name, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._far = self._inner.seek(offset, whence)
        return self._far

    def tell(self) -> int:
        return self._far

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self._far += len(data)
        if self._far > MAX_UNPACKED:
            raise BadInput(self._name, f"unpacks to more than {MAX_UNPACKED >> 20:,} MB", "divide it into several jobs")
        return len(data)


def _of_parquet(path: Path, kind: str, name: str) -> Iterator[Block]:
    first = 1
    for n, cells in parquet.rows(path, kind, name):
        yield Block(list(range(first, first + n)), cells, [])
        first += n


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


@contextmanager
def _readable(path: Path, name: str | None = None) -> Iterator[None]:
    """Damage in one sentence."""
    try:
        yield
    except BadInput as error:
        raise BadInput(name or path.name, error.reason, error.remedy) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(name or path.name, "is damaged gzip, or only a part of it", "copy the file again") from error
    except Exception as error:
        import pyarrow as pa

        if not isinstance(error, pa.ArrowException | OSError) or _magic(path) != b"PAR1":
            raise
        reason = str(cast(Exception, error)).splitlines()[0][:200]
        raise BadInput(name or path.name, f"is damaged Parquet ({reason})", "write it again") from error
