"""Puts cells into a worksheet's XML as it streams by; all else of the workbook stays as it is, to the byte.

openpyxl would write the workbook anew: in memory, without its pictures, shapes and the values of its formulas. Which
cells hold what is left to xlsx_sheet.py. Layout of rows and cells: ECMA-376 part 1, 18.3.1.73 and 18.3.1.4.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Protocol
from xml.sax.saxutils import escape

from pipelines.errors import BadInput
from pipelines.scoring.columns import Value

BLOCK = 1 << 20
MAX_ROW = 64 << 20  # bytes of one row
_SHEET_DATA = re.compile(rb"<((?:\w+:)?)sheetData\s*(/?)>")
_DIMENSION = re.compile(rb'(<(?:\w+:)?dimension\s[^>]*?ref=")([A-Z]+\d+)(?::([A-Z]+)(\d+))?(")')
_NUMBER = re.compile(rb'\sr="(\d+)"')
_SPANS = re.compile(rb'\sspans="[^"]*"')
_CELL = re.compile(rb"<(?:\w+:)?c(\s[^>]*?)?(?:/>|>(.*?)</(?:\w+:)?c\s*>)", re.DOTALL)
_PLACE = re.compile(rb'\sr="([A-Z]+)\d+"')
_STYLE = re.compile(rb'\ss="\d+"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")  # which spreadsheets read as a character's number


@dataclass(frozen=True, slots=True)
class Change:
    """Row ``row`` of the worksheet (1 is the first): what its cells (columns from 1) are to hold."""

    row: int
    cells: Mapping[int, Value]
    titles: bool = False  # which are to look like the one beside them


class _Writes(Protocol):
    def write(self, data: bytes, /) -> object: ...


def copy(source: zipfile.ZipFile, target: zipfile.ZipFile, part: str, writing: Worksheet) -> None:
    """Every part of a workbook, ``part`` through ``writing``."""
    for info in source.infolist():
        new = zipfile.ZipInfo(info.filename, info.date_time)
        new.compress_type, new.external_attr, new.create_system = info.compress_type, info.external_attr, 0
        large = info.file_size > 1 << 29  # twice and more of it still count in 32 bits
        with source.open(info) as read, target.open(new, "w", force_zip64=large) as write:
            if info.filename == part:
                writing.stream(read, write)
            else:
                shutil.copyfileobj(read, write, BLOCK)


class Worksheet:
    """``changes`` in order of rows. ``last``: the last column in use afterwards. ``kept`` counts cells left alone."""

    def __init__(self, name: str, changes: Iterator[Change], last: int) -> None:
        self._name, self._changes, self._last = name, changes, last
        self._prefix = b""
        self.kept = 0  # cells without a value that hold a person's formula

    def stream(self, read: IO[bytes], write: _Writes) -> None:
        """Raises BadInput for XML that is written in no way that spreadsheets do."""
        buffer = b""
        while not (start := _SHEET_DATA.search(buffer)):
            block = read.read(BLOCK)
            if not block or len(buffer) > MAX_ROW:
                raise self._unusual()
            buffer += block
        self._prefix = start[1]
        write.write(_DIMENSION.sub(self._dimension, buffer[: start.end()]))
        buffer = buffer[start.end() :]
        if not start[2]:
            buffer = self._rows(buffer, read, write)
        write.write(buffer)
        shutil.copyfileobj(read, write, BLOCK)

    def _rows(self, buffer: bytes, read: IO[bytes], write: _Writes) -> bytes:
        """Returns what follows the rows."""
        prefix = re.escape(self._prefix)
        token = re.compile(rb"<%brow(\s[^>]*?)?(/?)>|</%bsheetData\s*>" % (prefix, prefix))
        ending = re.compile(rb"</%brow\s*>" % prefix)
        change = next(self._changes, None)
        number = at = 0
        while True:
            start = token.search(buffer, at)
            closed = start is not None and (start[2] == b"/" or start[2] is None)
            end = start.end() if start and closed else (ending.search(buffer, start.end()) if start else None)
            if start is None or end is None:
                block = read.read(BLOCK)
                if not block or len(buffer) - at > MAX_ROW:
                    raise self._unusual()
                buffer, at = buffer[at:] + block, 0
                continue
            if start[2] is None:
                if change is not None:
                    raise self._unusual()  # openpyxl saw a row that is not here
                return buffer[at:]
            named = _NUMBER.search(start[1] or b"")
            number = int(named[1]) if named else number + 1
            if change is not None and change.row == number and not isinstance(end, int):
                write.write(buffer[at : start.start()])
                write.write(self._row(start, buffer[start.end() : end.start()], change))
                write.write(end[0])
                change = next(self._changes, None)
                at = end.end()
            else:
                last = end if isinstance(end, int) else end.end()
                write.write(buffer[at:last])
                at = last

    def _row(self, start: re.Match[bytes], inner: bytes, change: Change) -> bytes:
        """A row's begin and its cells, the new ones among them in order of columns."""
        if b"<!" in inner:
            raise self._unusual()
        parts = [_SPANS.sub(b"", start[0])]  # a hint, which would be wrong by now
        left = sorted(change.cells.items(), reverse=True)
        at = column = 0
        style = b""
        for cell in _CELL.finditer(inner):
            place = _PLACE.search(cell[1] or b"")
            column = _column(place[1]) if place else column + 1
            found = _STYLE.search(cell[1] or b"")
            parts.append(inner[at : cell.start()])
            while left and left[-1][0] < column:
                parts.append(self._cell(change.row, *left.pop(), b""))
            if left and left[-1][0] == column:
                _, value = left.pop()
                if _FORMULA.search(cell[2] or b""):
                    self.kept += 1
                    parts.append(cell[0])
                else:
                    parts.append(self._cell(change.row, column, value, found[0] if found else b""))
            else:
                parts.append(cell[0])
            style = found[0] if found else style
            at = cell.end()
        style = style if change.titles else b""
        parts += [self._cell(change.row, *left.pop(), style) for _ in range(len(left))]
        parts.append(inner[at:])
        return b"".join(parts)

    def _cell(self, row: int, column: int, value: Value, style: bytes) -> bytes:
        name = self._prefix.decode()
        begin = f'<{name}c r="{letters(column)}{row}"{style.decode()}'
        if value == "":
            return f"{begin}/>".encode() if style else b""
        if isinstance(value, str):
            text = escape(_ESCAPE.sub("_x005F_", _ILLEGAL.sub("", value)))
            inline = f'<{name}is><{name}t xml:space="preserve">{text}</{name}t></{name}is>'
            return f'{begin} t="inlineStr">{inline}</{name}c>'.encode()
        return f"{begin}><{name}v>{value!r}</{name}v></{name}c>".encode()

    def _dimension(self, found: re.Match[bytes]) -> bytes:
        column = _column(found[3] or re.sub(rb"\d", b"", found[2]))
        row = found[4] or re.sub(rb"\D", b"", found[2])
        return found[1] + found[2] + b":" + letters(max(column, self._last)).encode() + row + found[5]

    def _unusual(self) -> BadInput:
        reason = "is written in a way that no cells can be added to"
        return BadInput(self._name, reason, "open it with a spreadsheet and save it again, or save it as .csv")


def letters(column: int) -> str:
    """1 is A, 27 is AA."""
    found = ""
    while column:
        column, digit = divmod(column - 1, 26)
        found = chr(65 + digit) + found
    return found


def _column(name: bytes) -> int:
    found = 0
    for letter in name:
        found = 26 * found + letter - 64
    return found
