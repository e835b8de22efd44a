"""A sheet that is a Parquet file: read batch by batch, copied row group by row group with its schema and our columns.

Which column holds what is columns.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.scoring import columns
from pipelines.scoring.columns import Columns, Value
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Scored
from pipelines.scoring.sheet import CHUNK, SheetRow, Span, Written
from pipelines.scoring.sheet_file import Answers, SheetFile, destination, writing

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

READ = 2_048  # rows at once
WHOLE = 64 << 20  # bytes of a row group that is copied as one; larger ones are cut, so that memory stays bounded
COPIED = 16_384  # rows at once of those, and of what is looked at


class ParquetSheet:
    """``Sheet`` of a Parquet file. Spans need no mark: a row group tells how many rows it has."""

    kind = "parquet"

    def __init__(self, file: SheetFile, rubric: Rubric, column: str, out: Path) -> None:
        """Raises BadInput when it is no whole Parquet file, or lacks the text column."""
        self._file, self._out = file, out
        self.name, self.identity = file.name, file.identity
        with _parquet(file.path, file.name) as table:
            self._schema: pa.Schema = table.schema_arrow
            sizes = [table.metadata.row_group(group).num_rows for group in range(table.metadata.num_row_groups)]
        self._starts = [sum(sizes[:group]) for group in range(len(sizes) + 1)]
        found = columns.found(self._schema.names, rubric, column, file.name)
        self._columns, self._there = found.narrowed()
        self._new = _new_schema(self._schema, found, file.name)
        self._reader: Iterator[SheetRow] | None = None
        self._next = -1

    @classmethod
    def opened(cls, path: Path, rubric: Rubric, column: str, out: Path | None, name: str | None) -> ParquetSheet:
        """Raises BadInput when the file is no table or ``out`` is no place for the scored one."""
        out = destination(path, out, cls.kind)
        return cls(SheetFile.of(path, name), rubric, column, out)

    def spans(self, size: int = CHUNK) -> list[Span]:
        self._file.unchanged()
        rows = self._starts[-1]
        return [Span(first, min(first + size, rows)) for first in range(0, rows, size)]

    def planned(self, spans: Sequence[Span]) -> None:
        """A file's rows are where they were, or it is another file."""

    def rows(self, span: Span) -> Iterator[SheetRow]:
        self._file.unchanged()
        if span.last > self._starts[-1]:
            raise self._file.changed()
        if self._reader is None or self._next != span.first:
            self.close()
            self._reader, self._next = self._read(span.first), span.first
        while self._next < span.last:
            row = next(self._reader)
            self._next += 1
            yield row

    def write(self, rows: Sequence[Scored]) -> None:
        """The file is written by ``finish``."""

    def finish(self, scored: Iterable[Scored]) -> Written:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file.unchanged()
        answers = Answers(scored)
        rows = kept = 0
        with _parquet(self._file.path, self.name) as source, writing(self._out) as temporary:
            groups = source.metadata.num_row_groups
            codec = source.metadata.row_group(0).column(0).compression.lower() if groups and len(self._schema) else ""
            compression = {"uncompressed": "none", "lz4_raw": "lz4", "lzo": "zstd", "": "snappy"}.get(codec, codec)
            with temporary.open("wb") as file, pq.ParquetWriter(file, self._new, compression=compression) as writer:
                for start, part in self._parts(source):
                    pieces: list[pa.Table] = []
                    for at in range(0, part.num_rows, COPIED):  # as Python's objects they are many times as large
                        piece, scores, left = self._filled(part.slice(at, COPIED), start + at, answers)
                        pieces.append(piece)
                        rows += scores
                        kept += left
                    if pieces:
                        writer.write_table(pa.concat_tables(pieces), row_group_size=part.num_rows)
            self._file.unchanged()
        return Written(str(self._out), rows, kept)

    def close(self) -> None:
        self._reader, self._next = None, -1

    def _read(self, first: int) -> Iterator[SheetRow]:
        """Rows from ``first`` on."""
        group = max(number for number, start in enumerate(self._starts) if start <= first)
        number = self._starts[group]
        names = [self._schema.names[at] for at in (self._columns.text, *self._there)]
        with _parquet(self._file.path, self.name) as table:
            batches = table.iter_batches(
                READ, row_groups=list(range(group, table.num_row_groups)), columns=names, use_threads=False
            )
            for batch in _readable(batches, self.name):
                if number + batch.num_rows <= first:
                    number += batch.num_rows
                    continue
                texts, *cells = (self._words(batch.column(batch.schema.names.index(name)), name) for name in names)
                rows = zip(*cells, strict=True) if cells else ((),) * len(texts)
                for text, given in zip(texts, rows, strict=True):
                    if number >= first:
                        yield SheetRow(number, columns.text_of(text), self._columns.given(given))
                    number += 1

    def _parts(self, source: pq.ParquetFile) -> Iterator[tuple[int, pa.Table]]:
        """(number of the first row, table) of each row group, those that are large cut."""
        import pyarrow as pa

        for group, start in enumerate(self._starts[:-1]):
            whole = source.metadata.row_group(group).total_byte_size <= WHOLE
            size = max(1, self._starts[group + 1] - start) if whole else COPIED
            at = start
            for batch in _readable(source.iter_batches(size, row_groups=[group], use_threads=False), self.name):
                yield at, pa.Table.from_batches([batch])
                at += batch.num_rows

    def _filled(self, part: pa.Table, start: int, answers: Answers) -> tuple[pa.Table, int, int]:
        """(the part with our columns, rows that hold scores, cells kept)."""
        import pyarrow as pa

        there = [part.column(at).to_pylist() for at in self._there]
        seen = [self._words(part.column(at), part.schema.names[at]) for at in self._there]
        added: list[list[Value | None]] = [[] for _ in self._columns.added]
        rows = kept = 0
        for at in range(part.num_rows):
            scored = answers.of(start + at)
            changes, values, left = self._columns.fill([column[at] for column in seen], scored)
            for column, value in changes.items():
                there[column][at] = _as(self._new.field(self._there[column]).type, value)
            for target, new in zip(added, values, strict=True):
                target.append(new)
            rows += scored.answer is not None or scored.flag == "given"
            kept += left
        whole = [part.column(at) for at in range(part.num_columns)]
        for at, cells in zip(self._there, there, strict=True):
            whole[at] = pa.array(cells, self._new.field(at).type)
        for number, new_cells in enumerate(added):
            whole.append(pa.array(new_cells, self._new.field(len(self._schema) + number).type))
        return pa.Table.from_arrays(whole, schema=self._new), rows, kept

    def _words(self, cells: Any, name: str) -> list[str | None]:
        import pyarrow as pa

        if pa.types.is_null(cells.type):
            return [None] * len(cells)
        try:
            words: list[str | None] = cells.cast(pa.string()).to_pylist()
        except pa.ArrowException as error:
            reason = f"has {cells.type} in the column {name!r}"
            raise BadInput(self.name, reason, "give a column of strings") from error
        return words


