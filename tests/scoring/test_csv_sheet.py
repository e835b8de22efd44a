"""CSV sheets: every way they are written down, from any chunk on, and what comes back beside them."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import opening
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Scored
from pipelines.scoring.sheet import EXTRA, Sheet, SheetRow, Span
from pipelines.settings import Settings

RUBRIC = Rubric.of(["joy", "anger"])
ANSWER = Answer((4, 2), 0.75, "it laughs")


def opened(path: Path, **options: object) -> Sheet:
    return opening.opened(str(path), RUBRIC, Settings(home=str(path.parent / "home")), **options)  # type: ignore[arg-type]


def texts(sheet: Sheet) -> list[str]:
    return [row.text for span in sheet.spans(2) for row in sheet.rows(span)]


def written(path: Path, delimiter: str = ",", encoding: str = "utf-8") -> list[list[str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_rows_are_read_from_any_chunk_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,utterance,joy\n1,"two\nlines",\n2,x\0y😀 ,3\n\n3\n4,"q ""z""",2,more\n5,,\n')
    sheet = opened(path)
    spans = sheet.spans(2)
    assert [(span.first, span.last) for span in spans] == [(0, 2), (2, 4), (4, 5)]
    expected = [
        [SheetRow(0, "two\nlines", (None, None)), SheetRow(1, "xy😀", ("3", None))],
        [SheetRow(2, "", (None, None)), SheetRow(3, 'q "z"', ("2", None))],
        [SheetRow(4, "", (None, None))],
    ]
    assert [list(sheet.rows(span)) for span in spans] == expected
    assert [list(sheet.rows(span)) for span in reversed(spans)] == expected[::-1]
    assert list(sheet.rows(Span(3, 5))) == [*expected[1][1:], *expected[2]], "without a mark it counts"
    sheet.close()


def test_the_copy_keeps_every_cell_and_adds_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    source = 'id,utterance,joy,"a ""b"""\r\n007,"two\r\nlines",,\r\n2,happy,3,"x"\r\n\r\n3\r\n4,wide,,y,beyond\r\n'
    path.write_bytes(source.encode())
    sheet = opened(path)
    outcome = sheet.finish([Scored(row, b"", ANSWER) for row in (0, 1, 3)])
    sheet.close()
    assert (outcome.place, outcome.rows, outcome.kept) == (str(tmp_path / "a.scored.csv"), 3, 1)
    assert written(tmp_path / "a.scored.csv") == [
        ["id", "utterance", "joy", 'a "b"', "anger", *EXTRA],
        ["007", "two\r\nlines", "4", "", "2", "0.75", "it laughs", ""],
        ["2", "happy", "3", "x", "2", "0.75", "it laughs", ""],
        [],
        ["3", "", "", "", "", "", "", ""],
        ["4", "wide", "4", "y", "2", "0.75", "it laughs", "", "beyond"],
    ]
    assert (tmp_path / "a.scored.csv").read_bytes().count(b"\r\n") == source.count("\r\n")
    assert path.read_bytes() == source.encode()


