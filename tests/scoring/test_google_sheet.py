"""Sheets of Google's, by gspread, against a server on loopback: what is read, written, kept, found again and told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import google_http, google_sheet, tries
from pipelines.scoring.google_sheet import GoogleSheet
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Flag, Scored
from pipelines.scoring.sheet import EXTRA, SheetRow
from pipelines.settings import Settings
from tests.scoring.sheets_book import Book, Formula, Page, Shown
from tests.scoring.sheets_server import Google, serve

RUBRIC = Rubric.of(["喜び", "anger"])
HEADER = ["id", "utterance", "note"]


def page(rows: int = 30, **options: Any) -> Page:
    return Page(7, "コメント 'a'", [HEADER, *[[n, f"言葉 {n}", f"note {n}"] for n in range(rows)]], **options)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for quotas that another test used up, nor long between two tries."""
    monkeypatch.setattr(google_http, "_buckets", {})
    monkeypatch.setattr(google_sheet, "EVERY", 0.05)
    monkeypatch.setattr(tries, "FIRST", 0.05)


@contextmanager
def sheet(
    google: Google, tmp_path: Path, *, rubric: Rubric = RUBRIC, column: str = "utterance", kind: str = "service_account"
) -> Iterator[GoogleSheet]:
    key = google.credentials(tmp_path / "key.json", kind)
    settings = Settings(home=str(tmp_path / "home"), google_credentials=str(key), google_sheets_url=google.url)
    with closing(google_sheet.opened(google.address("book"), rubric, column, settings)) as found:
        yield found


def answered(row: SheetRow, flag: Flag = "") -> Scored:
    """What a model would say of a row: known from its text alone."""
    first = sum(row.text.encode()) % 5 + 1
    return Scored(row.number, b"k", Answer((first, 6 - first), 0.25, f"=because of {row.text}"), flag)


def scored(sheet: GoogleSheet, size: int = 10) -> list[Scored]:
    return [answered(row) for span in sheet.spans(size) for row in sheet.rows(span) if row.text]


def assert_right(page: Page) -> None:
    """Every text has its own scores beside it, whatever moved."""
    texts = page.column("utterance")
    for title, part in (("喜び", 0), ("anger", 1)):
        cells = page.column(title)
        wanted = [answered(SheetRow(0, text, ())) for text in texts]
        assert cells == [one.answer.scores[part] for one in wanted if one.answer]


def wait_for(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to be")


def test_every_row_is_read_scored_and_written_back_as_typed_values(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "売上", [held])) as google, sheet(google, tmp_path) as found:
        assert (found.name, found.kind, found.identity) == ("売上 / コメント 'a'", "google", "google:book:7")
        spans = found.spans(10)
        assert [(span.first, span.last) for span in spans] == [(0, 10), (10, 20), (20, 30)]
        rows = [row for span in spans for row in found.rows(span)]
        assert rows == [SheetRow(n, f"言葉 {n}", (None, None)) for n in range(30)]
        found.write([answered(row) for row in rows])
        wait_for(lambda: 1 in google.rows_written[1:] or len(google.rows_written) > 1)
        written = found.finish(answered(row) for row in rows)
        assert (written.rows, written.kept, written.moved, written.gone) == (30, 0, 0, 0)
        assert written.place == "https://docs.google.com/spreadsheets/d/book/edit#gid=7"
        assert held.header() == [*HEADER, "喜び", "anger", *EXTRA]
        assert_right(held)
        assert held.column("score_confidence") == [0.25] * 30
        assert held.column("score_reason")[3] == "=because of 言葉 3"
        assert not any(isinstance(cell, Formula) for row in held.cells for cell in row)
        assert [row[:3] for row in held.cells[1:31]] == [[n, f"言葉 {n}", f"note {n}"] for n in range(30)]