def header_of(path: Path, name: str) -> list[str]:
    """Names of the columns. Raises BadInput when it is no whole Parquet file."""
    with _parquet(path, name) as table:
        return list(table.schema_arrow.names)


@contextmanager
def _parquet(path: Path, name: str) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(name, "is not a whole Parquet file", "copy the file again") from error
    with table:
        yield table


def _readable(batches: Iterator[Any], name: str) -> Iterator[Any]:
    import pyarrow as pa

    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(name, "is a damaged Parquet file", "copy the file again") from error
        if batch is None:
            return
        yield batch


def _new_schema(schema: pa.Schema, found: Columns, name: str) -> pa.Schema:
    """``schema`` with ours. Raises BadInput when a column of it cannot take what belongs there."""
    import pyarrow as pa

    ours = (*(pa.int64(),) * found.categories, pa.float64(), pa.string(), pa.string())
    fields = list(schema)
    added: list[pa.Field] = []
    for at, type_ in zip(found.targets, ours, strict=True):
        if at is None:
            added.append(pa.field(found.added[len(added)], type_))
            continue
        there = fields[at].type
        if pa.types.is_null(there):  # a column of nothing, as pandas writes an empty one
            fields[at] = fields[at].with_type(type_)
            continue
        words = _is_text(there)
        numbers = pa.types.is_floating(there) or (pa.types.is_integer(there) and pa.types.is_integer(type_))
        if not (words or (numbers and not pa.types.is_string(type_))):
            reason = f"has {there} in the column {fields[at].name!r}, which cannot take what belongs there"
            raise BadInput(name, reason, "rename that column, or make it one of strings")
        fields[at] = fields[at].with_nullable(True)
    return pa.schema([*fields, *added], metadata=schema.metadata)


def _is_text(type_: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _as(type_: Any, value: Value) -> Value | None:
    import pyarrow as pa

    if _is_text(type_):
        return str(value)
    if value == "":
        return None
    return float(value) if pa.types.is_floating(type_) else value
