"""The pipeline against a real server on loopback, with a ledger and a sheet in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring.pipeline import Options, Outcome, Progress, run
from pipelines.scoring.providers import opened
from pipelines.scoring.rubric import Rubric
from pipelines.settings import Settings
from tests.scoring.in_memory import MemoryLedger, MemorySheet
from tests.scoring.llm_server import LLM, Behaviour, expected, serve

RUBRIC = Rubric.of(["joy", "anger"])


@pytest.fixture
def llm() -> Iterator[LLM]:
    with serve(Behaviour(latency=0.01)) as server:
        yield server


def texts(count: int, word: str = "row") -> list[str]:
    return [f"{word} {number} " + "♪" * (number % 5) for number in range(count)]


def score(
    llm: LLM, sheet: MemorySheet, ledger: MemoryLedger, options: Options | None = None, *, most: int | None = None,
    size: int = 500, only: tuple[str, ...] = (), key: str = "", **more: object,
) -> Outcome:  # fmt: skip
    provider = opened(Settings(openai_api_key=key), RUBRIC, "openai", base_url=llm.url, concurrency=most)
    chunks = [chunk for chunk in sheet.chunks(size) if not only or chunk.chunk_id in only]
    return run(sheet, chunks, RUBRIC, provider, ledger, options or Options(), **more)  # type: ignore[arg-type]


def right(sheet: MemorySheet, ledger: MemoryLedger) -> None:
    """Every row has what anybody would have got for its text, and the sheet was told of each."""
    assert set(ledger.rows) == set(range(len(sheet.texts)))
    for number, row in ledger.rows.items():
        answer = row.answer
        assert answer is not None
        assert dict(zip(RUBRIC.categories, answer.scores, strict=True)) == expected(
            sheet.texts[number].strip(), RUBRIC.categories
        )
    assert sheet.written == ledger.rows


def test_every_row_is_asked_once_and_recorded(llm: LLM) -> None:
    sheet, ledger = MemorySheet([text.strip() for text in texts(1200)]), MemoryLedger()
    looks: list[Progress] = []
    outcome = score(llm, sheet, ledger, watch=looks.append)
    right(sheet, ledger)
    assert outcome.finished == ("1-0001", "1-0002", "1-0003")
    assert (outcome.failed, outcome.stopped) == ({}, False)
    assert set(llm.asked.values()) == {1}
    assert llm.requests.total == 1200
    assert ledger.tally == outcome.tally
    assert (outcome.tally.rows, outcome.tally.asked, outcome.tally.requests) == (1200, 1200, 1200)
    assert outcome.tally.tokens_in > 0
    assert set(ledger.status.values()) == {"finished"}
    assert ledger.cleaned >= 1
    assert (looks[-1].rows, looks[-1].of, looks[-1].eta) == (1200, 1200, 0.0)
