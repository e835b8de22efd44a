"""A sheet is what it holds, not what it is called; an upload is judged by its head."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import BadInput
from pipelines.scoring import opening
from pipelines.scoring.labelled import labelled
from pipelines.scoring.rubric import Rubric
from pipelines.settings import Settings

RUBRIC = Rubric.of(["joy", "anger"], scale=(1, 5))
ROWS = [("hello", "5", None), ("bye", "3.0", "6"), ("", "1", "1"), ("well", "good", "4"), ("so", "2.5", None)]
KINDS = ["csv", "csv.gz", "xlsx", "parquet"]


def make(folder: Path, kind: str, *, name: str = "a.dat", column: str = "utterance") -> Path:
    """The same table in every kind of file."""
    path = folder / name
    header = [column, "joy", "anger"]
    lines = "".join(",".join(cell or "" for cell in row) + "\n" for row in [header, *ROWS])
    if kind == "csv":
        path.write_text(lines)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(lines.encode(), mtime=0))
    elif kind == "parquet":
        pq.write_table(pa.table(dict(zip(header, zip(*ROWS, strict=True), strict=True))), path)
    else:
        book = openpyxl.Workbook()
        for row in (header, *ROWS):
            book.active.append(row)  # type: ignore[union-attr]
        book.save(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_table_is_the_same_sheet(tmp_path: Path, kind: str) -> None:
    sheet = opening.opened(str(make(tmp_path, kind)), RUBRIC, Settings(), name="mine", out=tmp_path / "out")
    assert (sheet.kind, sheet.name) == (kind.split(".")[0], "mine")
    rows = [row for span in sheet.spans() for row in sheet.rows(span)]
    assert [row.text for row in rows] == [text for text, _, _ in ROWS]
    assert [row.given[0] for row in rows][2:] == ["1", "good", "2.5"]
    assert [row.complete for row in rows] == [False, True, True, True, False]
    sheet.close()


@pytest.mark.parametrize("kind", KINDS)
def test_labelled_rows(tmp_path: Path, kind: str) -> None:
    sheet = opening.opened(str(make(tmp_path, kind)), RUBRIC, Settings())
    assert labelled(sheet, RUBRIC) == [("hello", (5, None)), ("bye", (3, None)), ("well", (None, 4))]
    assert labelled(sheet, RUBRIC, spans=sheet.spans(1), most=2) == [("hello", (5, None)), ("bye", (3, None))]
    sheet.close()


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_is_judged_by_its_head(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind, column="text")
    opening.check(path, None)
    opening.check(path, "text")
    with pytest.raises(BadInput, match=r'a\.dat: has no column "utterance" \(it has "text", "joy", "anger"\)'):
        opening.check(path, "utterance")
    path.write_bytes(path.read_bytes()[: 2 * path.stat().st_size // 3])
    if kind in ("xlsx", "parquet"):
        with pytest.raises(BadInput, match=r"a\.dat: is (not a whole|a damaged)"):
            opening.check(path, None)


def test_a_long_table_is_judged_by_its_head_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"utterance\n" + b"hello\n" * 100_000)
        file.seek(1 << 33)
        file.write(b"\xff")
    opening.check(path, "utterance")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a\.csv: is empty"),
        (b"\n,,\n", r"a\.csv: has no (header|column .utterance. \(it has no header\))"),
        (random.Random(5).randbytes(5_000), r"a\.csv: is not a table"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, r"a\.csv: is not a table"),
        (b"PK\x03\x04" + b"x" * 100, r"a\.csv: is a damaged workbook or zip file"),
        (b"\x1f\x8b" + b"x" * 100, r"a\.csv: is a damaged gzip file"),
        (b"PAR1" + b"x" * 100, r"a\.csv: is not a whole Parquet file"),
    ],
    ids=["empty", "blank rows", "noise", "png", "zip", "gzip", "parquet"],
)
def test_what_is_no_table_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=message):
        opening.check(path, "utterance")
    with pytest.raises(BadInput, match=message):
        opening.opened(str(path), RUBRIC, Settings()).spans()


def test_places_that_hold_no_sheet(tmp_path: Path) -> None:
    for place, message in [
        (str(tmp_path / "none.csv"), r"none\.csv: does not exist"),
        (str(tmp_path), "is a folder; give a file"),
        ("https://example.org/a.csv", "is not the address of a Google Sheet"),
    ]:
        with pytest.raises(BadInput, match=message):
            opening.opened(place, RUBRIC, Settings())


def test_links_to_google_sheets(tmp_path: Path) -> None:
    path = tmp_path / "a.gsheet"
    path.write_text(json.dumps({"doc_id": "1AbC-x", "email": "me@example.org"}))
    opening.check(path, "utterance")
    with pytest.raises(BadInput, match="ORIMONO_GOOGLE_CREDENTIALS"):
        opening.opened(str(path), RUBRIC, Settings())
    with pytest.raises(BadInput, match="is scored in its place; leave --out away"):
        opening.opened(str(path), RUBRIC, Settings(), out=tmp_path / "b.csv")
    path.write_text("no")
    with pytest.raises(BadInput):
        opening.check(path, None)
