"""A sheet of links through the pipeline: each row gets its video's answer or its flag, however the run ends."""

from __future__ import annotations

import threading

import pytest

from pipelines.errors import Unavailable
from pipelines.scoring import fetching, video
from pipelines.scoring.pipeline import run
from pipelines.settings import Settings
from pipelines.storage.database import Database
from tests.scoring.files_server import GeminiServer, VideoHost
from tests.scoring.in_memory import MemoryLedger, MemorySheet
from tests.scoring.test_video import FILMS, RUBRIC, answer, gemini, host, house, nothing_left

__all__ = ["gemini", "host", "house"]


def test_a_sheet_of_links(house: Settings, database: Database, host: VideoHost, gemini: GeminiServer) -> None:
    gemini.faults = {"generate": [429, 503, "drop"], "upload": [503], "poll": ["drop"], "delete": [503]}
    gemini.mind.behaviour.invalid = {"video:": 1}
    bad = ["a film about ducks", f"{host.url}/none.mp4", host.put("/page", b"<html>"), "", "http://127.0.0.1:9/a.mp4"]
    good = [f"{host.url}/{number}.mp4{query}" for query in ("", "?again") for number in range(3)]
    sheet, ledger = MemorySheet([*good, *bad, *good]), MemoryLedger()
    outcome = run(sheet, sheet.chunks(), RUBRIC, video.opened(house, RUBRIC, database), ledger)
    assert outcome.finished == ("1-0001",)
    assert [ledger.rows[n].flag for n in range(6, 11)] == ["refused", "refused", "refused", "empty", "refused"]
    for place, number in enumerate([*range(6), *range(11, 17)]):
        row = ledger.rows[number]
        assert (row.flag, row.answer and row.answer.scores) == ("", answer(FILMS[place % 3]))
    assert all(host.asked[f"/{number}.mp4"] == 2 for number in range(3))  # one for each link, however often asked
    nothing_left(house, database, gemini)


def test_a_run_that_is_stopped_takes_everything_back(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.scoring.stopping.DRAIN", 0.2)
    gemini.always["generate"] = "hang"
    sheet, ledger = MemorySheet([f"{host.url}/0.mp4?{number}" for number in range(8)]), MemoryLedger()
    stop = threading.Event()
    gemini.before["generate"] = lambda _: stop.set()
    outcome = run(sheet, sheet.chunks(), RUBRIC, video.opened(house, RUBRIC, database), ledger, stop=stop)
    assert outcome.stopped
    assert ledger.status == {"1-0001": "planned"}
    nothing_left(house, database, gemini)


def test_one_host_that_is_away_fails_its_row_alone(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "AWAY", 0.3)
    away = host.put("/away", b"", status=503)
    links = [host.put(f"/slow{number}", FILMS[number % 3], pause=0.02) for number in range(24)]
    sheet, ledger = MemorySheet([away, *links]), MemoryLedger()
    outcome = run(sheet, sheet.chunks(), RUBRIC, video.opened(house, RUBRIC, database), ledger)
    assert list(outcome.failed) == ["1-0001"]
    assert "row 1: no answer in 8 tries" in outcome.failed["1-0001"]
    assert sorted(ledger.rows) == list(range(1, 25))
    nothing_left(house, database, gemini)


def test_a_full_disk_stops_the_run_and_is_said(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    sheet, ledger = MemorySheet([f"{host.url}/0.mp4"]), MemoryLedger()
    with pytest.raises(Unavailable, match="no room left"):
        run(sheet, sheet.chunks(), RUBRIC, video.opened(house, RUBRIC, database), ledger)
    assert ledger.status == {"1-0001": "planned"}
    nothing_left(house, database, gemini)
