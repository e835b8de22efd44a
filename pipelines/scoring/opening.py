"""Opens whatever sheet a place names, by what it holds and not by its ending; looks at an upload's head at intake."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines.errors import BadInput
from pipelines.scoring import columns, google_address

if TYPE_CHECKING:
    from pipelines.scoring.rubric import Rubric
    from pipelines.scoring.sheet import Sheet
    from pipelines.settings import Settings


def opened(
    place: str,
    rubric: Rubric,
    settings: Settings,
    *,
    column: str = columns.DEFAULT,
    out: Path | None = None,
    name: str | None = None,
) -> Sheet:
    """The sheet at ``place``: a file's path, a Google Sheet's address or a .gsheet file.

    ``out``: where a file's scored copy goes; beside it, when not given. ``name``: as messages call it. Raises BadInput
    when it is no sheet, lacks ``column``, or cannot be written to ``out``.
    """
    path = Path(place).expanduser()
    if "://" in place or google_address.names_google(place):
        if out is not None:
            raise BadInput(name or place, "is a Google Sheet, which is scored in its place", "leave --out away")
        from pipelines.scoring import google_sheet

        return google_sheet.opened(place if "://" in place else str(path), rubric, column, settings)
    kind = kind_of(path, name or path.name)
    if kind == "parquet":
        from pipelines.scoring.parquet_sheet import ParquetSheet

        return ParquetSheet.opened(path, rubric, column, out, name)
    if kind == "xlsx":
        from pipelines.scoring.xlsx_sheet import XlsxSheet

        return XlsxSheet.opened(path, rubric, column, out, name)
    from pipelines.scoring.csv_sheet import CsvSheet

    return CsvSheet.opened(path, rubric, column, out, name)


def check(path: Path, column: str | None) -> None:
    """Raises BadInput, by a look at its head, when a file is no table, or has no ``column`` when one is given."""
    if google_address.names_google(path.name):
        google_address.address(str(path))
        return
    kind = kind_of(path, path.name)
    if kind == "parquet":
        from pipelines.scoring import parquet_sheet

        header: Sequence[str | None] = parquet_sheet.header_of(path, path.name)
    elif kind == "xlsx":
        from pipelines.scoring import xlsx_sheet

        header = xlsx_sheet.header_of(path, column, path.name)
    else:
        from pipelines.scoring import csv_form, csv_sheet

        form = csv_form.form_of(path, column or columns.DEFAULT, path.name, whole=False)
        header = csv_sheet.header_of(path, form, path.name)[0]
    if not any(columns.filled(title) for title in header):
        raise BadInput(path.name, "has no header", "name its columns in its first row")
    if column is not None:
        columns.text_column(header, column, path.name)


def kind_of(path: Path, name: str) -> Literal["csv", "xlsx", "parquet", "google"]:
    """By the first bytes; a .gsheet file by its name. BadInput for what is no sheet."""
    if google_address.names_google(path.name):
        return "google"
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError as error:
        raise BadInput(name, "does not exist", "check the path") from error
    except IsADirectoryError as error:
        raise BadInput(name, "is a folder", "give a file") from error
    except PermissionError as error:
        raise BadInput(name, "may not be read", "allow its reading") from error
    if not head:
        raise BadInput(name, "is empty (0 bytes)", "copy the file again")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        reason = "is a workbook of an old kind (.xls), or has a password"
        raise BadInput(name, reason, "save it as .xlsx, without a password")
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path, name)
    return "csv"


def _kind_of_zip(path: Path, name: str) -> Literal["xlsx"]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BadInput(name, "is a damaged workbook or zip file", "copy the file again") from error
    if "xl/workbook.bin" not in names and any(part.startswith("xl/") for part in names):
        return "xlsx"
    what = "an OpenDocument file" if "content.xml" in names else "a zip file or a binary document"
    raise BadInput(name, f"is {what}, not a workbook", "save the table as .xlsx or .csv")
