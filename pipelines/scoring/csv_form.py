"""How a CSV file is written down (encoding, delimiter, quotes, gzip), and its rows with the bytes where they begin.

What the cells mean is columns.py's.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from pipelines.errors import BadInput
from pipelines.lyrics import charset

DELIMITERS = ",;\t|"
HEAD = 1 << 18  # bytes that are looked at to find out all this
MAX_CELL = 4_000_000  # characters; beyond it, a quotation mark lacks its end
MAX_UNPACKED = 8 << 30  # bytes of a gzip file
SCANNED = 1 << 30  # bytes that are searched for a character beyond ASCII
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # the longer first: UTF-16's little-endian mark begins so
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SEPARATOR = re.compile('"?sep=([,;\t|])"?(\r\n|\r|\n)', re.IGNORECASE)  # Excel's own first line
_CONTROLS = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_QUOTED = re.compile('[,;\t|"\r\n]|^\\s|\\s$')
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)
REMEDY = "give a table as .csv (best in UTF-8), .xlsx or .parquet"


@dataclass(frozen=True, slots=True)
class Form:
    """Made by ``form_of``."""

    encoding: str
    errors: str  # how bytes that are no character are read
    delimiter: str
    quoted: bool  # False: quotation marks are letters like others, as in many .tsv files
    newline: str
    packed: bool  # by gzip
    first: int  # byte of the header's row, after a byte order mark and Excel's own line
    prologue: str  # that line
    marked: bool  # begins with a byte order mark

    def open(self, path: Path) -> BinaryIO:
        return cast("BinaryIO", gzip.open(path, "rb")) if self.packed else path.open("rb", buffering=1 << 17)

    def cell(self, text: str) -> str:
        """As it stands in a row."""
        if not self.quoted:
            return re.sub("[\r\n\t]+", " ", text) if self.delimiter in text or "\n" in text or "\r" in text else text
        return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text

    def line(self, cells: list[str]) -> str:
        """Without its end."""
        if len(cells) == 1 and not cells[0]:
            return '""' if self.quoted else ""
        return self.delimiter.join(map(self.cell, cells))


def form_of(path: Path, column: str, name: str, *, whole: bool = True) -> Form:
    """Finds out how a file is written down. ``column``: the text column, which tells the delimiter.

    Not ``whole``: by its head alone. Raises BadInput when it is no text.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with cast("BufferedReader", gzip.open(path, "rb") if packed else path.open("rb")) as file:
            head = file.read(HEAD)
            sample, complete = head, len(head) < HEAD
            if whole and not complete and head.isascii():
                sample += _first_beyond_ascii(file)
    except _BROKEN_GZIP as error:
        raise BadInput(name, "is a damaged gzip file", "pack or copy it again") from error
    encoding, errors, mark = _encoding_of(sample, name, complete)
    text = head[mark:].decode(encoding, "replace")
    prologue = _SEPARATOR.match(text)
    first = mark
    if prologue:
        first += len(prologue[0].encode(encoding))
        text = text[prologue.end() :]
    if not text.strip("\ufeff\0 \r\n"):
        raise BadInput(name, "has no header and no rows", REMEDY)
    delimiter = prologue[1] if prologue else _delimiter(text, column)
    return Form(
        encoding=encoding,
        errors=errors,
        delimiter=delimiter,
        quoted=not (delimiter == "\t" and _unquoted(text, complete)),
        newline=_newline(text),
        packed=packed,
        first=first,
        prologue=prologue[0] if prologue else "",
        marked=mark > 0,
    )


def _first_beyond_ascii(file: BinaryIO) -> bytes:
    """The lines around the first byte that is not ASCII; b"" when there is none."""
    before = 0
    while block := file.read(1 << 20):
        before += len(block)
        if not block.isascii():
            at = re.search(rb"[\x80-\xff]", block)
            start = block.rfind(b"\n", 0, at.start()) + 1 if at else 0
            return block[start : start + HEAD]
        if before > SCANNED:
            break
    return b""


def _encoding_of(sample: bytes, name: str, complete: bool) -> tuple[str, str, int]:
    """(encoding, how to treat its errors, bytes of its mark)."""
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding, _errors(encoding), len(mark)
    breaks = sample.count(b"\n")
    if b"\0" in sample and sample.count(b"\n\0") + sample.count(b"\0\n") < 0.5 * breaks:
        sample = sample.replace(b"\0", b"")  # strays in 8-bit text; in UTF-16 each line's end has one
    if b"\x1b$" not in sample:  # ISO-2022-JP is ASCII to the eye
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample, complete)
        lost, beyond = text.count("\ufffd"), len(text) - len(text.encode("ascii", "ignore"))
        # What is UTF-8 by chance is little: a few broken characters do not make it another encoding.
        if "\0" not in text and 4 * lost <= beyond and len(_CONTROLS.findall(text)) <= 0.3 * len(text):
            return "utf-8", _errors("utf-8"), 0
        if b"\0" not in sample:
            sample = b"\n".join(line for line in sample.split(b"\n") if not line.isascii())
    encoding, _ = charset.judged(sample)
    if not encoding:
        raise BadInput(name, "is not a table", REMEDY)
    return encoding, _errors(encoding), 0


def _errors(encoding: str) -> str:
    if encoding == "utf-8":
        return "surrogateescape"  # written back as the bytes they were
    return "surrogatepass" if encoding.startswith(("utf-16", "utf-32")) else "replace"


