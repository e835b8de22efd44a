"""Workbooks: what is read from them, and a copy in which everything else is as it was."""

from __future__ import annotations

import datetime
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.comments import Comment
from openpyxl.drawing.image import Image
from openpyxl.styles import PatternFill
from openpyxl.worksheet.table import Table

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import opening, xlsx_sheet
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Scored
from pipelines.scoring.sheet import EXTRA, Sheet, SheetRow, Span
from pipelines.settings import Settings

RUBRIC = Rubric.of(["joy", "anger"])
ANSWER = Answer((4, 2), 0.75, "=it laughs <&> \x01 _x0041_")
SHEET = "xl/worksheets/sheet1.xml"


def opened(path: Path, out: Path | None = None) -> Sheet:
    return opening.opened(str(path), RUBRIC, Settings(), out=out)


def write(path: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    book.save(path)
    return path


def read(path: Path | str, title: str | None = None, data_only: bool = True) -> list[list[Any]]:
    book = openpyxl.load_workbook(path, data_only=data_only)
    sheet: Any = book[title] if title else book.active
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def reworked(path: Path, change: Callable[[str], str], part: str = SHEET) -> Path:
    """A workbook with one part changed by hand."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    parts[part] = change(parts[part].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def test_rows_are_read_from_any_chunk_on(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["n", "Utterance ", "joy"], [1, " a ", None], [2, "b\nc", 4.0], [], [3, 7, "x"], [4, None]]
    sheet = opened(write(tmp_path / "a.bin", *rows))
    spans = sheet.spans(2)
    assert spans == [Span(0, 2), Span(2, 4), Span(4, 5)]
    expected = [("a", None), ("b\nc", "4"), ("", None), ("7", "x"), ("", None)]
    whole = [SheetRow(number, text, (joy, None)) for number, (text, joy) in enumerate(expected)]
    assert [row for span in spans for row in sheet.rows(span)] == whole
    for span in reversed(spans):
        assert list(sheet.rows(span)) == whole[span.first : span.last]
    sheet.close()


def test_everything_else_of_the_workbook_stays_as_it_is(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    picture = io.BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(picture, "png")
    book = openpyxl.Workbook()
    notes, sheet = book.active, book.create_sheet("Comments")
    assert notes is not None
    notes.append(["not here"])
    notes.add_image(Image(picture), "C3")
    sheet.append([])
    sheet.append([])
    sheet.append(["f", "utterance", "anger", "day"])
    for number in range(4):
        sheet.append([f"=ROW()+{number}", f"text {number}", None, datetime.date(2026, 1, 1 + number)])
    sheet["D3"].fill = PatternFill("solid", "FFFF00")
    sheet["C4"].fill = PatternFill("solid", "00FF00")
    sheet["C5"] = 5
    sheet["C6"] = "=1+1"
    sheet["H7"] = "stray"
    sheet["B4"].comment = Comment("mine", "me")
    path = tmp_path / "a.xlsx"
    book.save(path)
    scored = opened(path)
    assert [row.text for row in scored.rows(scored.spans()[0])] == [f"text {number}" for number in range(4)]
    outcome = scored.finish([Scored(number, b"", ANSWER) for number in range(4)])
    scored.close()
    assert (outcome.rows, outcome.kept) == (4, 2)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(outcome.place) as after:
        assert before.namelist() == after.namelist()
        for name in before.namelist():
            if name != "xl/worksheets/sheet2.xml":
                assert before.read(name) == after.read(name), name
    new = read(outcome.place, "Comments", data_only=False)
    new = [[None] * 12] * (7 - len(new)) + new
    assert new[2] == ["f", "utterance", "anger", "day", None, None, None, None, "joy", *EXTRA]
    said = "=it laughs <&>  _x005F_x0041_"
    assert [row[2] for row in new[3:]] == [2, 5, "=1+1", 2]
    assert [row[0] for row in new[3:]] == [f"=ROW()+{number}" for number in range(4)]
    assert [row[7] for row in new[3:]] == [None, None, None, "stray"]
    assert all(row[8:11] == [4, 0.75, said] for row in new[3:])
    sheet = openpyxl.load_workbook(outcome.place)["Comments"]
    assert sheet["K4"].data_type == "s", "text, however much it looks like a formula"
    assert sheet["C4"].fill.fgColor.rgb == "0000FF00"
    assert sheet["I3"].fill.fgColor.rgb == "00FFFF00"
    assert sheet["B4"].comment is not None
    with zipfile.ZipFile(outcome.place) as archive:
        assert b'<dimension ref="A3:L7"' in archive.read("xl/worksheets/sheet2.xml")


def test_titles_may_stand_above_the_header(tmp_path: Path) -> None:
    rows: list[list[Any]] = [[], ["Survey of May"], [], [None, "n", "utterance"], [None, 1, "hello"]]
    sheet = opened(write(tmp_path / "a.xlsx", *rows))
    assert [row.text for span in sheet.spans() for row in sheet.rows(span)] == ["hello"]
    outcome = sheet.finish([Scored(0, b"", ANSWER)])
    sheet.close()
    assert [row[:5] for row in read(outcome.place)[1:]] == [
        ["Survey of May", None, None, None, None],
        [None] * 5,
        [None, "n", "utterance", "joy", "anger"],
        [None, 1, "hello", 4, 2],
    ]


def test_a_formula_counts_by_its_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["utterance", "joy"], ["=A9", None], ["#N/A", None], ["plain", "=9"])
    values = iter(["computed", None])
    reworked(path, lambda xml: re.sub("<v ?/>|<v></v>", lambda _: f"<v>{next(values) or ''}</v>", xml))
    reworked(path, lambda xml: xml.replace('<c r="A2">', '<c r="A2" t="str">'))
    sheet = opened(path)
    rows = list(sheet.rows(sheet.spans()[0]))
    assert [row.text for row in rows] == ["computed", "", "plain"]
    outcome = sheet.finish([Scored(0, b"", ANSWER), Scored(2, b"", ANSWER)])
    sheet.close()
    assert outcome.kept == 1
    assert [row[:3] for row in read(outcome.place)[1:]] == [
        ["computed", 4, 2],
        ["#N/A", None, None],
        ["plain", None, 2],
    ]


def test_a_scored_copy_is_scored_again_with_more_categories(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["utterance"], ["hello"], ["bye"])
    first = opened(path).finish([Scored(number, b"", ANSWER, "fallback") for number in (0, 1)])
    again = opening.opened(first.place, Rubric.of(["joy", "fear"]), Settings())
    assert [row.given for row in again.rows(again.spans()[0])] == [("4", None)] * 2
    outcome = again.finish([Scored(0, b"", Answer((5, 5), None, ""))])
    again.close()
    assert outcome.place == str(tmp_path / "a.scored.scored.xlsx")
    assert read(outcome.place) == [
        ["utterance", "joy", "anger", *EXTRA, "fear"],
        ["hello", 4, 2, None, None, None, 5],
        ["bye", 4, 2, 0.75, "=it laughs <&>  _x005F_x0041_", "fallback", None],
    ]


def test_other_ways_to_write_a_worksheet(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["utterance", "n"], ["a", 1], ["b", 2])
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'

    def prefixed(xml: str) -> str:
        xml = re.sub("<(/?)(?=[a-zA-Z])", r"<\1x:", xml).replace(main, main.replace("xmlns", "xmlns:x"))
        xml = re.sub(r' r="[A-Z]*\d+"', "", xml)
        return xml.replace("<x:row", '<x:row spans="1:2"').replace("</x:sheetData>", '<x:row r="9"/></x:sheetData>')

    outcome = opened(reworked(path, prefixed)).finish([Scored(1, b"", ANSWER)])
    assert [row[:4] for row in read(outcome.place)[:3]] == [
        ["utterance", "n", "joy", "anger"],
        ["a", 1, None, None],
        ["b", 2, 4, 2],
    ]
    reworked(path, lambda xml: xml.replace("<x:v>", "<x:v><!-- odd -->"))
    with pytest.raises(BadInput, match=r"a\.xlsx: is written in a way that no cells can be added to"):
        opened(path).finish([Scored(1, b"", ANSWER)])


def test_tables_stay_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["utterance", "joy"], ["a", None], ["b", 3])
    book = openpyxl.load_workbook(path)
    book.active.add_table(Table(displayName="T", ref="A1:B3"))  # type: ignore[union-attr]
    book.save(path)
    outcome = opened(path).finish([Scored(0, b"", ANSWER)])
    assert [row[:3] for row in read(outcome.place)] == [["utterance", "joy", "anger"], ["a", 4, 2], ["b", 3, None]]
    assert list(openpyxl.load_workbook(outcome.place).active.tables) == ["T"]  # type: ignore[union-attr]


def zipped(path: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def test_what_is_no_workbook_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(tmp_path / "whole.xlsx", ["utterance"], *([f"text {number}"] for number in range(200)))
    cut = tmp_path / "cut.xlsx"
    cut.write_bytes(whole.read_bytes()[:-50])
    old = tmp_path / "old.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100)
    for path, message in [
        (cut, "is a damaged workbook or zip file"),
        (old, "is a workbook of an old kind"),
        (zipped(tmp_path / "a.ods", **{"content.xml": b"x"}), "is an OpenDocument file"),
        (zipped(tmp_path / "a.docx", **{"word/document.xml": b"x"}), "is a zip file"),
        (zipped(tmp_path / "b.xlsx", **{"xl/workbook.xml": b"x"}), "is a damaged workbook"),
        (write(tmp_path / "c.xlsx"), "has no header and no rows"),
        (write(tmp_path / "d.xlsx", ["text", None, "n"]), r'has no column "utterance" \(it has "text", "n"\)'),
        (write(tmp_path / "e.xlsx", ["utterance", "utterance"]), 'has 2 columns "utterance"'),
    ]:
        with pytest.raises(BadInput, match=message):
            opened(path)
    monkeypatch.setattr(xlsx_sheet, "MAX_UNPACKED", 10_000)
    with pytest.raises(BadInput, match=r"whole\.xlsx: unpacks to more than a workbook may hold"):
        opened(whole)


def test_bombs_of_xml(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", ["utterance"], ["hello"])
    entity = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    reworked(path, lambda xml: entity + xml)
    with pytest.raises(BadInput, match="is a damaged workbook"):
        opened(path)
    path = write(tmp_path / "b.xlsx", ["utterance"], ["hello"])
    sheet = opened(reworked(path, lambda xml: xml.replace('<row r="2"', '<row r="99999999999"')))
    with pytest.raises(BadInput, match="has more than 1,048,576 rows"):
        sheet.spans()


def test_a_full_disk_leaves_the_former_copy(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    rows = [[f"{number * number * number:x}"] for number in range(5_000)]
    path = write(tmp_path / "a.xlsx", ["utterance"], *rows)
    (tmp_path / "a.scored.xlsx").write_text("former")
    sheet = opened(path)
    full_disk()
    with pytest.raises(Unavailable, match="there is no room left on its disk"):
        sheet.finish([])
    assert (tmp_path / "a.scored.xlsx").read_text() == "former"
    assert len(list(tmp_path.iterdir())) == 2


CELLS = st.none() | st.integers(-9, 9) | st.text("ab<&\"' \n", min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=8), st.data())
def test_any_grid_keeps_its_cells(rows: list[list[Any]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.xlsx", ["x", "utterance", "anger", "joy", "y"], *rows)
        before = read(path)
        sheet = opened(path)
        found = [row for span in sheet.spans(3) for row in sheet.rows(span)]
        done = data.draw(st.lists(st.sampled_from([row.number for row in found if row.text] or [0]), unique=True))
        done = sorted(number for number in done if number < len(found) and found[number].text)
        outcome = sheet.finish(Scored(number, b"", Answer((4, 2))) for number in done)
        sheet.close()
        after = read(outcome.place)
    assert after[0] == [*before[0], *EXTRA]
    for number, (old, new) in enumerate(zip(before[1:], after[1:], strict=True)):
        expected = list(old)
        if number in done:
            for at, score in ((2, 2), (3, 4)):
                if expected[at] is None or not str(expected[at]).strip():
                    expected[at] = score
        assert new[:5] == expected
