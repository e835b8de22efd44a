"""Tables that somebody gives (CSV, gzipped CSV, Parquet), read in blocks of cells, whatever their columns are called.

What a row must say is rows.py's, what becomes of it importing.py's. Nothing is ever whole in memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pipelines.errors import BadInput
from pipelines.recommending.headings import places

BLOCK = 20_000  # rows
MAX_BYTES = 512 << 20  # of the file
MAX_UNPACKED = 2 << 30  # bytes: a gzip file of 2 MB can hold as much
MAX_ROWS = 20_000_000
MAX_LINE = 1 << 20  # characters
MAX_CELL = 20_000  # characters; a longer one is cut there, and then refused by its column's own limit
FORMATS = "give CSV (also .csv.gz) or Parquet with a header"


@dataclass(frozen=True, slots=True)
class Block:
    """Up to ``BLOCK`` rows. A cell is text, a list of texts (Parquet), or None where there is none."""

    lines: list[int]  # of the file, the header's being 1; of Parquet: the row's number from 1
    columns: dict[str, list[Any]]  # by our names, those that the file has
    broken: list[tuple[int, str]]  # line and reason of the rows that no cells could be made of


def check(path: Path, kind: str) -> None:
    """Looks at the head of the file only. BadInput when it is no table or lacks a column that ``kind`` needs."""
    with _readable(path):
        if _magic(path) == b"PAR1":
            _parquet(path, kind, path.name)
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
        for line, record in records:
            if isinstance(record, str):
                broken.append((line, record))
            elif record:
                numbers.append(line)
                record += [""] * (width - len(record))
                for column, place in placed.items():
                    cells[column].append(record[place][:MAX_CELL] or None)
            if len(numbers) + len(broken) >= BLOCK:
                yield Block(numbers, cells, broken + lines.taken())
                numbers, cells, broken = [], {column: [] for column in placed}, []
        yield Block(numbers, cells, broken + lines.taken())


class _Lines:
    """The lines of a text, numbered; those too long to be a row are left out and remembered."""

    def __init__(self, file: IO[str]) -> None:
        self.file, self.number = file, 0
        self._long: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[str]:
        while line := self.file.readline(MAX_LINE):
            self.number += 1
            if len(line) == MAX_LINE and not line.endswith("\n"):
                while (more := self.file.readline(MAX_LINE)) and not more.endswith("\n"):
                    pass
                self._long.append((self.number, f"is longer than {MAX_LINE:,} characters"))
                continue
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


def _parquet(path: Path, kind: str, name: str) -> tuple[Any, dict[str, int]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    placed = places(schema.names, kind, name)
    # As dictionaries: the same text of a megabyte in each of a million rows is then there once.
    texts = [n for n in schema.names if pa.types.is_string(schema.field(n).type)]
    file = pq.ParquetFile(path, read_dictionary=texts)
    unpacked = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if unpacked > MAX_UNPACKED or file.metadata.num_rows > MAX_ROWS:
        raise BadInput(name, "is larger than a table may be once it is unpacked", "divide it into several jobs")
    return file, placed


def _of_parquet(path: Path, kind: str, name: str) -> Iterator[Block]:
    file, placed = _parquet(path, kind, name)
    names = file.schema_arrow.names
    wanted = {column: names[place] for column, place in placed.items()}
    first = 1
    for batch in file.iter_batches(batch_size=BLOCK, columns=list(wanted.values())):
        cells = {column: _cells(batch.column(theirs)) for column, theirs in wanted.items()}
        yield Block(list(range(first, first + batch.num_rows)), cells, [])
        first += batch.num_rows


def _cells(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        values = [_cell(value) for value in column.dictionary]
        return [None if index is None else values[index] for index in column.indices.to_pylist()]
    if pa.types.is_timestamp(column.type):
        return [
            None if v is None else v.isoformat() for v in column.cast(pa.timestamp("us", column.type.tz)).to_pylist()
        ]
    return [_cell(value) for value in column]


def _cell(scalar: Any) -> Any:
    """A Parquet value as the text that CSV would have."""
    value = scalar.as_py()
    if value is None or value != value:
        return None
    if isinstance(value, list | tuple):
        return [str(part)[:MAX_CELL] for part in value if part is not None]
    if isinstance(value, bytes):
        return value[:MAX_CELL].decode(errors="surrogateescape")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # an id in a column that pandas made of floats, for a gap in it
    return str(value)[:MAX_CELL] or None


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