def _delimiter(text: str, column: str) -> str:
    """The one that sets the text column apart; else the one that makes most cells of the header."""
    _allow_long_cells()
    best, most = ",", (False, 0)
    for delimiter in DELIMITERS:
        header = next(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter), [])
        cells = {" ".join(cell.split()).casefold() for cell in header}
        value = (" ".join(column.split()).casefold() in cells, len(header))
        if value > most:
            best, most = delimiter, value
    return best


def _unquoted(text: str, whole: bool) -> bool:
    """Whether quotation marks are letters: read so, every row is as wide as the header; read otherwise, not."""
    lines = text.split("\n") if whole else text.split("\n")[:-1]
    lines = [line.rstrip("\r") for line in lines if line.rstrip("\r")]
    if not any('"' in line for line in lines):
        return False
    width = lines[0].count("\t")
    if any(line.count("\t") != width for line in lines):
        return False
    rows = list(csv.reader((line + "\n" for line in lines), delimiter="\t"))
    return len(rows) != len(lines) or any(len(row) != width + 1 for row in rows)


def _newline(text: str) -> str:
    found = re.search("\r\n|\n|\r", text)
    return "\n" if found is None or found[0] == "\r" else found[0]


def _allow_long_cells() -> None:
    if csv.field_size_limit() < MAX_CELL:
        csv.field_size_limit(MAX_CELL)  # the module's own limit is 131,072 characters, for everybody


class Records:
    """Rows from the byte ``start`` of a file on: (byte where it begins, its text without end, its cells).

    Blank lines have no cells. Raises BadInput for what cannot be read; rows are named as spreadsheets number them.
    """

    __slots__ = ("_file", "_form", "_lines", "_name", "_reader", "_row", "position")

    def __init__(self, path: Path, form: Form, name: str, start: int, row: int) -> None:
        self._form, self._name, self._row, self.position = form, name, row, start
        self._lines: list[str] = []
        self._file = form.open(path)
        try:
            self._file.seek(start)
        except _BROKEN_GZIP as error:
            self._file.close()
            raise BadInput(name, "is a damaged gzip file", "pack or copy it again") from error
        _allow_long_cells()
        lines, delimiter = self._decoded(), form.delimiter
        plain = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        self._reader = csv.reader(lines, delimiter=delimiter) if form.quoted else plain

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[tuple[int, str, list[str]]]:
        return self

    def __next__(self) -> tuple[int, str, list[str]]:
        start = self.position
        self._lines.clear()
        try:
            cells = next(self._reader)
        except _BROKEN_GZIP as error:
            raise BadInput(self._name, "is a damaged gzip file", "pack or copy it again") from error
        except UnicodeDecodeError as error:
            raise BadInput(self._name, f"is not {self._form.encoding} throughout", "save it as UTF-8") from error
        except csv.Error as error:
            raise self._long() from error
        if self._lines and not self._lines[-1]:  # the file ended inside of this row
            raise self._endless()
        self._row += 1
        raw = self._lines[0] if len(self._lines) == 1 else "".join(self._lines)
        return start, raw.rstrip("\r\n"), cells

    def _endless(self) -> BadInput:
        reason = f"has a quotation mark in row {self._row + 1:,} that is never closed"
        return BadInput(self._name, reason, "close it, or save the table again with a spreadsheet")

    def _long(self) -> BadInput:
        reason = f"has a cell of more than {MAX_CELL:,} characters in row {self._row + 1:,}"
        return BadInput(self._name, reason, "close its quotation mark, or save the table again with a spreadsheet")

    def _decoded(self) -> Iterator[str]:
        encoding, errors, taken = self._form.encoding, self._form.errors, self._lines
        for raw in self._raw():
            self.position += len(raw)
            if self.position > MAX_UNPACKED and self._form.packed:
                raise BadInput(self._name, f"unpacks to more than {MAX_UNPACKED >> 30} GB", "give a smaller file")
            line = raw.decode(encoding, errors)
            taken.append(line)
            yield line
        taken.append("")

    def _raw(self) -> Iterator[bytes]:
        """Lines with their ends; a carriage return alone ends one, too, as in every other reader of CSV."""
        if self._form.encoding.startswith(("utf-16", "utf-32")):
            yield from self._wide()
            return
        rest = b""
        for raw in iter(partial(self._file.readline, MAX_CELL), b""):
            at = raw.find(b"\r")
            cut = len(raw) == MAX_CELL and raw[-1] != 10
            if not rest and not cut and (at < 0 or (at >= len(raw) - 2 and raw[at:] in (b"\r\n", b"\r"))):
                yield raw
                continue
            lines = (rest + raw).splitlines(keepends=True)
            rest = lines.pop() if cut else b""
            if len(rest) > 4 * MAX_CELL:
                raise self._long()
            yield from lines
        if rest:
            yield rest

    def _wide(self) -> Iterator[bytes]:
        encoding = self._form.encoding
        decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        rest = ""
        while block := self._file.read(1 << 16):
            text = rest + decoder.decode(block)
            # A carriage return at the end may be half of a line's end.
            end = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
            rest = text[end:]
            if len(rest) > 4 * MAX_CELL:
                raise self._long()
            for line in re.findall("[^\r\n]*(?:\r\n|\r|\n)", text[:end]):
                yield line.encode(encoding, "surrogatepass")
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest.encode(encoding, "surrogatepass")
