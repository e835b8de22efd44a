"""A Google Sheet of 10,000 rows, scored at 500 rows a second, by a server that allows 60 reads and 60 writes a minute.

The real gspread client; the server is a process of its own, so that the CPU time is ours. What a person does to the
sheet meanwhile, and another program with the same account, is part of it.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.measure import Figure, write
from pipelines.scoring import google_sheet
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Scored
from pipelines.scoring.sheet import Written
from pipelines.settings import Settings

ROWS, RATE = 10_000, 500.0
RUBRIC = Rubric.of(["joy", "anger", "sadness", "surprise"])
TICK = 0.1  # s


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, Settings]]:
    """The sheet's address and settings, from a server in a process of its own."""
    source, key = folder / "sheet.csv", folder / "key.json"
    with source.open("w", newline="") as file:
        rows = (
            [str(n), f"utterance number {n}, which is about as long as what people say in a comment."]
            for n in range(ROWS)
        )
        csv.writer(file).writerows([["id", "utterance"], *rows])
    command = [sys.executable, "-m", "tests.scoring.sheets_server", "--csv", str(source), "--credentials", str(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url, _, place = (process.stdout.readline().strip() for _ in range(3))
            home = str(folder / "home")
            yield place, Settings(home=home, google_credentials=str(key), google_sheets_url=url.partition("=")[2])
        finally:
            process.terminate()


def answer(number: int) -> Answer:
    return Answer((number % 5 + 1, 1, 2, 3), 0.75, f"because of what is said in the words of row {number}")


def score(place: str, settings: Settings) -> tuple[Written, float, float, float, int]:
    """(what came of it, s in all, s of finish, s of our CPU, rows that were there before finish)."""
    began, cpu = time.perf_counter(), time.process_time()
    with closing(google_sheet.opened(place, RUBRIC, "utterance", settings)) as sheet:
        done: list[Scored] = []
        began_asking = time.perf_counter()
        for span in sheet.spans():
            lot = []
            for row in sheet.rows(span):
                lot.append(Scored(row.number, b"", answer(row.number)))
                if len(lot) >= RATE * TICK:
                    sheet.write(lot)
                    done += lot
                    lot = []
                    due = began_asking + len(done) / RATE
                    time.sleep(max(0.0, due - time.perf_counter()))
            sheet.write(lot)
            done += lot
        before = time.perf_counter()
        waiting = len(sheet._waiting)
        written = sheet.finish(iter(done))
        now = time.perf_counter()
        return written, now - began, now - before, time.process_time() - cpu, len(done) - waiting


def alone(figures: dict[str, Figure]) -> None:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (place, settings):
        written, whole, last, cpu, early = score(place, settings)
    figures["rows_written"] = Figure(written.rows, "rows", at_least=ROWS, note="no error of a quota was raised")
    figures["seconds"] = Figure(whole, "s", at_most=ROWS / RATE * 1.5, note=f"answers alone take {ROWS / RATE:.0f} s")
    figures["seconds_after_the_last_answer"] = Figure(last, "s", at_most=15)
    figures["written_while_it_ran"] = Figure(early / ROWS * 100, "%", at_least=80)
    figures["cpu_per_row"] = Figure(cpu / ROWS * 1e3, "ms", at_most=0.4, note="look, write, read back, compare")
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["peak_rss"] = Figure(rss, "MB", at_most=120)


def among_others(figures: dict[str, Figure]) -> None:
    """A person inserts a row and a column, sorts and edits; another program uses 40 of the 60 writes at once."""
    from tests.scoring.sheets_book import Book, Page
    from tests.scoring.sheets_server import serve

    page = Page(0, "sheet", [["id", "utterance"], *[[n, f"utterance number {n}"] for n in range(ROWS)]])
    hands = [
        lambda: page.insert_row(5, ["", "somebody's new row"]),
        lambda: page.sort(1),
        lambda: page.insert_column(0, "mine"),
        lambda: page.move_row(17, 4_000),
    ]
    with tempfile.TemporaryDirectory() as folder, serve(Book("book", "b", [page])) as google:
        key = google.credentials(Path(folder) / "key.json")
        settings = Settings(home=folder, google_credentials=str(key), google_sheets_url=google.url)
        stop = threading.Event()

        def disturb() -> None:
            with google.lock:
                for _ in range(55):
                    google.admitted("write")
            while hands and not stop.wait(4):
                hands.pop()()

        person = threading.Thread(target=disturb)
        person.start()
        try:
            written, whole, *_ = score(google.address("book", 0), settings)
        finally:
            stop.set()
            person.join()
        texts, scores = page.column("utterance"), page.column("joy")
        right = sum(
            cell == int(text.rpartition(" ")[2]) % 5 + 1
            for text, cell in zip(texts, scores, strict=True)
            if text.startswith("utterance")
        )
        turned_away = google.counts["429"]
    figures["rows_right_among_others"] = Figure(right, "rows", at_least=ROWS, note=f"{written.moved} rows were moved")
    figures["seconds_among_others"] = Figure(
        whole, "s", note=f"{turned_away} requests were answered 429, none was told"
    )


def run() -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    alone(figures)
    among_others(figures)
    return figures


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}  {figure.note}")
    write("scoring_sheets", results)
