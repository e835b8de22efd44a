"""Tables in Parquet, unpacked a few rows at a time: a file of 50 kB can say gigabytes.

Other formats, and damage, are reading.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput
from pipelines.recommending.blocks import BLOCK, MAX_BLOCK, MAX_CELL, MAX_ROWS, MAX_UNPACKED
from pipelines.recommending.headings import places

MAX_GROUP = 512 << 20  # bytes of one row group, unpacked, in the columns that are read
MAX_VALUES = 20_000_000  # of one column in one row group: the parts of all its lists
MAX_PARTS = 1_000  # of a list; a longer one is cut there, and then refused by its column's own limit
MAX_WIDTH = 64  # bytes of a number, a moment or a UUID


def opened(path: Path, kind: str, name: str) -> tuple[Any, dict[str, str]]:
    """The file, and by our names what its columns are called. BadInput when one is missing that ``kind`` needs, and for
    a file that would not fit in memory once it is unpacked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    leaves = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    # As dictionaries: the same text of a megabyte in each of a million rows is then there once.
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(path, metadata=metadata, read_dictionary=texts)
    names = file.schema_arrow.names
    wanted = {column: names[place] for column, place in places(names, kind, name).items()}
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > MAX_UNPACKED or metadata.num_rows > MAX_ROWS:
        raise BadInput(name, "is larger than a table may be once it is unpacked", "divide it into several jobs")
    for column, theirs in wanted.items():
        if names.count(theirs) > 1:
            raise BadInput(name, f"has two columns for {column} of the same name", "give each a name of its own")
        found = file.schema_arrow.field(theirs).type
        if not _bounded(found) or (column.endswith("_id") and pa.types.is_nested(found)):
            raise BadInput(name, f"holds no plain values in its column {column}", "write texts or numbers")
    for group in groups:
        chunks = _chunks(group, wanted.values())
        if any(chunk.num_values > MAX_VALUES for chunk in chunks):
            raise BadInput(name, f"has more than {MAX_VALUES:,} values in a row group", "write smaller row groups")
        if sum(chunk.total_uncompressed_size for chunk in chunks) > MAX_GROUP:
            reason = f"has a row group of more than {MAX_GROUP >> 20} MB once it is unpacked"
            raise BadInput(name, reason, "write smaller row groups")
    return file, wanted


def _bounded(found: Any) -> bool:
    """Whether a value takes few bytes in each row: a number, a dictionary's index, a list of these."""
    import pyarrow as pa

    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return not pa.types.is_nested(found.value_type) and _bounded(found.value_type)
    found = getattr(found, "storage_type", found)  # a UUID's
    if pa.types.is_dictionary(found) or pa.types.is_null(found):
        return True
    return not pa.types.is_nested(found) and hasattr(found, "bit_width") and _width(found) <= 8 * MAX_WIDTH


def _width(found: Any) -> int:
    try:
        return int(found.bit_width)
    except ValueError:  # a text, each as long as it likes
        return 8 * MAX_WIDTH + 1


def _chunks(group: Any, names: Collection[str]) -> list[Any]:
    """The parts of a row group that hold these columns."""
    found = (group.column(i) for i in range(group.num_columns))
    return [chunk for chunk in found if any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in names)]


def rows(path: Path, kind: str, name: str) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """(how many, cells by our names) of the next rows, until there are no more. BadInput as ``opened``."""
    file, wanted = opened(path, kind, name)
    names = list(wanted.values())
    for at in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(at)
        size = sum(max(chunk.total_uncompressed_size, 8 * chunk.num_values) for chunk in _chunks(group, names))
        step = min(BLOCK, max(1, MAX_BLOCK * group.num_rows // max(size, 1)))
        for batch in file.iter_batches(batch_size=step, row_groups=[at], columns=names):
            yield batch.num_rows, {column: _cells(batch.column(theirs)) for column, theirs in wanted.items()}


def _cells(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return [None if part is None else _parts(part) for part in _lists(column)]
    if pa.types.is_dictionary(column.type):
        used = column.indices.unique().drop_null()
        texts = map(_cell, column.dictionary.take(used))
        values = dict(zip(used.to_pylist(), texts, strict=True))
        return [values.get(index) for index in column.indices.to_pylist()]
    if pa.types.is_timestamp(column.type):
        moments = column.cast(pa.timestamp("us", column.type.tz)).to_pylist()
        return [None if moment is None else moment.isoformat() for moment in moments]
    return [_cell(value) for value in column]


def _lists(column: Any) -> Iterator[Any]:
    """Of each row its first values, an Arrow array, or None."""
    for at, valid in enumerate(column.is_valid().to_pylist()):
        yield column[at].values[:MAX_PARTS] if valid else None


def _parts(values: Any) -> list[str]:
    return [str(cell) for cell in _cells(values) if cell is not None]


def _cell(scalar: Any) -> str | None:
    """A Parquet value as the text that CSV would have."""
    value = scalar.as_py()
    if value is None or value != value:
        return None
    if isinstance(value, bytes):
        return value[:MAX_CELL].decode(errors="surrogateescape")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # an id in a column that pandas made of floats, for a gap in it
    return str(value)[:MAX_CELL] or None