def test_finish_alone_writes_what_no_flush_wrote_and_a_second_one_writes_nothing(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        assert found.finish(iter(rows[:12])).rows == 12  # stopped half way
        assert found.finish(iter(rows)).rows == 30
        assert_right(held)
        writes = google.counts["write"]
        assert found.finish(iter(rows)).rows == 30
        assert google.counts["write"] == writes


def test_cells_of_people_stay_and_say_so(tmp_path: Path) -> None:
    held = Page(0, "s", [["utterance", "Anger ", "喜び"], ["a", "4点", ""], ["b", "", 2], ["c", 1, 1], ["", 3, ""]])
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        (span,) = found.spans()
        rows = list(found.rows(span))
        assert [row.given for row in rows] == [(None, "4点"), ("2", None), ("1", "1")]
        done = [*map(answered, rows[:2]), Scored(2, b"k", None, "given")]
        held.put(2, 1, "mine")  # filled in while the model was asked
        found.write(done)
        written = found.finish(iter(done))
        assert (written.rows, written.gone) == (3, 0)
        assert written.kept == 5
        assert held.column("Anger ") == ["4点", "mine", 1, 3]
        assert held.column("喜び")[1:] == [2, 1, ""]
        assert held.column("score_reason") == ["=because of a", "", "", ""]  # nothing of ours was needed in b


@pytest.mark.parametrize("when", ["before the look", "between look and write"])
@pytest.mark.parametrize(
    "hand",
    [
        lambda page: page.insert_row(5, ["new", "a new one", ""]),
        lambda page: page.move_row(2, 20),
        lambda page: page.sort(1),
        lambda page: (page.insert_row(1, ["n", "x", ""]), page.insert_row(1, ["n", "y", ""]), page.move_row(25, 4)),
    ],
    ids=["insert", "move", "sort", "all"],
)
def test_rows_that_a_person_moves_while_it_runs_are_found_again(
    tmp_path: Path, when: str, hand: Callable[[Page], None]
) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        if when == "before the look":
            hand(held)
        else:

            def once(method: str, path: str) -> None:
                if method == "POST":
                    google.before.clear()
                    hand(held)

            google.before.append(once)
        found.write(rows[:17])
        wait_for(lambda: len(google.rows_written) > 1)
        found.write(rows[17:])
        written = found.finish(iter(rows))
        assert (written.rows, written.gone) == (30, 0)
        assert written.moved > 0
        strangers = [number for number, row in enumerate(held.cells[1:40], 1) if row[0] in ("n", "new")]
        for number in reversed(strangers):
            assert held.cells[number][3:8] == [""] * 5  # what stood there by mistake was taken back
            held.delete_row(number)
        assert_right(held)


def test_a_score_of_a_person_that_moves_between_look_and_write_is_given_back(tmp_path: Path) -> None:
    held = page()
    held.cells[0][3:5] = ["anger", "喜び"]
    for number, theirs in ((3, "mine"), (9, 2), (18, "above")):
        held.put(number, 3, theirs)
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)

        def once(method: str, path: str) -> None:
            if method == "POST":
                google.before.clear()
                held.insert_row(2, ["", "a new one"])
                held.insert_row(2, ["", "a new one"])

        google.before.append(once)
        found.write(rows[18:28])
        wait_for(lambda: len(google.rows_written) > 1)
        found.write(rows[:18])
        written = found.finish(iter(rows))
        assert (written.rows, written.kept, written.moved) == (30, 3, 29)
        assert [held.cells[number][3] for number in (5, 11, 20)] == ["mine", 2, "above"]
        assert held.cells[2][3:5] == ["", ""] == held.cells[3][3:5]