def test_a_scored_copy_is_scored_again_with_more_categories(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance\nhello\nbye\n")
    opened(path).finish([Scored(0, b"", ANSWER), Scored(1, b"", Answer((1, 1), None, "old"), "fallback")])
    again = opening.opened(str(tmp_path / "a.scored.csv"), Rubric.of(["joy", "fear"]), Settings())
    assert [row.given for row in again.rows(again.spans()[0])] == [("4", None), ("1", None)]
    outcome = again.finish([Scored(0, b"", Answer((5, 5), 0.5, "new"))])
    assert outcome.kept == 1
    assert written(Path(outcome.place)) == [
        ["utterance", "joy", "anger", *EXTRA, "fear"],
        ["hello", "4", "2", "0.5", "new", "", "5"],
        ["bye", "1", "1", "", "old", "fallback", ""],
    ]
    again.close()


def test_a_column_of_a_persons_that_is_called_like_ours_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance,score_reason\nhello,mine\nbye,\n")
    outcome = opened(path).finish([Scored(row, b"", ANSWER) for row in (0, 1)])
    assert outcome.kept == 1
    rows = written(Path(outcome.place))
    assert rows[0] == ["utterance", "score_reason", "joy", "anger", "score_confidence", "score_flag"]
    assert [row[1] for row in rows[1:]] == ["mine", "it laughs"]


@pytest.mark.parametrize("begin", ["=1+1", "+1", "-1", "@x", "\tx", "＝x"])
def test_what_a_model_says_never_runs(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance,mine\nhello,=1+1\n")
    sheet = opening.opened(str(path), Rubric.of(["=cmd"]), Settings())
    outcome = sheet.finish([Scored(0, b"", Answer((3,), None, begin))])
    header, row = written(Path(outcome.place))
    assert header[2] == "'=cmd"
    assert row[1] == "=1+1", "a person's own formula stays"
    assert not row[4].startswith(tuple("=+-@\t\r＝")) and row[4].endswith(begin.strip())
    again = opening.opened(outcome.place, Rubric.of(["=cmd"]), Settings())
    assert next(again.rows(again.spans()[0])).complete, "known again by its defused name"
    again.close()


ENCODINGS = {"utf-8": False, "utf-8-sig": True} | dict.fromkeys(
    ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp932", "euc_jp", "iso2022_jp"], True
)
JAPANESE = ["今日はとても楽しかったです", "申し訳ありません、表計算で", "お茶をください"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("encoding", "marked"), ENCODINGS.items())
def test_japanese_reads_the_same_in_every_encoding(tmp_path: Path, encoding: str, newline: str, marked: bool) -> None:
    lines = ["番号,utterance", *(f'{number},"{text}"' for number, text in enumerate(JAPANESE))]
    path = tmp_path / "a.csv"
    path.write_bytes((newline.join(lines) + newline).encode(encoding))
    sheet = opened(path)
    assert texts(sheet) == JAPANESE
    last = sheet.spans(2)[-1]
    assert [row.text for row in sheet.rows(last)] == JAPANESE[2:]
    outcome = sheet.finish([Scored(2, b"", Answer((1, 5), None, "礼儀正しい"))])
    sheet.close()
    data = Path(outcome.place).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") == marked
    rows = written(Path(outcome.place), encoding="utf-8-sig")
    assert rows[3] == ["2", JAPANESE[2], "1", "5", "", "礼儀正しい", ""]


def test_a_foreign_encoding_is_seen_however_late_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    head = "id,utterance\n" + "".join(f"{number},plain\n" for number in range(60_000))
    path.write_bytes(head.encode() + "60000,楽しい一日でした。また行きたいです\n".encode("cp932"))
    assert path.stat().st_size > 1 << 19
    sheet = opened(path)
    assert next(sheet.rows(Span(60_000, 60_001))).text == "楽しい一日でした。また行きたいです"
    sheet.close()


def test_bytes_that_are_no_character_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "utterance,x\nåå éé 楽しい一日 mostly fine,ok\ncaf\udce9 au lait,\udcff\n".encode("utf-8", "surrogateescape")
    )
    sheet = opened(path)
    read = texts(sheet)
    assert read[1].startswith("caf") and read[1].encode()
    outcome = sheet.finish([Scored(1, b"", ANSWER)])
    assert b"caf\xe9 au lait,\xff,4,2" in Path(outcome.place).read_bytes()
    sheet.close()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text('"a, b; c"|utterance|\nx|"y,;| y"|z\n'.replace("|", delimiter))
    sheet = opened(path)
    assert texts(sheet) == [f"y,;{delimiter} y"]
    assert written(Path(sheet.finish([Scored(0, b"", ANSWER)]).place), delimiter)[1][3:5] == ["4", "2"]
    sheet.close()


def test_excels_own_first_line_and_blank_ones_before_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfsep=;\r\n\r\nid;Utterance\r\n1;a,b\r\n")
    sheet = opened(path)
    assert texts(sheet) == ["a,b"]
    outcome = sheet.finish([Scored(0, b"", ANSWER)])
    assert Path(outcome.place).read_bytes().startswith(b"\xef\xbb\xbfsep=;\r\nid;Utterance;joy;anger;")
    sheet.close()


def test_tabs_without_quotation(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('id\tutterance\n1\t"never closed\n2\t"so" he said\n3\tplain\n')
    sheet = opened(path)
    assert texts(sheet) == ['"never closed', '"so" he said', "plain"]
    outcome = sheet.finish([Scored(0, b"", Answer((1, 2), None, 'tab\tline\n"q"'))])
    assert outcome.place.endswith("a.scored.tsv")
    assert Path(outcome.place).read_text().splitlines()[1] == '1\t"never closed\t1\t2\t\ttab line "q"\t'
    sheet.close()


def test_gzip_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"utterance\nhello\nbye\nwell\n", mtime=0))
    sheet = opened(path)
    spans = sheet.spans(1)
    assert [row.text for span in reversed(spans) for row in sheet.rows(span)] == ["well", "bye", "hello"]
    plain = sheet.finish([Scored(0, b"", ANSWER)])
    assert plain.place == str(tmp_path / "a.scored.csv")
    sheet.close()
    out = tmp_path / "b.csv.gz"
    opened(path, out=out).finish([Scored(0, b"", ANSWER)])
    assert gzip.decompress(out.read_bytes()) == Path(plain.place).read_bytes()
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(BadInput, match=r"a\.csv\.gz: is a damaged gzip file"):
        opened(path).spans()


