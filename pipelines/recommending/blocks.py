"""What a table that somebody gives is read as: blocks of cells, and how much of one may be in memory.

How files become blocks is reading.py's and parquet.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BLOCK = 20_000  # rows
MAX_BLOCK = 32 << 20  # characters or bytes from which on a block is smaller than BLOCK rows
MAX_BYTES = 512 << 20  # of the file
MAX_UNPACKED = 2 << 30  # bytes: a gzip file of 2 MB can hold as much
MAX_ROWS = 20_000_000
MAX_LINE = 1 << 20  # characters
MAX_CELL = 20_000  # characters; a longer one is cut there, and then refused by its column's own limit


@dataclass(frozen=True, slots=True)
class Block:
    """Up to ``BLOCK`` rows. A cell is text, a list of texts (Parquet), or None where there is none."""

    lines: list[int]  # of the file, the header's being 1; of Parquet: the row's number from 1
    columns: dict[str, list[Any]]  # by our names, those that the file has
    broken: list[tuple[int, str]]  # line and reason of the rows that no cells could be made of