def test_columns_that_a_person_moves_are_found_again_by_their_headers(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        found.write(rows[:10])
        wait_for(lambda: len(google.rows_written) > 1)
        held.insert_column(0, "first")
        held.insert_column(5, "in the midst")
        found.write(rows[10:])
        assert found.finish(iter(rows)).rows == 30
        assert held.header() == ["first", *HEADER, "喜び", "in the midst", "anger", *EXTRA]
        assert set(held.column("in the midst")) == {""}
        assert_right(held)


@pytest.mark.parametrize(
    "hand",
    [
        lambda page: page.insert_column(0, "first"),
        lambda page: page.insert_column(3, "after note"),
        lambda page: page.insert_column(2),
        lambda page: page.delete_column(0),
    ],
    ids=["first", "beside ours", "untitled", "deleted"],
)
def test_a_column_moved_between_look_and_write_costs_nobody_their_cells(
    tmp_path: Path, hand: Callable[[Page], None]
) -> None:
    held = page()
    for row in held.cells[:31]:
        row[3] = ""
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        held.insert_column(8, "right of ours")
        for number in range(1, 31):
            held.put(number, 8, f"theirs {number}")

        def once(method: str, path: str) -> None:
            if method == "POST":
                google.before.clear()
                hand(held)

        google.before.append(once)
        found.write(rows[:17])
        wait_for(lambda: len(google.rows_written) > 1)
        found.write(rows[17:])
        assert found.finish(iter(rows)).rows == 30
        assert_right(held)
        assert held.column("utterance") == [f"言葉 {n}" for n in range(30)]
        assert held.column("note") == [f"note {n}" for n in range(30)]
        assert held.column("right of ours") == [f"theirs {n}" for n in range(1, 31)]
        ours = {"喜び", "anger", *EXTRA, *HEADER, "right of ours"}
        others = [column for column, title in enumerate(held.cells[0]) if title not in ours]
        assert all(row[column] == "" for row in held.cells[1:] for column in others)


def test_a_column_of_ours_that_a_person_deletes_is_made_again(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        found.finish(iter(rows[:20]))
        held.delete_column(held.header().index("喜び"))
        assert found.finish(iter(rows)).rows == 30
        assert_right(held)


def test_texts_that_were_changed_or_deleted_are_counted_and_nothing_is_written_beside_them(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        held.put(4, 1, "other words")
        held.delete_row(10)
        held.put(20, 1, "")
        found.write(rows)
        written = found.finish(iter(rows))
        assert (written.rows, written.gone) == (27, 3)
        assert held.cells[4][3:8] == [""] * 5 == held.cells[20][3:8]


def test_a_text_edited_before_it_is_read_is_scored_as_it_reads_then(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        (span,) = found.spans()
        held.put(4, 1, "other words")
        held.insert_row(2, ["", "not of this run", ""])
        rows = list(found.rows(span))
        assert [row.text for row in rows] == [f"言葉 {n}" if n != 3 else "other words" for n in range(30)]
        done = [answered(row) for row in rows]
        found.write(done)
        assert found.finish(iter(done)).rows == 30
        held.delete_row(2)
        assert_right(held)


def test_another_process_means_the_same_rows_although_they_moved(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google:
        with sheet(google, tmp_path) as first:
            spans = first.spans(10)
            done = [answered(row) for row in first.rows(spans[0])]
            first.write(done)
            first.finish(iter(done))
        held.delete_row(3)
        held.insert_row(1, ["", "a new one", ""])
        held.sort(1)
        with sheet(google, tmp_path) as second:
            done += [answered(row) for span in spans[1:] for row in second.rows(span)]
            assert [row.row for row in done] == list(range(30))
            written = second.finish(iter(done))
            assert (written.rows, written.gone) == (29, 1)
        with sheet(google, tmp_path) as another:
            stranger, *others = another.rows(another.spans(30)[0])  # another run plans by what is there now
            assert not stranger.ours
            assert all(row.ours and row.complete for row in others)
        with sheet(google, tmp_path) as third:
            third.planned(spans)
            assert third.finish(iter(done)).rows == 29
        held.delete_row(held.column("utterance").index("a new one") + 1)
        assert_right(held)


def test_rows_that_nobody_remembers_are_not_guessed(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google:
        with sheet(google, tmp_path) as first:
            spans = first.spans(10)
        for kept in (tmp_path / "home").rglob("*.rows"):
            kept.unlink()
        with sheet(google, tmp_path) as second:
            assert len(list(second.rows(spans[1]))) == 10  # as it was planned: nothing to be remembered
        held.delete_row(3)
        with sheet(google, tmp_path) as third, pytest.raises(BadInput, match="has changed since it was planned"):
            list(third.rows(spans[1]))


def test_a_worksheet_that_is_renamed_or_shortened_meanwhile_is_still_written(tmp_path: Path) -> None:
    held = page(rows=30)
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        held.title = "it's new"
        found.finish(iter(rows[:10]))
        for _ in range(held.rows - 25):
            held.delete_row(25)
        written = found.finish(iter(rows))
        assert (written.rows, written.gone) == (24, 6)
        assert_right(held)


def test_a_grid_without_room_is_widened_and_one_that_must_not_be_says_so(tmp_path: Path) -> None:
    held = page()
    for _ in range(23):
        held.delete_column(3)
    other = Page(9, "big", [["x"]], columns=1, rows=1)
    other.columns, other.rows = 10, 999_500  # only said, not held
    with (
        serve(Book("book", "b", [held, other])) as google,
        sheet(google, tmp_path) as found,
        pytest.raises(BadInput, match="10 million"),
    ):
        found.spans()
    other.columns = other.rows = 1
    with serve(Book("book", "b", [held, other])) as google, sheet(google, tmp_path) as found:
        found.finish(iter(scored(found)))
        assert held.columns == 8
        assert_right(held)


def test_what_a_sheet_shows_is_what_is_scored(tmp_path: Path) -> None:
    held = Page(
        0,
        "s",
        [["utterance"], [Shown(45296.0, "2024/01/05")], ["0012"], [True], [" a\0b \n"], [""], ["x" * 30_000], [3.5]],
    )
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        (span,) = found.spans()
        rows = list(found.rows(span))
        assert [row.text for row in rows] == ["2024/01/05", "0012", "TRUE", "ab", "", "x" * 30_000, "3.5"]
        done = [answered(row) if row.text else Scored(row.number, b"", None, "empty") for row in rows]
        found.write(done)
        written = found.finish(iter(done))
        assert (written.rows, written.kept) == (6, 0)
        held.put(1, 1, Shown(held.cells[1][1], "4.00"))  # a format of somebody's does not make it theirs
        assert found.finish(iter(done)).kept == 0


def test_equal_texts_each_get_their_scores(tmp_path: Path) -> None:
    held = Page(0, "s", [["utterance"], *[["yes"], ["no"], ["yes"]] * 5])
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        held.insert_row(1, ["yes"])
        held.move_row(3, 8)
        assert found.finish(iter(rows)).rows == 15
        assert sorted(held.column("喜び").count(one) for one in {*held.column("喜び")} - {""}) == [5, 10]


@pytest.mark.parametrize("fault", ["500", "503", "html", "drop", "lost", "cut"])
def test_a_fault_of_theirs_or_the_networks_is_tried_again_and_harms_nothing(tmp_path: Path, fault: str) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        google.read_faults.extend([fault] if fault != "lost" else ["drop"])
        rows = scored(found)
        google.faults.append(fault)
        found.write(rows[:20])
        wait_for(lambda: not google.faults)
        google.faults.append(fault)
        written = found.finish(iter(rows))
        assert (written.rows, written.kept, written.gone) == (30, 0, 0)
        assert_right(held)


def test_a_row_moved_while_an_answer_was_lost_is_written_where_it_is(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        google.faults.append("lost")

        def move(method: str, path: str) -> None:
            if method == "GET" and not google.faults:
                google.before.clear()
                held.move_row(2, 20)

        google.before.append(move)
        assert found.finish(iter(rows)).rows == 30
        assert_right(held)


def test_a_used_up_quota_is_waited_for_and_never_told(tmp_path: Path) -> None:
    held = page(rows=200)
    options: dict[str, Any] = {"writes": 2, "reads": 6, "period": 0.6}
    with serve(Book("book", "b", [held]), **options) as google, sheet(google, tmp_path) as found:
        rows = scored(found, 50)
        for at in range(0, 200, 20):
            found.write(rows[at : at + 20])
            threading.Event().wait(0.05)
        assert found.finish(iter(rows)).rows == 200
        assert google.counts["429"] > 0
        assert_right(held)


def test_who_does_not_answer_for_long_is_unavailable_and_what_was_asked_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        monkeypatch.setattr(tries, "PATIENCE", 0.3)
        google.faults.extend(["503"] * 100)
        found.write(rows)
        with pytest.raises(Unavailable, match="Google Sheets: it answered 503"):
            found.finish(iter(rows))
        google.faults.clear()
        assert found.finish(iter(rows)).rows == 30


def test_an_expired_token_is_renewed_and_a_user_may_sign_in_instead_of_a_service(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path, kind="authorized_user") as found:
        rows = scored(found)
        google.expire()
        assert found.finish(iter(rows)).rows == 30
        assert google.counts["token"] == 2


def test_a_sheet_that_may_only_be_read_is_known_before_anything_is_asked(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held]), role={"book": "reader"}) as google:
        with sheet(google, tmp_path) as found, pytest.raises(BadInput, match="share it, as editor, with scorer@studio"):
            found.spans()
        google.role["book"] = "writer"
        with sheet(google, tmp_path) as found:
            found.spans()
        google.role["book"] = "reader"  # all columns are there by now: nothing would have to be added
        with sheet(google, tmp_path) as found, pytest.raises(BadInput, match="may not be read and edited"):
            found.spans()
        google.role["book"] = "none"
        with pytest.raises(BadInput, match="may not be read"), sheet(google, tmp_path):
            pass


def test_a_sheet_taken_away_meanwhile_ends_the_writing_at_once(tmp_path: Path) -> None:
    held = page()
    with serve(Book("book", "b", [held])) as google, sheet(google, tmp_path) as found:
        rows = scored(found)
        google.role["book"] = "reader"
        found.write(rows[:10])

        def told() -> bool:
            try:
                found.write([])
            except BadInput as error:
                return "share it" in str(error)
            return False

        wait_for(told)
        with pytest.raises(BadInput, match="share it"):
            found.finish(iter(rows))


@pytest.mark.parametrize(
    ("cells", "column", "match"),
    [
        ([["id", "text"], ["1", "a"]], "utterance", 'no column "utterance" \\(it has "id", "text"\\)'),
        ([], "utterance", "no header"),
        ([["utterance", "utterance"], ["a", "b"]], "utterance", "2 columns"),
        ([["utterance"]], "utterance", "no text under its header"),
        ([["utterance", "anger"], ["", "b"]], "utterance", "no text under its header"),
    ],
)
def test_a_sheet_that_cannot_be_scored_says_why(tmp_path: Path, cells: list[Any], column: str, match: str) -> None:
    with (
        serve(Book("book", "b", [Page(0, "s", cells)])) as google,
        pytest.raises(BadInput, match=match),
        sheet(google, tmp_path, column=column) as found,
    ):
        found.spans()


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ("https://docs.google.com/spreadsheets/d/other/edit", "is not there"),
        ("https://docs.google.com/spreadsheets/d/book/edit#gid=99", "no worksheet with gid 99"),
        ("https://docs.google.com/document/d/book/edit", "not the address of a Google Sheet"),
        ("https://docs.google.com/spreadsheets/d/e/2PACX-1v/pubhtml", "published copy"),
        ("https://docs.google.com/spreadsheets/d/book/edit#gid=abc", "is no number"),
    ],
)
def test_an_address_that_leads_nowhere_says_so(tmp_path: Path, place: str, match: str) -> None:
    with serve(Book("book", "b", [page()])) as google, pytest.raises(BadInput, match=match):
        key = google.credentials(tmp_path / "key.json")
        settings = Settings(home=str(tmp_path), google_credentials=str(key), google_sheets_url=google.url)
        google_sheet.opened(place, RUBRIC, "utterance", settings).close()


def test_a_file_that_google_drive_left_leads_to_its_sheet(tmp_path: Path) -> None:
    with serve(Book("book", "b", [page()])) as google:
        key = google.credentials(tmp_path / "key.json")
        settings = Settings(home=str(tmp_path), google_credentials=str(key), google_sheets_url=google.url)
        for number, held in enumerate(
            [{"doc_id": "book"}, {"url": google.address("book", 7)}, {"resource_id": "spreadsheet:book"}]
        ):
            link = tmp_path / f"{number}.gsheet"
            link.write_text(json.dumps(held))
            with closing(google_sheet.opened(str(link), RUBRIC, "utterance", settings)) as found:
                assert found.identity == "google:book:7"


def test_a_hundred_categories_and_names_with_quotes_are_columns_like_others(tmp_path: Path) -> None:
    names = [f"=c{n}" for n in range(200)] + ['"quoted"', "it's, here"]
    held = page(rows=3)
    with (
        serve(Book("book", "b", [held])) as google,
        sheet(google, tmp_path, rubric=Rubric.of(names)) as found,
    ):
        (span,) = found.spans()
        done = [Scored(row.number, b"", Answer((3,) * 202, None, "")) for row in found.rows(span)]
        assert found.finish(iter(done)).rows == 3
        assert held.header() == [*HEADER, *names, *EXTRA]
        assert held.cells[3][3:208] == [3] * 202 + [""] * 3