def test_long_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance,n\n" + "é" * 30_000 + ",1\n" + '"' + "x\n" * 150_000 + '",2\n')
    sheet = opened(path)
    assert [len(text) for text in texts(sheet)] == [30_000, 299_999]
    sheet.close()


def test_carriage_returns_alone_beyond_one_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"utterance,n\r" + b"".join(b"%d %s,1\r" % (n, b"x" * 990) for n in range(5_000)))
    sheet = opened(path)
    assert [text.split()[0] for text in texts(sheet)] == [str(n) for n in range(5_000)]
    sheet.close()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"a\.csv: is empty \(0 bytes\)"),
        (b"\n\n", r"a\.csv: has no header and no rows"),
        (b"text,label\nx,y\n", r'a\.csv: has no column "utterance" \(it has "text", "label"\); name the .* --column'),
        (b"utterance,b,utterance\nx,y,z\n", r'a\.csv: has 2 columns "utterance"; rename or remove all but one'),
        (b"utterance,joy,Joy ,joy\nx,y,z\n", r'a\.csv: has 2 columns "joy"'),
        (b'utterance,b\nx,"y\nz\n', r"a\.csv: has a quotation mark in row 2 that is never closed"),
        (b'utterance,b\n"x,y\n' + b"z\n" * 2_000_001, r"a\.csv: has a cell of more than 4,000,000 characters in row 2"),
        (b"utterance\n" + b"z" * 20_000_000, r"a\.csv: has a cell of more than 4,000,000 characters in row 2"),
        (bytes(range(256)) * 50, r"a\.csv: is not a table"),
    ],
)
def test_what_is_no_sheet_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=message):
        opened(path).spans()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance\nhello\nbye\n")
    sheet = opened(path)
    spans = sheet.spans(1)
    os.utime(path, (1, 1))
    assert next(sheet.rows(spans[0])).text == "hello", "the same bytes are the same sheet"
    path.write_text("utterance\nother\nbye\n")
    with pytest.raises(BadInput, match="was changed while it was being scored"):
        list(sheet.rows(spans[1]))
    with pytest.raises(BadInput, match="was changed"):
        sheet.finish([])
    sheet.close()
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_former_copy(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance\n" + "hello\n" * 1_000)
    (tmp_path / "a.scored.csv").write_text("former")
    sheet = opened(path)
    full_disk()
    with pytest.raises(Unavailable, match="there is no room left on its disk"):
        sheet.finish([])
    assert (tmp_path / "a.scored.csv").read_text() == "former"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "a.scored.csv"]


def test_where_a_copy_may_not_go(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("utterance\nhello\n")
    (tmp_path / "link.csv").symlink_to(path)
    for out, message in [
        (path, "is the sheet itself, which is never overwritten"),
        (tmp_path / "link.csv", "is the sheet itself"),
        (tmp_path, "is a folder"),
        (tmp_path / "b.xlsx", "ends like another kind of file"),
        (path / "below.csv", "cannot be written there"),
    ]:
        with pytest.raises(BadInput, match=message):
            opened(path, out=out)
    assert opened(path, out=tmp_path / "deep" / "b.csv").finish([]).place == str(tmp_path / "deep" / "b.csv")


CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from(list(',;"\r\n\t= ')), max_size=12
)


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
    size=st.integers(1, 5),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
# Python before 3.13 writes a carriage return without quotation marks: the cell's end is read as a blank line.
@example(rows=[["", "", "\r\r"]], newline="\n", encoding="utf-8", size=1, quoting=csv.QUOTE_MINIMAL)
def test_any_table_reads_as_pythons_own_reader_does(
    rows: list[list[str]], newline: str, encoding: str, size: int, quoting: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=newline, quoting=quoting).writerows([["id", "utterance", "x"], *rows])  # type: ignore[arg-type]
    if encoding == "utf-16-be":
        text = io.StringIO("\ufeff" + text.getvalue(), newline="")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(text.getvalue().encode(encoding))
        _, *lines = csv.reader(io.StringIO(text.getvalue(), newline=""))
        expected = [row + [""] * (3 - len(row)) for row in lines if row]  # a blank line is no row
        with contextlib.closing(opened(path)) as sheet:
            spans = sheet.spans(size)
            read = [row for span in reversed(spans) for row in reversed(list(sheet.rows(span)))][::-1]
            assert [row.number for row in read] == list(range(len(expected)))
            assert [row.text for row in read] == [row[1].strip() for row in expected]
            outcome = sheet.finish(Scored(number, b"", ANSWER) for number in range(len(expected)))
        copied = written(Path(outcome.place), encoding="utf-8-sig")
        assert [row[:3] + row[8:] for row in copied[1:] if row] == expected
        assert all(row[3:8] == ["4", "2", "0.75", "it laughs", ""] for row in copied[1:] if row)
